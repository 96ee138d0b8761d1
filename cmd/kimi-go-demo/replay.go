package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/render"
	"github.com/kimi-go/kimi-go/internal/fixture"
	"github.com/kimi-go/kimi-go/wireproto"
)

type replayCmd struct {
	Speed   float64 `placeholder:"X" help:"Play X times as fast as it was recorded (default: all at once)."`
	JSON    bool    `name:"json" xor:"output" help:"Write one Wire message on each line."`
	Quiet   bool    `short:"q" xor:"output" help:"Write only the text of the agent."`
	Fixture string  `arg:"" name:"recording" help:"A recording, such as prompt --record makes."`
}

// Run shows the agent's side of a recording as prompt shows a turn. It exits with the status of the last recorded turn.
func (r *replayCmd) Run(e *env) error {
	if r.Speed < 0 {
		return usage("--speed %v is negative", r.Speed)
	}
	f, err := os.Open(r.Fixture)
	if err != nil {
		return err
	}
	defer f.Close()
	rec, err := fixture.Read(f)
	if err != nil {
		return hinted{err, "a recording is made by prompt --record FILE, or by Options.Record"}
	}
	ctx, release := e.signals.during(context.Background())
	defer release()
	show := render.New(e.stdout, render.Options{Quiet: r.Quiet, Inputs: true})
	lines := json.NewEncoder(e.stdout.JSON())
	lines.SetEscapeHTML(false)
	prompts := make(map[string]bool) // the ids of the prompts that run
	var outcome error
	start := time.Now()
	for i, line := range rec.Records {
		if r.Speed > 0 {
			wait := time.Duration(float64(line.MS)/r.Speed)*time.Millisecond - time.Since(start)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if line.End != nil {
			if line.End.Signal != "" || line.End.Unasked {
				outcome = &client.ProcessError{ExitCode: line.End.ExitCode, Signal: line.End.Signal, Args: []string{"the recorded kimi"}}
			}
			break
		}
		frame, err := wireproto.DecodeLine([]byte(line.Line))
		if err != nil {
			fmt.Fprintf(e.stderr, "%s: line %d is not of the protocol: %.100q\n", program, i+2, line.Line)
			continue
		}
		switch {
		case line.From == fixture.Client:
			if frame.Method == wireproto.MethodPrompt {
				prompts[frame.ID] = true
			}
		case frame.Message != nil && r.JSON:
			err = lines.Encode(frame.Message)
		case frame.Message != nil:
			err = show.Message(frame.Message)
		case prompts[frame.ID]:
			delete(prompts, frame.ID)
			outcome = ended(frame)
		}
		if err != nil {
			return fmt.Errorf("standard output: %w", err)
		}
	}
	if !r.JSON {
		err = show.Fresh()
	}
	return errors.Join(outcome, err)
}

// ended returns the error of a turn from the answer to its prompt.
func ended(f *wireproto.Frame) error {
	var result wireproto.PromptResult
	switch {
	case f.Error != nil:
		f.Error.Method = wireproto.MethodPrompt
		return f.Error
	case json.Unmarshal(f.Result, &result) != nil || result.Status == wireproto.StatusFinished:
		return nil
	case result.Status == wireproto.StatusMaxSteps:
		return client.ErrMaxSteps
	}
	return client.ErrCancelled
}
