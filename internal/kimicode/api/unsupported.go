package api

import "fmt"

// UnsupportedError names something that has no place in Kimi Code.
type UnsupportedError struct {
	Option string // such as "--max-ralph-iterations"
	Why    string
}

// Error names it and says what to do.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("Kimi Code has no place for %s: %s", e.Option, e.Why)
}
