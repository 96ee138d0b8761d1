package client_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

const (
	soakPlanKey   = "KIMI_GO_TEST_SOAK"    // the agent's plan, as JSON
	soakReportKey = "KIMI_GO_TEST_SOAK_TO" // the address that the agent reports to
	// soakPatience is how long the agent waits for an answer before it reports that it is starved.
	soakPatience = 15 * time.Second
)

func init() {
	programs["soak"] = soakProgram
	programs["soak leftover"] = func() { time.Sleep(2 * time.Minute) }
}

// puppet is the agent of a schedule. It reports each action before it does it, and reports a line again after it has
// written it.
type puppet struct {
	plan agentPlan
	in   *wireproto.Decoder

	reporting sync.Mutex
	report    *json.Encoder

	writing sync.Mutex // guards standard output
	count   int        // how many numbered messages there were
	half    bool       // the start of a line was written, but not its end

	stuck atomic.Bool // the agent answers nothing any more
	deaf  atomic.Bool // the agent reads nothing any more

	mu      sync.Mutex
	current *puppetCall // the prompt or replay that has no answer yet
	waiting map[string]chan struct{}
}

// puppetCall is a prompt or a replay that the agent has read.
type puppetCall struct {
	plan      callPlan
	id        string // the id of the call
	key       string // the key that the program gave the call
	replay    bool
	asked     chan struct{} // closed when the agent has read a cancellation
	cancelled chan struct{} // closed when the agent obeys the cancellation
	next      chan struct{} // closed when the agent has read another call
	answered  bool          // only the worker uses it
}

func soakProgram() {
	if len(os.Args) > 1 && os.Args[1] == "info" {
		fmt.Println(`{"kimi_cli_version":"1.51.0","wire_protocol_version":"1.10","python_version":"3.13.0"}`)
		return
	}
	a := &puppet{in: wireproto.NewDecoder(os.Stdin), waiting: make(map[string]chan struct{})}
	if err := json.Unmarshal([]byte(os.Getenv(soakPlanKey)), &a.plan); err != nil {
		panic(err)
	}
	conn, err := net.Dial("tcp", os.Getenv(soakReportKey))
	if err != nil {
		panic(err)
	}
	a.report = json.NewEncoder(conn)
	go func() {
		if n, _ := conn.Read(make([]byte, 1)); n > 0 {
			a.die()
		}
	}()
	time.AfterFunc(2*time.Minute, func() { os.Exit(97) })
	if a.plan.Stubborn {
		signal.Ignore(os.Interrupt)
	}
	a.start()
	calls := make(chan *puppetCall, 1000)
	go a.read(calls)
	for c := range calls {
		for _, s := range c.plan.Steps {
			a.do(c, s)
		}
		if !c.answered {
			a.answer(c, "finished")
		}
		a.say("idle", "", "")
	}
}

func (a *puppet) say(what, key, note string) {
	a.reporting.Lock()
	defer a.reporting.Unlock()
	a.report.Encode(entry{At: time.Now(), Who: "agent", What: what, Key: key, Note: note})
}

func (a *puppet) exit(code int) {
	a.say("exit", strconv.Itoa(code), "")
	os.Exit(code)
}

// kill ends the agent as a signal from outside would.
func (a *puppet) kill() {
	a.say("kill", "", "")
	a.die()
}

func (a *puppet) die() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		p.Kill()
	}
	select {}
}

// stop makes the agent do nothing more.
func (a *puppet) stop(how string) {
	a.stuck.Store(true)
	a.deaf.Store(how == "deaf")
	a.say("stuck", "", how)
	select {}
}

func (a *puppet) start() {
	switch how := a.plan.Start; how {
	case "exit":
		a.exit(3)
	case "kill":
		a.kill()
	case "mute":
		a.stop(how)
	case "close out":
		a.say(how, "", "")
		os.Stdout.Close()
		a.stop("mute")
	case "half":
		os.Stdout.WriteString(`{"jsonrpc":"2.0","id":"1","resu`)
		a.exit(3)
	case "noise":
		os.Stdout.WriteString("a banner\n\n\x1b]0;title\a\n")
	case "slow":
		a.wait(200*time.Millisecond, nil)
	}
}

// wait waits for d or for c.
func (a *puppet) wait(d time.Duration, c <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return false
	case <-c:
		return true
	}
}

// read reads the lines of the program and handles each of them.
func (a *puppet) read(calls chan<- *puppetCall) {
	seen := 0
	var last *puppetCall
	for !a.deaf.Load() {
		f, err := a.in.Decode()
		if err != nil {
			a.say("EOF", "", err.Error())
			if a.plan.Stubborn {
				return
			}
			a.exit(0)
		}
		key := f.ID
		if f.Method == wireproto.MethodPrompt {
			var p wireproto.PromptParams
			json.Unmarshal(f.Params, &p)
			key = p.UserInput.Text
		}
		note := f.Method
		if f.Method == "" {
			note = outcome(f)
		}
		a.say("read", key, note)
		if a.stuck.Load() {
			continue
		}
		switch f.Method {
		case wireproto.MethodInitialize:
			a.initialize(f)
		case wireproto.MethodPrompt, wireproto.MethodReplay:
			if last != nil {
				close(last.next)
			}
			c := &puppetCall{id: f.ID, key: key, replay: f.Method == wireproto.MethodReplay, asked: make(chan struct{}), cancelled: make(chan struct{}), next: make(chan struct{})}
			last = c
			c.plan.Steps = []step{{Do: "text", N: 3}}
			if seen < len(a.plan.Calls) {
				c.plan = a.plan.Calls[seen]
			}
			seen++
			a.mu.Lock()
			a.current = c
			a.mu.Unlock()
			calls <- c
		case wireproto.MethodCancel:
			a.cancel(f.ID)
		case wireproto.MethodSteer:
			if a.running() == nil {
				a.refuse(f.ID)
			} else {
				a.reply(f.ID, `{"status":"steered"}`)
			}
		case wireproto.MethodSetPlanMode:
			a.reply(f.ID, `{"status":"ok","plan_mode":true}`)
		case "":
			a.mu.Lock()
			if c := a.waiting[f.ID]; c != nil {
				close(c)
				delete(a.waiting, f.ID)
			}
			a.mu.Unlock()
		}
	}
}

func (a *puppet) initialize(f *wireproto.Frame) {
	var p wireproto.InitializeParams
	json.Unmarshal(f.Params, &p)
	var names []string
	for _, t := range p.ExternalTools {
		names = append(names, strconv.Quote(t.Name))
	}
	a.reply(f.ID, `{"protocol_version":"1.10","server":{"name":"test","version":"0"},"slash_commands":[],
		"external_tools":{"accepted":[`+strings.Join(names, ",")+`],"rejected":[]},"hooks":{"supported_events":["PreToolUse"],"configured":{}}}`)
}

func (a *puppet) running() *puppetCall {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current
}

func (a *puppet) cancel(id string) {
	c := a.running()
	if c == nil {
		a.refuse(id)
		return
	}
	select {
	case <-c.asked: // a second cancellation
		a.reply(id, "{}")
		return
	default:
		close(c.asked)
	}
	switch c.plan.Cancel {
	case "ignore":
		a.stuck.Store(true)
		a.say("stuck", "", "ignores a cancellation")
	case "refuse": // the agent refuses, and continues the call
		a.refuse(id)
	default:
		a.reply(id, "{}")
		close(c.cancelled)
	}
}
