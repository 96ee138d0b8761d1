//go:build linux

package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/internal/kimicode/webtest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// withChildren returns how many bytes of memory a process and its children use.
func withChildren(b *testing.B, pid int) (bytes int) {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(data))[1])
	if err != nil {
		b.Fatal(err)
	}
	bytes = pages * os.Getpagesize()
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		data, err := os.ReadFile(list)
		if err != nil {
			continue // a thread that has ended
		}
		for child := range strings.FieldsSeq(string(data)) {
			if child, err := strconv.Atoi(child); err == nil {
				bytes += withChildren(b, child)
			}
		}
	}
	return bytes
}

// BenchmarkKimiCodeStart starts the real Kimi Code for a session. It measures the time until the session is ready, and
// until the first turn has ended.
func BenchmarkKimiCodeStart(b *testing.B) {
	var start, turn, memory medians
	for b.Loop() {
		opts := clienttest.KimiCode(b, "text: ok")
		began := time.Now()
		s, err := client.NewSession(b.Context(), opts)
		if err != nil {
			b.Fatal(err)
		}
		start = append(start, time.Since(began))
		t, err := s.Prompt(b.Context(), "go")
		if err == nil {
			_, err = t.Result()
		}
		if err != nil {
			b.Fatal(err)
		}
		turn = append(turn, time.Since(began))
		memory = append(memory, time.Duration(withChildren(b, s.PID())))
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(start.ms(), "start-ms")
	b.ReportMetric(turn.ms(), "first-answer-ms")
	b.ReportMetric(memory.ms(), "MB") // ms divides by a million, which gives MB for bytes
}

// BenchmarkKimiCodeSession starts one more session on a server that runs, and keeps it open.
func BenchmarkKimiCodeSession(b *testing.B) {
	k := webtest.NewKimi(b)
	open := func() {
		child := webtest.NewChild(k.URL, k.Token)
		s, err := client.NewSession(b.Context(), &client.Options{
			Transport: overServer{child}, WorkDir: k.Options.WorkDir, ShareDir: k.Options.ShareDir, Env: k.Options.Env,
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			child.End(nil) // this ends the bridge and leaves the server running
			s.Close()
		})
	}
	open() // with the first session, the server loads the code that all sessions use
	before := withChildren(b, k.Process.PID())
	for b.Loop() {
		open()
	}
	b.ReportMetric(float64(withChildren(b, k.Process.PID())-before)/float64(b.N)/1e6, "server-MB/op")
}

// BenchmarkKimiCodeAnswers steers, approves and cancels turns of the real Kimi Code. After each turn, it does the same
// over bare REST and a bare WebSocket of the same server. own-… is the time that this module adds.
func BenchmarkKimiCodeAnswers(b *testing.B) {
	k := webtest.NewKimi(b)
	child := webtest.NewChild(k.URL, k.Token)
	defer child.End(nil)
	s, err := client.NewSession(b.Context(), &client.Options{
		Transport: overServer{child}, WorkDir: k.Options.WorkDir, ShareDir: k.Options.ShareDir, Env: k.Options.Env,
	})
	if err != nil {
		b.Fatal(err)
	}
	bare := newBareSession(b, k)
	script := []string{codeBash("c", "true"), "text: on\nhang:"}
	var ours, theirs [3]medians
	for b.Loop() {
		k.Model.Add(script...)
		for i, t := range answered(b, s) {
			ours[i] = append(ours[i], t)
		}
		k.Model.Add(script...)
		for i, t := range bare.answered(b) {
			theirs[i] = append(theirs[i], t)
		}
	}
	for i, what := range []string{"steer", "approve", "cancel"} {
		b.ReportMetric(ours[i].ms(), what+"-ms")
		b.ReportMetric(ours[i].ms()-theirs[i].ms(), "own-"+what+"-ms")
	}
}

// took holds three times: to steer, from an approval to the result of the call, and to cancel.
type took [3]time.Duration

func answered(b *testing.B, s *client.Session) (t took) {
	b.Helper()
	turn, err := s.Prompt(b.Context(), "go")
	if err != nil {
		b.Fatal(err)
	}
	var asked time.Time
	for m, err := range turn.Messages() {
		if err != nil {
			break
		}
		switch m := m.(type) {
		case *client.ApprovalRequest:
			began := time.Now()
			if err := s.Steer(b.Context(), "on"); err != nil {
				b.Fatal(err)
			}
			asked = time.Now()
			t[0] = asked.Sub(began)
			if err := m.Approve(); err != nil {
				b.Fatal(err)
			}
		case *wireproto.ToolResult: // the result comes from the server; the approval itself does not wait for it
			t[1] = time.Since(asked)
		case *wireproto.TextPart:
			began := time.Now()
			if err := turn.Cancel(b.Context()); err != nil {
				b.Fatal(err)
			}
			t[2] = time.Since(began)
		}
	}
	if t[0] == 0 || t[1] == 0 || t[2] == 0 {
		b.Fatal(t)
	}
	return t
}

func (s *bareSession) answered(b *testing.B) (t took) {
	b.Helper()
	prompt := func() string {
		s.n++
		id := fmt.Sprint("bare-", s.n)
		s.post(b, "/sessions/"+s.id+"/prompts", map[string]any{"content": []map[string]string{{"type": "text", "text": "go"}}, "prompt_id": id}, nil)
		return id
	}
	first := prompt()
	var asked struct {
		Payload struct{ ID string }
	}
	if err := json.Unmarshal(s.until(b, "permission.approval.requested"), &asked); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	s.post(b, "/sessions/"+s.id+"/prompts/"+prompt()+":steer", struct{}{}, nil)
	t[0] = time.Since(began)
	began = time.Now()
	done := make(chan error, 1)
	go func() {
		done <- s.k.Call(context.WithoutCancel(b.Context()), http.MethodPost, "/sessions/"+s.id+"/approvals/"+asked.Payload.ID, map[string]string{"decision": "approved"}, nil)
	}()
	s.until(b, "tool.result")
	t[1] = time.Since(began)
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	s.until(b, "assistant.delta")
	began = time.Now()
	go func() {
		done <- s.k.Call(context.WithoutCancel(b.Context()), http.MethodPost, "/sessions/"+s.id+"/prompts/"+first+":abort", struct{}{}, nil)
	}()
	s.until(b, "turn.ended")
	t[2] = time.Since(began)
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return t
}
