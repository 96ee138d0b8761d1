package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client/clienttest"
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

// A page is made of a recording, and nothing that is there is overwritten.
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
	d.run(t, "", "view", fixture).check(t, 2, nil, nil)
}

// A page is made of a session that either kimi has stored, without what is secret.
func TestViewStored(t *testing.T) {
	t.Parallel()
	const key = "sk-kept-out-of-any-page-0123456789"
	script := []string{clienttest.Text("The key is **not** " + key), "text: unused"}
	for name, d := range map[string]*demo{
		"kimi-cli":  newDemo(t, script...),
		"Kimi Code": func() *demo { d, _ := codeDemo(t, script...); return d }(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d.setenv(map[string]string{"SOME_API_KEY": key})
			args := []string{"prompt", "--quiet", "What is it?"}
			if d.config != "" {
				args = append(args, "--config", d.config)
			}
			d.run(t, "", args...).check(t, 0, []string{key}, nil)
			id := d.newest(t)
			out := filepath.Join(d.work, "page.html")
			d.run(t, "", "view", id, "-o", out).check(t, 0, nil, nil)
			contains(t, out, "What is it?", "The key is <strong>not</strong>", "tell no times", "<dt>Turns</dt><dd>1</dd>", "("+id+")")
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			for what, secret := range map[string]string{"the key": key, "the work dir": d.work} {
				if strings.Contains(string(data), secret) {
					t.Errorf("the page has %s", what)
				}
			}
		})
	}
}

// newest returns the id of the newest session.
func (d *demo) newest(t *testing.T) string {
	t.Helper()
	r := d.run(t, "", "sessions")
	lines := strings.Split(r.stdout, "\n")
	if r.code != 0 || len(lines) < 2 {
		t.Fatalf("sessions: %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	id, _, _ := strings.Cut(lines[1], " ")
	return id
}
