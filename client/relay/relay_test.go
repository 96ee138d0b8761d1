package relay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/client/relay"
	"github.com/kimi-go/kimi-go/wireproto"
)

// start makes a relay of a session with an agent in memory.
func start(t testing.TB, o *relay.Options, turns ...func(*clienttest.Turn)) (*client.Session, *relay.Relay) {
	t.Helper()
	opts := &client.Options{Transport: clienttest.NewAgent(t, turns...), SupportsQuestion: true}
	if o != nil && o.Outside != nil {
		opts.OnMessage = o.Outside.OnMessage
	}
	s, err := client.NewSession(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	r := relay.New(s, o)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, r
}

func prompt(t testing.TB, r *relay.Relay, text string) int64 {
	t.Helper()
	n, err := r.Prompt(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// read reads the log up to the first entry of a type. It returns that entry's value and all entries.
func read[T any](t testing.TB, r *relay.Relay, after int64) (entries []relay.Entry, found T) {
	t.Helper()
	for e, err := range r.Read(t.Context(), after) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
		m, err := e.Message()
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := m.(T); ok {
			return entries, m
		}
	}
	t.Fatalf("the log has ended without a %T: %v", found, typesOf(entries))
	panic("unreachable")
}

// untilIdle reads the log until no turn is open. It ignores gaps.
func untilIdle(t testing.TB, r *relay.Relay) {
	t.Helper()
	for _, err := range r.Read(t.Context(), 0) {
		var gap *relay.GapError
		if err != nil && !errors.As(err, &gap) {
			t.Fatal(err)
		}
		if len(r.State().Turns) == 0 {
			return
		}
	}
	t.Fatal("the log has ended")
}

func typesOf(entries []relay.Entry) (types []string) {
	for _, e := range entries {
		var in struct{ Type string }
		json.Unmarshal(e.JSON, &in)
		types = append(types, in.Type)
	}
	return types
}

func TestLog(t *testing.T) {
	_, r := start(t, nil, func(t *clienttest.Turn) { t.Say("<b>one</b>"); t.Say("two") }, func(t *clienttest.Turn) { t.Fail(wireproto.CodeChatProviderError, "no") })
	if n := prompt(t, r, "Hello"); n != 1 {
		t.Errorf("turn %d", n)
	}
	all, ended := read[*relay.TurnEnded](t, r, 0)
	want := []string{"relay.TurnQueued", "relay.TurnStarted", "TurnBegin", "StepBegin", "ContentPart", "ContentPart", "TurnEnd", "relay.TurnEnded"}
	if diff := cmp.Diff(want, typesOf(all)); diff != "" {
		t.Error(diff)
	}
	for i, e := range all {
		if e.ID != int64(i+1) {
			t.Errorf("entry %d has the number %d", i+1, e.ID)
		}
	}
	if ended.Turn != 1 || ended.Error != nil || ended.Result.Status != wireproto.StatusFinished || ended.Result.Text != "<b>one</b>two" {
		t.Errorf("%+v", ended)
	}
	if m, err := all[4].Message(); err != nil || m.(*wireproto.TextPart).Text != "<b>one</b>" {
		t.Errorf("%v, %v", m, err)
	}
	if m, err := all[0].Message(); err != nil || m.(*relay.TurnQueued).UserInput.String() != "Hello" {
		t.Errorf("%v, %v", m, err)
	}
	if rest, _ := read[*relay.TurnEnded](t, r, 5); !slices.EqualFunc(rest, all[5:], func(a, b relay.Entry) bool { return a.ID == b.ID && string(a.JSON) == string(b.JSON) }) {
		t.Errorf("after 5: %v", rest)
	}
	prompt(t, r, "again")
	if _, ended := read[*relay.TurnEnded](t, r, all[len(all)-1].ID); ended.Turn != 2 || ended.Error == nil || !strings.Contains(ended.Error.Message, "provider") {
		t.Errorf("a turn that fails: %+v", ended)
	}
}

// Turns from several callers are in the log one after the other, in the order of their numbers.
func TestOrder(t *testing.T) {
	const turns = 20
	var script []func(*clienttest.Turn)
	for range turns {
		script = append(script, func(t *clienttest.Turn) { t.Say(t.Input.String()) })
	}
	_, r := start(t, nil, script...)
	for i := range turns {
		go func() {
			if _, err := r.Queue(t.Context(), fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		}()
	}
	running, inputs := int64(0), make(map[int64]string)
	for e, err := range r.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		m, err := e.Message()
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *relay.TurnQueued:
			inputs[m.Turn] = m.UserInput.String()
		case *relay.TurnStarted:
			if running++; m.Turn != running {
				t.Fatalf("turn %d starts as number %d", m.Turn, running)
			}
		case *wireproto.TextPart:
			if m.Text != inputs[running] {
				t.Errorf("turn %d says %q, not %q", running, m.Text, inputs[running])
			}
		case *relay.TurnEnded:
			if m.Turn != running {
				t.Errorf("turn %d ends in %d", m.Turn, running)
			}
			if m.Turn == turns {
				return
			}
		}
	}
}

func TestAnswers(t *testing.T) {
	_, r := start(t, nil, func(t *clienttest.Turn) {
		a := t.Approval(wireproto.ApprovalRequest{Action: "run command", Description: "Run"}, map[string]string{"command": "ls"})
		t.Say(string(a.Response) + " " + a.Feedback)
		t.Say(t.Question(wireproto.QuestionItem{Question: "Colour?", Options: []wireproto.QuestionOption{{Label: "Red"}, {Label: "Blue"}}})["Colour?"])
	})
	prompt(t, r, "go")
	entries, pending := read[*relay.Pending](t, r, 0)
	asked, err := wireproto.UnmarshalMessage(pending.Request)
	if err != nil || asked.(*wireproto.ApprovalRequest).ID != pending.ID || pending.Call == nil || string(pending.Call.Arguments) != `{"command":"ls"}` {
		t.Errorf("%+v, %v, %v", pending, asked, err)
	}
	if s := r.State(); len(s.Pending) != 1 || s.Pending[0].ID != pending.ID || len(s.Turns) != 1 || !s.Turns[0].Started {
		t.Errorf("state %+v", s)
	}
	for _, bad := range []relay.Answer{{}, {Response: "maybe"}, {Response: wireproto.Approve, Feedback: "but"}, {Response: wireproto.Reject, Answers: map[string]string{"a": "b"}}} {
		if err := r.Answer(pending.ID, bad); err == nil || errors.Is(err, client.ErrAnswered) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if err := r.Answer("other", relay.Answer{Response: wireproto.Approve}); !errors.Is(err, relay.ErrNoRequest) {
		t.Errorf("an unknown id: %v", err)
	}
	if err := r.Answer(pending.ID, relay.Answer{Response: wireproto.Reject, Feedback: "use tree"}); err != nil {
		t.Error(err)
	}
	if err := r.Answer(pending.ID, relay.Answer{Response: wireproto.Approve}); err != client.ErrAnswered {
		t.Errorf("a second answer: %v", err)
	}
	entries, settled := read[*relay.Settled](t, r, entries[len(entries)-1].ID)
	if diff := cmp.Diff(&relay.Settled{ID: pending.ID, Outcome: relay.Rejected, Feedback: "use tree"}, settled); diff != "" {
		t.Error(diff)
	}
	if len(entries) != 1 {
		t.Errorf("before the settlement: %v", typesOf(entries))
	}
	entries, pending = read[*relay.Pending](t, r, entries[0].ID)
	if pending.Call != nil {
		t.Errorf("a question with a call: %+v", pending.Call)
	}
	for _, bad := range []relay.Answer{{Response: wireproto.Approve}, {Answers: map[string]string{"Size?": "XL"}}} {
		if err := r.Answer(pending.ID, bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	if err := r.Answer(pending.ID, relay.Answer{Answers: map[string]string{"Colour?": "Blue"}}); err != nil {
		t.Error(err)
	}
	_, ended := read[*relay.TurnEnded](t, r, entries[len(entries)-1].ID)
	if ended.Result.Text != "reject use treeBlue" {
		t.Errorf("%+v", ended.Result)
	}
	if s := r.State(); len(s.Pending) != 0 || len(s.Turns) != 0 {
		t.Errorf("state %+v", s)
	}
}

// State agrees with the log. While the relay waits for the call of a request, neither has the request.
func TestStateWaitsForCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r := start(t, nil, func(t *clienttest.Turn) {
			agent := "an agent"
			t.Approval(wireproto.ApprovalRequest{ID: "one", Action: "run command", ToolCallID: "not known yet", AgentID: &agent}, nil)
		})
		prompt(t, r, "go")
		read[*wireproto.ApprovalRequest](t, r, 0)
		synctest.Wait()
		before := r.State()
		if len(before.Pending) != 0 {
			t.Errorf("pending before the log tells: %+v", before.Pending)
		}
		if entries, _ := read[*relay.Pending](t, r, before.Last); len(entries) != 1 {
			t.Errorf("before the request is told: %v", typesOf(entries))
		}
		if now := r.State(); len(now.Pending) != 1 || now.Last != before.Last+1 {
			t.Errorf("%+v", now)
		}
		if err := r.Answer("one", relay.Answer{Response: wireproto.Approve}); err != nil {
			t.Error(err)
		}
		read[*relay.TurnEnded](t, r, before.Last)
	})
}

// An answer to a request does not answer another request with the same id.
func TestSameID(t *testing.T) {
	_, r := start(t, nil, func(t *clienttest.Turn) {
		for range 2 {
			a := t.Approval(wireproto.ApprovalRequest{ID: "same", Action: "run command"}, nil)
			t.Say(string(a.Response))
		}
	})
	prompt(t, r, "go")
	read[*relay.Pending](t, r, 0)
	if err := r.Answer("same", relay.Answer{Response: wireproto.Approve}); err != nil {
		t.Error(err)
	}
	if _, ended := read[*relay.TurnEnded](t, r, 0); ended.Result.Text != "approvereject" {
		t.Errorf("%q", ended.Result.Text)
	}
	if err := r.Answer("same", relay.Answer{Response: wireproto.Approve}); err != client.ErrAnswered {
		t.Errorf("a second answer: %v", err)
	}
}

// An agent cannot write the relay's own types of entries. A page uses them to show what is approved.
func TestForged(t *testing.T) {
	_, r := start(t, nil, func(t *clienttest.Turn) {
		t.Send(&wireproto.UnknownMessage{Type: "relay.Pending", Payload: json.RawMessage(`{"id":"x","request":null,"call":{"name":"harmless","arguments":{}}}`)})
		t.Send(&wireproto.UnknownMessage{Type: "Newer", Payload: json.RawMessage(`{"a":1}`)})
	})
	prompt(t, r, "go")
	entries, _ := read[*relay.TurnEnded](t, r, 0)
	want := []string{"relay.TurnQueued", "relay.TurnStarted", "TurnBegin", "StepBegin", "relay.Unreadable", "Newer", "TurnEnd", "relay.TurnEnded"}
	if diff := cmp.Diff(want, typesOf(entries)); diff != "" {
		t.Error(diff)
	}
	if text := string(entries[4].JSON); strings.Contains(text, "harmless") || !strings.Contains(text, "relay.Pending") {
		t.Errorf("%s", text)
	}
}

// If several readers answer a request at the same time, one answer counts.
func TestAnswerRace(t *testing.T) {
	_, r := start(t, nil, func(t *clienttest.Turn) {
		t.Approval(wireproto.ApprovalRequest{Action: "run command"}, nil)
	})
	prompt(t, r, "go")
	_, pending := read[*relay.Pending](t, r, 0)
	errs := make(chan error)
	for range 10 {
		go func() { errs <- r.Answer(pending.ID, relay.Answer{Response: wireproto.Approve}) }()
	}
	taken := 0
	for range 10 {
		switch err := <-errs; err {
		case nil:
			taken++
		case client.ErrAnswered:
		default:
			t.Error(err)
		}
	}
	if taken != 1 {
		t.Errorf("%d answers were taken", taken)
	}
	entries, _ := read[*relay.TurnEnded](t, r, 0)
	settled := slices.DeleteFunc(typesOf(entries), func(s string) bool { return s != "relay.Settled" })
	if len(settled) != 1 {
		t.Errorf("%d settlements", len(settled))
	}
}

func TestCancel(t *testing.T) {
	_, r := start(t, nil, func(t *clienttest.Turn) {
		t.Approval(wireproto.ApprovalRequest{Action: "run command"}, nil)
	})
	if err := r.Cancel(t.Context(), 0); err != client.ErrNoTurn {
		t.Errorf("without a turn: %v", err)
	}
	prompt(t, r, "go")
	if _, err := r.Prompt(t.Context(), "too early"); !errors.Is(err, client.ErrBusy) {
		t.Errorf("a second prompt: %v", err)
	}
	second, err := r.Queue(t.Context(), "never begins")
	if err != nil {
		t.Fatal(err)
	}
	_, pending := read[*relay.Pending](t, r, 0)
	if err := r.Cancel(t.Context(), second); err != nil {
		t.Error(err)
	}
	if err := r.Cancel(t.Context(), 0); err != nil {
		t.Error(err)
	}
	entries, ended := read[*relay.TurnEnded](t, r, 0)
	types := typesOf(entries)
	if ended.Turn != 1 || ended.Error == nil || slices.Index(types, "relay.Settled") < 0 {
		t.Errorf("%+v after %v", ended, types)
	}
	if err := r.Answer(pending.ID, relay.Answer{Response: wireproto.Approve}); err != client.ErrAnswered {
		t.Errorf("an answer after the end: %v", err)
	}
	entries, ended = read[*relay.TurnEnded](t, r, entries[len(entries)-1].ID)
	if ended.Turn != second || ended.Result.Steps != 0 || len(entries) != 1 {
		t.Errorf("%+v after %v", ended, typesOf(entries))
	}
}

func TestGap(t *testing.T) {
	_, r := start(t, &relay.Options{Keep: 4}, func(t *clienttest.Turn) {
		for i := range 20 {
			t.Say(fmt.Sprint(i))
		}
	})
	prompt(t, r, "go")
	untilIdle(t, r)
	last := r.State().Last
	for after, want := range map[int64]relay.GapError{2: {After: 2, Oldest: last - 3}, last + 5: {After: last + 5, Oldest: last - 3}} {
		var ids []int64
		var gap *relay.GapError
		for e, err := range r.Read(t.Context(), after) {
			if err != nil {
				if !errors.As(err, &gap) || len(ids) > 0 {
					t.Fatal(err)
				}
				continue
			}
			if ids = append(ids, e.ID); e.ID == last {
				break
			}
		}
		if gap == nil || *gap != want || !slices.Equal(ids, []int64{last - 3, last - 2, last - 1, last}) {
			t.Errorf("after %d: %v, then %v", after, gap, ids)
		}
	}
}

func TestKeepBytes(t *testing.T) {
	_, r := start(t, &relay.Options{KeepBytes: 1000}, func(t *clienttest.Turn) {
		t.Say(strings.Repeat("a", 5000))
		t.Say("b")
	})
	prompt(t, r, "go")
	untilIdle(t, r)
	if s := r.State(); s.Oldest < 2 {
		t.Errorf("%+v", s)
	}
}

func TestSpill(t *testing.T) {
	dir := t.TempDir()
	const parts = 1000
	_, r := start(t, &relay.Options{Keep: 3, SpillDir: dir}, func(t *clienttest.Turn) {
		for i := range parts {
			t.Say(fmt.Sprintf("%d %s", i, strings.Repeat("x", i)))
		}
	})
	prompt(t, r, "go")
	live, _ := read[*relay.TurnEnded](t, r, 0)
	late, _ := read[*relay.TurnEnded](t, r, 0)
	if len(live) != len(late) || len(live) < parts {
		t.Fatalf("%d and %d entries", len(live), len(late))
	}
	for i := range live {
		if live[i].ID != int64(i+1) || late[i].ID != live[i].ID || string(late[i].JSON) != string(live[i].JSON) {
			t.Fatalf("entry %d: %d %.100s, then %d %.100s", i+1, live[i].ID, live[i].JSON, late[i].ID, late[i].JSON)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files { // there is none if the system can remove an open file
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) > 0 {
		t.Errorf("after Close there are %v", files)
	}
	for e, err := range r.Read(t.Context(), 0) {
		if err != relay.ErrClosed {
			t.Errorf("after Close: %v, %v", e.ID, err)
		}
	}
}

func TestSpillFails(t *testing.T) {
	_, r := start(t, &relay.Options{Keep: 1, SpillDir: filepath.Join(t.TempDir(), "none")}, func(t *clienttest.Turn) { t.Say("a") })
	prompt(t, r, "go")
	_, err := r.Queue(t.Context(), "")
	if err == nil {
		t.Error("an empty prompt is taken")
	}
	untilIdle(t, r)
	var gap *relay.GapError
	for _, err := range r.Read(t.Context(), 0) {
		if !errors.As(err, &gap) || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v", err)
		}
		break
	}
}

// Close ends a turn whose request no one answers, all readers, and all goroutines. synctest checks the goroutines.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent := clienttest.NewAgent(t, func(t *clienttest.Turn) {
			t.Approval(wireproto.ApprovalRequest{Action: "run command"}, nil)
		})
		s, err := client.NewSession(t.Context(), &client.Options{Transport: agent})
		if err != nil {
			t.Fatal(err)
		}
		r := relay.New(s, nil)
		prompt(t, r, "go")
		if _, err := r.Queue(t.Context(), "waits"); err != nil {
			t.Fatal(err)
		}
		_, pending := read[*relay.Pending](t, r, 0)
		ends := make(chan error)
		for range 3 {
			go func() {
				var last error
				for _, err := range r.Read(t.Context(), 0) {
					last = err
				}
				ends <- last
			}()
		}
		synctest.Wait()
		begun := time.Now()
		go r.Close()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("Close took %v", took)
		}
		for range 3 {
			if err := <-ends; err != relay.ErrClosed {
				t.Errorf("a reader: %v", err)
			}
		}
		if _, err := r.Prompt(t.Context(), "late"); !errors.Is(err, relay.ErrClosed) {
			t.Errorf("a prompt after Close: %v", err)
		}
		if err := r.Answer(pending.ID, relay.Answer{Response: wireproto.Approve}); err != client.ErrAnswered {
			t.Errorf("an answer after Close: %v", err)
		}
		if err := s.Err(); err != nil {
			t.Errorf("the session: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The end of the session is the last entry. The log can still be read after that.
func TestSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := start(t, nil, func(t *clienttest.Turn) { t.Say("a"); t.Die(&client.ProcessError{ExitCode: 3}) })
		prompt(t, r, "go")
		<-s.Done()
		var entries []relay.Entry
		for e, err := range r.Read(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, e)
		}
		types := typesOf(entries)
		if n := len(types); n < 3 || types[n-2] != "relay.TurnEnded" || types[n-1] != "relay.SessionEnded" {
			t.Errorf("%v", types)
		}
		var process *client.ProcessError
		if _, err := r.Prompt(t.Context(), "more"); !errors.As(err, &process) {
			t.Errorf("a prompt after the end: %v", err)
		}
	})
}

// A reader that stops reading, or whose ctx ends, delays no one.
func TestReaders(t *testing.T) {
	const parts = 3000
	_, r := start(t, nil, func(t *clienttest.Turn) {
		for i := range parts {
			t.Say(fmt.Sprint(i))
		}
	})
	release, stuck := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for _, err := range r.Read(t.Context(), 0) {
			if err == nil {
				n++
				<-release
			}
			if n == parts {
				break
			}
		}
		stuck <- n
	}()
	ctx, cancel := context.WithCancelCause(t.Context())
	left := make(chan error)
	go func() {
		var last error
		for _, err := range r.Read(ctx, 0) {
			last = err
		}
		left <- last
	}()
	counts := make(chan int)
	for range 20 {
		go func() {
			n, want := 0, int64(1)
			for e, err := range r.Read(context.Background(), 0) {
				if err != nil || e.ID != want {
					t.Errorf("%d, %v, want %d", e.ID, err, want)
					break
				}
				want++
				m, _ := e.Message()
				if _, ok := m.(*wireproto.TextPart); ok {
					n++
				}
				if _, ok := m.(*relay.TurnEnded); ok {
					break
				}
			}
			counts <- n
		}()
	}
	prompt(t, r, "go")
	for range 20 {
		if n := <-counts; n != parts {
			t.Errorf("a reader got %d parts", n)
		}
	}
	why := errors.New("the tab is closed")
	cancel(why)
	if err := <-left; !errors.Is(err, why) {
		t.Errorf("a reader whose ctx has ended: %v", err)
	}
	close(release)
	if n := <-stuck; n != parts {
		t.Errorf("the one that was stuck got %d", n)
	}
}

func TestOutside(t *testing.T) {
	outside := new(relay.Outside)
	early := &wireproto.TextPart{Text: "before the relay"}
	outside.OnMessage(early)
	_, r := start(t, &relay.Options{Outside: outside})
	outside.OnMessage(&wireproto.TextPart{Text: "later"})
	entries, _ := read[*wireproto.TextPart](t, r, 1)
	if len(entries) != 1 || entries[0].ID != 2 || !strings.Contains(string(entries[0].JSON), "later") {
		t.Errorf("%v", entries)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	outside.OnMessage(early) // OnMessage does nothing after the relay is closed
	if last := r.State().Last; last != 2 {
		t.Errorf("%d entries", last)
	}
}
