package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/config"
)

// wireProgram is the name under which the command acts as kimi for Wire clients, which run a program with kimi's
// arguments.
const wireProgram = "kimi-wire"

const wireHelp = `Usage: %[1]s [KIMI WIRE FLAGS ...]
       %[1]s info [--json]
       %[1]s --version

Speaks the Wire protocol on standard input and output, as "kimi --wire" of kimi-cli does. It uses
Kimi Code 2.x, which has no such mode. It takes the flags and the environment of "kimi --wire". It
refuses a flag if Kimi Code has nothing that does the same. If the kimi that it finds is kimi-cli, it
runs kimi-cli unchanged. It passes a command of kimi, such as login, to kimi.

It looks for kimi in KIMI_PATH, on PATH and in the usual places.
`

// wireCmd is only for the help. Its arguments are those of kimi, so main.go passes them to wire without reading them.
type wireCmd struct {
	Args []string `arg:"" optional:"" passthrough:"" help:"Flags of kimi --wire, or info or --version."`
}

// wireArgs returns kimi's arguments, and the name for messages, if this program was started as a replacement for kimi
// --wire. Otherwise name is "".
func wireArgs(argv []string) (name string, args []string) {
	base := filepath.Base(argv[0])
	if ext := filepath.Ext(base); strings.EqualFold(ext, ".exe") {
		base = strings.TrimSuffix(base, ext)
	}
	switch {
	case base == wireProgram:
		return wireProgram, argv[1:]
	case len(argv) > 1 && argv[1] == "wire":
		return program + " wire", argv[2:]
	}
	return "", nil
}

// wire is the command under the name with which it was started.
type wire struct {
	name   string
	args   []string
	stdin  io.Reader
	stdout *screen.Writer
	stderr *screen.Writer
}

func (w *wire) run() int {
	if os.Getenv(probeKey) != "" {
		fmt.Fprintln(w.stderr, itself)
		return 1
	}
	first := ""
	if len(w.args) > 0 {
		first = w.args[0]
	}
	if first == "--help" || first == "-h" {
		fmt.Fprintf(w.stdout, wireHelp, w.name)
		return 0
	}
	info, err := findKimi(context.Background())
	if err != nil {
		return w.report(err)
	}
	command := first != "" && !strings.HasPrefix(first, "-")
	version := slices.Contains(w.args, "--version") || slices.Contains(w.args, "-V")
	switch {
	case info.Backend == client.BackendWire:
		args := w.args
		if !command && !version && !slices.Contains(args, "--wire") {
			args = append([]string{"--wire"}, args...)
		}
		err = become(info.Path, args)
	case first == "info":
		err = w.info(info.Version, info.WireVersion, w.args[1:])
	case command:
		err = become(info.Path, w.args)
	case version:
		_, err = fmt.Fprintf(w.stdout, "kimi, version %s\n", info.Version)
	default:
		return w.serve(info.Path)
	}
	return w.report(err)
}

// info answers "kimi info" as kimi-cli does. A Wire client first asks whether the versions are new enough. Like the
// Rust kimi-agent, Kimi Code has no Python, and reads no agent specification.
func (w *wire) info(version, protocol string, args []string) error {
	switch {
	case len(args) == 0:
		_, err := fmt.Fprintf(w.stdout, "kimi-cli version: %s\nagent spec versions: \nwire protocol: %s\npython version: n/a\n", version, protocol)
		return err
	case len(args) == 1 && args[0] == "--json":
		name, err := json.Marshal(version)
		if err == nil {
			// The blanks are those of kimi-cli, because a client may search the text.
			_, err = fmt.Fprintf(w.stdout.JSON(), `{"kimi_cli_version": %s, "agent_spec_versions": [], "wire_protocol_version": "%s", "python_version": "n/a"}`+"\n", name, protocol)
		}
		return err
	}
	return usage("info takes --json alone")
}

// report prints an error and its hint, and returns the exit status. For an error in the command line, or in a
// configuration that it names, the exit status is 2, as for kimi-cli.
func (w *wire) report(err error) int {
	var status statusError
	code := 1
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, new(usageError)), errors.Is(err, client.ErrUnsupported), errors.As(err, new(*config.Error)):
		code = 2
	}
	line, hint := explain(err)
	if errors.Is(err, client.ErrUnsupported) {
		hint = "leave it out, or set KIMI_PATH to kimi-cli 1.51.0; " + doctorHint
	}
	line = strings.TrimPrefix(line, "this agent cannot do that: ")
	hint = strings.NewReplacer("--kimi PATH or ", "", program+" --help", w.name+" --help").Replace(hint)
	fmt.Fprintf(w.stderr, "%s: %s\nhint: %s\n", w.name, screen.Line(line), screen.Line(hint))
	return code
}
