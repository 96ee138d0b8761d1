package tui

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unicode"
)

// pastedImages returns the paths of images in a paste, or nil if the paste has anything else. When a file is dropped on
// a terminal, the terminal pastes its path: as it is, in quotes, with backslashes, or as a URL.
func pastedImages(text string) []string {
	text = strings.TrimSpace(text)
	if path := imagePath(text); path != "" { // one path that is not quoted
		return []string{path}
	}
	words, ok := shellWords(text)
	if !ok {
		return nil
	}
	var list []string
	for _, w := range words {
		path := imagePath(w)
		if path == "" {
			return nil
		}
		list = append(list, path)
	}
	return list
}

// imagePath returns the path of the image file that a path or a file URL names, or "" if there is no such file.
func imagePath(word string) string {
	if u, err := url.Parse(word); err == nil && u.Scheme == "file" && (u.Host == "" || u.Host == "localhost") {
		word = filepath.FromSlash(u.Path)
		if runtime.GOOS == "windows" {
			word = strings.TrimPrefix(word, `\`)
		}
	}
	if strings.ContainsAny(word, "\n\"") || !filepath.IsAbs(word) || !isImage(word) || !regular(word) {
		return ""
	}
	return word
}

// shellWords splits a text into words, with quotes and backslashes as in a POSIX shell. On Windows, a backslash stands
// for itself. ok is false if a quote is not closed or nothing comes after a backslash.
func shellWords(text string) (words []string, ok bool) {
	var word strings.Builder
	var quote rune
	inside, escaped := false, false
	for _, c := range text {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'' && runtime.GOOS != "windows":
			inside, escaped = true, true
		case c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			inside, quote = true, c
		case quote == 0 && unicode.IsSpace(c):
			if inside {
				words = append(words, word.String())
				word.Reset()
				inside = false
			}
		default:
			inside = true
			word.WriteRune(c)
		}
	}
	if inside {
		words = append(words, word.String())
	}
	return words, quote == 0 && !escaped
}

func isImage(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".png", ".jpg", ".jpeg", ".gif", ".webp":
		return true
	}
	return false
}

// Limits of a picture from the clipboard.
const (
	clipboardTime = 3 * time.Second
	maxClipboard  = 20 << 20 // bytes
)

// clipboards are programs that write the picture in the clipboard to standard output. They fail if there is no picture.
var clipboards = [][]string{
	{"wl-paste", "--no-newline", "--type", "image/png"},
	{"xclip", "-selection", "clipboard", "-target", "image/png", "-out"},
	{"pngpaste", "-"},
}

// pictureItem is a file with the picture from the clipboard.
type pictureItem struct {
	path string
	err  error
}

// pastePicture takes the picture from the clipboard. Terminals paste text only.
func (m *model) pastePicture() {
	if m.shots == "" {
		dir, err := os.MkdirTemp("", "kimi-go-demo-")
		if err != nil {
			m.tell(err)
			return
		}
		m.shots = dir
	}
	dir := m.shots
	m.work.Go(func() {
		ctx, cancel := context.WithTimeout(m.ctx, clipboardTime)
		defer cancel()
		path, err := fetchPicture(ctx, dir)
		m.feed.add(pictureItem{path, err})
	})
}

// fetchPicture writes the picture in the clipboard to a new file in dir.
func fetchPicture(ctx context.Context, dir string) (path string, err error) {
	var data []byte
	found := false
	for _, words := range clipboards {
		if _, err := exec.LookPath(words[0]); err == nil && data == nil {
			found = true
			data = pngOf(ctx, words)
		}
	}
	switch {
	case !found:
		return "", errors.New("to paste a picture, install wl-paste, xclip or pngpaste, or drop the file on the terminal")
	case data == nil:
		return "", errors.New("no picture is in the clipboard")
	}
	f, err := os.CreateTemp(dir, "picture-*.png")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	return f.Name(), errors.Join(err, f.Close())
}

// pngOf returns the output of a program if it is a PNG picture, and nil otherwise.
func pngOf(ctx context.Context, words []string) []byte {
	var out limited
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdout, cmd.WaitDelay = &out, time.Second
	if cmd.Run() != nil || !bytes.HasPrefix(out.data, []byte("\x89PNG\r\n\x1a\n")) {
		return nil
	}
	return out.data
}

// limited is a buffer of at most maxClipboard bytes.
type limited struct{ data []byte }

// Write implements [io.Writer].
func (l *limited) Write(p []byte) (int, error) {
	if len(l.data)+len(p) > maxClipboard {
		return 0, errors.New("too much")
	}
	l.data = append(l.data, p...)
	return len(p), nil
}

// picture adds the file of a picture to the editor.
func (m *model) picture(p pictureItem) {
	if p.err != nil {
		m.hint = p.err.Error()
		return
	}
	m.edit.insert("@" + quotePath(p.path) + " ")
}
