// Package jsonfile changes single members of another program's JSON file and leaves the rest unchanged.
package jsonfile

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/kimi-go/kimi-go/internal/regular"
)

// Member is a member of the object in a file.
type Member struct {
	Key   string
	Value any
}

// Set sets members of the object in a file of at most limit bytes. It keeps the order and the indentation of the file,
// and puts new members at the end. No reader sees a half-written file, because Set replaces the file in one step. If
// the file does not exist, Set creates it.
func Set(root *os.Root, name string, limit int64, members ...Member) error {
	mode := fs.FileMode(0o600)
	data, err := regular.ReadIn(root, name, limit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		data = []byte("{}")
	case err != nil:
		return err
	default:
		info, err := root.Lstat(name)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return &fs.PathError{Op: "write", Path: name, Err: regular.ErrKind}
		}
		mode = info.Mode().Perm()
	}
	if data, err = set(data, members); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return Replace(root, name, data, mode)
}

// Replace replaces a file in one step: a reader sees the old file or the new one.
func Replace(root *os.Root, name string, data []byte, mode fs.FileMode) (err error) {
	temp := name + ".tmp." + rand.Text()
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, root.Remove(temp))
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return root.Rename(temp, name)
}

// set returns an object with members set.
func set(data []byte, members []Member) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	var out bytes.Buffer
	put := func(key string, value []byte) {
		if out.WriteByte(','); out.Len() == 1 {
			out.Reset()
			out.WriteByte('{')
		}
		out.Write(encode(key))
		out.WriteByte(':')
		out.Write(value)
	}
	given := make(map[string][]byte)
	for _, m := range members {
		given[m.Key] = encode(m.Value)
	}
	seen := make(map[string]bool)
	for dec.More() {
		key, err := dec.Token()
		var value json.RawMessage
		if err == nil {
			err = dec.Decode(&value)
		}
		if err != nil {
			return nil, errors.New("not a JSON object")
		}
		name := key.(string)
		if new, ok := given[name]; ok {
			value = new
		}
		seen[name] = true
		put(name, value)
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("not a JSON object")
	}
	for _, m := range members {
		if !seen[m.Key] {
			put(m.Key, given[m.Key])
		}
	}
	if out.Len() == 0 {
		out.WriteByte('{')
	}
	out.WriteByte('}')
	var formed bytes.Buffer
	if _, rest, ok := bytes.Cut(data, []byte("{\n")); ok {
		indent := rest[:len(rest)-len(bytes.TrimLeft(rest, " \t"))]
		if err := json.Indent(&formed, out.Bytes(), "", string(indent)); err != nil {
			return nil, err
		}
	} else if err := json.Compact(&formed, out.Bytes()); err != nil {
		return nil, err
	}
	if bytes.HasSuffix(data, []byte("\n")) {
		formed.WriteByte('\n')
	}
	return formed.Bytes(), nil
}

// encode does not escape <, > and &, which encoding/json does by default and other languages do not.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return []byte("null")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
