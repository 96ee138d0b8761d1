package client

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// killMarked ends every process that has inherited the marker, and returns when they are gone. kimi starts its
// background tasks in process sessions of their own, which signals to kimi's process group do not reach. A killed kimi
// leaves them running. killMarked searches again until it finds none, because a process may have forked in the
// meantime. An error says why a process may be left.
func killMarked(marker string) error {
	entry := []byte(marker)
	found := false
	for round := range 40 {
		if round > 1 { // a killed process needs a moment to end
			time.Sleep(min(time.Duration(round)*2*time.Millisecond, 50*time.Millisecond))
		}
		pids, err := processes()
		if err != nil {
			return err
		}
		found = false
		changing := false
		for _, pid := range pids {
			env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
			switch {
			case pid == os.Getpid(), errors.Is(err, fs.ErrPermission): // a process of another user
				continue
			case err == nil && len(env) == 0, errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ESRCH):
				stat := readStat(pid)
				changing = changing || stat.isChanging()
				if !stat.headless() {
					continue
				}
				env = environOfThreads(pid)
			case err != nil:
				return err
			}
			if !bytes.Contains(env, entry) {
				continue
			}
			switch err := syscall.Kill(pid, syscall.SIGKILL); err {
			case nil:
				found = true
			case syscall.ESRCH:
			default:
				return fmt.Errorf("kill %d: %w", pid, err)
			}
		}
		if !found && !changing {
			return nil
		}
	}
	if found {
		return errors.New("they start new processes as fast as they are ended")
	}
	return nil // only processes that are already ending are left
}

// stat has the fields 3 to 52 of proc_pid_stat(5), or none if the process is gone.
type stat []string

const statState, statFlags, statThreads, statEnvEnd = 0, 6, 17, 48

func readStat(pid int) stat {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil
	}
	// The second field is the name, which may have any characters.
	fields := stat(strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:])))
	if len(fields) <= statEnvEnd {
		return nil
	}
	return fields
}

// isChanging reports whether a process shows no environment only because it is just being started, or was killed and is
// not gone yet. A zombie, a kernel thread, and a process that was started without an environment are not changing.
func (s stat) isChanging() bool {
	if s == nil || s[statState] == "Z" || s[statState] == "X" {
		return false
	}
	const kernelThread = 0x00200000 // PF_KTHREAD
	set, _ := strconv.ParseUint(s[statFlags], 10, 64)
	return set&kernelThread == 0 && s[statEnvEnd] == "0"
}

// headless reports whether the first thread of a process has ended and others run. Such a process looks like a zombie.
func (s stat) headless() bool {
	return s != nil && s[statState] == "Z" && s[statThreads] != "0" && s[statThreads] != "1"
}

// environOfThreads returns the environment of a process from one of its threads.
func environOfThreads(pid int) []byte {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "task")
	threads, _ := os.ReadDir(dir)
	for _, t := range threads {
		if env, err := os.ReadFile(filepath.Join(dir, t.Name(), "environ")); err == nil && len(env) > 0 {
			return env
		}
	}
	return nil
}

// processes lists the ids of all processes. Without /proc, the list is empty.
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
