//go:build unix

package tempdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

var test = Kind{
	Prefix: "kimi-go-test-", Notice: "This is a test.\n",
	Files: []string{"config.toml", "mcp.json*"}, Trees: []string{"logs"}, Links: true,
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Sweep removes the folders that killed programs have left, and nothing else, even if the name is similar.
func TestSweep(t *testing.T) {
	temp, elsewhere := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	word := func(c string) string { return strings.Repeat(c, 26) }
	type folder struct {
		name  string
		files map[string]string
		gone  string // "all", "secrets" or ""
		mode  os.FileMode
	}
	ours := func(more ...string) map[string]string {
		files := map[string]string{Marker: test.Notice, "config.toml": "secret"}
		for _, name := range more {
			files[name] = "x"
		}
		return files
	}
	folders := []folder{
		{name: test.Prefix + word("A"), files: ours("mcp.json.tmp.12.ab", "logs/deep/x"), gone: "all"},
		{name: test.Prefix + word("B"), files: map[string]string{Marker: test.Notice}, gone: "all"},
		{name: test.Prefix + word("D"), files: ours("notes.txt"), gone: "secrets"},
		{name: test.Prefix + word("E"), files: map[string]string{"config.toml": "the user's"}},
		{name: test.Prefix + word("F"), files: map[string]string{Marker: "another text", "config.toml": "the user's"}},
		{name: test.Prefix + word("C"), files: map[string]string{Marker: test.Notice + "more", "config.toml": "the user's"}},
		{name: test.Prefix + word("G"), files: ours(), mode: 0o755},
		{name: test.Prefix + word("H"), files: map[string]string{}},
		{name: test.Prefix + word("a"), files: ours()},
		{name: test.Prefix + word("A") + "A", files: ours()},
		{name: test.Prefix + "1" + word("A")[1:], files: ours()},
		{name: "my-" + test.Prefix + word("A"), files: ours()},
		{name: "kimi-go-main", files: ours("notes.txt")},
		{name: "kimi-go-" + word("A"), files: ours()},
	}
	for _, f := range folders {
		dir := filepath.Join(temp, f.name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range f.files {
			write(t, filepath.Join(dir, name), text)
		}
		if f.mode != 0 {
			if err := os.Chmod(dir, f.mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A link with the right name to a folder of this kind, links inside a folder, and a pipe with the right name.
	target := filepath.Join(elsewhere, test.Prefix+word("L"))
	linked := filepath.Join(temp, test.Prefix+word("M"))
	precious := filepath.Join(elsewhere, "precious")
	write(t, filepath.Join(target, Marker), test.Notice)
	write(t, filepath.Join(linked, Marker), test.Notice)
	write(t, filepath.Join(linked, "logs", "x"), "x")
	write(t, filepath.Join(precious, "file"), "the user's")
	pipe := filepath.Join(temp, test.Prefix+word("P"))
	if err := errors.Join(
		os.Chmod(target, 0o700),
		os.Symlink(target, filepath.Join(temp, test.Prefix+word("L"))),
		os.Symlink(filepath.Join(precious, "file"), filepath.Join(linked, "config.toml")),
		os.Symlink(precious, filepath.Join(linked, "sessions")),
		os.Symlink(precious, filepath.Join(linked, "logs", "link")),
		syscall.Mkfifo(pipe, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	held, err := test.Make() // a folder in use
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(held.Path, "config.toml"), "secret")
	if info, err := os.Stat(held.Path); err != nil || info.Mode().Perm() != 0o700 || !test.Is(filepath.Base(held.Path)) {
		t.Errorf("own folder %s: %v, %v", held.Path, info, err)
	}

	test.Sweep()
	for _, f := range folders {
		dir := filepath.Join(temp, f.name)
		if f.gone == "all" {
			if there(dir) {
				t.Errorf("%s is left", f.name)
			}
			continue
		}
		for name, text := range f.files {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if gone := f.gone == "secrets" && name == "config.toml"; gone && !errors.Is(err, fs.ErrNotExist) || !gone && (err != nil || string(data) != text) {
				t.Errorf("%s/%s: %q, %v", f.name, name, data, err)
			}
		}
	}
	for _, path := range []string{filepath.Join(target, Marker), filepath.Join(precious, "file"), pipe, filepath.Join(held.Path, "config.toml")} {
		if !there(path) {
			t.Errorf("%s is gone", path)
		}
	}
	if there(linked) {
		t.Error("a folder with links is left")
	}

	held.unlock() // the end of the program does the same
	test.Sweep()
	if there(held.Path) {
		t.Error("a folder whose program has ended is left")
	}
}

// Remove keeps other files and reports them. RemoveAll removes everything.
func TestRemove(t *testing.T) {
	temp, elsewhere := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	d, err := test.Make()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(d.Path, "config.toml"), "k")
	write(t, filepath.Join(d.Path, "notes.txt"), "")
	if err := d.Remove(); err == nil || there(filepath.Join(d.Path, "config.toml")) || !there(filepath.Join(d.Path, "notes.txt")) {
		t.Errorf("Remove: %v, or it removed the wrong files", err)
	}
	if err := os.Remove(filepath.Join(d.Path, "notes.txt")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
	}
	if d, err = test.Make(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(d.Path, "new", "file"), "")
	write(t, filepath.Join(elsewhere, "precious"), "")
	if err := errors.Join(os.Symlink(elsewhere, filepath.Join(d.Path, "link")), d.RemoveAll()); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(temp); err != nil || len(entries) > 0 || !there(filepath.Join(elsewhere, "precious")) {
		t.Errorf("left: %v, %v", entries, err)
	}
}
