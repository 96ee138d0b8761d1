package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/client"
)

const (
	// probeKey names a variable in the environment of a program that is asked what it is. A kimi that runs later does
	// not have the variable, so a kimi-wire that the agent itself starts is not taken for a loop.
	probeKey = "KIMI_GO_WIRE_PROBE"
	// itself is the answer of this program if it runs under another name or through a script.
	itself = "this is " + wireProgram + " itself"
)

// findKimi finds a kimi as client.Inspect does. It skips every program that leads back to this one: KIMI_PATH may name
// this program for Wire clients, and a script named kimi may run it.
func findKimi(ctx context.Context) (*client.Info, error) {
	over := map[string]string{probeKey: "1"}
	for {
		info, err := client.Inspect(ctx, &client.Options{Env: over})
		var bad *client.IncompatibleError
		if !errors.As(err, &bad) || !isSelf(bad) {
			return info, err
		}
		if !passOver(over, bad.Path) {
			return nil, hinted{errors.New(bad.Path + " is " + wireProgram + " itself, not a kimi for it to run"),
				"set KIMI_PATH to Kimi Code, or put that before it on PATH"}
		}
	}
}

func isSelf(bad *client.IncompatibleError) bool {
	if strings.Contains(bad.Found, itself) {
		return true
	}
	path, err := os.Executable()
	if err != nil {
		return false
	}
	self, err := os.Stat(path)
	if err != nil {
		return false
	}
	other, err := os.Stat(bad.Path)
	return err == nil && os.SameFile(self, other)
}

// passOver changes the environment so that path is not found again. It returns false if path is not in the environment.
func passOver(over map[string]string, path string) bool {
	if _, off := over["KIMI_PATH"]; !off && os.Getenv("KIMI_PATH") != "" {
		over["KIMI_PATH"] = ""
		return true
	}
	list, changed := over["PATH"]
	if !changed {
		list = os.Getenv("PATH")
	}
	dirs := filepath.SplitList(list)
	rest := slices.DeleteFunc(slices.Clone(dirs), func(dir string) bool { return filepath.Clean(dir) == filepath.Dir(path) })
	over["PATH"] = strings.Join(rest, string(filepath.ListSeparator))
	return len(rest) < len(dirs)
}
