package config

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
)

const mask = "***"

// Secret is a string that does not show its value. It prints, logs and encodes as *** (an empty one as the empty
// string), for every fmt verb, in slog, in encoding/json and wherever [encoding.TextMarshaler] is used. Only
// [Secret.Reveal] and writing a config file ([Config.Save], [Config.MarshalTOML], [Config.MarshalJSONFile],
// [MarshalMCP]) give the value.
//
// A string type cannot prevent two things. fmt calls no methods of a value in an unexported struct field, so keep a
// *Config there and print it with %v. And when fmt reports a misused verb (%p, %w outside Errorf, %s of a pointer
// within a struct), it shows the plain value. The table types that hold secrets have their own Format and are safe in
// the last case.
type Secret string

// Reveal returns the value in clear text.
func (s Secret) Reveal() string { return string(s) }

// String returns *** or, for an empty Secret, "".
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// Format implements [fmt.Formatter]: every verb prints [Secret.String].
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText implements [encoding.TextMarshaler], and so covers encoding/json,
// with [Secret.String].
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue implements [slog.LogValuer] with [Secret.String].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Extra holds the keys of one table that this package does not know. Loading and saving a file keeps them. The values
// are nil, string, bool, int64, float64, [time.Time], []any, map[string]any and, for an integer of a JSON file that
// needs more than 64 bits, [json.Number]. Writing accepts any other number, string, list or string-keyed map, too.
// TOML has no null, so a nil value is written to JSON only. JSON has no dates, so they become strings there.
//
// An unknown key may hold a secret. So only the keys of an Extra appear when it is printed, logged or encoded, and
// its values appear as ***.
type Extra map[string]any

// String returns the keys, sorted, with every value masked.
func (e Extra) String() string {
	m := make(map[string]string, len(e))
	for k := range e {
		m[k] = mask
	}
	return fmt.Sprint(m)
}

// Format implements [fmt.Formatter]: every verb prints [Extra.String].
func (e Extra) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.String()) }

// MarshalText implements [encoding.TextMarshaler], and so covers encoding/json,
// with [Extra.String].
func (e Extra) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// LogValue implements [slog.LogValuer] with [Extra.String].
func (e Extra) LogValue() slog.Value { return slog.StringValue(e.String()) }

// Format prints the config as JSON, for every verb, with the secrets masked and without the unknown keys. It also
// masks the arguments of MCP servers, and parts of URLs that may be secret.
func (c Config) Format(f fmt.State, _ rune) { show(f, c) }

// Format prints the provider as [Config.Format] does.
func (p Provider) Format(f fmt.State, _ rune) { show(f, p) }

// Format prints the service as [Config.Format] does.
func (s Service) Format(f fmt.State, _ rune) { show(f, s) }

// Format prints the reference as [Config.Format] does.
func (r OAuthRef) Format(f fmt.State, _ rune) { show(f, r) }

// Format prints the server as [Config.Format] does.
func (s MCPServer) Format(f fmt.State, _ rune) { show(f, s) }

// MarshalJSON returns the provider for display: its secrets, and parts of its URL that may be secret, are ***.
func (p Provider) MarshalJSON() ([]byte, error) {
	type fields Provider
	p.BaseURL = redactURL(p.BaseURL)
	return json.Marshal(fields(p))
}

// MarshalJSON returns the service as [Provider.MarshalJSON] does.
func (s Service) MarshalJSON() ([]byte, error) {
	type fields Service
	s.BaseURL = redactURL(s.BaseURL)
	return json.Marshal(fields(s))
}

// MarshalJSON returns the server as [Provider.MarshalJSON] does. Of its arguments, it shows only the names of flags.
func (s MCPServer) MarshalJSON() ([]byte, error) {
	type fields MCPServer
	s.URL = redactURL(s.URL)
	s.Args = slices.Clone(s.Args)
	for i, arg := range s.Args {
		switch flag, _, joined := strings.Cut(arg, "="); {
		case !strings.HasPrefix(arg, "-"), len(arg) > 2 && arg[1] != '-': // -kVALUE
			s.Args[i] = mask
		case joined:
			s.Args[i] = flag + "=" + mask
		}
	}
	return json.Marshal(fields(s))
}

func show(f fmt.State, v any) {
	text, err := json.Marshal(v)
	if err != nil { // NaN
		text = []byte(err.Error())
	}
	_, _ = f.Write(text)
}
