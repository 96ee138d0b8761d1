//go:build unix

package client_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/kimi-go/kimi-go/client"
)

// A program gives the terminal to kimi and gets it back.
func ExampleOpenTerminal() {
	dir, err := os.MkdirTemp("", "kimi-go-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	// This script stands for Kimi Code, so that the example runs without it.
	kimi := filepath.Join(dir, "kimi")
	script := "#!/bin/sh\n# @moonshot-ai/kimi-code\necho \"kimi $*: bye\"\nexit 3\n"
	if err := os.WriteFile(kimi, []byte(script), 0o700); err != nil {
		log.Fatal(err)
	}

	t, err := client.OpenTerminal(context.Background(), "", &client.Options{Executable: kimi, WorkDir: dir, Plan: true})
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	t.Cmd.Stdin, t.Cmd.Stdout, t.Cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = t.Cmd.Run()
	fmt.Println("back again:", err)
	// Output:
	// kimi --plan: bye
	// back again: exit status 3
}
