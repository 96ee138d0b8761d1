// Package relay lets a program decide as a hook of Kimi Code. Kimi Code runs hooks as shell commands: a small bash script
// sends the input of the hook to a listener of the program on the loopback interface, and brings the decision back.
//
// # It fails closed
//
// For Kimi Code, exit status 2 blocks, and everything else allows: a missing script, a signal, the end of its time. So
// the script ends with 2 unless the program allows the action, over a connection on which it has proved that it is the
// program. The script gives up before Kimi Code does.
//
// The package follows Kimi Code 2.1.0.
package relay

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// TimeoutS is the time limit of a hook in Kimi Code's configuration, in seconds: the most that it takes.
	TimeoutS = 600
	// answerS is how long the script waits for the program, in seconds.
	answerS = 590
	// headerTime is how long a connection may take to say what it is about.
	headerTime = 10 * time.Second
	// inputMost is the longest input of a hook.
	inputMost = 64 << 20
	// connections is how many hooks may wait at once; more are blocked.
	connections = 128
)

// Call is a hook that waits for the program's decision.
type Call struct {
	Event string
	Data  map[string]json.RawMessage
	Done  <-chan struct{} // closed when Kimi Code waits no more
	reply chan reply
}

type reply struct {
	block  bool
	reason string
}

// Allow lets the agent go on.
func (c *Call) Allow() { c.answer(reply{}) }

// Block keeps the agent from going on. The model reads the reason.
func (c *Call) Block(reason string) { c.answer(reply{true, reason}) }

// answer takes the first answer.
func (c *Call) answer(r reply) {
	select {
	case c.reply <- r:
	default:
	}
}

// Relay is the program's end.
type Relay struct {
	listener net.Listener
	token    string // that the script must show
	secret   string // that this side must show
	calls    func(*Call)
	ctx      context.Context
	stop     context.CancelFunc
	open     sync.WaitGroup
	free     chan struct{}
}

// Start listens. calls receives each hook, from a goroutine of its own.
func Start(calls func(*Call)) (*Relay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for hooks: %w", err)
	}
	r := &Relay{listener: listener, token: rand.Text(), secret: rand.Text(), calls: calls, free: make(chan struct{}, connections)}
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.open.Go(r.accept)
	return r, nil
}

// Script returns the script. Write it to a file that only the user can read: it holds the secrets, which must not be
// on a command line.
func (r *Relay) Script() []byte {
	_, port, _ := net.SplitHostPort(r.listener.Addr().String())
	return []byte(`# Asks the program whether Kimi Code may go on. Ends with 2, which blocks, unless it says so.
allowed=
trap '[ "$allowed" = yes ] || exit 2' EXIT
LC_ALL=C
IFS= read -r -d '' input
exec 3<>/dev/tcp/127.0.0.1/` + port + ` || exit 2
printf '%s %d\n%s' ` + r.token + ` "${#input}" "$input" >&3 || exit 2
IFS=' ' read -t ` + strconv.Itoa(answerS) + ` -r secret decision <&3 || exit 2
[ "$secret" = ` + r.secret + ` ] || exit 2
if [ "$decision" = allow ]; then allowed=yes; exit 0; fi
cat <&3 >&2
exit 2
`)
}

// Command returns the shell command that runs the script. Without bash it blocks.
func Command(script string) string {
	return "bash '" + strings.ReplaceAll(script, "'", `'\''`) + "' || exit 2"
}

// Close ends the relay; hooks that wait are blocked.
func (r *Relay) Close() {
	r.stop()
	r.listener.Close()
	r.open.Wait()
}

func (r *Relay) accept() {
	for {
		select {
		case r.free <- struct{}{}:
		case <-r.ctx.Done():
			return
		}
		conn, err := r.listener.Accept()
		if err != nil {
			<-r.free
			if r.ctx.Err() != nil {
				return
			}
			select { // as when the descriptors are used up
			case <-time.After(50 * time.Millisecond):
			case <-r.ctx.Done():
			}
			continue
		}
		r.open.Go(func() {
			defer func() { <-r.free }()
			r.serve(conn)
		})
	}
}

// serve answers one script.
func (r *Relay) serve(conn net.Conn) {
	defer conn.Close()
	unhook := context.AfterFunc(r.ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer unhook()
	conn.SetReadDeadline(time.Now().Add(headerTime))
	in := bufio.NewReader(conn)
	c, err := r.read(in)
	if err != nil {
		return // not the script: it reads nothing here, and one that is cut off blocks
	}
	if r.ctx.Err() != nil {
		return
	}
	conn.SetReadDeadline(time.Time{})
	gone, end := context.WithCancel(r.ctx)
	defer end()
	c.Done = gone.Done()
	r.open.Go(func() {
		in.ReadByte() // nothing comes but the end
		end()
	})
	r.calls(c)
	select {
	case a := <-c.reply:
		answer := r.secret + " allow\n"
		if a.block {
			answer = r.secret + " block\n" + a.reason
		}
		conn.SetWriteDeadline(time.Now().Add(headerTime))
		io.WriteString(conn, answer)
	case <-gone.Done():
	}
}

// read reads what the script says: the token, the length of the input, and the input.
func (r *Relay) read(in *bufio.Reader) (*Call, error) {
	head := make([]byte, len(r.token)+1)
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(head, []byte(r.token+" ")) != 1 {
		return nil, fmt.Errorf("a connection without the token")
	}
	line, err := in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(line)))
	if err != nil || n < 0 || n > inputMost {
		return nil, fmt.Errorf("a hook with an input of %.20q bytes", line)
	}
	input := make([]byte, n)
	if _, err := io.ReadFull(in, input); err != nil {
		return nil, err
	}
	c := &Call{reply: make(chan reply, 1)}
	if err := json.Unmarshal(input, &c.Data); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(c.Data["hook_event_name"], &c.Event); err != nil {
		return nil, err
	}
	return c, nil
}
