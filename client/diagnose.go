package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// neededNode is the oldest Node.js that runs Kimi Code 2.1.0 (engines in its package.json).
const neededNode = "22.19.0"

const nodeCure = "put Node.js 22.19 or later on PATH"

// failure describes a start that failed.
type failure struct {
	err    error
	answer *wireproto.RPCError // the program's answer that refused the start; nil if the program ended without an answer
	exit   *ProcessError       // how the program has ended by itself; nil if this side ended it
	noise  string              // the first line of its output that is not of the protocol
}

// diagnose explains a start that failed with err. noise is the first line of the program's output that is not of the
// protocol. end says how the program ended.
func (l *launch) diagnose(ctx context.Context, noise string, err, end error) error {
	if l.opts.Transport != nil || l.opts.Server != nil {
		return err
	}
	f := &failure{err: err, noise: noise}
	if !errors.As(err, &f.exit) { // the program still ran
		errors.As(end, &f.exit)
		if !errors.As(err, &f.answer) {
			if ctx.Err() != nil {
				return l.gaveUp(ctx, f.exit, noise)
			}
			return err
		}
	} else if bad := missing(l.path, f.exit); bad != nil {
		bad.Err = err
		return bad
	}
	bad := l.backend.explain(ctx, l, f)
	if incompatible, ok := bad.(*IncompatibleError); ok {
		incompatible.Err = err
	}
	return bad
}

// gaveUp returns the error of a start or a command that ctx has ended. The error says what the program did until then.
func (l *launch) gaveUp(ctx context.Context, end *ProcessError, noise string) error {
	cause := context.Cause(ctx)
	e := &StartError{Path: l.path, Err: errors.Join(cause, asError(end))}
	did := "it ran"
	if end != nil {
		did = fmt.Sprintf("it ran, used %v of processor time", end.CPU.Round(10*time.Millisecond))
		noise = lastLines(noise+"\n"+end.Stderr, 8, 1000)
	}
	if noise != "" {
		did += " and said: " + noise
	} else {
		did += " and said nothing"
	}
	var limit startTimeout
	if errors.As(cause, &limit) {
		e.Limit, e.Reason, e.Remedy = time.Duration(limit), did, "start fewer at once"
	} else {
		e.Reason = cause.Error() + ": " + did
	}
	return e
}

func asError(e *ProcessError) error {
	if e == nil {
		return nil
	}
	return e
}

var (
	// noProgram matches what env and a shell print if an interpreter is missing.
	noProgram = regexp.MustCompile(`(?m)^(?:\S*/)?env: (?:can't execute )?['‘"]?([\w.+-]+)['’"]?: No such file or directory|(?:exec: )?\b([\w.+-]+): (?:command )?not found$`)
	// nodeVersion matches the last line of an error that Node.js reports.
	nodeVersion = regexp.MustCompile(`(?m)^Node\.js v(\d+\.\d+\.\d+)\s*$`)
)

// missing finds out from the last lines of the program's output which interpreter the program lacks. It returns nil if
// the output does not show that.
func missing(path string, end *ProcessError) *StartError {
	if m := nodeVersion.FindStringSubmatch(end.Stderr); m != nil && newer(neededNode, m[1]) && end.ExitCode != 0 {
		return &StartError{Path: path, Reason: "it needs Node.js 22.19 or later and ran in " + m[1], Remedy: nodeCure, Err: end}
	}
	if end.ExitCode != 127 {
		return nil
	}
	if m := noProgram.FindStringSubmatch(end.Stderr); m != nil {
		name := m[1] + m[2]
		return &StartError{Path: path, Reason: "there is no " + name + " on PATH to run it", Remedy: cure(name, "put "+name+" on PATH"), Err: end}
	}
	return nil
}

// cure says what to do about a missing interpreter.
func cure(name, otherwise string) string {
	if filepath.Base(name) == "node" {
		return nodeCure
	}
	return otherwise
}

// interpreter returns the interpreter that the first line of a script names, "" if there is none.
func interpreter(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 256)
	n, _ := f.Read(head)
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	script, ok := strings.CutPrefix(line, "#!")
	words := strings.Fields(script)
	if !ok || len(words) == 0 {
		return ""
	}
	return words[0]
}

// systemError returns the system's message without the path and the name of the call, which the error already has.
func systemError(err error) string {
	var path *fs.PathError
	var program *exec.Error
	switch {
	case errors.As(err, &path):
		err = path.Err
	case errors.As(err, &program):
		err = program.Err
	}
	return err.Error()
}

// obstacle finds out whether kimi cannot use the folders in which it keeps its files. It tries to write in them. It is
// called after a start has failed with err. It returns nil if nothing is wrong with the folders.
func (l *launch) obstacle(err error) error {
	bad := func(reason, remedy string) error {
		return &StartError{Path: l.path, Reason: reason, Remedy: remedy + ", or set KIMI_SHARE_DIR to another folder", Err: err}
	}
	for i, dir := range l.backend.folders(l) {
		switch info, err := os.Stat(dir); {
		case errors.Is(err, fs.ErrNotExist):
			if i > 0 {
				continue
			}
			if parent := existing(dir); !writes(parent) {
				return bad("the folder "+dir+" cannot be made: "+parent+" cannot be written", "make it writable")
			}
			continue
		case err != nil:
			return bad(dir+": "+systemError(err), "make its folder writable")
		case !info.IsDir():
			return bad(dir+" is not a directory", "move it away")
		}
		if !writes(dir) {
			return bad(dir+" cannot be written", "make it writable")
		}
	}
	return nil
}

// existing returns the nearest parent folder of dir that exists.
func existing(dir string) string {
	for {
		parent := filepath.Dir(dir)
		if _, err := os.Stat(parent); err == nil || parent == dir {
			return parent
		}
		dir = parent
	}
}

// writes reports whether a file can be made in dir.
func writes(dir string) bool {
	f, err := os.CreateTemp(dir, ".kimi-go-*")
	if err != nil {
		return false
	}
	f.Close()
	os.Remove(f.Name())
	return true
}

// invalid describes all errors in the configuration file. It gives the name of the file once.
func invalid(err error) string {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	reason := "its configuration is not valid"
	for i, err := range all {
		var at *config.Error
		if !errors.As(err, &at) {
			reason += ": " + err.Error()
			continue
		}
		if i == 0 {
			reason = "its configuration " + at.File + " is not valid: "
		} else {
			reason += "; "
		}
		if at.Line > 0 {
			reason += fmt.Sprintf("line %d: ", at.Line)
		}
		if at.Key != "" {
			reason += at.Key + ": "
		}
		reason += at.Text
	}
	return reason
}

// configError returns the errors in the configuration file, nil if there are none.
func (l *launch) configError() error {
	path := l.configPath()
	if path == "" || !isFile(path) {
		return nil
	}
	_, err := config.Load(path)
	return err
}
