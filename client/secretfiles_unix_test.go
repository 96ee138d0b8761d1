//go:build unix

package client

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A start removes what a killed program has left behind, and nothing else, whatever its name.
func TestSweepSecrets(t *testing.T) {
	temp, elsewhere := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	word := func(c string) string { return strings.Repeat(c, 26) }
	type folder struct {
		name  string
		files map[string]string
		gone  bool
		fresh bool
		mode  os.FileMode
	}
	ours := func(more ...string) map[string]string {
		files := map[string]string{secretMarker: secretNotice, "config.toml": "secret"}
		for _, name := range more {
			files[name] = "x"
		}
		return files
	}
	folders := []folder{
		{name: secretPrefix + word("A"), files: ours("mcp.json"), gone: true},
		{name: secretPrefix + word("B"), files: map[string]string{secretMarker: secretNotice}, gone: true},
		{name: secretPrefix + word("C"), files: ours(), fresh: true},
		{name: secretPrefix + word("D"), files: ours("notes.txt")},
		{name: secretPrefix + word("E"), files: map[string]string{"config.toml": "the user's"}},
		{name: secretPrefix + word("F"), files: map[string]string{secretMarker: "another text", "config.toml": "the user's"}},
		{name: secretPrefix + word("G"), files: ours(), mode: 0o755},
		{name: secretPrefix + word("H"), files: map[string]string{}},
		{name: secretPrefix + word("a"), files: ours()},
		{name: secretPrefix + word("A") + "A", files: ours()},
		{name: secretPrefix + "1" + word("A")[1:], files: ours()},
		{name: "my-" + secretPrefix + word("A"), files: ours()},
		{name: "kimi-go-main", files: ours("notes.txt")},
		{name: "kimi-go-", files: ours()},
		{name: "kimi-go-" + word("A"), files: ours()},
	}
	age := func(path string) {
		t.Helper()
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-2*staleAfter)); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range folders {
		dir := filepath.Join(temp, f.name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range f.files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if f.mode != 0 {
			if err := os.Chmod(dir, f.mode); err != nil {
				t.Fatal(err)
			}
		}
		if !f.fresh {
			age(dir)
		}
	}
	// A link of the right name to a folder of ours, a link within one, a pipe of the right name.
	target := filepath.Join(elsewhere, secretPrefix+word("L"))
	linked := filepath.Join(temp, secretPrefix+word("M"))
	for _, dir := range []string{target, linked} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, secretMarker), []byte(secretNotice), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	precious := filepath.Join(elsewhere, "config.toml")
	pipe := filepath.Join(temp, secretPrefix+word("P"))
	if err := errors.Join(
		os.WriteFile(precious, []byte("the user's"), 0o600),
		os.Symlink(target, filepath.Join(temp, secretPrefix+word("L"))),
		os.Symlink(precious, filepath.Join(linked, "config.toml")),
		syscall.Mkfifo(pipe, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	age(target)
	age(linked)

	var d secretDir
	if _, err := d.write("config.toml", []byte("k")); err != nil {
		t.Fatal(err)
	}
	own := d.path
	if info, err := os.Stat(own); err != nil || info.Mode().Perm() != 0o700 || !isSecretDir(filepath.Base(own)) {
		t.Errorf("own folder %s: %v, %v", own, info, err)
	}
	for _, f := range folders {
		dir := filepath.Join(temp, f.name)
		if f.gone {
			if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v, want it gone", f.name, err)
			}
			continue
		}
		for name, text := range f.files {
			if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(data) != text {
				t.Errorf("%s/%s: %q, %v", f.name, name, data, err)
			}
		}
		if _, err := os.Stat(dir); err != nil {
			t.Error(err)
		}
	}
	for _, path := range []string{filepath.Join(target, secretMarker), filepath.Join(linked, secretMarker), precious, pipe} {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}

	if err := d.remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(own); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("own folder after remove: %v", err)
	}
	if err := d.remove(); err != nil {
		t.Errorf("a second remove: %v", err)
	}
}

// What somebody has put beside our files stays, and is told.
func TestSecretsRemoveForeign(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var d secretDir
	if _, err := d.write("mcp.json", []byte("k")); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(d.path, "notes.txt")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.remove(); err == nil {
		t.Error("no error for a folder that is left")
	}
	entries, err := os.ReadDir(d.path)
	if names := slices.Collect(func(yield func(string) bool) {
		for _, e := range entries {
			yield(e.Name())
		}
	}); err != nil || !slices.Equal(names, []string{"notes.txt"}) {
		t.Errorf("left: %q, %v", names, err)
	}
}
