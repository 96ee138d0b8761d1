//go:build unix

package client_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
)

// Each kimi is listed once, in the order of the search, with the reason why it is not used.
func TestCandidates(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	file := func(name string, mode os.FileMode) {
		if err := os.MkdirAll(filepath.Dir(at(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at(name), []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, name string) {
		if err := os.MkdirAll(filepath.Dir(at(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	file("plain/kimi", 0o600)
	file("first/kimi", 0o700)
	file("second/kimi", 0o700)
	file("first/kimi-cli", 0o700)
	file("relative/kimi", 0o700)
	link(at("first/kimi"), "same/kimi")
	link("gone", "dangling/kimi")
	file("home/.local/bin/kimi", 0o700)
	file("home/.bun/bin/kimi", 0o700)
	file("named", 0o700)
	t.Chdir(dir)
	env := map[string]string{"HOME": at("home"), "KIMI_PATH": "",
		"PATH": at("plain") + ":" + at("dangling") + ":relative:" + at("first") + ":" + at("second") + ":" + at("same")}
	for _, key := range []string{"XDG_DATA_HOME", "UV_TOOL_DIR", "NPM_CONFIG_PREFIX", "npm_config_prefix", "PNPM_HOME", "BUN_INSTALL", "VOLTA_HOME", "MISE_DATA_DIR", "ASDF_DATA_DIR", "NVM_BIN", "NVM_DIR", "FNM_DIR"} {
		env[key] = ""
	}
	list := func(executable, kimiPath string) []client.Candidate {
		t.Helper()
		env["KIMI_PATH"] = kimiPath
		list, err := client.Candidates(&client.Options{Executable: executable, Env: env})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	want := func(first []client.Candidate, reason string) []client.Candidate {
		all := append(first,
			client.Candidate{Path: at("plain/kimi"), FoundBy: "PATH", Reason: "it is not a program that this user may run"},
			client.Candidate{Path: at("dangling/kimi"), FoundBy: "PATH", Reason: "it is a link to gone, which is not there"},
			client.Candidate{Path: at("relative/kimi"), FoundBy: "PATH", Reason: "its directory on PATH is relative"})
		for _, c := range [][2]string{{"first/kimi", "PATH"}, {"second/kimi", "PATH"}, {"first/kimi-cli", "PATH"}, {"home/.local/bin/kimi", at("home/.local/bin")}, {"home/.bun/bin/kimi", "bun"}} {
			if len(first) == 0 || at(c[0]) != first[0].Path {
				all = append(all, client.Candidate{Path: at(c[0]), FoundBy: c[1], Reason: reason})
			}
		}
		return all
	}
	for _, c := range []struct {
		executable, kimiPath string
		want                 []client.Candidate
	}{
		{"", "", want([]client.Candidate{{Path: at("first/kimi"), FoundBy: "PATH"}}, at("first/kimi")+" comes first")},
		{"", at("named"), want([]client.Candidate{{Path: at("named"), FoundBy: "KIMI_PATH"}}, "KIMI_PATH names another")},
		{at("first/kimi"), at("named"), want([]client.Candidate{{Path: at("first/kimi"), FoundBy: "Options.Executable"}, {Path: at("named"), FoundBy: "KIMI_PATH", Reason: "Options.Executable names another"}}, "Options.Executable names another")},
		{"", at("none"), want(nil, "KIMI_PATH "+at("none")+" is not there, and no other one is searched for")},
	} {
		if diff := cmp.Diff(c.want, list(c.executable, c.kimiPath)); diff != "" {
			t.Errorf("%q, %q: -want +got\n%s", c.executable, c.kimiPath, diff)
		}
	}
}
