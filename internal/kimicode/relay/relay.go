// Package relay lets a program decide in a hook of Kimi Code. Kimi Code runs a hook as a shell command. The command
// runs a small bash script. The script sends the input of the hook to the program, over the loopback interface, and
// returns the decision of the program to Kimi Code.
//
// # Errors block
//
// In Kimi Code, a hook blocks only with exit status 2. Everything else allows the action: a missing script, a signal, a
// time limit that has passed. So the script ends with status 2 unless the program allows the action and proves with a
// secret that it is the program. The script gives up before the time limit of Kimi Code.
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
	// TimeoutS is the time limit of a hook in Kimi Code's configuration, in seconds. It is the largest that Kimi Code
	// accepts.
	TimeoutS = 600
	// answerS is how long the script waits for the program, in seconds.
	answerS = 590
	// headerTime is how long a connection may take to send its input, and how long the answer may take.
	headerTime = 10 * time.Second
	// inputMost is the longest input of a hook, in bytes.
	inputMost = 64 << 20
	// connections is how many hooks may wait at the same time. Further hooks wait until one of these has ended.
	connections = 128
)

// Call is a hook that waits for the program's decision.
type Call struct {
	Event string
	Data  map[string]json.RawMessage
	Done  <-chan struct{} // closed when Kimi Code no longer waits
	reply chan reply
}

type reply struct {
	block  bool
	reason string
}

// Allow lets the agent continue with the action.
func (c *Call) Allow() { c.answer(reply{}) }

// Block blocks the action. The model reads the reason.
func (c *Call) Block(reason string) { c.answer(reply{true, reason}) }

// answer sends the first answer and ignores later ones.
func (c *Call) answer(r reply) {
	select {
	case c.reply <- r:
	default:
	}
}

// Relay is the side of the program.
type Relay struct {
	listener net.Listener
	token    string // the script proves with it that it may ask
	secret   string // the program proves with it that the answer is its own
	calls    func(*Call)
	ctx      context.Context
	stop     context.CancelFunc
	open     sync.WaitGroup
	free     chan struct{}
}

// Start starts to listen. It calls calls for each hook, each time from a new goroutine.
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

// Script returns the script. Write it to a file that only the user can read. It contains the secrets, because other
// users could read them on a command line.
func (r *Relay) Script() []byte {
	_, port, _ := net.SplitHostPort(r.listener.Addr().String())
	return []byte(`# Asks the program whether Kimi Code may continue. Ends with 2, which blocks, unless the program allows it.
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

// Command returns the shell command that runs the script. If there is no bash, the command blocks.
func Command(script string) string {
	return "bash '" + strings.ReplaceAll(script, "'", `'\''`) + "' || exit 2"
}

// Close ends the relay. It blocks the hooks that wait.
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
			select { // for example because there are no more file descriptors
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
		return // this is not the script, or its input is incomplete; without an answer, the script blocks
	}
	if r.ctx.Err() != nil {
		return
	}
	conn.SetReadDeadline(time.Time{})
	gone, end := context.WithCancel(r.ctx)
	defer end()
	c.Done = gone.Done()
	r.open.Go(func() {
		in.ReadByte() // the script sends nothing more, so this waits for its end
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

// read reads the message of the script: the token, the length of the input, and the input.
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
