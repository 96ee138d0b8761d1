package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func contains(t *testing.T, path string, want ...string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		if !strings.Contains(string(data), w) {
			t.Errorf("%s lacks %q:\n%.3000s", filepath.Base(path), w, data)
		}
	}
}

// A page can be made of a recording. An existing file is not overwritten.
func TestView(t *testing.T) {
	t.Parallel()
	d := bareDemo(t)
	fixture, err := filepath.Abs("../../testdata/fixtures/files.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(d.work, "page.html")
	d.run(t, "", "view", fixture, "-o", out).check(t, 0, nil, []string{"page.html is written"})
	contains(t, out, "Content-Security-Policy", "Edit files", "WriteFile")
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	issue := filepath.Join(d.work, "issue.md")
	d.run(t, "", "view", "--markdown", fixture, "-o", issue).check(t, 0, nil, nil)
	contains(t, issue, "## Session `files.jsonl`", "Edit files")

	const old = "what was there before"
	for name, args := range map[string][]string{
		"there":      {"view", fixture, "-o", filepath.Join(d.work, "there")},
		"no newest":  {"view", "-", "-o", filepath.Join(d.work, "new")},
		"no session": {"view", "none", "-o", filepath.Join(d.work, "new")},
		"no folder":  {"view", fixture, "-o", filepath.Join(d.work, "none", "new")},
		"no fixture": {"view", filepath.Join(d.work, "there"), "-o", filepath.Join(d.work, "new")},
	} {
		if err := os.WriteFile(filepath.Join(d.work, "there"), []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
		r := d.run(t, "", args...)
		r.check(t, 1, nil, nil)
		r.errorLine(t)
		contains(t, filepath.Join(d.work, "there"), old)
		if _, err := os.Stat(filepath.Join(d.work, "new")); err == nil {
			t.Errorf("%s: a file was written", name)
		}
	}
	for _, args := range [][]string{{"view"}, {"view", fixture}, {"view", "--bogus", fixture}} {
		d.run(t, "", args...).check(t, 2, nil, []string{"\nhint: kimi-go-demo view --help\n"})
	}
}
