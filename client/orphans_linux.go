package client

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// killMarked ends every process that has inherited the marker. kimi starts its background
// tasks in sessions of their own, where no signal to its group reaches them; a kimi that
// was killed leaves them running. It looks again until a round finds none, since one may
// have forked meanwhile. Its error says why one may be left.
func killMarked(marker string) error {
	entry := []byte(marker)
	for round := range 20 {
		if round > 1 {
			time.Sleep(time.Duration(round) * 2 * time.Millisecond) // what was killed takes a moment to end
		}
		found := false
		pids, err := processes()
		if err != nil {
			return err
		}
		for _, pid := range pids {
			env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
			switch {
			case err == nil && !bytes.Contains(env, entry), pid == os.Getpid():
				continue
			case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ESRCH):
				continue // it has ended, or is another user's
			case err != nil:
				return err
			}
			switch err := syscall.Kill(pid, syscall.SIGKILL); err {
			case nil:
				found = true
			case syscall.ESRCH:
			default:
				return fmt.Errorf("kill %d: %w", pid, err)
			}
		}
		if !found {
			return nil
		}
	}
	return errors.New("they start new ones as fast as they are ended")
}

// processes lists the ids of all processes, none where there is no /proc.
func processes() ([]int, error) {
	dir, err := os.Open("/proc")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
