package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

const (
	installHint = "install Kimi Code: npm install -g @moonshot-ai/kimi-code (Node.js 22.19 or later), " +
		"or the last kimi-cli: uv tool install --python 3.13 kimi-cli==1.51.0 (or pip, Python 3.12 to 3.14)"
	nameItHint = "; then name it by --kimi PATH or KIMI_PATH"
	loginHint  = `run "kimi login", or set KIMI_API_KEY, KIMI_BASE_URL and KIMI_MODEL_NAME together`
	doctorHint = program + " doctor tells more"
)

// kinds are the errors of package client that have a fixed text in this command. An empty text keeps the text of the
// error.
var kinds = []struct {
	err        error
	text, hint string
}{
	{client.ErrMaxSteps, "the turn reached the limit of steps", "raise --max-steps, or go on with the session"},
	{client.ErrIdle, "", "raise --idle-timeout if a tool may take longer"},
	{client.ErrLLMNotSet, "", loginHint + "; " + doctorHint},
	{client.ErrAuthExpired, "the login has expired", `run "kimi login"`},
	{client.ErrLLMNotSupported, "", "choose a model with the named capability, by --model"},
	{client.ErrProvider, "", "the session is kept: try again later, or check address, key and model: " + doctorHint},
	{client.ErrSessionNotFound, "", program + " sessions lists those of a work dir; --work-dir and --share-dir choose where"},
	{client.ErrInUse, "the session is open in another program", "close it there first"},
	{client.ErrUnsupported, "", "use kimi-cli 1.51.0; " + doctorHint},
	{client.ErrOutcomeUnknown, "it is not known how the turn ended", "look at what it has done before you go on with the session"},
	{client.ErrBusy, "", "another turn of this session runs"},
	{client.ErrCancelled, "the turn was cancelled", ""},
	{errInterrupted, "interrupted", ""},
}

// keptMode finds the session and its mode in an [client.ErrUnasked].
var keptMode = regexp.MustCompile(`session "([^"]+)" keeps (yolo|afk) mode`)

// flagNames replaces fields of Options in a text by the flags of this command.
var flagNames = strings.NewReplacer(
	"client: ", "", "rules: load: ", "", "rules: load ", "", "; continue with ResumeSession", "", "; raise the limit if a tool may take longer", "",
	"Session.Models lists", "/model in a chat lists", ": LLM is not set", "", ": Model not set", "", "SessionID: ", "--session: ", "options: Model ", "--model ", "options: ", "",
	"Options.IdleTimeout", "--idle-timeout", "Options.StopGrace ", "",
)

// flags are the flags that become fields of Options.
var flags = map[string]string{
	"Executable": "--kimi", "ConfigFile": "--config", "WorkDir": "--work-dir", "AddDirs": "--add-dir", "SkillsDirs": "--skills-dir",
	"Thinking": "--thinking", "AgentFile": "--agent-file", "MCPConfigFiles": "--mcp-config-file", "SessionID": "--session",
}

// flagOf returns the flag that becomes a field of Options, or the field's name.
func flagOf(option string) string { return cmp.Or(flags[option], option) }

// explain returns an error as one line, and a hint: what to do about it.
func explain(err error) (line, hint string) {
	var (
		hint1        hinted
		bad          usageError
		incompatible *client.IncompatibleError
		missing      *client.NotFoundError
		start        *client.StartError
		told         interface { // an error of package client that has texts for a person
			error
			What() string
			Hint() string
		}
		rpc     *wireproto.RPCError
		process *client.ProcessError
		invalid *config.Error
	)
	text := err.Error()
	if errors.As(err, &rpc) {
		text = strings.Replace(text, rpc.Error(), message(rpc), 1)
	}
	line = oneLine(flagNames.Replace(text))
	switch {
	case errors.As(err, &hint1):
		return line, hint1.hint
	case errors.As(err, &bad):
		return line, program + " --help"
	case errors.As(err, &incompatible):
		return oneLine(incompatible.Path + " is " + incompatible.Found), installHint + nameItHint
	case errors.As(err, &missing):
		tried := make([]string, len(missing.Tried))
		for i, place := range missing.Tried {
			if name, ok := strings.CutPrefix(place, "Options.Executable "); ok {
				place = "--kimi " + name
			}
			tried[i] = place
		}
		return "kimi was not found: tried " + strings.Join(tried, ", "), installHint + ", or name one by --kimi PATH or KIMI_PATH"
	case errors.As(err, &start):
		return oneLine("start " + start.What()), cmp.Or(start.Hint(), doctorHint)
	}
	if options := all[*client.OptionError](err); len(options) > 0 {
		var lines, hints []string
		for _, o := range options {
			reason, hint := o.Reason, flagNames.Replace(o.Hint())
			if o.Option != "Model" && o.Option != "Effort" { // a chat can set these, too, and the reason names them
				reason = flagOf(o.Option) + ": " + reason
			}
			lines = append(lines, reason)
			if !slices.Contains(hints, hint) {
				hints = append(hints, hint)
			}
		}
		return oneLine(strings.Join(lines, "\n")), strings.Join(hints, "; ")
	}
	if m := keptMode.FindStringSubmatch(err.Error()); m != nil && errors.Is(err, client.ErrUnasked) {
		var f flagged
		errors.As(err, &f)
		return "the session keeps " + m[2] + " mode, in which kimi does everything without asking",
			"to continue it: " + cmp.Or(f.flags, new(runFlags)).resumeIn(m[2], m[1]) + "; in the chat, /" + m[2] + " then switches the mode off"
	}
	for _, k := range kinds {
		if !errors.Is(err, k.err) {
			continue
		}
		if k.text != "" {
			return k.text, k.hint
		}
		first := flagNames.Replace(k.err.Error())
		head, _, _ := strings.Cut(first, ";") // after the semicolon, the error tells a Go program what to do
		return oneLine(strings.Replace(line, first, head, 1)), k.hint
	}
	switch {
	case errors.As(err, &invalid):
		return line, "fix the file; " + doctorHint
	case errors.As(err, &process):
		return oneLine(process.What()), process.Hint() + "; " + doctorHint
	case errors.Is(err, context.DeadlineExceeded):
		return line, doctorHint
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return line, "check the path"
	case errors.As(err, &told):
		return oneLine(told.What()), told.Hint()
	case !strings.HasPrefix(err.Error(), "client: "), rpc != nil && rpc.Code == wireproto.CodeInvalidParams:
		return line, "" // it is not about kimi, or kimi says what was wrong
	}
	return line, doctorHint
}

// message returns what kimi says, without the method and the code of the protocol.
func message(e *wireproto.RPCError) string {
	return strings.TrimSuffix(strings.TrimPrefix(e.Error(), e.Method+": "), fmt.Sprintf(" (%d)", e.Code))
}

// all returns the errors of a type in the tree of err.
func all[T error](err error) (found []T) {
	if e, ok := err.(T); ok {
		return []T{e}
	}
	switch err := err.(type) {
	case interface{ Unwrap() []error }:
		for _, e := range err.Unwrap() {
			found = append(found, all[T](e)...)
		}
	case interface{ Unwrap() error }:
		found = all[T](err.Unwrap())
	}
	return found
}

// shellQuote quotes an argument for a command that is shown to be typed.
func shellQuote(s string) string {
	safe := func(c rune) bool {
		return c < 0x80 && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.ContainsRune("-_./:=@%+,", c))
	}
	if s != "" && !strings.ContainsFunc(s, func(c rune) bool { return !safe(c) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
