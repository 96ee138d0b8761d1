package clienttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/internal/fixture"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Replayer plays the agent's side of a recording, for Options.Transport. It checks that the client sends the same as in
// the recording.
type Replayer struct {
	// Timed plays the agent's lines at the recorded times. The default is false: the lines come without pauses.
	Timed bool

	t    TB
	file string
	rec  *fixture.Fixture
}

// Replay returns a player of the recording in file, made with Options.Record. It compares the lines of the client as
// JSON: calls of one method in their order, and each answer with the request that it answers. The order of independent
// messages may differ, and the version of the client is not compared. The work dir, the share dir and the home
// directory count as equal to those of the recording. If there is a difference, the test fails and names the line.
// Tools, hooks and handlers of the program run, and must give the same results as in the recording. A known key in a
// prompt is recorded as ***, so that prompt cannot be replayed. A nil t means the same as for [NewAgent].
func Replay(t TB, file string) *Replayer {
	t = report(t)
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatalf("clienttest: %v", err)
	}
	defer f.Close()
	rec, err := fixture.Read(f)
	if err != nil {
		t.Fatalf("clienttest: %s: %v", file, err)
	}
	return &Replayer{t: t, file: file, rec: rec}
}

// Start starts to play. It implements [client.Transport].
func (r *Replayer) Start(ctx context.Context, cmd *client.Command) (client.Conn, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	p := &player{r: r, paths: paths(cmd), ids: make(map[string]string), changed: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{})}
	for i, rec := range r.rec.Records {
		if rec.From == fixture.Client {
			p.expected = append(p.expected, &expectation{line: i + 2, said: parse(rec.Line)})
		}
	}
	p.out, p.output = io.Pipe()
	p.input, p.in = io.Pipe()
	go p.listen()
	go p.play()
	return p, nil
}

// paths returns a Redactor with the names that a recording uses for paths of this machine.
func paths(cmd *client.Command) *fixture.Redactor {
	r := new(fixture.Redactor)
	if cmd == nil {
		return r
	}
	r.Path(cmd.Dir, "/work")
	for _, entry := range cmd.Env {
		switch key, value, _ := strings.Cut(entry, "="); key {
		case "KIMI_SHARE_DIR":
			r.Path(value, "/share")
		case "HOME", "USERPROFILE":
			r.Path(value, "/home/user")
		}
	}
	return r
}

// said is a line that the client has sent.
type said struct {
	raw   string
	frame wireproto.Frame // zero if the line is not a frame, which only a recording by another client can have
}

func parse(line string) said {
	if f, err := wireproto.DecodeLine([]byte(line)); err == nil {
		return said{line, *f}
	}
	return said{raw: line}
}

// expectation is a line that the client sent in the recording.
type expectation struct {
	line int
	said said
	met  bool
}

// player plays a recording once.
type player struct {
	r      *Replayer
	paths  *fixture.Redactor
	out    *io.PipeReader // what the client reads
	output *io.PipeWriter
	input  *io.PipeReader
	in     *io.PipeWriter // what the client writes

	mu       sync.Mutex
	expected []*expectation
	ids      map[string]string // from the recorded id of a call to its id in this run
	closed   bool              // the client has closed the agent's input
	changed  chan struct{}     // gets a value when one of the fields above has changed

	once  sync.Once
	stop  chan struct{}
	ended chan struct{}
	exit  error // set before ended is closed
}

func (p *player) Read(b []byte) (int, error)  { return p.out.Read(b) }
func (p *player) Write(b []byte) (int, error) { return p.in.Write(b) }
func (p *player) CloseWrite() error           { return p.in.Close() }
func (p *player) Interrupt() error            { return p.in.Close() }
func (p *player) Wait() error                 { <-p.ended; return p.exit }

func (p *player) Close() error {
	p.end(&client.ProcessError{ExitCode: -1, Signal: "killed"})
	return nil
}

func (p *player) end(exit error) {
	p.once.Do(func() {
		p.exit = exit
		close(p.stop)
		p.output.Close()
		p.input.Close()
		close(p.ended)
	})
}

// listen pairs each line of the client with a line of the recording.
func (p *player) listen() {
	lines := wireproto.NewLineReader(p.input)
	for {
		line, err := lines.ReadLine()
		if err != nil && err != io.ErrUnexpectedEOF {
			p.mu.Lock()
			p.closed = true
			p.mu.Unlock()
			signal(p.changed)
			return
		}
		if problem := p.meet(parse(string(line)), parse(p.paths.Line(string(line)))); problem != "" {
			p.r.t.Errorf("clienttest: %s: %s", p.r.file, problem)
			p.end(errors.New("clienttest: the client differs from the recording"))
			return
		}
		signal(p.changed)
	}
}

// meet marks the expected line that equals now, either unchanged or with the names that a recording uses for paths. If
// there is none, it describes how now differs from all lines that are possible here.
func (p *player) meet(now, named said) (problem string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := now.frame
	var nearest *expectation
	for _, e := range p.expected {
		if e.met || e.said.frame.Method != f.Method || f.Method == "" && e.said.frame.ID != f.ID {
			continue
		}
		if nearest = e; content(e.said) == content(now) || content(e.said) == content(named) {
			e.met = true
			if f.Method != "" {
				p.ids[e.said.frame.ID] = f.ID
			}
			return ""
		}
		break // calls of one method, and answers to one request, must come in their order
	}
	if nearest == nil {
		return "the client says a line that the recording does not have: " + content(now)
	}
	return fmt.Sprintf("line %d: the client differs from the recording (-recorded +now):\n%s",
		nearest.line, cmp.Diff(content(nearest.said), content(named)))
}

// content returns the part of a line that is compared: without its id and the version of the client, with keys in
// order.
func content(s said) string {
	f := s.frame
	c := map[string]any{"method": f.Method}
	var raw json.RawMessage
	switch {
	case f.Error != nil:
		c["error"] = map[string]any{"code": f.Error.Code, "message": f.Error.Message}
	case f.Method != "":
		raw = f.Params
	case f.Result != nil:
		raw = f.Result
	default:
		return s.raw
	}
	if raw != nil {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		var v any
		if err := dec.Decode(&v); err == nil {
			if params, ok := v.(map[string]any); ok && f.Method == wireproto.MethodInitialize {
				if info, ok := params["client"].(map[string]any); ok {
					delete(info, "version")
				}
			}
			c["content"] = slashed(v)
		}
	}
	out, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// belowName matches a path below one of the names that a recording uses for paths.
var belowName = regexp.MustCompile(`(?:/work|/share|/home/user)(?:[\\/]+[^\s\\/"'<>|:*?]+)+`)

// slashed replaces backslashes by slashes in the paths below the names of a recording, in all strings of v. Windows has
// backslashes, and two of them in a string of JSON.
func slashed(v any) any {
	switch v := v.(type) {
	case string:
		return belowName.ReplaceAllStringFunc(v, func(path string) string {
			return backslashes.ReplaceAllString(path, "/")
		})
	case []any:
		for i := range v {
			v[i] = slashed(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = slashed(v[k])
		}
	}
	return v
}

var backslashes = regexp.MustCompile(`\\+`)

// play writes the agent's lines. Before each line, it waits until the client has sent all lines that come before it in
// the recording.
func (p *player) play() {
	start := time.Now()
	next := 0 // index into expected
	for i, rec := range p.r.rec.Records {
		switch {
		case rec.End != nil:
			p.finish(*rec.End)
			return
		case rec.From == fixture.Client:
			e := p.expected[next]
			next++
			if !p.wait(func() bool { return e.met }) {
				p.complain(i+2, rec.Line)
				return
			}
		default:
			if p.r.Timed {
				select {
				case <-time.After(time.Duration(rec.MS)*time.Millisecond - time.Since(start)):
				case <-p.stop:
				}
			}
			if _, err := io.WriteString(p.output, p.renumber(rec.Line)+"\n"); err != nil {
				return
			}
		}
	}
	p.finish(fixture.End{})
}

// wait waits until cond holds. It returns false if the client closes the input or the playing ends first.
func (p *player) wait(cond func() bool) bool {
	for {
		p.mu.Lock()
		ok, closed := cond(), p.closed
		p.mu.Unlock()
		if ok || closed {
			return ok
		}
		select {
		case <-p.changed:
		case <-p.stop:
			return false
		}
	}
}

// complain fails the test if the client closed the session before it sent all lines of the recording.
func (p *player) complain(line int, want string) {
	select {
	case <-p.stop: // the playing has already ended, by another difference or by a kill
		return
	default:
	}
	p.r.t.Errorf("clienttest: %s: line %d: the client closed before it said %s", p.r.file, line, want[:min(len(want), 200)])
	p.end(&client.ProcessError{})
}

// finish ends as the recorded agent ended: by itself, or when the client closes its input.
func (p *player) finish(end fixture.End) {
	if end.ExitCode == 0 && end.Signal == "" && !end.Unasked {
		p.wait(func() bool { return p.closed })
	}
	p.end(&client.ProcessError{ExitCode: end.ExitCode, Signal: end.Signal})
}

// renumber replaces the recorded id in an answer by the id that the call has in this run.
func (p *player) renumber(line string) string {
	f, err := wireproto.DecodeLine([]byte(line))
	if err != nil || f.Method != "" || f.ID == "" {
		return line
	}
	p.mu.Lock()
	id, known := p.ids[f.ID]
	p.mu.Unlock()
	if !known || id == f.ID {
		return line
	}
	f.ID = id
	var b strings.Builder
	if err := wireproto.NewEncoder(&b).Encode(f); err != nil {
		return line
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
