package client

// WorkDir returns the absolute path of the folder in which the agent works. It is "" for a value that is not a live
// request, and with Options.Server, because that folder may be on another machine.
func (r *ApprovalRequest) WorkDir() string {
	if r.request == nil || r.request.s.launch.opts.Server != nil {
		return ""
	}
	return r.request.s.launch.workDir
}
