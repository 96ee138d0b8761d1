package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// transportFunc is a Transport that calls a function.
type transportFunc func(context.Context, *client.Command) (client.Conn, error)

func (f transportFunc) Start(ctx context.Context, c *client.Command) (client.Conn, error) {
	return f(ctx, c)
}

// Callers get their sessions in the order of their calls. A caller that has given up gets none. There are never more
// than Max sessions.
func TestPoolOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var live, most atomic.Int32
		agent := clienttest.NewAgent(t)
		p, err := client.NewPool(&client.Options{Transport: transportFunc(func(ctx context.Context, c *client.Command) (client.Conn, error) {
			most.Store(max(most.Load(), live.Add(1)))
			conn, err := agent.Start(ctx, c)
			return &countedConn{conn, sync.OnceFunc(func() { live.Add(-1) })}, err
		})}, client.PoolOptions{Max: 2, Warm: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		take := func(ctx context.Context) *client.Session {
			s, err := p.NewSession(ctx)
			if err != nil {
				t.Error(err)
			}
			return s
		}
		first, second := take(t.Context()), take(t.Context())
		var mu sync.Mutex
		var order []string
		note := func(what string) {
			mu.Lock()
			order = append(order, what)
			mu.Unlock()
		}
		for i := range 5 {
			go func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if i == 1 {
					time.AfterFunc(time.Minute, cancel)
				}
				s, err := p.NewSession(ctx)
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					note(fmt.Sprint(i, " gave up"))
					return
				}
				note(fmt.Sprint(i))
				if i == 4 {
					return // Pool.Close ends this session
				}
				time.Sleep(time.Second)
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			synctest.Wait()
		}
		time.Sleep(time.Hour)
		first.Close()
		time.Sleep(time.Hour)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if got, want := fmt.Sprint(order), "[1 gave up 0 2 3 4]"; got != want {
			t.Errorf("the order is %s, want %s", got, want)
		}
		if most.Load() != 2 {
			t.Errorf("%d sessions at once, want 2", most.Load())
		}
		waits := make(chan error)
		go func() {
			_, err := p.NewSession(context.Background())
			waits <- err
		}()
		synctest.Wait()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := <-waits; !errors.Is(err, client.ErrClosed) {
			t.Errorf("a call that waits: %v", err)
		}
		if err := second.Err(); !errors.Is(err, client.ErrClosed) {
			t.Errorf("a session that was handed out: %v", err)
		}
		if _, err := p.NewSession(t.Context()); !errors.Is(err, client.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := p.Close(); err != nil || live.Load() != 0 {
			t.Errorf("closed again: %v; %d sessions live", err, live.Load())
		}
	})
}

// countedConn is a Conn that counts when it is closed.
type countedConn struct {
	client.Conn
	end func()
}

func (c *countedConn) Wait() error {
	defer c.end()
	return c.Conn.Wait()
}

func (c *countedConn) PID() int { return 0 }

// If kimi does not start, the pool tries again after pauses that become longer, and the callers get the error.
func TestPoolBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		var starts atomic.Int32
		var works atomic.Bool
		agent := clienttest.NewAgent(t)
		p, err := client.NewPool(&client.Options{Transport: transportFunc(func(ctx context.Context, c *client.Command) (client.Conn, error) {
			starts.Add(1)
			if works.Load() {
				return agent.Start(ctx, c)
			}
			return nil, broken
		})}, client.PoolOptions{Max: 1, Warm: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for range 1000 {
			if _, err := p.NewSession(t.Context()); !errors.Is(err, broken) {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := starts.Load(); n < 6 || n > 8 { // the starts are at 0, 0.1, 0.3, 0.7, 1.5, 3.1 and 6.3 s
			t.Errorf("%d starts in 10 s, want 7", n)
		}
		works.Store(true)
		time.Sleep(time.Minute)
		if s, err := p.NewSession(t.Context()); err != nil || s == nil {
			t.Errorf("once it works: %v", err)
		}
	})
}

// A session that ends while it waits for a caller is replaced, and no caller gets it.
func TestPoolDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conns []client.Conn
		var mu sync.Mutex
		agent := clienttest.NewAgent(t)
		p, err := client.NewPool(&client.Options{Transport: transportFunc(func(ctx context.Context, c *client.Command) (client.Conn, error) {
			conn, err := agent.Start(ctx, c)
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			return conn, err
		})}, client.PoolOptions{Max: 3, Warm: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		synctest.Wait()
		dead := p.Ready()
		if len(dead) != 2 {
			t.Fatalf("%d sessions are ready, want 2", len(dead))
		}
		for _, c := range conns[:2] {
			c.Close()
		}
		synctest.Wait()
		s, err := p.NewSession(t.Context())
		if err != nil || s.Err() != nil || s == dead[0] || s == dead[1] {
			t.Fatalf("%v, %v", s, err)
		}
		time.Sleep(time.Minute)
		if n := len(p.Ready()); n != 2 {
			t.Errorf("%d sessions are ready, want 2", n)
		}
	})
}

func TestPoolOptions(t *testing.T) {
	agent := clienttest.NewAgent(t)
	var option *client.OptionError
	for _, test := range []struct {
		opts client.Options
		p    client.PoolOptions
		name string // the option in the OptionError
	}{
		{client.Options{SessionID: "one"}, client.PoolOptions{}, "SessionID"},
		{client.Options{Record: io.Discard}, client.PoolOptions{}, "Record"},
		{client.Options{MaxLine: -1}, client.PoolOptions{}, ""},
		{client.Options{}, client.PoolOptions{Max: -1}, ""},
		{client.Options{}, client.PoolOptions{Warm: -1}, ""},
		{client.Options{}, client.PoolOptions{Max: 1, Warm: 2}, ""},
	} {
		test.opts.Transport = agent
		p, err := client.NewPool(&test.opts, test.p)
		if err == nil {
			p.Close()
			t.Errorf("%+v %+v: no error", test.opts, test.p)
			continue
		}
		if errors.As(err, &option) && option.Option != test.name || test.name != "" && !errors.As(err, &option) {
			t.Errorf("%v, want the option %q", err, test.name)
		}
	}
}

// A handler of a session may call Pool.Close, also while another call of Pool.Close waits for that handler.
func TestPoolCloseInside(t *testing.T) {
	for _, first := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			tells := memory(func(a *agent) {
				a.handshake()
				a.text("hello")
				a.serve()
			})
			pools := make(chan *client.Pool, 1)
			inside := make(chan error, 1)
			p, err := client.NewPool(&client.Options{Transport: tells, StopGrace: 9 * time.Second, OnMessage: func(wireproto.Message) {
				p := <-pools
				if !first {
					<-time.After(time.Second)
				}
				inside <- p.Close()
			}}, client.PoolOptions{Warm: 1})
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			pools <- p
			synctest.Wait() // the handler runs, or has run
			if err := p.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if err := <-inside; err != nil {
				t.Errorf("Close within a handler: %v", err)
			}
			if d := time.Since(began); d > time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}
