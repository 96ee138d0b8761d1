package trace_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge/translator"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge/translator/trace"
	"github.com/kimi-go/kimi-go/wireproto"
)

var update = flag.Bool("update", false, "write the outputs again")

// input is an input with its time.
type input struct {
	translator.Input
	at time.Time
}

// recorded reads a trace.
func recorded(t testing.TB, path string) (set translator.Settings, ins []input) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := bytes.Cut(raw, []byte("\n"))
	if err := json.Unmarshal(first, &set); err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(rest) {
		in, at, err := trace.Decode(line)
		if err != nil {
			t.Fatalf("%v: %.100s", err, line)
		}
		ins = append(ins, input{in, at})
	}
	return set, ins
}

func traces(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(names) < 4 {
		t.Fatalf("traces: %q, %v", names, err)
	}
	return names
}

// The inputs of the real server must give the same outputs as before. Look at the difference before -update.
func TestReplay(t *testing.T) {
	for _, path := range traces(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			set, ins := recorded(t, path)
			tr := translator.New(set)
			var got strings.Builder
			for _, in := range ins {
				for _, o := range tr.Step(in.Input, in.at) {
					got.WriteString(trace.Line(o) + "\n")
				}
			}
			golden := strings.TrimSuffix(path, ".jsonl") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
				t.Errorf("outputs (-want +got):\n%s", diff)
			}
		})
	}
}

// player gives a translator the inputs of a trace in another possible order. An answer comes when its call was made,
// or later. Events keep their order, and an event comes when all calls were made that came before it.
type player struct {
	t   *testing.T
	tr  *translator.Translator
	ins []input

	before []need // what came before each input, in the recording
	keys   map[int]string

	made    map[string]int // calls, by what they call: their ids now
	counts  map[string]int
	sent    []*wireproto.Frame
	prompts map[string]string // ids of now, by those of the recording
	wanted  []string          // prompt ids of the recording, in order
}

// need is what an input depends on.
type need struct {
	calls []string
	sends int
}

// key names a call by what it calls and how often that was called before.
func key(c translator.Call, counts map[string]int, ids map[string]string) string {
	path := c.Path
	for old, id := range ids {
		path = strings.ReplaceAll(path, url.PathEscape(id), old)
	}
	k := c.Method + " " + path
	counts[k]++
	return fmt.Sprint(k, " #", counts[k])
}

func promptOf(c translator.Call) string {
	if p, ok := c.Body.(api.Prompt); ok {
		return p.PromptID
	}
	return ""
}

func newPlayer(t *testing.T, set translator.Settings, ins []input) *player {
	p := &player{t: t, tr: translator.New(set), ins: ins, keys: make(map[int]string), made: make(map[string]int), counts: make(map[string]int), prompts: make(map[string]string)}
	tr, counts := translator.New(set), make(map[string]int)
	var n need
	for _, in := range ins {
		p.before = append(p.before, need{slices.Clone(n.calls), n.sends})
		for _, o := range tr.Step(in.Input, in.at) {
			switch o := o.(type) {
			case translator.Send:
				n.sends++
			case translator.Launch, translator.Open:
				n.calls = append(n.calls, fmt.Sprintf("%T", o))
			case translator.Call:
				k := key(o, counts, nil)
				p.keys[o.ID] = k
				n.calls = append(n.calls, k)
				if id := promptOf(o); id != "" {
					p.wanted = append(p.wanted, id)
				}
			}
		}
	}
	return p
}

func (p *player) may(i int, done []bool) bool {
	in := p.ins[i]
	switch in := in.Input.(type) {
	case translator.Answer:
		_, ok := p.made[p.keys[in.ID]]
		return ok
	case translator.Frame, translator.ClientGone, translator.Timer:
		if len(p.sent) < p.before[i].sends {
			return false
		}
	}
	for _, k := range p.before[i].calls {
		if _, ok := p.made[k]; !ok {
			return false
		}
	}
	for j := range i { // all but answers keep their order, within their kind
		if !done[j] && kindOf(p.ins[j].Input) == kindOf(in.Input) {
			return false
		}
	}
	return true
}

func kindOf(in translator.Input) string {
	switch in.(type) {
	case translator.Event, translator.Gap, translator.Lost, translator.Opened, translator.Launched:
		return "server"
	case translator.Answer:
		return "answer"
	}
	return "client"
}

func (p *player) give(i int) {
	in := p.ins[i].Input
	switch v := in.(type) {
	case translator.Answer:
		v.ID = p.made[p.keys[v.ID]]
		in = v
	case translator.Event:
		e := *v.Event
		for old, id := range p.prompts {
			e.Payload = bytes.ReplaceAll(e.Payload, []byte(old), []byte(id))
		}
		in = translator.Event{Event: &e}
	}
	for _, o := range p.tr.Step(in, p.ins[i].at) {
		switch o := o.(type) {
		case translator.Send:
			p.sent = append(p.sent, o.Frame)
		case translator.Launch, translator.Open:
			p.made[fmt.Sprintf("%T", o)] = 0
		case translator.Call:
			if id := promptOf(o); id != "" {
				p.prompts[p.wanted[len(p.prompts)]] = id
			}
			p.made[key(o, p.counts, p.prompts)] = o.ID
		}
	}
}

// play plays all inputs; pick chooses among those that may come.
func (p *player) play(pick func(n int) int) {
	done := make([]bool, len(p.ins))
	for range p.ins {
		var may []int
		for i := range p.ins {
			if !done[i] && p.may(i, done) {
				may = append(may, i)
			}
		}
		if len(may) == 0 {
			i := slices.Index(done, false)
			p.t.Fatalf("stuck before input %d: %T %+v; sent %d of %d", i, p.ins[i].Input, p.ins[i].Input, len(p.sent), p.before[i].sends)
		}
		i := may[pick(len(may))]
		done[i] = true
		p.give(i)
	}
}

// heard is what the client is told, with texts joined: events and requests in their order, and the answers to its calls.
func (p *player) heard() (list []string) {
	answers := make(map[string]string)
	last, text := "", ""
	flush := func() {
		if text != "" {
			list = append(list, last+" "+text)
		}
		last, text = "", ""
	}
	for _, f := range p.sent {
		if f.Method == "" {
			answers[f.ID] = fmt.Sprint(string(f.Result), f.Error)
			continue
		}
		who, m := "", f.Message
		if s, ok := m.(*wireproto.SubagentEvent); ok {
			who, m = *s.AgentID, s.Event
		}
		kind, said := "", ""
		switch m := m.(type) {
		case *wireproto.TextPart:
			kind, said = who+" text", m.Text
		case *wireproto.ThinkPart:
			kind, said = who+" think", m.Think
		case *wireproto.ToolCallPart:
			kind, said = who+" part", *m.ArgumentsPart
		case *wireproto.StatusUpdate: // how full the context is, is told at another time
			if m.TokenUsage == nil {
				continue
			}
			f = &wireproto.Frame{Method: f.Method, Message: &wireproto.StatusUpdate{TokenUsage: m.TokenUsage}}
		case *wireproto.Notification:
			short := *m
			short.ID, short.CreatedAt = "", 0
			f = &wireproto.Frame{Method: f.Method, Message: &short}
		}
		if kind != "" && kind == last {
			text += said
			continue
		}
		flush()
		if kind != "" {
			last, text = kind, said
			continue
		}
		list = append(list, trace.Line(translator.Send{Frame: f}))
	}
	flush()
	for id, a := range answers {
		list = append(list, "~ "+id+" "+a)
	}
	slices.SortStableFunc(list, func(a, b string) int { // the answers come last, by id
		switch x, y := strings.HasPrefix(a, "~ "), strings.HasPrefix(b, "~ "); {
		case x && y:
			return strings.Compare(a, b)
		case x:
			return 1
		case y:
			return -1
		}
		return 0
	})
	return list
}

// Answers to calls and events come in any order. The client gets the same.
func TestAnyOrder(t *testing.T) {
	for _, path := range traces(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			set, ins := recorded(t, path)
			straight := newPlayer(t, set, ins)
			straight.play(func(int) int { return 0 })
			want := straight.heard()
			for seed := range uint64(200) {
				rng := rand.New(rand.NewPCG(seed, 7))
				p := newPlayer(t, set, ins)
				p.play(rng.IntN)
				if diff := cmp.Diff(want, p.heard()); diff != "" {
					t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
				}
			}
		})
	}
}

// With any input: no panic, no approval without the client's consent, and no second answer to a call.
func FuzzStep(f *testing.F) {
	for _, path := range traces(f) {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		_, raw, _ = bytes.Cut(raw, []byte("\n"))
		f.Add(raw, uint16(0))
		f.Add(raw, uint16(21))
	}
	f.Fuzz(fuzzStep)
}

func fuzzStep(t *testing.T, raw []byte, twist uint16) {
	tr := translator.New(translator.Settings{Permission: api.Manual, Model: "m", WorkDir: "/work"})
	calls, open, consent := make(map[string]int), make(map[string]bool), make(map[string]bool)
	lines := bytes.Split(raw, []byte("\n"))
	if n := len(lines); n > 2 && twist > 0 { // two lines change places, and one comes twice
		a, b := int(twist)%n, int(twist/7)%n
		lines[a], lines[b] = lines[b], lines[a]
		lines = append(lines, lines[(a+b)%n])
	}
	for _, line := range lines {
		in, at, err := trace.Decode(line)
		if err != nil {
			continue
		}
		switch v := in.(type) {
		case translator.Launched:
			v.OwnTools = nil // whose calls need no consent
			in = v
		case translator.Frame:
			if v.Method != "" {
				calls[v.ID]++
				break
			}
			var a struct {
				Response string            `json:"response"`
				Answers  map[string]string `json:"answers"`
			}
			if open[v.ID] && v.Error == nil && json.Unmarshal(v.Result, &a) == nil {
				consent[v.ID] = a.Response == "approve" || a.Response == "approve_for_session" || len(a.Answers) > 0
			}
			delete(open, v.ID)
		}
		for _, o := range tr.Step(in, at) {
			switch o := o.(type) {
			case translator.Send:
				switch {
				case o.Method == wireproto.MethodRequest:
					open[o.ID] = true
				case o.Method == "" && o.ID != "":
					if calls[o.ID]--; calls[o.ID] < 0 {
						t.Fatalf("the call %q is answered twice", o.ID)
					}
				}
			case translator.Call:
				a, ok := o.Body.(api.ApprovalAnswer)
				if !ok || a.Decision != api.Approved {
					continue
				}
				id, _ := url.PathUnescape(o.Path[strings.LastIndex(o.Path, "/")+1:])
				if !consent[id] {
					t.Fatalf("%q was approved without consent", id)
				}
			}
		}
	}
}

// The traces with lines that change places, come twice or are missing, and with changed bytes.
func TestTwisted(t *testing.T) {
	for _, path := range traces(t) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, raw, _ = bytes.Cut(raw, []byte("\n"))
		for seed := range uint64(300) {
			rng := rand.New(rand.NewPCG(seed, 3))
			lines := bytes.SplitAfter(bytes.Clone(raw), []byte("\n"))
			for range rng.IntN(6) {
				i, j := rng.IntN(len(lines)), rng.IntN(len(lines))
				switch rng.IntN(4) {
				case 0:
					lines[i], lines[j] = lines[j], lines[i]
				case 1:
					lines = slices.Insert(lines, i, lines[j])
				case 2:
					lines = slices.Delete(lines, i, i+1)
				case 3:
					if n := len(lines[i]); n > 0 {
						lines[i] = bytes.Clone(lines[i])
						lines[i][rng.IntN(n)] = "\"0{}[],:ax-"[rng.IntN(11)]
					}
				}
			}
			fuzzStep(t, bytes.Join(lines, nil), 0)
		}
	}
}

// BenchmarkReplay replays a whole session.
func BenchmarkReplay(b *testing.B) {
	set, ins := recorded(b, "testdata/turn.jsonl")
	for b.Loop() {
		tr := translator.New(set)
		for _, in := range ins {
			tr.Step(in.Input, in.at)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(ins)), "ns/input")
}
