package client

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/kimi-go/kimi-go/internal/spawn"
)

// Candidate is a kimi that was found in one of the places where this package searches.
type Candidate struct {
	Path    string `json:"path"`
	FoundBy string `json:"found_by"` // as in Info
	Reason  string `json:"reason"`   // why this kimi is not used; "" for the kimi that would run
}

// Candidates lists every kimi in the places where this package searches, in the order of the search, each file once.
// The places are Options.Executable, KIMI_PATH, PATH, and the folders of package managers. Candidates starts no
// program, so it does not know which of them work. If Options.Executable or KIMI_PATH names a file that does not exist,
// no other kimi is used. An error is about the options.
func Candidates(opts *Options) ([]Candidate, error) {
	l, err := newLaunch(opts)
	if err != nil || l.opts.Server != nil {
		return nil, err
	}
	chosen, err := l.find()
	var missing *NotFoundError
	if err != nil && !errors.As(err, &missing) {
		return nil, err
	}
	var list []Candidate
	seen := make(map[string]bool)
	add := func(path, by, reason string) {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			real = path
		}
		if !seen[real] {
			seen[real] = true
			list = append(list, Candidate{path, by, reason})
		}
	}
	named := l.opts.Executable != "" || l.getenv("KIMI_PATH") != ""
	reason := "no other one is searched for"
	if chosen.path != "" {
		add(chosen.path, chosen.by, "")
		switch chosen.by {
		case "Options.Executable", "KIMI_PATH":
			reason = chosen.by + " names another"
		default:
			reason = chosen.path + " comes first"
		}
	} else if named {
		reason = missing.Tried[0] + " is not there, and no other one is searched for"
	}
	consider := func(dir, name, by string) {
		path := filepath.Join(dir, name)
		found, ok := spawn.Find(path)
		info, err := os.Stat(path)
		switch {
		case ok && !filepath.IsAbs(path):
			add(absolute(found), by, "its directory on PATH is relative")
		case ok:
			add(found, by, reason)
		case err == nil && info.Mode().IsRegular() && runtime.GOOS != "windows":
			add(absolute(path), by, "it is not a program that this user may run")
		case errors.Is(err, fs.ErrNotExist):
			if target, linkErr := os.Readlink(path); linkErr == nil {
				add(absolute(path), by, "it is a link to "+target+", which is not there")
			}
		}
	}
	if name := l.getenv("KIMI_PATH"); name != "" {
		if found, ok := l.lookup(name); ok {
			add(found, "KIMI_PATH", reason)
		}
	}
	for _, name := range []string{"kimi", "kimi-cli", "kimi-agent"} {
		for _, dir := range filepath.SplitList(l.getenv("PATH")) {
			consider(cmp.Or(dir, "."), name, "PATH")
		}
	}
	for _, place := range places(runtime.GOOS, l.getenv) {
		for _, dir := range place.dirs() {
			consider(dir, "kimi", cmp.Or(place.tool, place.dir))
		}
	}
	return list, nil
}
