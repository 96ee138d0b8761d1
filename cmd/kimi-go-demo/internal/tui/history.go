package tui

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	maxHistory      = 500
	maxHistoryBytes = 4 << 20
)

// history is what was sent in a work dir, the newest last. It is kept in a file that only its user can read.
type history struct {
	path    string // "" keeps nothing
	entries []string
}

// HistoryFile returns where the history of a work dir is kept, "" if there is no place for it.
func HistoryFile(workDir string) string {
	dir := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		switch {
		case runtime.GOOS == "windows":
			dir = os.Getenv("LocalAppData")
		case err == nil && runtime.GOOS == "darwin":
			dir = filepath.Join(home, "Library", "Application Support")
		case err == nil:
			dir = filepath.Join(home, ".local", "state")
		}
	}
	abs, err := filepath.Abs(workDir)
	if !filepath.IsAbs(dir) || err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(abs))
	return filepath.Join(dir, "kimi-go-demo", "history", hex.EncodeToString(sum[:8])+".jsonl")
}

// loadHistory reads a history. If the file cannot be read, the history is empty.
func loadHistory(path string) *history {
	h := &history{path: path}
	if path == "" || !regular(path) {
		return h
	}
	f, err := os.Open(path)
	if err != nil {
		return h
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > maxHistoryBytes {
		f.Seek(-maxHistoryBytes, 2)
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxHistoryBytes)
	for lines.Scan() {
		var text string
		if json.Unmarshal(lines.Bytes(), &text) == nil && text != "" {
			h.entries = append(h.entries, text)
		}
	}
	h.entries = h.entries[max(0, len(h.entries)-maxHistory):]
	return h
}

// add appends a text: in memory as the editor shows it, and in the file as a whole.
func (h *history) add(shown, text string) error {
	if n := len(h.entries); strings.TrimSpace(text) == "" || n > 0 && h.entries[n-1] == shown {
		return nil
	}
	h.entries = append(h.entries, shown)
	if h.path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(h.path), 0o700); err != nil {
		return err
	}
	line, err := json.Marshal(text)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(h.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// regular reports whether path is a regular file, which can be read without waiting.
func regular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
