package client_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// do does one step. When its call is cancelled, it skips the rest of the step.
func (a *puppet) do(c *puppetCall, s step) {
	if !c.answered {
		select {
		case <-c.cancelled:
			switch c.plan.Cancel {
			case "finish":
				a.answer(c, "finished")
			case "fail":
				a.answer(c, "error")
			default:
				a.answer(c, "cancelled")
			}
		default:
		}
	}
	if a.stuck.Load() && c.plan.Cancel == "ignore" {
		select {}
	}
	switch s.Do {
	case "text":
		for range s.N {
			a.message(1, 0)
		}
	case "big":
		a.message(1, s.N<<10)
	case "flood":
		for i := 0; i < s.N<<4 && (c.answered || !c.over()); i++ {
			a.message(1, 64<<10)
		}
	case "babble":
		a.say("stuck", "", "babbles")
		for !c.over() {
			a.message(1, 8<<10)
		}
		a.say("moves on", "", "")
	case "split":
		a.message(s.N, 0)
	case "half":
		a.writing.Lock()
		a.half = true
		os.Stdout.WriteString(`{"jsonrpc":"2.0","method":"event","params":{"type":"Conte`)
		a.writing.Unlock()
	case "half and exit":
		a.do(c, step{Do: "half"})
		a.exit(0)
	case "noise":
		a.write("noise", "", soakNoise[s.N], 1)
	case "new type":
		a.numbered("m", 1, func(key string) string {
			return `{"jsonrpc":"2.0","method":"event","params":{"type":"Nova","payload":{"key":"` + key + `"}}}`
		})
	case "stray":
		switch s.N {
		case 0:
			a.reply("0", "{}")
		case 1:
			a.reply("nobody", `{"status":"finished"}`)
		case 2:
			a.reply("1", "{}") // a second answer to initialize
		case 3:
			a.reply("1000", `{"status":"finished"}`) // an answer to a call that does not exist
		}
	case "stderr":
		os.Stderr.WriteString(strings.Repeat("x", s.N<<10) + "\n")
	case "pause":
		a.wait(time.Duration(s.N)*time.Millisecond, c.cancelled)
	case "ask", "ask and go on", "ask and resolve":
		a.ask(c, s)
	case "answer":
		a.answer(c, s.On)
	case "exit":
		a.exit(s.N)
	case "kill":
		a.kill()
	case "close out":
		a.say(s.Do, "", "")
		os.Stdout.Close()
		a.stop("mute")
	case "close in":
		a.say(s.Do, "", "")
		a.deaf.Store(true)
		os.Stdin.Close() // takes effect after the next line, because the reader already waits for it
		a.stop("mute")
	case "leave and exit":
		if exe, err := os.Executable(); err == nil {
			cmd := exec.Command(exe)
			cmd.Env = append(os.Environ(), programKey+"=soak leftover")
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			cmd.Start()
		}
		a.exit(s.N)
	case "mute", "deaf":
		a.stop(s.Do)
	default:
		panic("no such step: " + s.Do)
	}
}

func (c *puppetCall) over() bool {
	if c.answered {
		return true
	}
	select {
	case <-c.cancelled:
		return true
	default:
		return false
	}
}

// write writes a line in pieces. If key is "", the program will not notice the line.
func (a *puppet) write(what, key, line string, pieces int) {
	a.writing.Lock()
	defer a.writing.Unlock()
	a.writeLocked(what, key, line, pieces)
}

func (a *puppet) writeLocked(what, key, line string, pieces int) {
	if a.half {
		line, a.half = "\n"+line, false
	}
	a.say(what, key, strconv.Itoa(len(line)))
	for ; pieces > 1; pieces-- {
		n := len(line) / pieces
		os.Stdout.WriteString(line[:n])
		line = line[n:]
		a.wait(time.Millisecond, nil)
	}
	if _, err := os.Stdout.WriteString(line); err == nil {
		a.say("wrote", key, "")
	}
}

// numbered writes a message with a key of its own.
func (a *puppet) numbered(prefix string, pieces int, line func(key string) string) (key string) {
	a.writing.Lock()
	defer a.writing.Unlock()
	a.count++
	key = prefix + strconv.Itoa(a.count)
	a.writeLocked("write", key, line(key)+"\n", pieces)
	return key
}

func encodeLine(f *wireproto.Frame) string {
	var b strings.Builder
	if err := wireproto.NewEncoder(&b).Encode(f); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (a *puppet) message(pieces, filler int) {
	a.numbered("m", pieces, func(key string) string {
		return encodeLine(&wireproto.Frame{Method: wireproto.MethodEvent, Message: &wireproto.TextPart{Text: key + ":" + strings.Repeat("x", filler)}})
	})
}

// reply answers a call that is not a prompt or a replay.
func (a *puppet) reply(id, result string) {
	a.write("reply", id, encodeLine(&wireproto.Frame{ID: id, Result: json.RawMessage(result)})+"\n", 1)
}

func (a *puppet) refuse(id string) {
	a.write("reply", id, encodeLine(&wireproto.Frame{ID: id, Error: &wireproto.RPCError{Code: wireproto.CodeInvalidState, Message: "no turn"}})+"\n", 1)
}

// answer ends a call. A second answer has no call any more.
func (a *puppet) answer(c *puppetCall, status string) {
	a.mu.Lock()
	if a.current == c {
		a.current = nil
	}
	a.mu.Unlock()
	what := "answer"
	if c.answered {
		what = "reply"
	}
	c.answered = true
	f := &wireproto.Frame{ID: c.id}
	if status == "error" {
		f.Error = &wireproto.RPCError{Code: wireproto.CodeChatProviderError, Message: "scripted"}
	} else {
		f.Result = json.RawMessage(`{"status":"` + status + `"}`)
	}
	key := c.key
	if c.replay {
		key = "replay"
	}
	a.write(what+" "+status, key, encodeLine(f)+"\n", 1)
}

// ask sends a request. If an answer must come, it waits for the answer. In a replay, an answer must come only to a
// request of a background agent or of a hook, because the rest is history. Outside of calls, the real agent sends only
// such requests; another kind may become part of the next call, if that begins in the meantime.
func (a *puppet) ask(c *puppetCall, s step) {
	var done chan struct{}
	live := s.On == "background" || s.On == "hook"
	prefix := map[string]string{"approval": "a", "question": "q", "tool": "t", "hook": "h", "background": "b", "unknown": "u"}[s.On]
	id := a.numbered(prefix, 1, func(id string) string {
		f := &wireproto.Frame{ID: id, Method: wireproto.MethodRequest}
		switch s.On {
		case "approval":
			f.Message = &wireproto.ApprovalRequest{ID: id, Sender: "Shell", Action: "run command"}
		case "background":
			kind := "background_agent"
			f.Message = &wireproto.ApprovalRequest{ID: id, Sender: "Shell", Action: "run command", SourceKind: &kind}
		case "question":
			f.Message = &wireproto.QuestionRequest{ID: id, Questions: []wireproto.QuestionItem{{Question: "?", Options: []wireproto.QuestionOption{{Label: id}, {Label: "no"}}}}}
		case "tool":
			args := `{"key":"` + id + `"}`
			f.Message = &wireproto.ToolCallRequest{ID: id, Name: "do", Arguments: &args}
		case "hook":
			f.Message = &wireproto.HookRequest{ID: id, SubscriptionID: "hook", Event: "PreToolUse", Target: "Shell"}
		case "unknown":
			f.Message = &wireproto.UnknownMessage{Type: "NovaRequest", Payload: json.RawMessage(`{"key":"` + id + `"}`)}
		}
		done = make(chan struct{})
		a.mu.Lock()
		a.waiting[id] = done
		a.mu.Unlock()
		return encodeLine(f)
	})
	switch {
	case s.Do == "ask and go on":
	case s.Do == "ask and resolve" && (s.On == "approval" || s.On == "background"):
		a.write("resolve", id, encodeLine(&wireproto.Frame{Method: wireproto.MethodEvent, Message: &wireproto.ApprovalResponse{RequestID: id, Response: wireproto.Approve}})+"\n", 1)
	case decision(a.plan.Seed, id) == "late", c.replay && !c.answered && !live:
	default:
		next := c.next
		if live || !c.answered {
			next = nil
		}
		deadline := time.NewTimer(soakPatience)
		defer deadline.Stop()
		select {
		case <-done:
		case <-next:
		case <-c.asked: // this may also happen in a call that has its answer; its requests then belong to no turn
		case <-deadline.C:
			a.say("starved", id, "")
		}
	}
}
