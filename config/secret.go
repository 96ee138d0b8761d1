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

// Secret is a string that does not show its value. It prints, logs and encodes as ***, and as the empty string if it is
// empty. This holds for every fmt verb, in slog, in encoding/json and wherever [encoding.TextMarshaler] is used. Only
// [Secret.Reveal] and writing a config file ([Config.Save], [Config.MarshalTOML], [Config.MarshalJSONFile],
// [MarshalMCP]) give the value.
//
// There are two cases that a string type cannot prevent. First, fmt calls no methods of a value in an unexported struct
// field; so keep a *Config in such a field, and print it with %v. Second, when fmt reports a misused verb (%p, %w
// outside of Errorf, %s of a pointer within a struct), it shows the plain value. The table types with secrets have a
// Format of their own, so they are safe in the second case.
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

// MarshalText implements [encoding.TextMarshaler] with [Secret.String]. encoding/json uses it, too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue implements [slog.LogValuer] with [Secret.String].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Extra has the keys of one table that this package does not know. Loading and saving a file keeps them. The values are
// nil, string, bool, int64, float64, [time.Time], []any, map[string]any and, for an integer in a JSON file that needs
// more than 64 bits, [json.Number]. For writing, any other number, string, list or map with string keys is also
// accepted. TOML has no null, so a nil value is written only to JSON. JSON has no dates, so they become strings there.
//
// An unknown key may have a secret value. So when an Extra is printed, logged or encoded, it shows its keys, and ***
// for its values.
type Extra map[string]any

// String returns the keys, sorted, with *** for every value.
func (e Extra) String() string {
	m := make(map[string]string, len(e))
	for k := range e {
		m[k] = mask
	}
	return fmt.Sprint(m)
}

// Format implements [fmt.Formatter]: every verb prints [Extra.String].
func (e Extra) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.String()) }

// MarshalText implements [encoding.TextMarshaler] with [Extra.String]. encoding/json uses it, too.
func (e Extra) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// LogValue implements [slog.LogValuer] with [Extra.String].
func (e Extra) LogValue() slog.Value { return slog.StringValue(e.String()) }

// Format prints the config as JSON, for every verb, with *** for the secrets and without the unknown keys. It also
// masks the arguments of MCP servers, and parts of URLs that may be secret.
func (c Config) Format(f fmt.State, _ rune) { show(f, c) }

// Format prints the provider as [Config.Format] does.
func (p Provider) Format(f fmt.State, _ rune) { show(f, p) }

// Format prints the service as [Config.Format] does.
func (s Service) Format(f fmt.State, _ rune) { show(f, s) }

// Format prints the OAuth reference as [Config.Format] does.
func (r OAuthRef) Format(f fmt.State, _ rune) { show(f, r) }

// Format prints the server as [Config.Format] does.
func (s MCPServer) Format(f fmt.State, _ rune) { show(f, s) }

// MarshalJSON returns the provider for display. Its secrets, and parts of its URL that may be secret, are ***.
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

// MarshalJSON returns the server as [Provider.MarshalJSON] does. It shows only the names of the flags in its arguments.
func (s MCPServer) MarshalJSON() ([]byte, error) {
	type fields MCPServer
	s.URL = redactURL(s.URL)
	s.Args = slices.Clone(s.Args)
	for i, arg := range s.Args {
		switch flag, _, joined := strings.Cut(arg, "="); {
		case !strings.HasPrefix(arg, "-"), len(arg) > 2 && arg[1] != '-': // a value, or a short flag with its value, such as -kVALUE
			s.Args[i] = mask
		case joined:
			s.Args[i] = flag + "=" + mask
		}
	}
	return json.Marshal(fields(s))
}

func show(f fmt.State, v any) {
	text, err := json.Marshal(v)
	if err != nil { // JSON has no NaN
		text = []byte(err.Error())
	}
	_, _ = f.Write(text)
}
