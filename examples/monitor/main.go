// Command monitor reads prompts from standard input, one on each line, and gives them to an agent. The log and
// localhost:6060/debug/vars show how much time and how many tokens the prompts take.
package main

import (
	"bufio"
	"context"
	"errors"
	"expvar"
	"flag"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/kimi-go/kimi-go/client"
)

// monitor is a client.Observer that adds up what the turns use.
type monitor struct{ *expvar.Map }

func (m monitor) Observe(o client.Observation) {
	switch o := o.(type) {
	case *client.StepEnded:
		m.Add("tokens", int64(o.Usage.Total()))
		m.AddFloat("model_seconds", o.Answer.Seconds())
	case *client.ToolEnded:
		m.AddFloat("tool_seconds", (o.Duration - o.Waiting).Seconds())
		slog.Info("tool", "turn", o.Turn, "tool", o.Tool, "outcome", o.Outcome, "duration", o.Duration-o.Waiting)
	case *client.TurnEnded:
		m.Add("turns_"+string(o.Outcome), 1)
		slog.Info("turn", "turn", o.Turn, "outcome", o.Outcome, "duration", o.Duration, "first_token", o.Result.FirstToken,
			"waiting", o.Result.Waiting, "tokens", o.Result.Usage.Total(), "tool_calls", o.Result.ToolCalls, "error", o.Err)
	}
}

func main() {
	opts := &client.Options{Limits: client.Limits{Duration: 10 * time.Minute}} // the limit of each prompt
	flag.BoolVar(&opts.Yolo, "yolo", false, "let the agent do what it wants")
	flag.IntVar(&opts.SessionLimits.Tokens, "tokens", 1_000_000, "how many all prompts together may use")
	flag.Parse()
	go func() { log.Fatal(http.ListenAndServe("localhost:6060", nil)) }()
	if err := run(context.Background(), opts, expvar.NewMap("kimi"), os.Stdin); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, opts *client.Options, sums *expvar.Map, prompts io.Reader) error {
	opts.Observer = monitor{sums}
	s, err := client.NewSession(ctx, opts)
	if err != nil {
		return err
	}
	defer s.Close()
	lines := bufio.NewScanner(prompts)
	for err == nil && lines.Scan() {
		var turn *client.Turn
		if turn, err = s.Prompt(ctx, lines.Text()); err == nil {
			_, err = turn.Result()
		}
	}
	return errors.Join(err, lines.Err())
}
