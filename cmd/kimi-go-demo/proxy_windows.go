package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"

	"github.com/kimi-go/kimi-go/internal/spawn"
)

// forwarded is what Windows has.
var forwarded = []os.Signal{os.Interrupt}

// become replaces this program by the given one, as far as Windows can.
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
