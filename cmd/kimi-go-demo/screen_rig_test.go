//go:build !windows

package main

import (
	"image/color"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"

	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
)

// glass is the command in an emulated terminal. It knows what a person would see.
type glass struct {
	t    *testing.T
	tty  *os.File
	done chan error
	code func() int

	mu   sync.Mutex
	news sync.Cond
	emu  *vt.Emulator
	tail string // the last output, which may end within a sequence
	// drawing is true while a frame is incomplete, which a person would not see.
	drawing bool
	cast    cast // all output
	over    bool // there is no more output, or the test takes too long
}

// glass starts the command in a window of this size.
func (d *demo) glass(t *testing.T, columns, rows int, args ...string) *glass {
	t.Helper()
	return d.glassOf(t, columns, rows, d.command(t, args...))
}

// glassOf does what glass does, with another command.
func (d *demo) glassOf(t *testing.T, columns, rows int, cmd *exec.Cmd) *glass {
	t.Helper()
	return d.glassOn(t, columns, rows, nil, cmd)
}

// glassOn does what glassOf does, with a terminal that reports this background colour, or none if paper is nil.
func (d *demo) glassOn(t *testing.T, columns, rows int, paper color.Color, cmd *exec.Cmd) *glass {
	t.Helper()
	cmd.Env = append(cmd.Env, "XDG_STATE_HOME="+filepath.Join(filepath.Dir(d.work), "state"))
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: uint16(rows), Cols: uint16(columns)})
	if err != nil {
		t.Fatal(err)
	}
	g := &glass{t: t, tty: tty, done: make(chan error, 1), code: func() int { return cmd.ProcessState.ExitCode() }, emu: vt.NewEmulator(columns, rows)}
	g.news.L = &g.mu
	if paper != nil {
		g.emu.SetDefaultBackgroundColor(paper)
	}
	go io.Copy(tty, g.emu) // copy the replies of the terminal
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := tty.Read(buf)
			g.mu.Lock()
			g.frame(buf[:n])
			g.cast.add("o", string(buf[:n]))
			g.emu.Write(buf[:n])
			g.over = g.over || err != nil
			g.news.Broadcast()
			g.mu.Unlock()
			if err != nil {
				g.done <- cmd.Wait()
				return
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		tty.Close()
		g.emu.InputPipe().(io.Closer).Close() // ends the copying, because Close of the emulator races with its Read
	})
	return g
}

// frame finds the ends of the frames in the output. The emulator does not support the marks of frames, so this type
// answers that the terminal supports them.
func (g *glass) frame(p []byte) {
	text := g.tail + string(p)
	if strings.Contains(text, "\x1b[?2026$p") {
		g.tty.WriteString("\x1b[?2026;2$y")
		text = strings.ReplaceAll(text, "\x1b[?2026$p", "")
	}
	begin, end := strings.LastIndex(text, "\x1b[?2026h"), strings.LastIndex(text, "\x1b[?2026l")
	if begin != end {
		g.drawing = begin > end
	}
	g.tail = text[max(0, len(text)-8):]
}

// line returns the text of a row of cells.
func line(width int, cell func(x int) (string, int)) string {
	var b strings.Builder
	for x := 0; x < width; {
		text, w := cell(x)
		if text == "" {
			text = " "
		}
		b.WriteString(text)
		x += max(w, 1)
	}
	return strings.TrimRight(b.String(), " ")
}

// screenLocked returns the lines on the screen.
func (g *glass) screenLocked() []string {
	var list []string
	for y := range g.emu.Height() {
		list = append(list, line(g.emu.Width(), func(x int) (string, int) {
			c := g.emu.CellAt(x, y)
			if c == nil {
				return "", 1
			}
			return c.Content, c.Width
		}))
	}
	return list
}

// allLocked returns the lines that have scrolled away and the lines on the screen.
func (g *glass) allLocked() []string {
	var list []string
	for y := range g.emu.ScrollbackLen() {
		list = append(list, line(g.emu.Width(), func(x int) (string, int) {
			c := g.emu.ScrollbackCellAt(x, y)
			if c == nil {
				return "", 1
			}
			return c.Content, c.Width
		}))
	}
	return append(list, g.screenLocked()...)
}

// all returns the text that has scrolled away and the text on the screen.
func (g *glass) all() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Join(g.allLocked(), "\n")
}

// now returns the text on the screen.
func (g *glass) now() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Join(g.screenLocked(), "\n")
}

// until waits until want returns true for all text: what has scrolled away, and what is on the screen.
func (g *glass) until(what string, want func(all string) bool) {
	g.t.Helper()
	stop := time.AfterFunc(limit, func() {
		g.mu.Lock()
		g.over = true
		g.news.Broadcast()
		g.mu.Unlock()
	})
	defer stop.Stop()
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		all := strings.Join(g.allLocked(), "\n")
		if !g.drawing && want(all) {
			return
		}
		if g.over {
			g.t.Fatalf("the screen does not show %s; it shows\n%s", what, all)
		}
		g.news.Wait()
	}
}

// shows waits until all of want are shown, in this order.
func (g *glass) shows(want ...string) {
	g.t.Helper()
	g.until(strings.Join(want, " … "), func(all string) bool { return inOrder(all, want) })
}

func inOrder(all string, want []string) bool {
	for _, w := range want {
		i := strings.Index(all, w)
		if i < 0 {
			return false
		}
		all = all[i+len(w):]
	}
	return true
}

// gone waits until a text is not on the screen any more.
func (g *glass) gone(text string) {
	g.t.Helper()
	g.until("no "+text, func(string) bool { return !strings.Contains(strings.Join(g.screenLocked(), "\n"), text) })
}

func (g *glass) typed(s string) {
	g.t.Helper()
	if _, err := g.tty.WriteString(s); err != nil {
		g.t.Fatal(err)
	}
}

// asked waits for a request that has all of want and that a key can answer.
func (g *glass) asked(want ...string) {
	g.t.Helper()
	g.shows(append(want, "a key answers")...)
}

// colour returns the colour of a text on the screen, nil for the default colour.
func (g *glass) colour(text string) color.Color {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for y, l := range g.screenLocked() {
		before, _, found := strings.Cut(l, text)
		if !found {
			continue
		}
		if c := g.emu.CellAt(ansi.StringWidth(before), y); c != nil {
			return c.Style.Fg
		}
	}
	g.t.Fatalf("%q is not on the screen:\n%s", text, strings.Join(g.allLocked(), "\n"))
	return nil
}

// resize changes the size of the window.
func (g *glass) resize(columns, rows int) {
	g.t.Helper()
	g.mu.Lock()
	g.emu.Resize(columns, rows)
	g.mu.Unlock()
	if err := pty.Setsize(g.tty, &pty.Winsize{Rows: uint16(rows), Cols: uint16(columns)}); err != nil {
		g.t.Fatal(err)
	}
}

// touch makes a file in the work dir.
func (d *demo) touch(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(d.work, name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// end waits for the end of the command.
func (g *glass) end(code int) {
	g.t.Helper()
	select {
	case <-g.done:
	case <-time.After(limit):
		g.t.Fatalf("the command does not end; it shows\n%s", g.all())
	}
	if got := g.code(); got != code {
		g.t.Errorf("exit status %d, want %d; the terminal shows\n%s", got, code, g.all())
	}
}

// newCodeDemo does what newDemo does, with the real Kimi Code.
func newCodeDemo(t *testing.T, scripts ...string) *demo {
	t.Helper()
	opts := clienttest.KimiCode(t, scripts...)
	d := &demo{work: opts.WorkDir, share: opts.ShareDir}
	d.setenv(opts.Env)
	d.setenv(map[string]string{"KIMI_PATH": opts.Executable, "KIMI_SHARE_DIR": opts.ShareDir, "KIMI_CODE_HOME": opts.ShareDir})
	return d
}

// screenKimi is one of the real kimis, for a chat on a screen.
type screenKimi struct {
	name              string
	shell, edit, todo string // the names of these tools
	editArgs          func(path, from, to string) map[string]any
	demo              func(*testing.T, ...string) *demo
}

func (k *screenKimi) run(id, command string) string {
	return clienttest.ToolCall(id, k.shell, map[string]string{"command": command})
}

// onScreens runs a test with both kimis.
func onScreens(t *testing.T, test func(*testing.T, *screenKimi)) {
	t.Parallel()
	for _, k := range []*screenKimi{
		{"kimi-cli", "Shell", "StrReplaceFile", "SetTodoList", func(path, from, to string) map[string]any {
			return map[string]any{"path": path, "edit": map[string]string{"old": from, "new": to}}
		}, newDemo},
		{"Kimi Code", "Bash", "Edit", "TodoList", func(path, from, to string) map[string]any {
			return map[string]any{"path": path, "old_string": from, "new_string": to}
		}, newCodeDemo},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

// chatArgs returns the arguments of a chat.
func (d *demo) chatArgs(args ...string) []string {
	if _, err := os.Stat(d.config); d.config != "" && err == nil {
		args = append(args, "--config", d.config)
	}
	return args
}

// twoModels returns a demo whose configuration has two models of one API, "scripted" and "other".
func (k *screenKimi) twoModels(t *testing.T, scripts ...string) (*demo, *clienttest.Model) {
	t.Helper()
	m := clienttest.NewModel(t, scripts...)
	d := k.demo(t)
	d.env = slices.DeleteFunc(d.env, func(entry string) bool { return strings.HasPrefix(entry, "KIMI_MODEL_") })
	d.env = append(d.env, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	c := &config.Config{
		DefaultModel: "scripted",
		Providers:    map[string]config.Provider{"kimi": {Type: config.ProviderKimi, BaseURL: m.URL(), APIKey: "sk-test"}},
		Models: map[string]config.Model{
			"scripted": {Provider: "kimi", Model: "scripted", MaxContextSize: 100000},
			"seeing":   {Provider: "kimi", Model: "seeing-model", MaxContextSize: 200000, Capabilities: []config.Capability{config.CapabilityImageIn}},
			"other":    {Provider: "kimi", Model: "other-model", MaxContextSize: 200000, Capabilities: []config.Capability{config.CapabilityThinking}},
		},
	}
	d.config = filepath.Join(filepath.Dir(d.work), "two.toml")
	if err := c.Save(d.config); err != nil {
		t.Fatal(err)
	}
	return d, m
}
