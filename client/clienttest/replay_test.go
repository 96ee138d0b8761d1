package clienttest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/fixture"
	"github.com/kimi-go/kimi-go/wireproto"
)

const (
	initialize = `{"jsonrpc":"2.0","method":"initialize","id":"1","params":{"protocol_version":"1.10","client":{"name":"kimi-go","version":"0.0.7"},` +
		`"capabilities":{"supports_question":false,"supports_plan_mode":false}}}`
	welcome = `{"jsonrpc":"2.0","id":"1","result":{"protocol_version":"1.10","server":{"name":"Kimi Code CLI","version":"1.51.0"},"slash_commands":[]}}`
)

// by returns the records of lines. A line that begins with "> " is a line of the client.
func by(lines ...string) (list []fixture.Record) {
	for i, line := range lines {
		rec := fixture.Record{MS: int64(i) * 1000, From: fixture.Agent}
		if said, client := strings.CutPrefix(line, "> "); client {
			rec.From, line = fixture.Client, said
		}
		rec.Line = line
		list = append(list, rec)
	}
	return list
}

// file writes a fixture. end is how the agent ended; nil means that the fixture does not say it.
func file(t *testing.T, end *fixture.End, records ...fixture.Record) string {
	t.Helper()
	f := &fixture.Fixture{Header: fixture.Header{Fixture: fixture.Version}, Records: records}
	if end != nil {
		f.Records = append(f.Records, fixture.Record{From: fixture.Agent, End: end})
	}
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "f.jsonl")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// connect starts a replay directly, without a client.Session.
func connect(t *testing.T, tb testing.TB, name string) client.Conn {
	t.Helper()
	conn, err := clienttest.Replay(tb, name).Start(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestReplayRaw holds that Replay plays lines that no client of this module writes: invalid lines and an empty line.
func TestReplayRaw(t *testing.T) {
	const bad = `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Invalid JSON format","data":null}}`
	name := file(t, &fixture.End{}, by("> not JSON", bad, "> ", bad, `> {"jsonrpc":"2.0","method":"cancel","id":7}`, bad)...)
	conn := connect(t, t, name)
	for _, line := range []string{"not JSON", "", `{"jsonrpc":"2.0","method":"cancel","id":7}`} {
		if _, err := io.WriteString(conn, line+"\n"); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(bad)+1)
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != bad+"\n" {
			t.Errorf("%s, %v", got, err)
		}
	}
	if err := conn.CloseWrite(); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(conn); len(rest) > 0 || err != nil {
		t.Errorf("%s, %v", rest, err)
	}
}

func TestReplayRawDiffers(t *testing.T) {
	fake := &fakeT{t, make(chan string, 10)}
	conn := connect(t, fake, file(t, nil, by("> not JSON")...))
	if _, err := io.WriteString(conn, "neither JSON\n"); err != nil {
		t.Fatal(err)
	}
	io.ReadAll(conn)
	if got := <-fake.log; !strings.Contains(got, "line 2") || !strings.Contains(got, "neither") {
		t.Errorf("complaint: %s", got)
	}
}

// TestReplayUnasked holds that a replay ends where the recorded agent ended, even if the client still waits.
func TestReplayUnasked(t *testing.T) {
	name := file(t, &fixture.End{Unasked: true}, by("no longer maintained")...)
	conn := connect(t, t, name)
	if got, err := io.ReadAll(conn); string(got) != "no longer maintained\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	var exit *client.ProcessError
	if err := conn.Wait(); !errors.As(err, &exit) || exit.ExitCode != 0 {
		t.Error(err)
	}
}

// TestReplayIDs holds that answers carry the ids of the calls in this run, also if the requests of the agent have the
// same ids.
func TestReplayIDs(t *testing.T) {
	name := file(t, &fixture.End{},
		by(`> {"jsonrpc":"2.0","method":"prompt","id":"1","params":{"user_input":"a"}}`,
			`{"jsonrpc":"2.0","method":"request","id":"1","params":{"type":"ToolCallRequest","payload":{"id":"1","name":"t","arguments":null}}}`,
			`> {"jsonrpc":"2.0","id":"1","result":{"tool_call_id":"1"}}`,
			`{"jsonrpc":"2.0","id":"1","result":{"status":"finished"}}`)...)
	conn := connect(t, t, name)
	dec := wireproto.NewDecoder(conn)
	io.WriteString(conn, `{"jsonrpc":"2.0","method":"prompt","id":"x9","params":{"user_input":"a"}}`+"\n")
	f, err := dec.Decode()
	if err != nil || f.ID != "1" || f.Method != wireproto.MethodRequest {
		t.Fatalf("%+v, %v", f, err)
	}
	io.WriteString(conn, `{"jsonrpc":"2.0","id":"1","result":{"tool_call_id":"1"}}`+"\n")
	if f, err = dec.Decode(); err != nil || f.ID != "x9" {
		t.Errorf("%+v, %v", f, err)
	}
}

// TestReplayLeft holds that a client that closes before it has sent every line fails the test.
func TestReplayLeft(t *testing.T) {
	fake := &fakeT{t, make(chan string, 10)}
	conn := connect(t, fake, file(t, nil, by("> "+initialize, welcome)...))
	conn.CloseWrite()
	conn.Wait()
	if got := <-fake.log; !strings.Contains(got, "closed before it said") || !strings.Contains(got, "initialize") {
		t.Errorf("complaint: %s", got)
	}
}

// TestReplayPaths holds that the work dir of this run counts as equal to the recorded one.
func TestReplayPaths(t *testing.T) {
	work, share := t.TempDir(), t.TempDir()
	name := file(t, &fixture.End{}, by("> "+initialize, welcome,
		`> {"jsonrpc":"2.0","method":"prompt","id":"2","params":{"user_input":"read /work/a and /share/b"}}`,
		`{"jsonrpc":"2.0","id":"2","result":{"status":"finished"}}`)...)
	s := session(t, &client.Options{Transport: clienttest.Replay(t, name), WorkDir: work, ShareDir: share})
	if _, err := types(t, s, "read "+filepath.Join(work, "a")+" and "+filepath.Join(share, "b")); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestReplayOtherSystem holds that a recording from Windows plays on other systems, and the other way round.
func TestReplayOtherSystem(t *testing.T) {
	const slashes = `"read /work/a/b.txt, /share/c and {\"path\":\"/work/d\"}; keep \\d"`
	const backslashes = `"read /work\\a\\b.txt, /share\\c and {\"path\":\"/work\\\\d\"}; keep \\d"`
	for _, tt := range []struct{ recorded, said string }{
		{backslashes, slashes}, {slashes, backslashes}, {slashes, slashes}, {backslashes, backslashes},
	} {
		name := file(t, &fixture.End{}, by("> "+initialize, welcome,
			`> {"jsonrpc":"2.0","method":"prompt","id":"2","params":{"user_input":`+tt.recorded+`}}`,
			`{"jsonrpc":"2.0","id":"2","result":{"status":"finished"}}`)...)
		var said string
		if err := json.Unmarshal([]byte(tt.said), &said); err != nil {
			t.Fatal(err)
		}
		s := session(t, &client.Options{Transport: clienttest.Replay(t, name), WorkDir: t.TempDir()})
		if _, err := types(t, s, said); err != nil {
			t.Errorf("recorded %s, said %s: %v", tt.recorded, tt.said, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestReplayTimed holds that a timed replay keeps the recorded times.
func TestReplayTimed(t *testing.T) {
	name := file(t, &fixture.End{}, by("> "+initialize, welcome)...)
	synctest.Test(t, func(t *testing.T) {
		r := clienttest.Replay(t, name)
		r.Timed = true
		start := time.Now()
		session(t, &client.Options{Transport: r, WorkDir: t.TempDir()})
		if took := time.Since(start); took != time.Second {
			t.Errorf("the handshake took %v", took)
		}
	})
}

// TestRecordSecrets lets the model repeat every secret of the options, the environment and the share dir. The recording
// must hold none of them.
func TestRecordSecrets(t *testing.T) {
	work, share, home := t.TempDir(), t.TempDir(), t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(share, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secrets := map[string]string{}
	secret := func(where string) config.Secret {
		secrets[where] = `planted "` + where + `" <&>`
		return config.Secret(secrets[where])
	}
	inJSON := func(where string) string {
		s := secret(where)
		raw, err := json.Marshal(s.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	write("mcp.json", `{"mcpServers":{"a":{"url":"https://a","headers":{"X-Key":`+inJSON("mcp.json")+`}}}}`)
	mcp := write("other.json", `{"mcpServers":{"b":{"command":"b","env":{"K":`+inJSON("MCPConfigFiles")+`}}}}`)
	write("credentials/kimi-code.json", `{"access_token":`+inJSON("access token")+`,"refresh_token":`+inJSON("refresh token")+`}`)
	t.Setenv("SOME_API_KEY", secret("environment").Reveal())
	bearer := config.Secret("Bearer " + secret("bearer").Reveal())
	opts := &client.Options{
		WorkDir: work, ShareDir: share, MCPConfigFiles: []string{mcp},
		Env: map[string]string{"HOME": home, "MY_PASSWORD": secret("Env").Reveal()},
		Config: &config.Config{
			Providers: map[string]config.Provider{"p": {
				Type: config.ProviderKimi, BaseURL: "https://p", APIKey: secret("api_key"),
				Env: map[string]config.Secret{"K": secret("provider env")}, CustomHeaders: map[string]config.Secret{"A": bearer},
			}},
			Services: config.Services{MoonshotSearch: &config.Service{BaseURL: "https://s", APIKey: secret("service")}},
		},
		MCPServers: map[string]config.MCPServer{"c": {
			URL: "https://c", Headers: map[string]config.Secret{"A": secret("mcp header")}, Auth: secret("mcp auth"),
		}},
	}
	var rec bytes.Buffer
	opts.Record = &rec
	opts.Transport = clienttest.NewAgent(t, func(turn *clienttest.Turn) {
		for where, s := range secrets {
			turn.Say(where + " is " + s + " in " + work + share + home)
			turn.Call("Shell", map[string]string{"command": "echo " + s}, s)
		}
	})
	s := session(t, opts)
	if _, err := types(t, s, "repeat"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"planted", work, share, home} {
		if i := strings.Index(rec.String(), bad); i >= 0 {
			t.Errorf("the recording holds %q: %.200q", bad, rec.String()[max(0, i-60):])
		}
	}
	f, err := fixture.Read(&rec)
	if err != nil {
		t.Fatal(err)
	}
	for where := range secrets {
		found := false
		for _, r := range f.Records {
			found = found || strings.Contains(r.Line, where+" is *** in /work/share/home/user")
		}
		if !found {
			t.Errorf("%s was not repeated", where)
		}
	}
}

// TestRecordEnd holds that a recording says how the agent ended, and whether the client had asked it to end.
func TestRecordEnd(t *testing.T) {
	die := func(turn *clienttest.Turn) { turn.Die(&client.ProcessError{ExitCode: 3}) }
	tests := []struct {
		name string
		turn func(*clienttest.Turn)
		want fixture.End
	}{
		{"closed", func(*clienttest.Turn) {}, fixture.End{}},
		{"by itself", die, fixture.End{ExitCode: 3, Unasked: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var rec bytes.Buffer
			s := session(t, &client.Options{Transport: clienttest.NewAgent(t, tt.turn), WorkDir: t.TempDir(), Record: &rec})
			turn, err := s.Prompt(context.Background(), "x")
			if err != nil {
				t.Fatal(err)
			}
			turn.Result()
			s.Close()
			f, err := fixture.Read(&rec)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, f.Records[len(f.Records)-1].End); diff != "" {
				t.Error(diff)
			}
		})
	}
}
