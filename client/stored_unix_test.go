//go:build unix

package client_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// store is a share dir with sessions of both programs. The programs themselves are not there.
type store struct {
	opts *client.Options
	dir  string
}

func newStore(t testing.TB) *store {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &store{dir: dir, opts: &client.Options{
		WorkDir: filepath.Join(dir, "work"), ShareDir: filepath.Join(dir, "share"), Executable: filepath.Join(dir, "none"),
	}}
	if err := os.Mkdir(s.opts.WorkDir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.opts.ShareDir, "kimi.json"), `{"work_dirs": [{"path": "`+s.opts.WorkDir+`", "kaos": "local"}]}`, 0o600)
	return s
}

// cli returns a path below kimi-cli's sessions of the work dir. code returns a path below Kimi Code's sessions.
func (s *store) cli(names ...string) string {
	sum := md5.Sum([]byte(s.opts.WorkDir))
	return filepath.Join(append([]string{s.opts.ShareDir, "sessions", hex.EncodeToString(sum[:])}, names...)...)
}

func (s *store) code(names ...string) string {
	return filepath.Join(append([]string{s.opts.ShareDir, "sessions", "wd_1"}, names...)...)
}

// addCLI and addCode write the files of a session.
func (s *store) addCLI(t testing.TB, id, wire, context string) {
	t.Helper()
	write(t, s.cli(id, "context.jsonl"), context, 0o600)
	write(t, s.cli(id, "wire.jsonl"), wire, 0o600)
}

func (s *store) addCode(t testing.TB, id, journal string) {
	t.Helper()
	write(t, s.code(id, "state.json"), `{"id":"`+id+`","cwd":"`+s.opts.WorkDir+`","title":"T","lastPrompt":"hello"}`, 0o600)
	write(t, s.code(id, "agents", "main", "wire.jsonl"), journal, 0o600)
}

// put replaces a file by a link to target or, if target is "", by a named pipe.
func put(t testing.TB, path, target string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.RemoveAll(path)
	}
	if err == nil && target == "" {
		err = syscall.Mkfifo(path, 0o600)
	} else if err == nil {
		err = os.Symlink(target, path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

const (
	cliBegin = `{"timestamp": 1, "message": {"type": "TurnBegin", "payload": {"user_input": "hello"}}}` + "\n"
	cliEnd   = `{"timestamp": 2, "message": {"type": "TurnEnd", "payload": {}}}` + "\n"

	codeBegin = `{"type":"context.append_message","message":{"role":"user","content":[{"type":"text","text":"hello"}],"id":"p1","toolCalls":[],"origin":{"kind":"user"}},"time":1}` + "\n"
	codeText  = `{"type":"context.append_loop_event","event":{"type":"step.begin","uuid":"s1"}}` + "\n" +
		`{"type":"context.append_loop_event","event":{"type":"content.part","stepUuid":"s1","part":{"type":"text","text":"hi"}}}` + "\n" +
		`{"type":"context.append_loop_event","event":{"type":"step.end","uuid":"s1","finishReason":"end_turn"}}` + "\n"
)

// If a session was copied, the id that a client has given to it means both sessions. DeleteSession with that id removes
// neither of them.
func TestStoredAlias(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	for _, id := range []string{"session_a", "session_b"} {
		st.addCode(t, id, codeBegin)
		write(t, st.code(id, "state.json"), `{"id":"`+id+`","cwd":"`+st.opts.WorkDir+`","lastPrompt":"hello","custom":{"kimi_go_id":"mine"}}`, 0o600)
	}
	before := tree(t, st.code())
	if err := client.DeleteSession("mine", st.opts); err == nil || !strings.Contains(err.Error(), "session_a, session_b") {
		t.Errorf("DeleteSession: %v", err)
	}
	e2eSame(t, "the sessions", before, tree(t, st.code()))
	if err := client.DeleteSession("session_b", st.opts); err != nil {
		t.Error(err)
	}
	if err := client.DeleteSession("mine", st.opts); err != nil {
		t.Error(err)
	}
}

// Other kinds of files in the place of a session's files block no reader, and lead to no other place.
func TestStoredHostile(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	st := newStore(t)
	secret := write(t, filepath.Join(st.dir, "secret", "agents", "main", "wire.jsonl"), codeBegin, 0o600)
	write(t, filepath.Join(st.dir, "secret", "wire.jsonl"), cliBegin, 0o600)
	write(t, filepath.Join(st.dir, "secret", "context.jsonl"), `{"role":"user","content":"secret"}`+"\n", 0o600)
	deep := strings.Repeat("[", 100_000)
	junk := deep + "\n\x00\x00\n" + "\xff\xfe{}\n" + `{"message":` + deep + "\n" + "42\nnull\n[]\n\n" + strings.Repeat("x", 1<<20) + "\n"
	half := `{"timestamp": 3, "message": {"type": "TextPart", "pay`
	unknown := `{"timestamp": 1.5, "message": {"type": "FromTomorrow", "payload": {"a": [1]}}}` + "\n"
	st.addCLI(t, "junk", junk+cliBegin+junk+unknown+cliEnd+half, "")
	st.addCode(t, "session_junk", junk+codeBegin+strings.ReplaceAll(junk, "42", `{"type":"context.append_message","message":{"role":7}}`)+codeText+`{"type":"context.app`)
	for _, id := range []string{"pipe", "zero", "out"} {
		st.addCLI(t, id, cliBegin, "")
		st.addCode(t, "session_"+id, codeBegin)
	}
	put(t, st.cli("pipe", "wire.jsonl"), "")
	put(t, st.code("session_pipe", "agents", "main", "wire.jsonl"), "")
	put(t, st.cli("zero", "wire.jsonl"), "/dev/zero")
	put(t, st.code("session_zero", "agents", "main", "wire.jsonl"), "/dev/zero")
	put(t, st.cli("out", "wire.jsonl"), filepath.Join(st.dir, "secret", "wire.jsonl"))
	put(t, st.code("session_out", "agents", "main", "wire.jsonl"), secret)
	put(t, st.cli("linked"), filepath.Join(st.dir, "secret"))
	outside := tree(t, filepath.Join(st.dir, "secret"))

	for _, id := range []string{"junk", "session_junk"} {
		got := told(t, id, st.opts)
		want := []wireproto.Message{&wireproto.TurnBegin{UserInput: wireproto.Content{Text: "hello"}}, &wireproto.UnknownMessage{Type: "FromTomorrow", Payload: []byte(`{"a": [1]}`)}, &wireproto.TurnEnd{}}
		if id == "session_junk" {
			want = []wireproto.Message{want[0], &wireproto.StepBegin{N: 1}, &wireproto.TextPart{Text: "hi"}, &wireproto.TurnEnd{}}
		}
		e2eSame(t, "history of "+id, want, got)
	}
	done := make(chan string, 1)
	for _, id := range []string{"pipe", "zero", "out", "linked", "session_pipe", "session_zero", "session_out"} {
		go func() {
			said := "no error"
			for m, err := range client.History(id, st.opts) {
				if said = fmt.Sprint(err); err == nil {
					said = fmt.Sprintf("told %T", m)
					break
				}
			}
			done <- said
		}()
		if said := recv(t, ctx, "the history of "+id, done); !strings.HasPrefix(said, "client: ") {
			t.Errorf("%s: %s", id, said)
		}
		go func() {
			_, err := client.ForkSession(ctx, id, -1, st.opts)
			done <- fmt.Sprint(err)
		}()
		if said := recv(t, ctx, "the fork of "+id, done); !strings.HasPrefix(said, "client: ") {
			t.Errorf("fork of %s: %s", id, said)
		}
	}
	if list := listedAll(t, st.opts); len(list) == 0 {
		t.Error("nothing is listed")
	}
	for _, id := range []string{"pipe", "zero", "out", "session_pipe", "session_out"} {
		if err := client.DeleteSession(id, st.opts); err != nil {
			t.Errorf("delete %s: %v", id, err)
		}
	}
	if err := client.DeleteSession("linked", st.opts); err == nil {
		t.Error("a link is deleted as a session")
	}
	if err := client.RenameSession("linked", "x", st.opts); err == nil {
		t.Error("what a link leads to is renamed")
	}
	// The name of a link to a session also does not change the session.
	put(t, st.cli("alias"), "junk")
	junked := tree(t, st.cli("junk"))
	if client.DeleteSession("alias", st.opts) == nil || client.RenameSession("alias", "x", st.opts) == nil {
		t.Error("a session is changed under the name of a link")
	}
	e2eSame(t, "the session that the link leads to", junked, tree(t, st.cli("junk")))
	e2eSame(t, "outside", outside, tree(t, filepath.Join(st.dir, "secret")))
	for _, id := range []string{"..", ".", "a/b", "../secret", `..\secret`, "\x00"} {
		e2eIs(t, fmt.Sprintf("delete %q", id), client.DeleteSession(id, st.opts), client.ErrSessionNotFound)
	}

	// A pipe in the place of a folder or of the index blocks nothing. A fork that fails because of it leaves no files.
	st.addCLI(t, "uploads", cliBegin+cliEnd, `{"role":"user","content":"hello"}`+"\n")
	put(t, st.cli("uploads", "uploads"), "")
	st.addCode(t, "session_index", codeBegin+codeText)
	put(t, filepath.Join(st.opts.ShareDir, "session_index.jsonl"), "")
	names := func() (list []string) {
		entries, _ := os.ReadDir(st.code())
		for _, e := range entries {
			list = append(list, e.Name())
		}
		return list
	}
	before := names()
	for id, works := range map[string]bool{"uploads": true, "session_index": false} {
		forked := make(chan error, 1)
		go func() {
			_, err := client.ForkSession(ctx, id, -1, st.opts)
			forked <- err
		}()
		if err := recv(t, ctx, "the fork of "+id, forked); (err == nil) != works {
			t.Errorf("fork of %s: %v", id, err)
		}
	}
	e2eSame(t, "the sessions of Kimi Code after a fork that failed", before, names())
	if err := os.Remove(filepath.Join(st.opts.ShareDir, "session_index.jsonl")); err != nil {
		t.Fatal(err)
	}

	// If the folder of all sessions is a link out of the share dir, the sessions can be read but not changed.
	if err := os.Rename(filepath.Join(st.opts.ShareDir, "sessions"), filepath.Join(st.dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(st.opts.ShareDir, "sessions"), filepath.Join(st.dir, "elsewhere"))
	for _, id := range []string{"junk", "session_junk"} {
		if len(told(t, id, st.opts)) == 0 {
			t.Errorf("%s is not read", id)
		}
		if err := client.DeleteSession(id, st.opts); err == nil {
			t.Errorf("%s is deleted", id)
		}
		if err := client.RenameSession(id, "x", st.opts); err == nil {
			t.Errorf("%s is renamed", id)
		}
	}
}

// The files of old programs, and of programs that were killed, can be read.
func TestStoredForms(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	// One old kimi-cli stored no messages of Wire. Another one stored the contexts of all sessions in one folder.
	context := `{"role":"_system_prompt","content":"…"}` + "\n" + `{"role":"_checkpoint","id":0}` + "\n" +
		`{"role":"user","content":[{"type":"text","text":"<system>CHECKPOINT 0</system>"}]}` + "\n" +
		`{"role":"user","content":"hello"}` + "\n" +
		`{"role":"assistant","content":[{"type":"think","think":"hm"},{"type":"text","text":"hi"}],"tool_calls":[{"type":"function","id":"c","function":{"name":"Shell","arguments":"{}"}}]}` + "\n" +
		`{"role":"tool","content":"done","tool_call_id":"c"}` + "\n"
	write(t, st.cli("wireless", "context.jsonl"), context, 0o600)
	write(t, st.cli("oldest.jsonl"), context, 0o600)
	args := "{}"
	want := []wireproto.Message{
		&wireproto.TurnBegin{UserInput: wireproto.Content{Text: "hello"}}, &wireproto.StepBegin{N: 1}, &wireproto.ThinkPart{Think: "hm"}, &wireproto.TextPart{Text: "hi"},
		&wireproto.ToolCall{Type: "function", ID: "c", Function: wireproto.ToolCallFunction{Name: "Shell", Arguments: &args}},
		&wireproto.ToolResult{ToolCallID: "c", ReturnValue: wireproto.ToolReturnValue{Output: wireproto.Content{Text: "done"}}}, &wireproto.TurnEnd{},
	}
	for _, id := range []string{"wireless", "oldest"} {
		e2eSame(t, id, want, told(t, id, st.opts))
	}

	// Kimi Code with version 1.0 of its journal, and steps that were cut off.
	st.addCode(t, "session_old", `{"type":"metadata","protocol_version":"1.0","created_at":1}`+"\n"+codeBegin+
		`{"type":"context.append_message","message":{"role":"assistant","content":[{"type":"think","think":"secret","hidden":true},{"type":"text","text":"hi"}],"toolCalls":[{"type":"function","id":"c","function":{"name":"Bash","arguments":"{\"a\": 1}"}}]}}`+"\n"+
		`{"type":"context.append_message","message":{"role":"tool","content":[{"type":"text","text":"out"},{"type":"text","text":"put"}],"toolCalls":[],"toolCallId":"c","isError":true}}`+"\n")
	st.addCode(t, "session_cut", codeBegin+
		`{"type":"context.append_loop_event","event":{"type":"step.begin","uuid":"s1"}}`+"\n"+
		`{"type":"context.append_loop_event","event":{"type":"tool.call","stepUuid":"s1","toolCallId":"c","name":"Bash"}}`+"\n"+
		`{"type":"context.append_message","message":{"role":"user","content":[{"type":"text","text":"reminder"}],"origin":{"kind":"injection"}}}`+"\n"+
		`{"type":"context.append_loop_event","event":{"type":"step.begin","uuid":"s2"}}`+"\n"+ // a step without content
		strings.ReplaceAll(codeText, "s1", "s3"))
	args2 := `{"a":1}`
	turn := []wireproto.Message{&wireproto.TurnBegin{UserInput: wireproto.Content{Text: "hello"}}, &wireproto.StepBegin{N: 1}}
	e2eSame(t, "version 1.0", append(turn[:2:2], &wireproto.TextPart{Text: "hi"},
		&wireproto.ToolCall{Type: "function", ID: "c", Function: wireproto.ToolCallFunction{Name: "Bash", Arguments: &args2}},
		&wireproto.ToolResult{ToolCallID: "c", ReturnValue: wireproto.ToolReturnValue{IsError: true, Output: wireproto.Content{Text: "output"}}}, &wireproto.TurnEnd{},
	), told(t, "session_old", st.opts))
	got := told(t, "session_cut", st.opts)
	if len(got) != 7 {
		t.Fatalf("%d messages: %v", len(got), e2eTypes(got))
	}
	if r, ok := got[3].(*wireproto.ToolResult); !ok || !r.ReturnValue.IsError || !strings.Contains(r.ReturnValue.Output.Text, "interrupted") {
		t.Errorf("the call that was cut off: %+v", got[3])
	}
	e2eSame(t, "the rest", []wireproto.Message{&wireproto.StepBegin{N: 2}, &wireproto.TextPart{Text: "hi"}, &wireproto.TurnEnd{}}, got[4:])

	turns := make(map[string]int)
	for _, info := range listedAll(t, st.opts) {
		turns[info.ID] = info.Turns
	}
	e2eSame(t, "turns", map[string]int{"wireless": 1, "oldest": 1, "session_old": 1, "session_cut": 1}, turns)
	for id := range turns {
		if err := client.RenameSession(id, "Renamed", st.opts); err != nil {
			t.Errorf("rename %s: %v", id, err)
		}
	}
	for _, info := range listedAll(t, st.opts) {
		e2eSame(t, "title of "+info.ID, "Renamed", info.Title)
		if err := client.DeleteSession(info.ID, st.opts); err != nil {
			t.Errorf("delete %s: %v", info.ID, err)
		}
	}
	e2eSame(t, "left", 0, len(listedAll(t, st.opts)))
}

func BenchmarkHistory(b *testing.B) {
	const messages = 10_000
	st := newStore(b)
	filler := strings.Repeat("lorem ipsum ", 20)
	var cli, code strings.Builder
	for i := 0; i < messages; i += 5 {
		cli.WriteString(cliBegin)
		fmt.Fprintf(&cli, `{"timestamp": %d.25, "message": {"type": "StepBegin", "payload": {"n": 1}}}`+"\n", i)
		fmt.Fprintf(&cli, `{"timestamp": %d.25, "message": {"type": "ContentPart", "payload": {"type": "text", "text": "%s"}}}`+"\n", i, filler)
		fmt.Fprintf(&cli, `{"timestamp": %d.25, "message": {"type": "StatusUpdate", "payload": {"context_usage": 0.001, "context_tokens": 100, "max_context_tokens": 100000, "token_usage": {"input_other": 100, "output": 10, "input_cache_read": 0, "input_cache_creation": 0}, "message_id": "chatcmpl-scripted", "plan_mode": false, "mcp_status": null}}}`+"\n", i)
		cli.WriteString(cliEnd)
		// These are the lines that Kimi Code writes, also those that are not part of the conversation.
		fmt.Fprintf(&code, `{"type":"turn.prompt","agentId":"main","input":[{"type":"text","text":"hello"}],"origin":{"kind":"user"},"promptId":"p%d","turnId":0,"time":1795677586335}`+"\n", i)
		code.WriteString(codeBegin)
		fmt.Fprintf(&code, `{"type":"context.append_loop_event","agentId":"main","event":{"type":"step.begin","uuid":"fa81fb90-adab-47e7-a598-%012d","turnId":"0","step":1},"time":1795677586350}`+"\n", i)
		fmt.Fprintf(&code, `{"type":"llm.request","agentId":"main","kind":"loop","provider":"openai","model":"scripted","systemPromptHash":"672c3ac8ade93172813a3edade0e468f4a4362ec300f7dbb9569a8576991de21","toolsHash":"f1f74d3af035d9eedbc954584620128f8b6bcdc2db711d664fae7f1dd5edf5a8","messageCount":%d}`+"\n", i)
		code.WriteString(`{"type":"usage.record","agentId":"main","model":"__kimi_env_model__","usage":{"inputOther":100,"output":10,"inputCacheRead":0,"inputCacheCreation":0},"usageScope":"turn","time":1795677586403}` + "\n")
		fmt.Fprintf(&code, `{"type":"context.append_loop_event","agentId":"main","event":{"type":"content.part","uuid":"60fb9fdb-830a-41f8-84a9-3e985335973d","turnId":"0","step":1,"stepUuid":"fa81fb90-adab-47e7-a598-%012d","part":{"type":"think","think":"hm","reasoningKey":"reasoning_content"}},"time":1795677586417}`+"\n", i)
		fmt.Fprintf(&code, `{"type":"context.append_loop_event","agentId":"main","event":{"type":"content.part","uuid":"60fb9fdb-830a-41f8-84a9-3e985335973d","turnId":"0","step":1,"stepUuid":"fa81fb90-adab-47e7-a598-%012d","part":{"type":"text","text":"%s"}},"time":1795677586417}`+"\n", i, filler)
		fmt.Fprintf(&code, `{"type":"context.append_loop_event","agentId":"main","event":{"type":"step.end","uuid":"fa81fb90-adab-47e7-a598-%012d","turnId":"0","step":1,"finishReason":"end_turn","usage":{"inputOther":100,"output":10,"inputCacheRead":0,"inputCacheCreation":0},"llmFirstTokenLatencyMs":43}}`+"\n", i)
		fmt.Fprintf(&code, `{"message":{"message":{"role":"assistant","content":[{"type":"think","think":"hm","reasoningKey":"reasoning_content"},{"type":"text","text":"%s"}],"toolCalls":[]}},"type":"agent.message.appended","time":1795677586417,"kind":"event"}`+"\n", filler)
	}
	st.addCLI(b, "cli", cli.String(), "")
	st.addCode(b, "session_code", code.String())
	for _, id := range []string{"cli", "session_code"} {
		b.Run(id, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				for _, err := range client.History(id, st.opts) {
					if n++; err != nil {
						b.Fatal(err)
					}
				}
				if n != messages {
					b.Fatalf("%d messages", n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/session")
		})
	}
}

// History reads a session while the loop runs, and does not read all of it at once.
func TestHistoryIsLazy(t *testing.T) {
	st := newStore(t)
	const lines = 20_000
	text := strings.Repeat("x", 1000)
	st.addCLI(t, "cli", strings.Repeat(`{"timestamp": 1, "message": {"type": "ContentPart", "payload": {"type": "text", "text": "`+text+`"}}}`+"\n", lines), "")
	st.addCode(t, "session_code", strings.Repeat(codeBegin+strings.ReplaceAll(codeText, "hi", text), lines))
	for _, id := range []string{"cli", "session_code"} {
		n := 0
		allocated := testing.AllocsPerRun(1, func() {
			for range client.History(id, st.opts) {
				if n++; n%10 == 0 {
					break
				}
			}
		})
		if n != 20 || allocated > 2000 {
			t.Errorf("%s: ten of %d messages took %.0f allocations", id, lines, allocated)
		}
	}
}
