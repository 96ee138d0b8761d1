package client

// Ready returns the sessions that wait for a caller.
func (p *Pool) Ready() []*Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*Session{}, p.ready...)
}
