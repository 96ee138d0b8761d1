// Package examples_test checks rules for all example programs. Their own tests run them with both real kimis.
package examples_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// lines is the largest number of lines of each program. It is about half of what the program would need without the
// library.
var lines = map[string]int{"triage": 97, "bot": 69, "monitor": 65, "sessions": 49, "review": 60, "webchat": 132}

func TestShort(t *testing.T) {
	var programs []string
	entries, err := os.ReadDir(".")
	for _, e := range entries {
		if e.IsDir() && e.Name() != "internal" {
			programs = append(programs, filepath.Join(e.Name(), "main.go"))
		}
	}
	if err != nil || len(programs) != len(lines) {
		t.Fatalf("programs %q, %v", programs, err)
	}
	index, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range programs {
		name := filepath.Dir(path)
		if files, err := filepath.Glob(filepath.Join(name, "*.go")); err != nil || len(files) != 2 {
			t.Errorf("%s has the files %q, %v; want main.go and main_test.go", name, files, err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "\n"); n > lines[name] {
			t.Errorf("%s has %d lines, want %d at most", path, n, lines[name])
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			if utf8.RuneCountInString(line) > 140 && !strings.Contains(line, "Content-Security-Policy") { // a policy is one long value
				t.Errorf("%s: a line is too long: %s", path, line)
			}
		}
		readme, err := os.ReadFile(filepath.Join(name, "README.md"))
		if n := strings.Count(string(readme), "\n"); err != nil || n < 3 || n > 10 {
			t.Errorf("%s: %d lines of README, %v", name, n, err)
		}
		if !strings.Contains(string(index), "("+name+")") {
			t.Errorf("README.md has no link to %s", name)
		}
	}
}
