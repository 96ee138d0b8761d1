package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/regular"
)

// A text that a decoder would need seconds or gigabytes for is refused at once. The error has the line.
func TestTooDeep(t *testing.T) {
	t.Parallel()
	n := 5000
	for name, text := range map[string]string{
		"inline tables":   "theme = \"dark\"\na = " + strings.Repeat("{a=", n) + "1" + strings.Repeat("}", n),
		"arrays":          "\na = " + strings.Repeat("[", n) + strings.Repeat("]", n),
		"a dotted key":    "\n" + strings.Repeat("a.", n) + "a = 1",
		"a table's name":  "\n[" + strings.Repeat("a.", n) + "a]",
		"quoted parts":    "\n" + strings.Repeat(`"a.=".`, n) + "a = 1",
		"after a string":  "a = '\\'\nb = " + strings.Repeat("[", n),
		"after a comment": "# [[[[ \" '\na = " + strings.Repeat("[", n),
		"open strings":    "a = \"\nb = " + strings.Repeat("[", n),
		"JSON":            "{\n\"a\": " + strings.Repeat("[", n) + strings.Repeat("]", n) + "}",
		"JSON's strings":  "{\"a\\\"\": \"'\",\n\"b\": " + strings.Repeat(`{"a":`, n),
	} {
		start := time.Now()
		_, err := config.Parse([]byte(text))
		var e *config.Error
		if !errors.As(err, &e) || e.Line != 2 || !strings.Contains(e.Text, "levels") {
			t.Errorf("%s: %.200v", name, err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

// A text that only seems deep is not refused.
func TestNotTooDeep(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("[{", 200)
	for name, text := range map[string]string{
		"strings":           "a = \"" + many + "\\\"" + many + "\"\nb = '" + many + "'",
		"several lines":     "a = \"\"\"\n" + many + "\\\"\"\" " + many + "\"\"\"\nb = '''\n" + many + "'' " + many + "'''",
		"comments":          "# " + many + strings.Repeat(".", 200) + "\na = 1",
		"fractions":         "a = [" + strings.Repeat("1.5, ", 200) + "]",
		"many short tables": strings.Repeat("[[a.b.c]]\nd = [[1], [2]]\n", 200),
		"JSON":              `{"a": "` + many + `\"` + many + `", "b.b.b.b.b.b.b.b.b.b.b.b.b.b.b.b.b.b.b": "'", "c": [` + strings.Repeat("[1.5],", 200) + "1]}",
	} {
		if _, err := config.Parse([]byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Only regular files of a sensible size are read.
func TestFileLimits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	long := filepath.Join(dir, "long.json")
	if err := os.WriteFile(long, append([]byte("{}"), make([]byte, 4<<20)...), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{long: regular.ErrTooLarge, dir: nil, os.DevNull: nil} {
		_, err := config.Load(path)
		_, mcpErr := config.LoadMCP(path)
		for _, err := range []error{err, mcpErr} {
			if err == nil || want != nil && !errors.Is(err, want) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}
