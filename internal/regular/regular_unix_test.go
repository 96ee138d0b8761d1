//go:build unix

package regular

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{"full": strings.Repeat("x", 16), "over": strings.Repeat("x", 17)} {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(path("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"zero": "/dev/zero", "link": "full", "to-pipe": "pipe"} {
		if err := os.Symlink(to, path(name)); err != nil {
			t.Fatal(err)
		}
	}
	if root, err := Root(path("pipe")); err == nil {
		root.Close()
		t.Error("a pipe is opened as a directory")
	}
	root, err := Root(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, c := range []struct {
		name   string
		want   error
		inRoot error
	}{
		{"full", nil, nil},
		{"link", nil, nil},
		{"over", ErrTooLarge, ErrTooLarge},
		{"pipe", ErrKind, ErrKind},
		{"to-pipe", ErrKind, ErrKind},
		{"zero", ErrKind, errAny}, // the link leaves the root
		{".", ErrKind, ErrKind},
		{"missing", fs.ErrNotExist, fs.ErrNotExist},
	} {
		data, err := Read(path(c.name), 16)
		checkRead(t, c.name, data, err, c.want)
		data, err = ReadIn(root, c.name, 16)
		checkRead(t, c.name+" in a root", data, err, c.inRoot)
	}
}

var errAny = errors.New("any error")

func checkRead(t *testing.T, what string, data []byte, err, want error) {
	t.Helper()
	switch {
	case want == nil && (err != nil || len(data) != 16):
		t.Errorf("%s: %q, %v", what, data, err)
	case want == errAny && err == nil, want != nil && want != errAny && !errors.Is(err, want):
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}
