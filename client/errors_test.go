package client

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/wireproto"
)

func TestErrorTexts(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&ProcessError{}, `client: kimi ended with exit code 0; continue with ResumeSession`},
		{&ProcessError{ExitCode: 1, Args: []string{"/bin/kimi", "--wire"}, Stderr: "\n  no such model \nSee logs: x\n\n"},
			"client: /bin/kimi ended with exit code 1; the end of its output: no such model\nSee logs: x; see logs/kimi.log in kimi's share dir"},
		{&ProcessError{ExitCode: 2, Stderr: "No such option"}, `client: kimi ended with exit code 2; the end of its output: No such option; check Options: kimi did not accept its arguments`},
		{&ProcessError{ExitCode: -1, Signal: "killed"}, `client: kimi was ended by a signal (killed); continue with ResumeSession`},
		{&NotFoundError{Tried: []string{"kimi on PATH", "/home/me/.local/bin/kimi"}},
			`client: kimi not found (tried kimi on PATH, /home/me/.local/bin/kimi); install it with "npm install -g @moonshot-ai/kimi-code" or "uv tool install --python 3.13 kimi-cli==1.51.0", add it to PATH, or set Options.Executable or KIMI_PATH`},
		{&StartError{Path: "/bin/kimi", Reason: "its home is a file", Remedy: "move it away"}, `client: start /bin/kimi: its home is a file; move it away`},
		{&StartError{Path: "/bin/kimi", Reason: "it ran and said nothing", Remedy: "start fewer at once", Limit: 2 * time.Minute},
			`client: start /bin/kimi: no answer within 2m0s: it ran and said nothing; start fewer at once, or raise Options.StartTimeout (2m0s)`},
		{&OptionError{Option: "WorkDir", Reason: "/x is not a directory", Remedy: "name a directory"}, `client: Options.WorkDir: /x is not a directory; name a directory`},
		{&IncompatibleError{Path: "/bin/kimi", Found: "Kimi Code 2", Want: "kimi-cli", Remedy: "install it"}, `client: /bin/kimi is Kimi Code 2, but this needs kimi-cli; install it`},
		{&TurnsError{Turns: 2, Available: 0}, `client: the session has no turn yet; send a prompt first`},
		{&TurnsError{Turns: 9, Available: 1}, `client: the session has 1 turn, not 9; use at most 1`},
		{&TurnsError{Turns: 9, Available: 3}, `client: the session has 3 turns, not 9; use at most 3`},
		{&TurnsError{Turns: 9, Available: -1}, `client: 9 turns cannot be taken back: the conversation was compacted after some of them; take back only turns after the compaction`},
		{rpcError(&wireproto.RPCError{Method: "prompt", Code: -32001, Message: "LLM is not set"}), ErrLLMNotSet.Error() + ": prompt: LLM is not set (-32001)"},
		{rpcError(&wireproto.RPCError{Method: "prompt", Code: -32603, Message: "oops"}), "client: prompt: oops (-32603)"},
	} {
		if diff := cmp.Diff(test.want, test.err.Error()); diff != "" {
			t.Errorf("%T: %s", test.err, diff)
		}
	}
}

// An error is one sentence. The package name appears once, at the start, and no text is repeated.
func TestBecause(t *testing.T) {
	process := &ProcessError{ExitCode: -1, Signal: "killed"}
	for _, test := range []struct {
		err  error
		want string
	}{
		{because(ErrIdle, process), "client: the agent has been silent for Options.IdleTimeout: kimi was ended by a signal (killed); continue with ResumeSession"},
		{because(ErrCancelled, errors.New("the user left")), "client: the turn was cancelled: the user left"},
		{because(ErrCancelled, because(ErrProvider, process)), "client: the turn was cancelled: the model's provider failed: kimi was ended by a signal (killed); continue with ResumeSession"},
	} {
		if diff := cmp.Diff(test.want, test.err.Error()); diff != "" {
			t.Error(diff)
		}
		if !errors.Is(test.err, ErrIdle) && !errors.Is(test.err, ErrCancelled) {
			t.Errorf("%v is none of what it was made of", test.err)
		}
	}
}

// No error tells the user to run a command of the demo, because a program may use the library without it.
func TestErrorsNameNoCommand(t *testing.T) {
	checked := 0
	for _, dir := range []string{".", "../internal/kimicode/bridge", "../internal/kimicode/bridge/translator", "../internal/kimicode/home", "../internal/kimicode/relay", "../internal/kimicode/server", "../internal/kimicode/toolhost", "clienttest", "../config", "../wireproto"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			checked++
			ast.Inspect(parsed, func(n ast.Node) bool {
				if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING && strings.Contains(text.Value, "kimi-go-demo") {
					t.Errorf("%s: %s", file, text.Value)
				}
				return true
			})
		}
	}
	if checked < 30 {
		t.Errorf("%d files", checked)
	}
}

// Each sentinel is in lower case, names its package, and has a text of its own.
func TestSentinels(t *testing.T) {
	all := []error{ErrClosed, ErrBusy, ErrNoTurn, ErrNoApprover, ErrAnswered, ErrCancelled, ErrMaxSteps, ErrSessionNotFound,
		ErrLLMNotSet, ErrLLMNotSupported, ErrProvider, ErrAuthExpired, ErrIdle, ErrUnsupported}
	seen := make(map[string]bool)
	for _, err := range all {
		text, found := strings.CutPrefix(err.Error(), "client: ")
		if !found || text == "" || text[0] < 'a' || text[0] > 'z' || strings.HasSuffix(text, ".") || seen[text] {
			t.Errorf("%q", err)
		}
		seen[text] = true
	}
}

func TestRPCError(t *testing.T) {
	for _, test := range []struct {
		method string
		code   int
		want   error
	}{
		{wireproto.MethodPrompt, -32000, ErrBusy},
		{wireproto.MethodReplay, -32000, ErrBusy},
		{wireproto.MethodInitialize, -32000, ErrBusy},
		{wireproto.MethodCancel, -32000, ErrNoTurn},
		{wireproto.MethodSteer, -32000, ErrNoTurn},
		{wireproto.MethodSetPlanMode, -32000, ErrUnsupported},
		{wireproto.MethodPrompt, -32001, ErrLLMNotSet},
		{wireproto.MethodPrompt, -32002, ErrLLMNotSupported},
		{wireproto.MethodPrompt, -32003, ErrProvider},
		{wireproto.MethodPrompt, -32004, ErrAuthExpired},
		{wireproto.MethodSteer, -32601, ErrUnsupported},
		{wireproto.MethodReplay, -32601, ErrUnsupported},
		{wireproto.MethodSetPlanMode, -32601, ErrUnsupported},
		{wireproto.MethodPrompt, -32602, nil},
		{wireproto.MethodPrompt, -32603, nil},
		{wireproto.MethodPrompt, 7, nil},
	} {
		given := &wireproto.RPCError{Method: test.method, Code: test.code, Message: "the reason"}
		err := rpcError(given)
		var rpc *wireproto.RPCError
		if !errors.As(err, &rpc) || rpc != given {
			t.Errorf("%s %d: the RPCError is lost in %v", test.method, test.code, err)
		}
		if !strings.HasPrefix(err.Error(), "client: ") || !strings.Contains(err.Error(), "the reason") {
			t.Errorf("%s %d: %v", test.method, test.code, err)
		}
		for _, sentinel := range []error{ErrBusy, ErrNoTurn, ErrUnsupported, ErrLLMNotSet, ErrLLMNotSupported, ErrProvider, ErrAuthExpired, ErrCancelled, ErrClosed} {
			if errors.Is(err, sentinel) != (sentinel == test.want) {
				t.Errorf("%s %d: %v is %v", test.method, test.code, err, sentinel)
			}
		}
	}
}

func TestRedactArgs(t *testing.T) {
	for _, test := range []struct{ args, want []string }{
		{nil, []string{}},
		{[]string{"--wire", "--model", "m"}, []string{"--wire", "--model", "m"}},
		{[]string{"--config", "secret", "--wire"}, []string{"--config", "***", "--wire"}},
		{[]string{"--config=secret", "--wire"}, []string{"--config=***", "--wire"}},
		{[]string{"--mcp-config", "secret", "--mcp-config=secret"}, []string{"--mcp-config", "***", "--mcp-config=***"}},
		{[]string{"--config", "--config", "--wire"}, []string{"--config", "***", "--wire"}},
		{[]string{"--config"}, []string{"--config"}},
		{[]string{"--config-file", "path"}, []string{"--config-file", "path"}},
	} {
		before := append([]string{}, test.args...)
		if diff := cmp.Diff(test.want, redactArgs(test.args)); diff != "" {
			t.Errorf("%q: %s", test.args, diff)
		}
		if diff := cmp.Diff(before, append([]string{}, test.args...)); diff != "" {
			t.Errorf("changed in place: %s", diff)
		}
	}
}

func TestLastLines(t *testing.T) {
	for _, test := range []struct {
		text   string
		n, max int
		want   string
	}{
		{"", 3, 100, ""},
		{"\n \n\t\n", 3, 100, ""},
		{"a", 3, 100, "a"},
		{"a\nb\nc\nd\n", 2, 100, "c\nd"},
		{"  a \r\n\n\nb", 2, 100, "a\nb"},
		{"abcdef", 1, 3, "…def"},
		{"a\nbcdef", 2, 6, "…\nbcdef"},
		{"äöü", 1, 3, "…ü"}, // the first byte of ö is not left alone
	} {
		got := lastLines(test.text, test.n, test.max)
		if got != test.want {
			t.Errorf("%q, %d, %d: %q", test.text, test.n, test.max, got)
		}
		if !utf8.ValidString(got) {
			t.Errorf("not UTF-8: %q", got)
		}
	}
}

func TestTailBuffer(t *testing.T) {
	var b tailBuffer
	var all strings.Builder
	for i := range 5000 {
		piece := strings.Repeat(string(rune('a'+i%26)), i%101)
		all.WriteString(piece)
		if n, err := b.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
		if want := all.String()[max(0, all.Len()-stderrTail):]; i%500 == 499 && b.String() != want {
			t.Fatalf("after %d writes: %d bytes, not the last of them", i, len(b.String()))
		}
		if len(b.buf) > 3*stderrTail {
			t.Fatalf("%d bytes are kept", len(b.buf))
		}
	}
	huge := strings.Repeat("x", 1<<20)
	b.Write([]byte(huge))
	if got := b.String(); got != huge[:stderrTail] {
		t.Errorf("%d bytes", len(got))
	}
}
