package api

import (
	"fmt"
	"strings"
)

// UnsupportedError says that Kimi Code cannot do what an option asks for.
type UnsupportedError struct {
	Option string // such as "--max-ralph-iterations"
	Why    string
}

// Error names the option and says what to do.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("Kimi Code has no place for %s: %s", e.Option, e.Why)
}

// RoutesKey is the member of an error's data that contains a [*RoutesError].
const RoutesKey = "kimi_code_routes"

// RoutesError says that a server lacks routes that this module needs.
type RoutesError struct {
	Version string   `json:"version"` // of Kimi Code
	Missing []string `json:"missing"` // such as "get /api/v1/meta"
}

// Error names all missing routes.
func (e *RoutesError) Error() string {
	return fmt.Sprintf("the server of Kimi Code %s lacks %s", e.Version, strings.Join(e.Missing, ", "))
}
