//go:build unix

package client_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/kimi-go/kimi-go/client"
)

// This lists the kimi that would run, and the others.
func ExampleCandidates() {
	dir, err := os.MkdirTemp("", "kimi-go-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"kimi", "kimi-cli"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o700); err != nil {
			log.Fatal(err)
		}
	}
	opts := &client.Options{Executable: filepath.Join(dir, "kimi-cli"), Env: map[string]string{"PATH": dir, "HOME": dir, "KIMI_PATH": ""}}
	list, err := client.Candidates(opts)
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range list[:2] {
		fmt.Printf("%s (%s): %q\n", filepath.Base(c.Path), c.FoundBy, c.Reason)
	}
	// Output:
	// kimi-cli (Options.Executable): ""
	// kimi (PATH): "Options.Executable names another"
}
