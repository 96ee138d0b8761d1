package server

import "time"

// SetPatience sets how long a stream of a server elsewhere tries to connect again.
func (s *Server) SetPatience(d time.Duration) { s.patience = d }
