package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

const (
	maxBatch      = 256       // how many entries a reader gets at once
	maxBatchBytes = 256 << 10 // how many bytes of entries a reader gets at once, unless the first entry is longer
)

// log holds the entries. The relay's mu guards it. The newest entries are in memory. If there is a file, all entries
// before them are in the file.
type log struct {
	keep      int
	keepBytes int64

	entries  []Entry       // in memory, the oldest first
	bytes    int64         // the size of their JSON
	last     int64         // the number of the newest entry, 0 if there is none
	complete bool          // no more entries are added
	changed  chan struct{} // the next change closes it; nil while no reader waits

	file spill
}

// add appends an entry.
func (l *log) add(raw json.RawMessage) {
	if l.complete {
		return
	}
	l.last++
	l.entries = append(l.entries, Entry{l.last, raw})
	l.bytes += int64(len(raw))
	for len(l.entries) > l.keep || l.bytes > l.keepBytes && len(l.entries) > 1 {
		old := l.entries[0]
		l.entries[0] = Entry{}
		l.entries = l.entries[1:]
		l.bytes -= int64(len(old.JSON))
		l.file.add(old)
	}
	l.wake()
}

// end makes the log complete.
func (l *log) end() {
	l.complete = true
	l.wake()
}

func (l *log) wake() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// oldest returns the number of the oldest entry in memory. If there is none, it returns the number of the next entry.
func (l *log) oldest() int64 { return l.last - int64(len(l.entries)) + 1 }

// oldestKept returns the number of the oldest entry in memory or in the file.
func (l *log) oldestKept() int64 {
	if l.file.last() > 0 {
		return 1
	}
	return l.oldest()
}

// next appends to batch the entries after an entry that are in memory. If they are in the file, next returns the part
// of the file that the caller must read without the lock. If there is no entry yet, the next change closes wait. If the
// log is complete, wait is nil.
func (l *log) next(after int64, batch []Entry) (_ []Entry, part section, wait <-chan struct{}, gap *GapError) {
	oldest := l.oldest()
	switch {
	case after > l.last:
		return batch, part, nil, &GapError{After: after, Oldest: l.oldestKept()}
	case after == l.last:
		if l.complete {
			return batch, part, nil, nil
		}
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		return batch, part, l.changed, nil
	case after+1 >= oldest:
		size := 0
		for _, e := range l.entries[after+1-oldest:] {
			if len(batch) == maxBatch || size > 0 && size+len(e.JSON) > maxBatchBytes {
				break
			}
			size += len(e.JSON)
			batch = append(batch, e)
		}
		return batch, part, nil, nil
	case after < l.file.last():
		return batch, l.file.section(after), nil, nil
	}
	return batch, part, nil, &GapError{After: after, Oldest: oldest, Err: l.file.err}
}

// spill is the file with the entries that are no longer in memory, from the first entry on, one on each line. It is
// made when the first entry leaves the memory.
type spill struct {
	dir   string // "" if there is no file
	file  *os.File
	named bool    // the file still has its name, so close must remove it
	ends  []int64 // the offset of the end of each entry's line
	err   error   // the error after which no more entries are written
}

// add appends an entry that has left the memory. The entry must be the next one, unless there was an error.
func (f *spill) add(e Entry) {
	if f.dir == "" || f.err != nil {
		return
	}
	if f.file == nil {
		file, err := os.CreateTemp(f.dir, "kimi-relay-*.jsonl") // 0600
		if err != nil {
			f.err = err
			return
		}
		f.file = file
		f.named = os.Remove(file.Name()) != nil // if the system can remove an open file, no file is left when the program is killed
	}
	end := int64(0)
	if len(f.ends) > 0 {
		end = f.ends[len(f.ends)-1]
	}
	line := append(e.JSON[:len(e.JSON):len(e.JSON)], '\n')
	if _, err := f.file.WriteAt(line, end); err != nil {
		f.err = err
		return
	}
	f.ends = append(f.ends, end+int64(len(line)))
}

// last returns the number of the newest entry in the file, 0 if there is none.
func (f *spill) last() int64 { return int64(len(f.ends)) }

// section is a part of the file with consecutive entries.
type section struct {
	file     *os.File
	first    int64 // the number of its first entry
	from, to int64
}

// section returns the part of the file after an entry, as much as a reader gets at once.
func (f *spill) section(after int64) section {
	s := section{file: f.file, first: after + 1}
	if after > 0 {
		s.from = f.ends[after-1]
	}
	for _, end := range f.ends[after:min(after+maxBatch, f.last())] {
		if s.to > 0 && end-s.from > maxBatchBytes {
			break
		}
		s.to = end
	}
	return s
}

// read appends the entries of the section to batch.
func (s section) read(batch []Entry) ([]Entry, error) {
	raw := make([]byte, s.to-s.from)
	if _, err := s.file.ReadAt(raw, s.from); err != nil {
		if errors.Is(err, os.ErrClosed) {
			return batch, ErrClosed
		}
		return batch, fmt.Errorf("relay: read: the file of Options.SpillDir: %w", err)
	}
	id := s.first
	for line := range bytes.Lines(raw) {
		batch = append(batch, Entry{id, bytes.TrimSuffix(line, []byte("\n"))})
		id++
	}
	return batch, nil
}

// close removes the file.
func (f *spill) close() error {
	f.dir = ""
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	if f.named {
		err = errors.Join(err, os.Remove(f.file.Name()))
	}
	return err
}
