// Package regular reads files that other programs have written. It reads only regular files, up to a limit. It refuses
// devices, which may never end, and named pipes, which would block the program until another one opens them.
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

var (
	// ErrKind is the error for a path that exists but is not a regular file.
	ErrKind = errors.New("not a regular file")
	// ErrTooLarge is the error for a file that is larger than the limit.
	ErrTooLarge = errors.New("too large")
)

// Open opens a regular file for reading. Symbolic links are followed.
func Open(path string) (*os.File, error) {
	return check(path)(os.OpenFile(path, os.O_RDONLY|nonblock, 0))
}

// OpenIn is Open for a file in root. Like [os.Root.Open], it refuses a link that leaves root.
func OpenIn(root *os.Root, name string) (*os.File, error) {
	return check(name)(root.OpenFile(name, os.O_RDONLY|nonblock, 0))
}

// Root opens a directory like [os.OpenRoot], but does not wait if the path is a named pipe.
func Root(path string) (*os.Root, error) {
	return os.OpenRoot(path + string(os.PathSeparator) + ".")
}

// check checks the opened file and not its path, because the path may change in between.
func check(path string) func(*os.File, error) (*os.File, error) {
	return func(f *os.File, err error) (*os.File, error) {
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		switch {
		case err != nil:
		case info.IsDir():
			err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("is a directory, %w", ErrKind)}
		case !info.Mode().IsRegular():
			err = &fs.PathError{Op: "read", Path: path, Err: ErrKind}
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}
}

// Read reads a regular file of at most limit bytes.
func Read(path string, limit int64) ([]byte, error) { return read(path, limit)(Open(path)) }

// ReadIn reads a regular file in root of at most limit bytes.
func ReadIn(root *os.Root, name string, limit int64) ([]byte, error) {
	return read(name, limit)(OpenIn(root, name))
}

func read(path string, limit int64) func(*os.File, error) ([]byte, error) {
	return func(f *os.File, err error) ([]byte, error) {
		if err != nil {
			return nil, err
		}
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, limit+1))
		if err == nil && int64(len(data)) > limit {
			err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)}
		}
		if err != nil {
			return nil, err
		}
		return data, nil
	}
}
