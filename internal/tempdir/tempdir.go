// Package tempdir makes folders for temporary files that hold secrets, and removes those that killed programs have
// left. It recognises its folders by the name, which ends in random letters, by the owner and mode, and by a marker, a
// file with a known text. The program that uses a folder holds a lock of the system on the marker. The lock ends with
// the program in every case, so a folder whose marker is not locked was left.
package tempdir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/internal/regular"
)

// Marker is the name of the marker within a folder.
const Marker = "made-by-kimi-go"

// Kind is a kind of folder.
type Kind struct {
	Prefix string   // of its name, before the 26 letters and digits of [rand.Text]
	Notice string   // the marker's text, which no other kind has
	Files  []string // names of files and links that may stand in it besides the marker
	Trees  []string // names of folders, with whatever is in them
	Links  bool     // symbolic links of any other name may stand in it
}

// Dir is a folder in use.
type Dir struct {
	Path string

	kind *Kind
	lock *os.File // nil if the system has no locks
}

// Make makes a folder in the system's folder for temporary files.
func (k *Kind) Make() (*Dir, error) {
	d := &Dir{Path: filepath.Join(os.TempDir(), k.Prefix+rand.Text()), kind: k}
	if err := os.Mkdir(d.Path, 0o700); err != nil {
		return nil, fmt.Errorf("%w; set TMPDIR to a directory that can be written", err)
	}
	marker, err := os.OpenFile(filepath.Join(d.Path, Marker), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		// The text comes after the lock: without it no one takes the folder for a left one.
		if lock(marker) == nil {
			d.lock = marker
		} else {
			defer marker.Close()
		}
		_, err = marker.WriteString(k.Notice)
	}
	if err != nil {
		return nil, errors.Join(err, d.Remove())
	}
	return d, nil
}

// Remove removes the folder with the files that may be in it. Any other file stays, and gives an error.
func (d *Dir) Remove() error {
	root, err := os.OpenRoot(d.Path)
	if errors.Is(err, fs.ErrNotExist) {
		d.unlock()
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	err = d.kind.clear(root)
	d.unlock() // Windows removes no file that is open
	root.Remove(Marker)
	root.Close()
	if e := os.Remove(d.Path); e != nil && !errors.Is(e, fs.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}

// RemoveAll removes the folder with everything in it, for a caller that has given it to a program that makes other files.
// Links are not followed.
func (d *Dir) RemoveAll() error {
	d.unlock()
	return os.RemoveAll(d.Path) // which Make has made, under a name that no other has
}

func (d *Dir) unlock() {
	if d.lock != nil {
		d.lock.Close()
		d.lock = nil
	}
}

// clear removes what may stand in a folder, except for the marker. Links are removed, and not followed.
func (k *Kind) clear(root *os.Root) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	errs := []error{err}
	for _, e := range entries {
		name := e.Name()
		switch {
		case name == Marker:
		case !e.IsDir() && (k.known(k.Files, name) || k.Links && e.Type()&fs.ModeSymlink != 0):
			err = root.Remove(name)
		case k.known(k.Trees, name):
			err = root.RemoveAll(name)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		err = nil
	}
	return errors.Join(errs...)
}

// known reports whether a list has a name; one that ends in a star stands for all that begin so.
func (k *Kind) known(list []string, name string) bool {
	return slices.ContainsFunc(list, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return name == pattern || open && strings.HasPrefix(name, prefix)
	})
}

// Sweep removes the folders of this kind that programs have left in the system's folder for temporary files.
func (k *Kind) Sweep() {
	temp := os.TempDir()
	entries, _ := os.ReadDir(temp)
	for _, e := range entries {
		if k.Is(e.Name()) {
			k.sweep(filepath.Join(temp, e.Name()))
		}
	}
}

// Is reports whether a folder of this kind could have the name.
func (k *Kind) Is(name string) bool {
	word, ok := strings.CutPrefix(name, k.Prefix)
	return ok && len(word) == 26 && strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// sweep removes a folder that is provably ours and left.
func (k *Kind) sweep(path string) {
	root, err := regular.Root(path)
	if err != nil {
		return
	}
	defer root.Close()
	inside, err := root.Stat(".")
	link, linkErr := os.Lstat(path) // not through a symbolic link
	if err != nil || linkErr != nil || !os.SameFile(inside, link) || !isPrivate(inside) {
		return
	}
	marker, err := regular.OpenIn(root, Marker)
	if err != nil {
		return
	}
	defer marker.Close()
	text := make([]byte, len(k.Notice)+1)
	n, _ := marker.ReadAt(text, 0)
	if string(text[:n]) != k.Notice || lock(marker) != nil {
		return
	}
	if k.clear(root) != nil {
		return
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil || len(entries) != 1 {
		return // someone else's file: the marker stays with it
	}
	marker.Close()
	root.Remove(Marker)
	os.Remove(path) // fails for one that is not empty
}
