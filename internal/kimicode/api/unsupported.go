package api

import (
	"fmt"
	"strings"
)

// UnsupportedError names something that has no place in Kimi Code.
type UnsupportedError struct {
	Option string // such as "--max-ralph-iterations"
	Why    string
}

// Error names it and says what to do.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("Kimi Code has no place for %s: %s", e.Option, e.Why)
}

// RoutesKey is the member of an error's data in which a [*RoutesError] stands.
const RoutesKey = "kimi_code_routes"

// RoutesError says that a server lacks routes that this module needs.
type RoutesError struct {
	Version string   `json:"version"` // of Kimi Code
	Missing []string `json:"missing"` // such as "get /api/v1/meta"
}

// Error names them all.
func (e *RoutesError) Error() string {
	return fmt.Sprintf("the server of Kimi Code %s lacks %s", e.Version, strings.Join(e.Missing, ", "))
}
