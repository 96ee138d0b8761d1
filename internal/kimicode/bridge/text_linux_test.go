package bridge

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// An agent names any file. What it names cannot stop the session, and the secrets of /proc stay there.
func TestCurrentText(t *testing.T) {
	dir := t.TempDir()
	file, pipe, large := filepath.Join(dir, "file"), filepath.Join(dir, "pipe"), filepath.Join(dir, "large")
	for name, size := range map[string]int{file: 5, large: 1<<20 + 1} {
		if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path string
		size int
		ok   bool
	}{
		{file, 5, true}, {filepath.Join(dir, "none"), 0, true}, {"/proc/self/environ", 0, true},
		{pipe, 0, false}, {large, 0, false}, {dir, 0, false}, {filepath.Join(file, "in it"), 0, false},
	} {
		if text, ok := currentText(tt.path); len(text) != tt.size || ok != tt.ok {
			t.Errorf("%s: %d bytes, %v; want %d, %v", tt.path, len(text), ok, tt.size, tt.ok)
		}
	}
}
