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

// createRecording opens the file of a recording. Only this user may read it: the mode of an existing file is changed
// before anything is written. A link to a file is refused. The work dir may belong to another person, and so may the
// target of the link.
func createRecording(path string) (_ *os.File, err error) {
	defer func() {
		if err != nil {
			err = hinted{fmt.Errorf("--record: %w", err), "--record needs a file that can be written, and that is yours"}
		}
	}()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // follows no link
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

// makePrivate empties a file and makes it readable for this user only. A pipe, or anything else that is not a file, is
// not changed.
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
