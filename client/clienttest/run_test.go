package clienttest_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

func TestRun(t *testing.T) {
	first := errors.New("first")
	var did []string
	var dir string
	err := clienttest.Run(func(tb clienttest.TB) {
		dir = tb.TempDir()
		if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
			t.Error(err)
		}
		for i := range 3 {
			tb.Cleanup(func() {
				did = append(did, fmt.Sprint(i))
				if i == 1 {
					tb.Fatalf("cleanup %d", i)
				}
			})
		}
		tb.Errorf("an error: %w", first)
		did = append(did, "on")
		clienttest.NewModel(tb, "no script")
		did = append(did, "after Fatalf")
	})
	if !slices.Equal(did, []string{"on", "2", "1", "0"}) {
		t.Errorf("did %q", did)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v", err)
	}
	if !errors.Is(err, first) {
		t.Errorf("%v", err)
	}
	want := []string{"an error: first", `clienttest: script 1: "no script" has no colon`, "cleanup 1"}
	if err == nil || !slices.Equal(strings.Split(err.Error(), "\n"), want) {
		t.Errorf("%v", err)
	}
	if err := clienttest.Run(func(tb clienttest.TB) { tb.Skipf("no kimi here") }); err == nil || err.Error() != "no kimi here" {
		t.Errorf("skipped: %v", err)
	}
	if err := clienttest.Run(func(clienttest.TB) {}); err != nil {
		t.Error(err)
	}
}

// The real kimi runs in a program that is not a test.
func TestRunKimi(t *testing.T) {
	var work, answer string
	clienttest.Kimi(t) // skips the test if there is no kimi
	if err := clienttest.Run(func(tb clienttest.TB) {
		opts := clienttest.Kimi(tb, "text: Hello!")
		work, opts.Yolo, opts.StartTimeout = opts.WorkDir, true, 2*time.Minute
		var err error
		if answer, err = client.Ask(t.Context(), "hi", opts); err != nil {
			tb.Fatalf("%w", err)
		}
	}); err != nil || answer != "Hello!" {
		t.Errorf("%q, %v", answer, err)
	}
	if _, err := os.Stat(work); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v", err)
	}
}

// Kimi with a nil TB gives an error, because it needs a temporary folder.
func TestNilKimi(t *testing.T) {
	clienttest.Kimi(t)
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, "use Run") {
			t.Errorf("panic: %s", got)
		}
	}()
	clienttest.Kimi(nil)
}
