package client

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/internal/regular"
)

const (
	// secretPrefix and a word of 26 letters and digits (rand.Text) are the name of a folder of ours.
	secretPrefix = "kimi-go-secrets-"
	// secretMarker is the file that says so within, with the text secretNotice.
	secretMarker = "made-by-kimi-go"
	secretNotice = "The kimi-go library made this folder for a start of kimi. It removes the folder when kimi has started,\n" +
		"or, if the program was killed before, with a later start.\n"
	// staleAfter is longer than any start takes.
	staleAfter = time.Hour
)

// secretNames are the files that may stand in such a folder, the marker last: while a secret is there, so is the marker.
var secretNames = []string{"config.toml", "mcp.json", secretMarker}

// secretDir is a folder of files that only this user can read. kimi reads them while it starts and never again, so
// that they are gone before the session is used, even when this program is killed later.
type secretDir struct {
	path string // "" for none yet
}

// write writes one of secretNames.
func (d *secretDir) write(name string, data []byte) (string, error) {
	if d.path == "" {
		temp := os.TempDir()
		sweepSecrets(temp)
		path := filepath.Join(temp, secretPrefix+rand.Text())
		if err := os.Mkdir(path, 0o700); err != nil {
			return "", fmt.Errorf("client: temporary files: %w; set TMPDIR to a directory that can be written", err)
		}
		d.path = path
		if err := os.WriteFile(filepath.Join(path, secretMarker), []byte(secretNotice), 0o600); err != nil {
			return "", fmt.Errorf("client: temporary files: %w", err)
		}
	}
	path := filepath.Join(d.path, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return "", fmt.Errorf("client: temporary files: %w", err)
	}
	return path, nil
}

// remove removes what write has made, and nothing else.
func (d *secretDir) remove() error {
	if d.path == "" {
		return nil
	}
	var errs []error
	for _, name := range secretNames {
		errs = append(errs, os.Remove(filepath.Join(d.path, name)))
	}
	errs = slices.DeleteFunc(append(errs, os.Remove(d.path)), func(err error) bool { return errors.Is(err, fs.ErrNotExist) })
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("client: temporary files: %w", err)
	}
	d.path = ""
	return nil
}

// sweepSecrets removes what programs have left behind that were killed while their kimi was starting.
func sweepSecrets(temp string) {
	entries, _ := os.ReadDir(temp)
	for _, e := range entries {
		if isSecretDir(e.Name()) {
			removeStale(filepath.Join(temp, e.Name()))
		}
	}
}

func isSecretDir(name string) bool {
	word, ok := strings.CutPrefix(name, secretPrefix)
	return ok && len(word) == 26 && strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// removeStale removes a folder that is provably ours and old: by its owner and mode, by the marker, and by
// holding nothing but our files. It deletes these alone, and the folder only once it is empty.
func removeStale(path string) {
	root, err := regular.Root(path)
	if err != nil {
		return
	}
	defer root.Close()
	inside, err := root.Stat(".")
	link, linkErr := os.Lstat(path) // not through a symbolic link
	if err != nil || linkErr != nil || !os.SameFile(inside, link) || !isPrivate(inside) || time.Since(inside.ModTime()) < staleAfter {
		return
	}
	if notice, err := regular.ReadIn(root, secretMarker, int64(len(secretNotice))); err != nil || string(notice) != secretNotice {
		return
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	foreign := func(e fs.DirEntry) bool { return !e.Type().IsRegular() || !slices.Contains(secretNames, e.Name()) }
	if err != nil || slices.ContainsFunc(entries, foreign) {
		return
	}
	for _, name := range secretNames {
		root.Remove(name)
	}
	os.Remove(path) // fails for one that is not empty
}
