package client_test

import (
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	soakSeed      = flag.Uint64("soak.seed", 0, "first seed of the soak; 0 means a seed from the clock")
	soakSchedules = flag.Int("soak.schedules", 50, "number of schedules of the soak; each has the next seed")
	soakAtOnce    = flag.Int("soak.parallel", 12, "number of schedules of the soak that run at once")
)

// TestSoak runs schedules of random agents and random programs, and judges each by its transcript. To repeat one of
// them, pass its seed: -args -soak.seed=N -soak.schedules=1.
func TestSoak(t *testing.T) {
	first := *soakSeed
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	t.Logf("soak: %d schedules from -soak.seed=%d", *soakSchedules, first)
	warm()
	var heap []uint64
	const round = 100
	for done := 0; done < *soakSchedules; done += round {
		soakRound(t, first+uint64(done), min(round, *soakSchedules-done))
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		heap = append(heap, m.HeapAlloc>>10)
	}
	if len(heap) > 1 {
		t.Logf("soak: heap after each round in KiB: %v", heap)
		if first, last := heap[0], heap[len(heap)-1]; last > first+4<<10 {
			t.Errorf("the heap has grown from %d to %d KiB", first, last)
		}
	}
}

// soakRound runs some schedules in parallel, and checks that no goroutine, file or process of them is left.
func soakRound(t *testing.T, first uint64, n int) {
	runs := make([][]entry, n)
	t.Run(fmt.Sprint(first), func(t *testing.T) {
		noLeaks(t)
		temp, work, token := t.TempDir(), t.TempDir(), rand.Text()
		for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
			t.Setenv(name, temp)
		}
		files := openFiles()
		slots := make(chan struct{}, *soakAtOnce)
		var all sync.WaitGroup
		for i := range n {
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				r := &soakRun{plan: newSchedule(first + uint64(i))}
				runs[i] = r.run(work, token)
			})
		}
		all.Wait()
		eventually(t, 10*time.Second, func() bool { return len(openFiles()) <= len(files) },
			func() string { return fmt.Sprintf("descriptors left: before %q, now %q", files, openFiles()) })
		eventually(t, 10*time.Second, func() bool { return len(marked(token)) == 0 },
			func() string { return fmt.Sprintf("processes left: %v", marked(token)) })
		if left, _ := filepath.Glob(filepath.Join(temp, "*")); len(left) > 0 {
			t.Errorf("temporary files left: %v", left)
		}
	})
	// Check only now, so that a transcript has everything that came after the end of its schedule.
	var slowest time.Duration
	slow := uint64(0)
	for i, log := range runs {
		if d := log[len(log)-1].At.Sub(log[0].At); d > slowest {
			slowest, slow = d, first+uint64(i)
		}
		plan := newSchedule(first + uint64(i))
		bad := check(plan, log)
		if len(bad) == 0 {
			continue
		}
		t.Errorf("seed %d:\n\t%s\nto repeat it: -run '^TestSoak$' -args -soak.seed=%d -soak.schedules=1\nits transcript: %s",
			plan.Seed, strings.Join(bad, "\n\t"), plan.Seed, keep(t, plan, log, bad))
	}
	t.Logf("soak: the slowest was seed %d, %v", slow, slowest)
}

// keep writes a transcript to a file and returns the name of the file.
func keep(t *testing.T, plan *schedule, log []entry, bad []string) string {
	f, err := os.CreateTemp("", fmt.Sprintf("soak-%d-*.txt", plan.Seed))
	if err != nil {
		t.Error(err)
		return ""
	}
	defer f.Close()
	fmt.Fprintf(f, "%+v\n", *plan)
	for _, e := range log {
		fmt.Fprintln(f, e)
	}
	fmt.Fprintln(f, strings.Join(bad, "\n"))
	return f.Name()
}
