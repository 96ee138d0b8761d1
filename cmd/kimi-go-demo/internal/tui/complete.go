package tui

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
)

const (
	maxMenu  = 6      // entries that are shown
	maxFiles = 20_000 // files of the work dir that are listed
)

// menu lists what can replace the word before the cursor.
type menu struct {
	word    string // the text that is completed, with its / or @
	entries []entry
	current int
	chosen  bool // the person has moved to the current entry
}

type entry struct {
	text  string // what replaces the word
	about string
}

func (m *menu) open() bool { return len(m.entries) > 0 }

// move chooses another entry.
func (m *menu) move(by int) {
	m.current, m.chosen = (m.current+by+len(m.entries))%len(m.entries), true
}

// enters reports whether Enter completes the word. If not, Enter sends the text. It does that if the word is an entry
// already. It also does that if an entry only contains the letters of the word, as can happen with a path.
func (m *menu) enters() bool {
	c := m.entries[m.current].text
	switch {
	case m.word == c:
		return false
	case m.chosen || strings.HasPrefix(m.word, "@") || strings.HasSuffix(m.word, " "):
		return true
	}
	is := func(e entry) bool { return e.text == m.word }
	return len(m.word) > 1 && strings.HasPrefix(c, m.word) && !slices.ContainsFunc(m.entries, is)
}

// lines shows the menu.
func (m *menu) lines(columns int) []string {
	var list []string
	from := max(0, m.current-maxMenu+1)
	for i, e := range m.entries[from:min(len(m.entries), from+maxMenu)] {
		mark, style := "  ", screen.Plain
		if from+i == m.current {
			mark, style = "❯ ", screen.Bold
		}
		line := mark + paint(style, e.text)
		if e.about != "" {
			line += paint(screen.Dim, "  "+e.about)
		}
		list = append(list, cut(line, columns))
	}
	if more := len(m.entries) - maxMenu; more > 0 {
		list = append(list, paint(screen.Dim, fmt.Sprintf("  %d more", more)))
	}
	return list
}

// word returns the word before the cursor. line is the text of the line up to the cursor.
func word(line string) string {
	if i := strings.LastIndex(line, `@"`); i >= 0 && !strings.Contains(line[i+2:], `"`) {
		return line[i:]
	}
	i := strings.LastIndexFunc(line, unicode.IsSpace)
	return line[i+1:]
}

// chooses reports whether a line begins with a command whose argument can be completed.
func chooses(line string) bool {
	return strings.HasPrefix(line, "/model ") || strings.HasPrefix(line, "/effort ") || namesTurns(line)
}

// namesTurns reports whether a line is a command that takes a number of turns.
func namesTurns(line string) bool {
	return strings.HasPrefix(line, "/fork ") || strings.HasPrefix(line, "/undo ")
}

// turnChoices are the numbers that /fork and /undo take, with the prompt of the turn that each of them names. The latest
// turn comes first.
func turnChoices(prompts []string) []entry {
	var list []entry
	for i := len(prompts); i > 0; i-- {
		list = append(list, entry{fmt.Sprint("/fork ", i), "keeps up to " + quoted(prompts[i-1])})
	}
	for i := len(prompts); i > 0; i-- {
		list = append(list, entry{fmt.Sprint("/undo ", len(prompts)-i+1), "takes back from " + quoted(prompts[i-1]) + " on"})
	}
	return list
}

// suggest returns the menu for the text before the cursor.
func suggest(before string, first bool, commands, choices []entry, files []string) menu {
	w := word(before)
	switch {
	case first && chooses(before):
		return menu{word: before, entries: matching(choices, before[1:])}
	case first && strings.HasPrefix(before, "/") && w == before:
		return menu{word: w, entries: matching(commands, w[1:])}
	case strings.HasPrefix(w, "@") && len(files) > 0:
		var list []entry
		for _, f := range files {
			list = append(list, entry{text: "@" + quotePath(f)})
		}
		return menu{word: w, entries: matching(list, strings.Trim(w[1:], `"`))}
	}
	return menu{}
}

// matching returns the entries that have the letters of a word in order. Entries that begin with the word come first,
// then entries that contain it, then the others.
func matching(list []entry, w string) []entry {
	w = strings.ToLower(w)
	var ranks [3][]entry
	for _, e := range list {
		t := strings.ToLower(strings.Trim(e.text[1:], `"`))
		switch {
		case strings.HasPrefix(t, w), strings.HasPrefix(filepath.Base(t), w):
			ranks[0] = append(ranks[0], e)
		case strings.Contains(t, w):
			ranks[1] = append(ranks[1], e)
		case inOrder(t, w):
			ranks[2] = append(ranks[2], e)
		}
	}
	return slices.Concat(ranks[0], ranks[1], ranks[2])
}

func inOrder(t, letters string) bool {
	for _, c := range letters {
		i := strings.IndexRune(t, c)
		if i < 0 {
			return false
		}
		t = t[i+len(string(c)):]
	}
	return true
}

// quotePath quotes a path that contains a space, so that its end can be found.
func quotePath(path string) string {
	if strings.ContainsFunc(path, unicode.IsSpace) {
		return `"` + path + `"`
	}
	return path
}

// listFiles returns the files of a directory, relative to it. It leaves out hidden directories and directories with
// code of others, such as vendor.
func listFiles(dir string) []string {
	var list []string
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	defer root.Close()
	fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			if path != "." && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "vendor") {
				return fs.SkipDir
			}
		case screen.Line(screen.Clean(path)) != path: // the screen would show another path
		default:
			list = append(list, path)
		}
		if len(list) >= maxFiles {
			return fs.SkipAll
		}
		return nil
	})
	return list
}

// mentions returns the images that a prompt names as @path.
func mentions(text, dir string) []string {
	var list []string
	for rest := text; ; {
		i := strings.Index(rest, "@")
		if i < 0 {
			return list
		}
		rest = rest[i+1:]
		path := rest
		if quoted, ok := strings.CutPrefix(rest, `"`); ok {
			path, _, _ = strings.Cut(quoted, `"`)
		} else if end := strings.IndexFunc(rest, unicode.IsSpace); end >= 0 {
			path = rest[:end]
		}
		path = strings.TrimRight(path, ".,;:!?)")
		if !isImage(path) {
			continue
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if regular(path) && !slices.Contains(list, path) {
			list = append(list, path)
		}
	}
}
