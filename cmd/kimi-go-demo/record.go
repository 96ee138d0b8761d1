package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// recordingGrace is how long the last lines of a recording may take to be written.
const recordingGrace = 5 * time.Second

// createRecording opens the file for a recording. Only this user may read it: if the file exists, its mode is changed
// before anything is written. A link to a file is refused, because the work dir may belong to another person, and so
// may the target of the link.
func createRecording(path string) (_ *os.File, err error) {
	defer func() {
		if err != nil {
			err = hinted{fmt.Errorf("--record: %w", err), "--record needs a file that you own and can write"}
		}
	}()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // O_EXCL follows no link
	}
	if err != nil {
		return nil, err
	}
	if err := makePrivate(f, path); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// makePrivate empties a file and makes it readable only for this user. It does not change a pipe or anything else that
// is not a regular file.
func makePrivate(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	if named, err := os.Lstat(path); err != nil || !os.SameFile(info, named) {
		return fmt.Errorf("%s is a link; name the file itself", path)
	}
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	return f.Truncate(0)
}
