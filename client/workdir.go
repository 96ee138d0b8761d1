package client

// WorkDir is the folder that the agent which asks works in, an absolute path of this machine: that of the session. It is "" for
// what is no live request, and with Options.Server, whose folders may be those of another machine.
func (r *ApprovalRequest) WorkDir() string {
	if r.request == nil || r.request.s.launch.opts.Server != nil {
		return ""
	}
	return r.request.s.launch.workDir
}
