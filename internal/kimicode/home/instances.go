package home

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Instances returns the folder of a home that contains a file NAME.json for each running server.
func Instances(home string) string { return filepath.Join(home, "server", "instances") }

// Forget removes the file of a killed server of this program. It keeps the file if a running server has the same
// process id.
func Forget(home string, pid int) {
	if home == "" || pid <= 0 || Alive(pid) {
		return
	}
	files, _ := filepath.Glob(filepath.Join(Instances(home), "*.json"))
	for _, file := range files {
		var server struct {
			PID int `json:"pid"`
		}
		if data, err := readSmall(file); err == nil && json.Unmarshal(data, &server) == nil && server.PID == pid {
			os.Remove(file)
		}
	}
}

// Alive reports whether a process runs. If the system does not say, it returns true.
func Alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false // on Windows
	}
	defer p.Release()
	err = p.Signal(syscall.Signal(0))
	return !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, syscall.ESRCH)
}
