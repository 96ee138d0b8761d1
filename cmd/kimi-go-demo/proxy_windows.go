package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"

	"github.com/kimi-go/kimi-go/internal/spawn"
)

// forwarded are the signals of Windows.
var forwarded = []os.Signal{os.Interrupt}

// become acts as if another program replaced this one, as far as Windows allows.
func become(path string, args []string) error {
	cmd, err := spawn.Command(context.Background(), path, os.Environ(), args...)
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	var exit *exec.ExitError
	err = cmd.Run()
	if errors.As(err, &exit) {
		return exitStatus(exit.ExitCode())
	}
	return err
}

func signalName(*os.ProcessState) string { return "" }

func endLike(*os.ProcessState) {}

func dieBy(syscall.Signal) {}
