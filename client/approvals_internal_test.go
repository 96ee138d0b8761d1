package client

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/kimi-go/kimi-go/wireproto"
)

// After a command, the status says what runs unasked, also if the session stores nothing about it: kimi-cli does so
// only since 1.14.0. What a session stores counts more than what the command should have done.
func TestCommanded(t *testing.T) {
	t.Parallel()
	const config = "default_yolo of Options.Config"
	const on, off = `{"approval":{"yolo":true}}`, `{"approval":{"yolo":false}}`
	for _, tt := range []struct {
		name, state, command string
		failed               bool
		options              Options
		before, want         string
	}{
		{name: "on", command: "/yolo", want: "/yolo"},
		{name: "off", command: "/yolo", before: "/yolo"},
		{name: "it fails", command: "/yolo", failed: true},
		{name: "it fails when on", command: "/yolo", failed: true, before: "/yolo", want: "/yolo"},
		{name: "off by the options", command: "/yolo", options: Options{Yolo: true}, before: "Options.Yolo"},
		{name: "off by the configuration", command: "/yolo", before: config},
		{name: "the other mode of the options", command: "/yolo", options: Options{AFK: true}, before: "Options.AFK", want: "Options.AFK"},
		{name: "a command that kimi has", command: "/afk", want: "/afk"},
		{name: "off again", command: "/afk", before: "/afk"},
		{name: "the other mode", command: "/afk", before: "/yolo", want: "/yolo"},
		{name: "damaged", state: `{"approval":`, command: "/yolo", want: "/yolo"},
		{name: "of another form", state: `{"approval":{"auto_approve_actions":1}}`, command: "/yolo", want: "/yolo"},
		{name: "no approvals", state: `{"custom_title":"a"}`, command: "/yolo", want: "/yolo"},
		{name: "stored on", state: on, command: "/yolo", want: "/yolo"},
		{name: "stored off", state: off, command: "/yolo", before: "/yolo"},
		{name: "stored off, no longer the configuration", state: off, command: "/yolo", before: config},
		{name: "stored off, and it fails", state: off, command: "/yolo", failed: true, before: config, want: config},
		{name: "stored off, and on by the options", state: off, command: "/afk", options: Options{Yolo: true}, before: "Options.Yolo", want: "Options.Yolo"},
		{name: "another command", command: "/compact", before: "Options.Yolo", want: "Options.Yolo"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := tt.options
			o.WorkDir, o.ShareDir, o.Logger = t.TempDir(), t.TempDir(), slog.New(slog.DiscardHandler)
			l, err := newLaunch(&o)
			if err != nil {
				t.Fatal(err)
			}
			s := &Session{id: "x", opts: l.opts, launch: l, server: wireproto.InitializeResult{SlashCommands: []wireproto.SlashCommand{{Name: "afk"}}}}
			if dir := (kimiCLI{}).sessionDir(l, s.id); tt.state != "" {
				if err := os.MkdirAll(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(tt.state), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := (kimiCLI{}).commanded(s, tt.command, !tt.failed, Approvals{All: tt.before}); got.All != tt.want {
				t.Errorf("%q runs everything unasked, want %q", got.All, tt.want)
			}
			if tt.command == commandAFK && tt.before == "" {
				s.server.SlashCommands = nil
				if got := (kimiCLI{}).commanded(s, tt.command, true, Approvals{}); got.All != "" {
					t.Errorf("%q runs everything unasked, and kimi does not have this command", got.All)
				}
			}
		})
	}
}

// Both modes can be on. When the one that the status names is turned off, the status names the other one.
func TestCommandedBoth(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		options  Options
		commands []string
		want     string
	}{
		{Options{}, []string{"/afk", "/yolo", "/afk"}, "/yolo"},
		{Options{}, []string{"/yolo", "/afk", "/yolo"}, "/afk"},
		{Options{}, []string{"/yolo", "/afk", "/afk", "/yolo"}, ""},
		{Options{Yolo: true}, []string{"/afk", "/yolo"}, "/afk"},
	} {
		o := tt.options
		o.WorkDir, o.ShareDir, o.Logger = t.TempDir(), t.TempDir(), slog.New(slog.DiscardHandler)
		l, err := newLaunch(&o)
		if err != nil {
			t.Fatal(err)
		}
		s := &Session{id: "x", opts: l.opts, launch: l, server: wireproto.InitializeResult{SlashCommands: []wireproto.SlashCommand{{Name: "afk"}, {Name: "yolo"}}}}
		a := o.byOptions()
		for _, c := range tt.commands {
			a = (kimiCLI{}).commanded(s, c, true, a)
		}
		if a.All != tt.want {
			t.Errorf("after %v: %q runs everything unasked, want %q", tt.commands, a.All, tt.want)
		}
	}
}
