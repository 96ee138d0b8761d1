package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// ShareDir returns the folder in which Kimi Code keeps its config, sessions and credentials: KIMI_SHARE_DIR, or .kimi
// in the home folder. It creates nothing.
func ShareDir() string { return ShareDirIn(os.Getenv) }

// ShareDirIn does what [ShareDir] does, for an environment other than that of this process.
func ShareDirIn(getenv func(string) string) string {
	if dir := getenv("KIMI_SHARE_DIR"); dir != "" {
		return dir
	}
	name := "HOME"
	if runtime.GOOS == "windows" {
		name = "USERPROFILE"
	}
	home := getenv(name)
	if home == "" {
		if u, err := user.Current(); err == nil {
			home = u.HomeDir
		}
	}
	return filepath.Join(home, ".kimi")
}

// DefaultPath returns the path of the default config file: config.toml in [ShareDir].
func DefaultPath() string { return filepath.Join(ShareDir(), "config.toml") }

// LoadDefault reads the default config file. It calls [LoadDir] with [ShareDir].
func LoadDefault() (*Config, error) { return LoadDir(ShareDir()) }

// LoadDir reads config.toml in the given share folder. If there is none, it reads the config.json that old versions
// wrote and kimi converts to config.toml when it starts. If there is neither, it returns kimi's default, a zero
// Config. It creates and moves nothing.
func LoadDir(dir string) (*Config, error) {
	for _, name := range []string{"config.toml", "config.json"} {
		c, err := Load(filepath.Join(dir, name))
		if !errors.Is(err, fs.ErrNotExist) {
			return c, err
		}
	}
	return &Config{}, nil
}

// Load reads and validates a config file. The file is JSON if the path ends in .json (in upper or lower case),
// otherwise TOML. The error names the file and, on one line each, everything that is wrong with it (see [Error]). If
// the file is missing, the error is [fs.ErrNotExist]. Load refuses a path that is not a regular file, a file longer
// than 4 MiB, and a file with more than 64 levels.
func Load(path string) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	format := decodeTOML
	if isJSON(path) {
		format = decodeJSON
	}
	return parse(path, data, format)
}

// Parse reads and validates a config text as kimi's --config does: as JSON or, if it is not JSON, as TOML. As in Kimi
// Code, an empty text is an error.
func Parse(data []byte) (*Config, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, &Error{Text: "the text is empty; an empty config is {}"}
	}
	format := decodeTOML
	if json.Valid(data) && !bytes.Equal(bytes.TrimSpace(data), []byte("null")) || bytes.TrimSpace(data)[0] == '{' {
		format = decodeJSON // a text that starts with { cannot be TOML
	}
	return parse("", data, format)
}

func isJSON(path string) bool { return strings.EqualFold(filepath.Ext(path), ".json") }

func parse(file string, data []byte, format func([]byte) (any, *Error)) (*Config, error) {
	src, err := decode(file, data, format)
	if err != nil {
		return nil, err
	}
	c := &Config{}
	p := problems{file: file}
	p.fill("", reflect.ValueOf(c).Elem(), src)
	p.config(c)
	if err := p.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// decode refuses a text that kimi cannot read in any format. Then it decodes the text.
func decode(file string, data []byte, format func([]byte) (any, *Error)) (any, error) {
	var src any
	var err *Error
	switch {
	case bytes.HasPrefix(data, []byte("\ufeff")):
		err = &Error{Text: "starts with a byte order mark: save it as UTF-8 without one"}
	case !utf8.Valid(data):
		err = &Error{Text: "is not valid UTF-8"}
	default:
		src, err = format(data)
	}
	if err != nil {
		err.File = file
		return nil, err
	}
	return normal(src), nil
}

// decodeTOML reports a syntax error by the parser's message, without the parts that the message quotes from the file,
// because they may be secret.
func decodeTOML(data []byte) (any, *Error) {
	if err := tooDeep(data, true); err != nil {
		return nil, err
	}
	src := map[string]any{}
	_, err := toml.Decode(string(data), &src)
	if perr := (toml.ParseError{}); errors.As(err, &perr) {
		return nil, &Error{Line: perr.Position.Line, Key: perr.LastKey, Text: "not TOML: " + input.ReplaceAllString(perr.Message, "…")}
	} else if err != nil {
		return nil, &Error{Text: "not TOML"}
	}
	return src, nil
}

// input matches the parts of a message of the TOML parser that come from the file.
var input = regexp.MustCompile("(?s)\".*\"|'.*'|^[-+]?[0-9]\\S*")

// decodeJSON reports a syntax error with its line. The message of encoding/json quotes at most one character of the
// file.
func decodeJSON(data []byte) (any, *Error) {
	if err := tooDeep(data, false); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var src any
	err := dec.Decode(&src)
	var serr *json.SyntaxError
	offset, text := len(data), "the text ends too early"
	if err == nil {
		if _, err = dec.Token(); err == io.EOF {
			return src, nil
		}
		offset = len(data) - len(bytes.TrimSpace(data[dec.InputOffset():]))
		text = "more text after the end of the object"
	} else if errors.As(err, &serr) {
		offset, text = int(serr.Offset), serr.Error()
	}
	line := 1 + bytes.Count(data[:offset], []byte("\n"))
	return nil, &Error{Line: line, Text: "not JSON: " + text}
}
