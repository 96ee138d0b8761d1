//go:build soak && unix

package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

var (
	soakSeed     = flag.Uint64("soak.seed", uint64(time.Now().UnixNano()), "seed of the soak")
	soakTurns    = flag.Int("soak.turns", 5000, "turns of the soak")
	soakSessions = flag.Int("soak.sessions", 50, "sessions at once")
)

// What an agent of the soak does with a turn. The client tells it by the prompt, so that the
// seed alone decides.
type soakTurn struct {
	Fault string `json:"fault"`
	Texts int    `json:"texts"` // sent before the fault
}

var soakFaults = []string{"none", "none", "none", "none", "none", "none", "none", "none", "none", "none", "none", "none",
	"error", "max steps", "approval", "noise", "unknown", "flood", "late", "twice", "cancel",
	"kill", "exit", "eof", "half", "hang", "mute"}

// fatal are the faults that the session does not survive.
var soakFatal = map[string]bool{"kill": true, "exit": true, "eof": true, "half": true, "mute": true}

var soaks = script("soaks", func(a *agent) {
	a.handshake()
	for n := 0; ; n++ {
		f := a.call(wireproto.MethodPrompt)
		var p wireproto.PromptParams
		var turn soakTurn
		if json.Unmarshal(f.Params, &p) != nil || json.Unmarshal([]byte(p.UserInput.Text), &turn) != nil {
			a.exit(9)
		}
		a.event(&wireproto.TurnBegin{UserInput: p.UserInput})
		for i := range turn.Texts {
			a.text(strconv.Itoa(i))
		}
		finish := func(result string) { a.result(f.ID, result) }
		switch turn.Fault {
		case "error":
			a.fail(f.ID, wireproto.CodeChatProviderError, "scripted")
		case "max steps":
			finish(`{"status":"max_steps_reached","steps":1}`)
		case "approval":
			a.ask("ask")
			a.answer("ask")
			finish(`{"status":"finished"}`)
		case "noise":
			a.raw("\nplain text\n{\"half\":\n[]\n\xff\n")
			finish(`{"status":"finished"}`)
		case "unknown":
			a.line(`{"jsonrpc":"2.0","method":"event","params":{"type":"Nova","payload":{"x":%d}}}`, n)
			a.line(`{"jsonrpc":"2.0","method":"request","id":"u%d","params":{"type":"Nova","payload":{}}}`, n)
			finish(`{"status":"finished"}`)
		case "flood":
			a.event(&wireproto.ThinkPart{Think: strings.Repeat("y", 3<<20)})
			finish(`{"status":"finished"}`)
		case "late":
			finish(`{"status":"finished"}`)
			a.event(&wireproto.StatusUpdate{})
		case "twice": // one answer too many, to this call and to none
			finish(`{"status":"finished"}`)
			finish(`{"status":"cancelled"}`)
			a.result("nobody", "{}")
		case "cancel", "hang":
			c := a.call(wireproto.MethodCancel)
			a.result(c.ID, "{}")
			finish(`{"status":"cancelled"}`)
		case "kill":
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case "exit":
			a.exit(3)
		case "eof":
			os.Stdout.Close()
			a.hang()
		case "half":
			a.raw(`{"jsonrpc":"2.0","method":"event","params":{"type":"Conte`)
			a.exit(0)
		case "mute":
			a.hang()
		default:
			finish(`{"status":"finished"}`)
		}
	}
})

// TestSoak runs thousands of turns over many sessions at once with agents that misbehave at
// random. What was sent before a fault arrives, each once and in order; a fault is told as what it
// is; at the end nothing is left, and the memory is what it was.
func TestSoak(t *testing.T) {
	t.Logf("soak: -soak.seed=%d", *soakSeed)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	noLeaks(t)
	warm()
	files, token := len(openFiles()), fmt.Sprint("soak-", *soakSeed)
	var memory []uint64
	var done, started atomic.Int64
	measure := func() {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		memory = append(memory, m.HeapAlloc>>10)
	}
	// In rounds, so that the memory can be looked at while no session is open.
	const rounds = 5
	for round := range rounds {
		var all sync.WaitGroup
		for i := range *soakSessions {
			all.Go(func() {
				rng := rand.New(rand.NewPCG(*soakSeed, uint64(round*1000+i)))
				o := soakOptions(t, token)
				soak(t, o, rng, *soakTurns/rounds/(*soakSessions), &done, &started)
			})
		}
		all.Wait()
		measure()
		if t.Failed() {
			break
		}
	}
	t.Logf("soak: %d turns, %d processes, heap after each round in KiB: %v", done.Load(), started.Load(), memory)
	if first, last := memory[0], memory[len(memory)-1]; last > first+4<<10 {
		t.Errorf("the heap has grown from %d to %d KiB", first, last)
	}
	eventually(t, 10*time.Second, func() bool { return len(openFiles()) <= files },
		func() string { return fmt.Sprintf("%d descriptors before, now %v", files, openFiles()) })
	if left, _ := filepath.Glob(filepath.Join(temp, "kimi-go-*")); len(left) > 0 {
		t.Errorf("temporary files left: %v", left)
	}
	if left := marked(token); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

func soakOptions(t *testing.T, token string) *client.Options {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &client.Options{
		Executable: exe, WorkDir: os.TempDir(), StartTimeout: 2 * time.Minute, StopGrace: 5 * time.Second,
		Env: map[string]string{programKey: "agent", agentKey: soaks, tokenKey: token, "GORACE": "atexit_sleep_ms=0"},
	}
}

// soak runs turns in a session, and in another one whenever one has ended.
func soak(t *testing.T, opts *client.Options, rng *rand.Rand, turns int, done, started *atomic.Int64) {
	var s *client.Session
	defer func() {
		if s != nil {
			s.Close()
		}
	}()
	for range turns {
		if s == nil {
			var err error
			if s, err = client.NewSession(t.Context(), opts); err != nil {
				t.Errorf("start: %v", err)
				return
			}
			started.Add(1)
		}
		turn := soakTurn{Fault: soakFaults[rng.IntN(len(soakFaults))], Texts: rng.IntN(60)}
		if !soakOne(t, s, turn, rng) {
			return
		}
		done.Add(1)
		if soakFatal[turn.Fault] || rng.IntN(40) == 0 {
			s.Close()
			s = nil
		}
	}
}

// soakOne runs one turn and checks what came of it.
func soakOne(t *testing.T, s *client.Session, turn soakTurn, rng *rand.Rand) bool {
	text, err := json.Marshal(turn)
	if err != nil {
		t.Error(err)
		return false
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	running, err := s.Prompt(ctx, string(text))
	if err != nil {
		t.Errorf("%+v: prompt: %v", turn, err)
		return false
	}
	next, hold := 0, rng.IntN(2) == 0
	for m, loopErr := range running.Messages() {
		if err = loopErr; err != nil {
			break
		}
		switch m := m.(type) {
		case *wireproto.TextPart:
			if m.Text != strconv.Itoa(next) {
				t.Errorf("%+v: text %q instead of %d", turn, m.Text, next)
				return false
			}
			next++
		case *client.ApprovalRequest:
			if hold {
				m.Hold()
				go m.Approve()
			}
		}
		if next == turn.Texts && (turn.Fault == "hang" || turn.Fault == "mute") {
			cancel() // the agent says nothing more by itself
		}
		if next == turn.Texts && turn.Fault == "cancel" {
			if err := running.Cancel(ctx); err != nil {
				t.Errorf("%+v: cancel: %v", turn, err)
			}
		}
	}
	if next != turn.Texts {
		t.Errorf("%+v: %d texts came: %v", turn, next, err)
		return false
	}
	var exit *client.ProcessError
	died := errors.As(err, &exit)
	ok := false
	switch turn.Fault {
	case "error":
		ok = errors.Is(err, client.ErrProvider)
	case "max steps":
		ok = errors.Is(err, client.ErrMaxSteps)
	case "cancel", "hang":
		ok = errors.Is(err, client.ErrCancelled)
	case "kill":
		ok = died && exit.Signal == "killed"
	case "exit":
		ok = died && exit.ExitCode == 3
	case "half":
		ok = died && exit.ExitCode == 0
	case "eof":
		ok = died
	case "mute":
		ok = died && errors.Is(err, context.Canceled)
	default:
		ok = err == nil
	}
	if !ok {
		t.Errorf("%+v: %v", turn, err)
	}
	return ok
}
