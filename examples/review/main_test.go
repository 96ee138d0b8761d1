package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/examples/internal/kimis"
)

const diff = "diff --git a/a.go b/a.go\n+\treturn nil \xff\n"

func TestReview(t *testing.T) {
	kimis.Run(t, func(t *testing.T, ctx context.Context, k kimis.Kimi) {
		shell := func(id, command string) string {
			return clienttest.ToolCall(id, k.Shell, map[string]string{"command": command})
		}
		review := func(merge bool, findings ...map[string]string) string {
			return clienttest.ToolCall("answer", k.Tool("answer"), map[string]any{"merge": merge, "findings": append([]map[string]string{}, findings...)})
		}
		opts, model := k.Options(t,
			shell("c1", "git log -n 1"), shell("c2", "touch ran"), clienttest.ToolCall("c3", k.Write, map[string]string{"path": "written", "content": "x"}),
			review(false, map[string]string{"place": "a.go:1", "text": "the error\n\n# is lost ![](http://x/y) @all"}), "text: done")
		git := exec.CommandContext(ctx, "git", "init", "-q")
		git.Dir = opts.WorkDir
		if err := git.Run(); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		merge, err := run(ctx, opts, strings.NewReader(diff), &out)
		if merge || err != nil {
			t.Errorf("merge %t, %v", merge, err)
		}
		if want := "## Review: 1 findings\n\n" + `- a\.go\:1\: the error \# is lost \!\[\]\(http\:\/\/x\/y\) \@` + "\u200ball\n"; out.String() != want {
			t.Errorf("the comment is\n%s\nwant\n%s", out.String(), want)
		}
		for _, name := range []string{"ran", "written"} {
			if _, err := os.Stat(filepath.Join(opts.WorkDir, name)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %v", name, err)
			}
		}
		requests := model.Requests()
		if len(requests) < 4 || strings.Contains(string(requests[1]), "does not allow") || !strings.Contains(string(requests[1]), "does not have any commits yet") ||
			!strings.Contains(string(requests[2]), "does not allow") {
			t.Errorf("the model reads %.6000s", requests)
		}

		model.Add(review(true), "text: done")
		if merge, err := run(ctx, opts, strings.NewReader(diff), &out); !merge || err != nil {
			t.Errorf("nothing found: merge %t, %v", merge, err)
		}
		// A review that costs too much gives an error.
		model.Add(clienttest.Reply(shell("c1", "git log -n 1"), "usage: input_other=600000 output=1"), review(true), "text: done")
		out.Reset()
		if merge, err := run(ctx, opts, strings.NewReader(diff), &out); merge || !errors.Is(err, client.ErrLimit) || out.Len() > 0 {
			t.Errorf("too many tokens: merge %t, %v, %q", merge, err, out.String())
		}
		if merge, err := run(ctx, opts, strings.NewReader(""), &out); !merge || err != nil {
			t.Errorf("no change: merge %t, %v", merge, err)
		}
	})
}
