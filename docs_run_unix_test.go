//go:build unix

package kimigo_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

// rig is one of the two kimis for the programs of one page. The programs share the work dir and the sessions.
type rig struct {
	opts *client.Options
	code bool // whether it is Kimi Code
}

// environ returns the environment with which a program finds the kimi and the scripted model, as on a user's machine.
func (r *rig) environ(model *clienttest.Model, more ...string) []string {
	env := append(slices.Clone(more), "KIMI_PATH="+r.opts.Executable, "KIMI_BASE_URL="+model.URL(), "KIMI_API_KEY=sk-scripted", "KIMI_MODEL_NAME=scripted",
		"KIMI_MODEL_CAPABILITIES=image_in", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	if !r.code {
		env = append(env, "KIMI_SHARE_DIR="+r.opts.ShareDir)
	}
	for name, value := range r.opts.Env {
		if value != "" && !strings.HasPrefix(name, "KIMI_MODEL_") {
			env = append(env, name+"="+value)
		}
	}
	set := func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
	}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "KIMI_") && !strings.HasPrefix(entry, "OPENAI_") && !set(entry) {
			env = append(env, entry)
		}
	}
	return env
}

// namesOfKimiCode replaces the names of tools in the scripts by the names in Kimi Code.
var namesOfKimiCode = strings.NewReplacer(`"Shell"`, `"Bash"`, `"WriteFile"`, `"Write"`, `"weather"`, `"mcp__program__weather"`, `"report"`, `"mcp__program__report"`)

// script reads the comment before a block. scripts are the answers of the model, which a line "---" divides. prints are
// the texts that the program must print.
func (r *rig) script(b *block) (scripts, prints []string) {
	_, text, _ := strings.Cut(b.note, ":")
	var call []string
	for line := range strings.SplitSeq(strings.TrimSpace(text)+"\n---", "\n") {
		if want, ok := strings.CutPrefix(line, "prints: "); ok {
			prints = append(prints, want)
		} else if line != "---" {
			call = append(call, line)
		} else if len(call) > 0 && strings.Join(call, "") != "" {
			s := strings.Join(call, "\n")
			if r.code {
				s = namesOfKimiCode.Replace(s)
			}
			scripts, call = append(scripts, s), nil
		}
	}
	return scripts, prints
}

// runs reports whether the block must run with this kimi.
func (r *rig) runs(b *block) bool {
	kind, _, _ := strings.Cut(b.note, ":")
	return kind == "run" || kind == "run on kimi-cli" && !r.code || kind == "run on Kimi Code" && r.code
}

// do runs a command for a block. It checks the output, and checks that the model was called once for each script.
func (r *rig) do(t *testing.T, b *block, dir string, env []string, name string, args ...string) {
	t.Helper()
	scripts, prints := r.script(b)
	if strings.Contains(b.code, "func Test") {
		prints = append(prints, "passed")
	}
	model := clienttest.NewModel(t, scripts...)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, r.environ(model, env...), 5*time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", b, err, out)
	}
	for _, want := range prints {
		if !strings.Contains(string(out), want) {
			t.Errorf("%v prints no %q:\n%s", b, want, out)
		}
	}
	if got := len(model.Requests()); got != len(scripts) {
		t.Errorf("%v: the model was asked %d times, want %d:\n%s", b, got, len(scripts), out)
	}
}

// onRigs runs a test for each page with each kimi.
func onRigs(t *testing.T, list []*block, test func(*testing.T, *rig, []*block)) {
	t.Helper()
	for _, page := range guides(t) {
		of := slices.DeleteFunc(slices.Clone(list), func(b *block) bool { return b.page != page })
		for name, options := range map[string]func(clienttest.TB, ...string) *client.Options{"kimi-cli": clienttest.Kimi, "Kimi Code": clienttest.KimiCode} {
			r := &rig{code: name == "Kimi Code"}
			if !slices.ContainsFunc(of, r.runs) {
				continue
			}
			t.Run(page+"/"+name, func(t *testing.T) {
				t.Parallel()
				r.opts = options(t)
				test(t, r, of)
			})
		}
	}
}

// TestDocsRun runs the Go blocks that must be run, with both real kimis and a scripted model. A comment before the
// block has the model's script:
//
//	<!-- run: text: hello -->
//
// "run on kimi-cli" and "run on Kimi Code" mean only that kimi. The scripts are written for kimi-cli; see
// namesOfKimiCode.
func TestDocsRun(t *testing.T) {
	t.Parallel()
	list := slices.DeleteFunc(blocks(t, "go"), func(b *block) bool { return strings.HasPrefix(b.note, "not run") })
	// One program has all blocks, because linking takes longer than compiling.
	files, imports, cases := make(map[string]string), "", ""
	for _, b := range list {
		files[b.pkg+"/block.go"] = b.source(t)
		imports += fmt.Sprintf("%q\n", module+"/"+b.pkg)
		cases += fmt.Sprintf("case %q:\n", b.pkg)
		switch _, name, isTest := strings.Cut(b.code, "func Test"); {
		case isTest:
			name, _, _ = strings.Cut("Test"+name, "(")
			cases += fmt.Sprintf("tests = append(tests, testing.InternalTest{Name: %q, F: passing(%s.%s)})\n", name, b.pkg, name)
		case b.declares() && !strings.HasPrefix(b.code, "package main"):
			t.Errorf("%v: declarations alone cannot be run", b)
		case b.declares():
			cases += b.pkg + ".Main()\n"
		default:
			cases += "err = " + b.pkg + ".Run(context.Background(), \"sk-scripted\")\n"
		}
	}
	files["docsrun/main.go"] = `package main
import ("context"; "fmt"; "os"; "testing"
` + imports + `)
func main() {
	block := os.Args[1]
	os.Args = os.Args[:1]
	var err error
	var tests []testing.InternalTest
	switch block {
	` + cases + `
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if len(tests) > 0 {
		testing.Main(func(string, string) (bool, error) { return true, nil }, tests, nil, nil)
	}
	_ = context.Background
}
func passing(test func(*testing.T)) func(*testing.T) {
	return func(t *testing.T) {
		test(t)
		if !t.Failed() { // a test that was skipped would not return here
			fmt.Println("passed")
		}
	}
}
`
	program := filepath.Join(t.TempDir(), "docsrun")
	if out, err := exec.CommandContext(t.Context(), "go", "build", overlay(t, files), "-o", program, "./docsrun").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	onRigs(t, list, func(t *testing.T, r *rig, list []*block) {
		for _, b := range list {
			if r.runs(b) {
				t.Run(fmt.Sprint(b.line), func(t *testing.T) { r.do(t, b, r.opts.WorkDir, nil, program, b.pkg) })
			}
		}
	})
}

// notRun are the beginnings of the commands that TestDocsCommands does not run, with the reasons.
var notRun = map[string]string{
	"make test":                 "runs this test itself",
	"make bench":                "takes minutes, and says nothing on a busy machine",
	"go get ":                   "asks the module proxy",
	"go install ":               "asks the module proxy",
	"npm install ":              "asks the npm registry",
	"uv tool install ":          "asks the Python package index",
	"docker ":                   "needs Docker",
	"export KIMI_SERVER_TOKEN=": "needs the container",
	"export KIMI_API_KEY=":      "would ask a real model",
	"export KIMI_BASE_URL=":     "would ask a real model",
	"export KIMI_MODEL_NAME=":   "would ask a real model",
	"ln -s ":                    "writes to the home directory",
}

// commands returns the commands of a block: its lines without the comments.
func (b *block) commands() (list []string) {
	for line := range strings.SplitSeq(strings.ReplaceAll(b.code, "\\\n", " "), "\n") {
		line, _, _ = strings.Cut(line, "   #")
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			list = append(list, line)
		}
	}
	return list
}

// TestDocsCommands runs the commands of the sh blocks, except those in notRun. Commands of make run in this folder,
// others in a folder of their own, with kimi-go-demo on PATH. If the comment before the block has a script, they use a
// scripted model.
func TestDocsCommands(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, "kimi-go-demo"), "./cmd/kimi-go-demo").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	list := blocks(t, "sh")
	unused := make(map[string]bool)
	for prefix := range notRun {
		unused[prefix] = true
	}
	runs := make(map[*block]string)
	for _, b := range list {
		var lines []string
		for _, command := range b.commands() {
			skipped := false
			for prefix := range notRun {
				if strings.HasPrefix(command, prefix) {
					delete(unused, prefix)
					skipped = true
				}
			}
			if !skipped {
				lines = append(lines, command)
			}
		}
		if len(lines) == 0 {
			continue
		}
		if b.note == "" {
			b.note = "run on kimi-cli:"
		}
		runs[b] = "set -eux\n" + strings.Join(lines, "\n")
	}
	for prefix := range unused {
		t.Errorf("notRun has %q, which no page has", prefix)
	}
	if len(runs) < 3 {
		t.Errorf("only %d blocks have commands that are run", len(runs))
	}
	onRigs(t, list, func(t *testing.T, r *rig, list []*block) {
		for _, b := range list {
			script, ok := runs[b]
			if !ok || !r.runs(b) {
				continue
			}
			t.Run(fmt.Sprint(b.line), func(t *testing.T) {
				if !strings.Contains(script, "\nmake ") {
					r.do(t, b, r.opts.WorkDir, []string{"PATH=" + bin + ":" + os.Getenv("PATH")}, "bash", "-c", script)
					return
				}
				cmd := exec.CommandContext(t.Context(), "bash", "-c", "unset KIMI_API_KEY KIMI_BASE_URL KIMI_MODEL_NAME\n"+script)
				cmd.Dir, cmd.Env = root, append(os.Environ(), "KIMI_PATH="+r.opts.Executable)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v: %v\n%s", b, err, out)
				}
			})
		}
	})
}
