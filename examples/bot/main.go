// Command bot lets people whom you do not know talk to one agent. All of them share one conversation. The file rules.toml says
// what the agent may do. The operator decides about the rest, by typing "approve ID" or "reject ID".
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/rules"
)

func main() {
	serve := func(h http.Handler) error { return http.ListenAndServe("localhost:8080", h) }
	log.Fatal(run(context.Background(), &client.Options{Restart: true}, "rules.toml", os.Stdin, slog.Default(), serve))
}

func run(ctx context.Context, opts *client.Options, file string, in io.Reader, log *slog.Logger, serve func(http.Handler) error) error {
	r, err := rules.Load(file)
	if err != nil {
		return err
	}
	opts.Hooks = []client.Hook{r.Hook()} // the rules also deny actions that kimi does not ask about, such as reading a file
	opts.Limits = client.Limits{Tokens: 200_000, Duration: 10 * time.Minute}
	opts.Approve = r.Approve(func(_ context.Context, r *client.ApprovalRequest) error {
		tool, arguments := r.Call()
		log.Info("may it?", "id", r.ID, "tool", tool, "arguments", string(arguments))
		<-r.Done() // the operator has decided, or the turn has ended
		return nil
	})
	s, err := client.NewSession(ctx, opts)
	if err != nil {
		return err
	}
	defer s.Close()
	go decide(s, in, log)
	return serve(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		turn, err := s.Queue(req.Context(), req.PostFormValue("text")) // the text is never a command, not even "/yolo"
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		result, err := turn.Result()
		log.Info("answered", "steps", result.Steps, "error", err)
		json.NewEncoder(w).Encode(result) // the status says whether the turn has finished
	}))
}

// decide reads the operator's decisions, one on each line.
func decide(s *client.Session, in io.Reader, log *slog.Logger) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		decision, id, _ := strings.Cut(lines.Text(), " ")
		if r, waits := s.Request(id).(*client.ApprovalRequest); !waits {
			log.Warn("no such request waits", "id", id)
		} else if decision == "approve" {
			log.Info("approved", "id", id, "error", r.Approve())
		} else {
			log.Info("rejected", "id", id, "error", r.Reject("the operator rejects this"))
		}
	}
}
