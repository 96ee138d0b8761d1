package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The mode of a recording's file is set before anything is written, and links are not followed.
func TestCreateRecording(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no such modes there")
	}
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	const old = "what was there before"
	for _, name := range []string{"old", "target"} {
		if err := os.WriteFile(file(name), []byte(old), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"link": file("target"), "dangling": file("gone"), "device": os.DevNull} {
		if err := os.Symlink(target, file(name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"new", "old"} {
		f, err := createRecording(file(name))
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file(name)); err != nil || info.Mode() != fs.FileMode(0o600) || info.Size() != 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		if _, err := f.WriteString("{}"); err != nil {
			t.Error(err)
		}
		f.Close()
		if data, err := os.ReadFile(file(name)); err != nil || string(data) != "{}" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	for _, name := range []string{"link", "dangling", ".", "none/new"} {
		if f, err := createRecording(file(name)); err == nil || !strings.Contains(err.Error(), "--record") {
			f.Close()
			t.Errorf("%s: %v", name, err)
		}
	}
	if info, err := os.Stat(file("target")); err != nil || info.Mode() != fs.FileMode(0o644) || info.Size() != int64(len(old)) {
		t.Errorf("what a link leads to: %v, %v", info, err)
	}
	if _, err := os.Lstat(file("gone")); err == nil {
		t.Error("a file was made through a link")
	}
	f, err := createRecording(file("device"))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
