// Package tempdir makes temporary folders for secrets, and removes the folders that killed programs have left. It knows
// its own folders by their name, which ends in random letters, by their owner and mode, and by a marker, which is a
// file with a known text. A program that uses a folder keeps the marker locked. The system removes the lock however the
// program ends. So a folder with an unlocked marker is no longer in use.
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

// Marker is the name of the marker file in a folder.
const Marker = "made-by-kimi-go"

// Kind describes a kind of folder. Remove and Sweep remove only the entries that it allows.
type Kind struct {
	Prefix string   // the start of the folder's name, before the 26 letters and digits of [rand.Text]
	Notice string   // the text of the marker, which differs for each kind
	Files  []string // names of files and links that the folder may contain besides the marker; a * at the end matches any rest
	Trees  []string // names of folders, which may contain anything; a * at the end matches any rest
	Links  bool     // whether the folder may contain symbolic links with other names
}

// Dir is a folder in use.
type Dir struct {
	Path string

	kind *Kind
	lock *os.File // nil if the system has no locks
}

// Make makes a folder in the system's folder for temporary files, and locks it.
func (k *Kind) Make() (*Dir, error) {
	d := &Dir{Path: filepath.Join(os.TempDir(), k.Prefix+rand.Text()), kind: k}
	if err := os.Mkdir(d.Path, 0o700); err != nil {
		return nil, fmt.Errorf("%w; set TMPDIR to a directory that can be written", err)
	}
	marker, err := os.OpenFile(filepath.Join(d.Path, Marker), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		// Write the text only after locking: a marker without the text is never swept.
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

// Remove removes the folder and the entries that its kind allows. If there are others, they stay, and Remove returns an
// error.
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
	d.unlock() // Windows does not remove an open file
	root.Remove(Marker)
	root.Close()
	if e := os.Remove(d.Path); e != nil && !errors.Is(e, fs.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}

// RemoveAll removes the folder with everything in it, for a caller whose folder another program has used. It does not
// follow links.
func (d *Dir) RemoveAll() error {
	d.unlock()
	return os.RemoveAll(d.Path) // Make has created this folder under a random name
}

func (d *Dir) unlock() {
	if d.lock != nil {
		d.lock.Close()
		d.lock = nil
	}
}

// clear removes the entries that a folder may contain, except for the marker. It does not follow links.
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

// known reports whether a list contains a name. An entry with a * at its end matches all names with this start.
func (k *Kind) known(list []string, name string) bool {
	return slices.ContainsFunc(list, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return name == pattern || open && strings.HasPrefix(name, prefix)
	})
}

// Sweep removes the folders of this kind that are no longer in use from the system's folder for temporary files.
func (k *Kind) Sweep() {
	temp := os.TempDir()
	entries, _ := os.ReadDir(temp)
	for _, e := range entries {
		if k.Is(e.Name()) {
			k.sweep(filepath.Join(temp, e.Name()))
		}
	}
}

// Is reports whether a folder of this kind could have this name.
func (k *Kind) Is(name string) bool {
	word, ok := strings.CutPrefix(name, k.Prefix)
	return ok && len(word) == 26 && strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// sweep removes a folder if it is certain that this package has made it and that it is no longer in use.
func (k *Kind) sweep(path string) {
	root, err := regular.Root(path)
	if err != nil {
		return
	}
	defer root.Close()
	inside, err := root.Stat(".")
	link, linkErr := os.Lstat(path) // unlike Stat, Lstat does not follow a link
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
		return // there are other files: keep them, and the marker
	}
	marker.Close()
	root.Remove(Marker)
	os.Remove(path) // fails if the folder is not empty
}
