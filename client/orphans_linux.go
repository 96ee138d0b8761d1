package client

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// killMarked ends every process that has inherited the marker. kimi starts its background
// tasks in sessions of their own, where no signal to its group reaches them; a kimi that
// was killed leaves them running. It looks again until a round finds none, since one may
// have forked meanwhile.
func killMarked(marker string) {
	entry := []byte(marker)
	for range 20 {
		found := false
		files, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, file := range files {
			env, err := os.ReadFile(file) // unreadable where the process is another user's
			if err != nil || !bytes.Contains(env, entry) {
				continue
			}
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && pid != os.Getpid() {
				found = syscall.Kill(pid, syscall.SIGKILL) == nil || found
			}
		}
		if !found {
			return
		}
	}
}
