// Command triage sorts issues. It reads the output of "gh issue list --json number,title,body", and writes a JSON report.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Triage is the agent's answer. If an answer does not fit, the agent gets the reason and can answer again.
type Triage struct {
	Kind     string `json:"kind" jsonschema:"bug, feature, question or spam"`
	Severity int    `json:"severity" jsonschema:"from 1, cosmetic, to 5, data is lost"`
	Summary  string `json:"summary" jsonschema:"one sentence"`
}

// Issue is an issue. In the report, it also has the result.
type Issue struct {
	Number int    `json:"number"`
	Title  string `json:"title"`
	Body   string `json:"body,omitempty"`
	Triage Triage `json:"triage,omitzero"` // missing if all attempts have failed
	Error  string `json:"error,omitempty"` // the error of the last attempt
}

func main() {
	parallel := flag.Int("parallel", 4, "how many issues to triage at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &client.Options{}, *parallel, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "triage:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, opts *client.Options, parallel int, in io.Reader, out io.Writer) error {
	var issues []Issue
	if err := json.NewDecoder(in).Decode(&issues); err != nil {
		return fmt.Errorf("read the issues: %w", err)
	}
	answer, err := client.NewAnswer[Triage]("triage", "Takes the triage of the issue.")
	if err != nil {
		return err
	}
	opts.Tools = []client.Tool{answer.Tool()}
	// Anyone can write an issue, so the agent that reads it may only answer.
	opts.Hooks = []client.Hook{{Event: "PreToolUse", Handle: func(_ context.Context, r *wireproto.HookRequest) (client.HookDecision, error) {
		if r.Target != "triage" {
			return client.Block("call no tool but triage"), nil
		}
		return client.Allow(), nil
	}}}
	pool, err := client.NewPool(opts, client.PoolOptions{Max: parallel, Warm: min(parallel, len(issues))})
	if err != nil {
		return err
	}
	defer pool.Close()
	errs := make([]error, len(issues))
	var all sync.WaitGroup
	for i := range issues {
		all.Go(func() { errs[i] = issues[i].triage(ctx, pool, answer) })
	}
	all.Wait()
	return errors.Join(append(errs, json.NewEncoder(out).Encode(issues))...)
}

// triage asks an agent. If the model's provider fails, it waits and asks again, after 1, 2, 4 and 8 seconds.
func (i *Issue) triage(ctx context.Context, pool *client.Pool, answer *client.Answer[Triage]) error {
	for wait := time.Second; ; wait *= 2 {
		s, err := pool.NewSession(ctx)
		if err == nil {
			i.Triage, err = answer.Ask(ctx, s, fmt.Sprintf("Triage this issue: %s\n\n%s", i.Title, i.Body))
			s.Close() // the pool can use the place for another issue
		}
		if err == nil {
			return nil
		}
		if i.Error = err.Error(); wait > 8*time.Second || !errors.Is(err, client.ErrProvider) {
			return fmt.Errorf("issue %d: %w", i.Number, err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done(): // the next attempt ends at once
		}
	}
}
