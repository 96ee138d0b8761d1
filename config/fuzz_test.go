package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// For every text that Parse accepts, reading the written TOML and JSON gives the same Config.
func FuzzConfig(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.*")
	if err != nil || len(paths) == 0 {
		f.Fatal("no seeds in testdata", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, seed := range []string{
		"{}", "[1]", "null", "a=[[{b=1}],[]]\n[[x]]\n[[x.y]]\nz={}", `{"x":[{"a":null},[{}],1.0,-0.0,1e400,12345678901234567890]}`,
		"hooks = 1", "[models.a]\nprovider=1", "t=07:32:00\nd=1979-05-27\nl=1979-05-27T07:32:00.5\no=1979-05-27T07:32:00Z\nn=nan\ni=-inf",
		"\"\"={\"\"=[{}]}\na.\"b.c\".d='''\n\\'''", `{"":"\u0000\u007f\ud800\u2028"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data)
		if err != nil {
			return
		}
		checkRoundTrip(t, c)
	})
}

func checkRoundTrip(t *testing.T, c *Config) {
	t.Helper()
	// TOML has no null, so a key with the value null is not written.
	noNull := cmpopts.IgnoreMapEntries(func(_ string, v any) bool { return v == nil })
	text, err := c.MarshalTOML()
	if err != nil && !strings.Contains(err.Error(), "save as .json") {
		t.Fatal(err)
	}
	if err == nil {
		again, err := parse("", text, decodeTOML)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if diff := cmp.Diff(c, again, noNull, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("TOML changed it: %s\n%s", diff, text)
		}
		if second, err := again.MarshalTOML(); err != nil || string(second) != string(text) {
			t.Fatalf("second writing: %v\n%s\nfirst\n%s", err, second, text)
		}
	}
	text, err = c.MarshalJSONFile()
	if err != nil && !strings.Contains(err.Error(), "save as .toml") {
		t.Fatal(err)
	}
	if err == nil {
		again, err := parse("", text, decodeJSON)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if second, err := again.MarshalJSONFile(); err != nil || string(second) != string(text) {
			t.Fatalf("second writing as JSON: %v\n%s\nfirst\n%s", err, second, text)
		}
	}
}
