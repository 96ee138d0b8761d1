package bridge

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/bridge/translator"
	"github.com/kimi-go/kimi-go/internal/kimicode/home"
	"github.com/kimi-go/kimi-go/internal/kimicode/relay"
	"github.com/kimi-go/kimi-go/internal/kimicode/server"
	"github.com/kimi-go/kimi-go/internal/kimicode/toolhost"
	"github.com/kimi-go/kimi-go/wireproto"
)

// host has the server for the session of a Conn.
type host interface {
	// launch gives the session a place on a server. It returns soon after the end of the Conn's context.
	launch(c *Conn, o translator.Launch) launched
}

// parts are the things that were set up for one run of Kimi Code and that takeDown removes.
type parts struct {
	overlay *home.Overlay
	relay   *relay.Relay
	tools   *toolhost.Host
	server  *server.Server
	child   Child
	guest   *guest // replaces child if the session shares the server; otherwise nil
}

// takeDown ends and removes what is left. The child must have ended before.
func (p *parts) takeDown() error {
	if p.relay != nil {
		p.relay.Close()
	}
	if p.tools != nil {
		p.tools.Close()
	}
	if p.server != nil && p.guest == nil {
		p.server.CloseIdle()
	}
	if p.overlay != nil {
		return p.overlay.Close()
	}
	return nil
}

// ToolServer offers the client's tools to Kimi Code. Its value is [ServeTools] or nil. A program that does not refer to
// ServeTools does not contain the code of the MCP server.
type ToolServer func(tools []wireproto.ExternalTool, calls func(*toolhost.Call)) (*toolhost.Host, error)

// ServeTools starts an MCP server with the tools.
func ServeTools(tools []wireproto.ExternalTool, calls func(*toolhost.Call)) (*toolhost.Host, error) {
	return toolhost.Start(tools, calls)
}

// ownServer is a host that starts a server for one session.
type ownServer struct {
	spawn Spawn
	tools ToolServer // nil if no session has tools
}

func (h ownServer) launch(c *Conn, o translator.Launch) launched {
	known, err := c.set.find()
	if err != nil {
		return launched{Launched: translator.Launched{Err: err}}
	}
	l := setUp(c.ctx, c.set, o, h, events{
		tool: func(call *toolhost.Call) { c.tell(toolCalled{call}) },
		hook: func(call *relay.Call) { c.tell(hookCalled{call}) },
		runs: c.runs,
	})
	l.SessionID = known
	return l
}

// events are functions that are called when something happens on a server.
type events struct {
	tool func(*toolhost.Call)
	hook func(*relay.Call)
	runs func(Child) // the process has started
}

// setUp sets up what a session needs and starts a server. The parts hold what must be removed later, also if setUp
// fails. If it fails, the child has ended.
func setUp(ctx context.Context, set *settings, o translator.Launch, own ownServer, on events) (l launched) {
	fail := func(err error) launched {
		if l.parts.child != nil {
			l.parts.child.Close()
		}
		l.Launched = translator.Launched{Err: err}
		return l
	}
	p := &l.parts
	spec := set.overlay
	if len(o.Tools) > 0 {
		host, err := own.tools(o.Tools, on.tool)
		if err != nil {
			return fail(err)
		}
		p.tools = host
		l.Accepted, l.Rejected, l.OwnTools = host.Accepted, host.Rejected, host.Names
		if len(host.Accepted) > 0 {
			l.ToolHost = toolhost.ServerName
			spec.Tools = &home.ToolServer{Name: toolhost.ServerName, URL: host.URL, Authorization: host.Authorization}
		}
	}
	if len(o.Hooks) > 0 {
		r, err := relay.Start(on.hook)
		if err != nil {
			return fail(err)
		}
		p.relay = r
		spec.Hooks, spec.HookScript, l.HooksOn = o.Hooks, r.Script(), true
	}
	env, inHome := set.env, set.home
	var remove []string
	home.Sweep()
	if spec.Needed() {
		overlay, err := home.Build(&spec)
		if err != nil {
			return fail(err)
		}
		p.overlay, inHome = overlay, overlay.Dir
		env = setenv(env, "KIMI_CODE_HOME", overlay.Dir)
		remove = []string{overlay.Dir}
		l.Warnings = overlay.Warnings
	}
	var err error
	if l.MCP, err = home.MCPServers(inHome); err != nil {
		l.Warnings = append(l.Warnings, err.Error())
	}
	l.MCP = slices.DeleteFunc(l.MCP, func(name string) bool { return name == l.ToolHost })
	child, err := own.spawn(ctx, &Command{Path: set.path, Args: server.Args, Env: env, Dir: set.dir}, home.Instances(inHome), remove)
	if err != nil {
		l.exit = err
		return fail(translator.ErrEnded)
	}
	p.child = child
	on.runs(child)
	if err := context.Cause(ctx); err != nil { // the code that ended ctx may not have seen the child
		return fail(err)
	}
	s, err := server.Start(ctx, child)
	if errors.Is(err, server.ErrEnded) {
		awaitEnd(ctx, child)
		return fail(translator.ErrEnded)
	}
	if err != nil {
		return fail(err)
	}
	p.server = s
	meta, err := s.Check(ctx)
	if err != nil {
		return fail(err)
	}
	l.Version = meta.ServerVersion
	return l
}

// awaitEnd waits until a child that has closed its output ends by itself, so that its exit status says why. It waits
// for endWait at most.
func awaitEnd(ctx context.Context, child Child) {
	ended := make(chan struct{})
	go func() {
		child.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(endWait):
	case <-ctx.Done():
	}
}

// endWait is how long a child that has closed its output may take to end.
const endWait = 2 * time.Second
