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

// pastedImages returns the paths of images that are all of a paste, as terminals paste files that are dropped on them: in quotes, with backslashes
// as a shell has them, or as URLs, one or more with blanks or in lines of their own. It returns nil for any other paste.
func pastedImages(text string) []string {
	text = strings.TrimSpace(text)
	if path := imagePath(text); path != "" { // blanks and all
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

// imagePath returns the path of an image that is there, of a path or a URL; "" if it is none.
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

// shellWords splits a text into words as a POSIX shell does quotes and backslashes; a backslash is one of a path on Windows.
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

// The most that a picture in the clipboard may take.
const (
	clipboardTime = 3 * time.Second
	maxClipboard  = 20 << 20 // bytes
)

// clipboards are programs that write the picture in the clipboard to their output, and fail where there is none.
var clipboards = [][]string{
	{"wl-paste", "--no-newline", "--type", "image/png"},
	{"xclip", "-selection", "clipboard", "-target", "image/png", "-out"},
	{"pngpaste", "-"},
}

// pictureItem is a picture of the clipboard, in a file.
type pictureItem struct {
	path string
	err  error
}

// pastePicture fetches the picture that is in the clipboard, which a terminal does not paste.
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

// fetchPicture puts the picture in the clipboard into a new file in dir.
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
		return "", errors.New("no wl-paste, xclip or pngpaste reads the clipboard here: drop a picture's file on the terminal")
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

// pngOf returns what a program writes if that is a PNG picture, nil if not.
func pngOf(ctx context.Context, words []string) []byte {
	var out limited
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdout, cmd.WaitDelay = &out, time.Second
	if cmd.Run() != nil || !bytes.HasPrefix(out.data, []byte("\x89PNG\r\n\x1a\n")) {
		return nil
	}
	return out.data
}

// limited takes no more than maxClipboard.
type limited struct{ data []byte }

// Write implements [io.Writer].
func (l *limited) Write(p []byte) (int, error) {
	if len(l.data)+len(p) > maxClipboard {
		return 0, errors.New("too much")
	}
	l.data = append(l.data, p...)
	return len(p), nil
}

// picture names a picture of the clipboard in the editor.
func (m *model) picture(p pictureItem) {
	if p.err != nil {
		m.hint = p.err.Error()
		return
	}
	m.edit.insert("@" + quotePath(p.path) + " ")
}
