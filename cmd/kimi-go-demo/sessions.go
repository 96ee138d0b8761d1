package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
)

type sessionsCmd struct {
	where
	JSON bool `name:"json" help:"Write a JSON list."`
}

func (s *sessionsCmd) Run(e *env) error {
	list, err := client.ListSessions(s.options())
	if err != nil {
		return err
	}
	if s.JSON {
		return writeSessions(e, list)
	}
	if len(list) == 0 {
		noSessions(e)
		return nil
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tAGE\tTURNS\tTITLE")
	for _, info := range list {
		title := screen.Line(oneLine(info.Title))
		if info.Archived {
			title += " (archived)"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", screen.Line(info.ID), age(time.Since(info.Updated)), info.Turns, title)
	}
	return w.Flush()
}

// newest returns the id of the newest session of the work dir.
func newest(opts *client.Options) (string, error) {
	list, err := client.ListSessions(opts)
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		return "", client.ErrSessionNotFound
	}
	return list[0].ID, nil
}

func noSessions(e *env) {
	fmt.Fprintf(e.stderr, "%s: this work dir has no sessions; --work-dir and --share-dir look elsewhere\n", program)
}

func writeSessions(e *env, list []client.SessionInfo) error {
	if list == nil {
		list = []client.SessionInfo{}
	}
	enc := json.NewEncoder(e.stdout.JSON())
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(list)
}

// age returns a duration in its largest unit.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
