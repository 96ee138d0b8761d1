package rules

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// maxLinks is how many symbolic links a path may have. Most systems have the same limit.
const maxLinks = 40

var errLinks = errors.New("too many symbolic links")

// resolve follows the symbolic links in an absolute path, one name after the other, as the system does. A name that
// does not exist is not a link.
func resolve(path string) (string, error) {
	volume := filepath.VolumeName(path)
	separator := string(filepath.Separator)
	done, links := volume+separator, 0
	rest := strings.Split(path[len(volume):], separator)
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			done = filepath.Dir(done)
			continue
		}
		next := filepath.Join(done, name)
		info, err := os.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if slices.Contains(rest, "..") {
				return "", err
			}
			return filepath.Join(next, filepath.Join(rest...)), nil
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeIrregular != 0: // a mount point on Windows
			return "", fs.ErrInvalid
		case info.Mode()&fs.ModeSymlink == 0:
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", errLinks
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			volume = filepath.VolumeName(target)
			done, target = volume+separator, target[len(volume):]
		}
		rest = append(strings.Split(target, separator), rest...)
	}
	return done, nil
}

// place is the place to which a path of a call leads.
type place struct {
	written  string // absolute, with ".." resolved in the text, as both kimis do
	resolved string // written after all symbolic links; "" if they cannot be resolved
	sure     bool   // no program can read the path in another way
}

// locate finds the place to which a path leads.
func (c *call) locate(text string) place {
	sure := text != "" && text == strings.TrimSpace(text) && text[0] != '~' && !strings.Contains(text, "://") && !strings.ContainsFunc(text, unicode.IsControl)
	path := filepath.FromSlash(text)
	if home, rest := homePath(text); home != "" { // both kimis expand "~"
		path = filepath.Join(home, rest)
	}
	if !filepath.IsAbs(path) {
		if c.workDir == "" {
			return place{}
		}
		path = c.workDir + string(filepath.Separator) + path
	}
	p := place{written: filepath.Clean(path)}
	var err error
	if p.resolved, err = resolve(p.written); err != nil {
		return p
	}
	other, err := resolve(path) // the system resolves "link/.." by the target of the link
	p.sure = sure && err == nil && other == p.resolved
	return p
}

// homePath splits a path that begins with "~" or "~/". For other paths, and if the home is not known, home is "".
func homePath(text string) (home, rest string) {
	rest, ok := strings.CutPrefix(text, "~")
	if !ok || rest != "" && rest[0] != '/' {
		return "", ""
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", ""
	}
	return home, rest
}

// below returns path relative to dir, if path is dir or is in it.
func below(dir, path string) (string, bool) {
	if path == dir {
		return "", true
	}
	if !strings.HasSuffix(dir, string(filepath.Separator)) {
		dir += string(filepath.Separator)
	}
	return strings.CutPrefix(path, dir)
}

// segments returns the names in a path.
func segments(path string) []string {
	return strings.FieldsFunc(filepath.ToSlash(path), func(r rune) bool { return r == '/' })
}

// split returns the folder in which a pattern starts, and the patterns of the names below it. The folder is "" if it is
// not known.
func (c *call) split(pattern string) (dir string, names []string) {
	switch {
	case strings.HasPrefix(pattern, "~"):
		dir, pattern = homePath(pattern)
	case filepath.IsAbs(filepath.FromSlash(pattern)):
		dir = filepath.VolumeName(filepath.FromSlash(pattern)) + string(filepath.Separator)
		pattern = pattern[len(dir)-1:]
	case strings.HasPrefix(pattern, "/"):
		dir = string(filepath.Separator)
	default:
		dir = c.workDir
	}
	return dir, segments(pattern)
}

// within reports whether a path rule of Allow covers the place to which the call's path leads. For a tool that
// searches, the rule must cover everything below it.
func (c *call) within(pattern string) bool {
	if c.args == nil || c.strange || c.windows || c.workDir == "" || len(c.shape.path) == 0 {
		return false
	}
	var at *place
	for _, name := range c.shape.path {
		if c.absent(name) {
			continue
		}
		text, ok := c.text(name)
		p := c.locate(text)
		if !ok || !p.sure || at != nil {
			return false
		}
		at = &p
	}
	dir, names := c.split(pattern)
	if at == nil || dir == "" {
		return false
	}
	if c.shape.tree && names[len(names)-1] != "**" {
		return false
	}
	if c.shape.pattern != "" {
		text, ok := c.text(c.shape.pattern)
		if !ok || strings.Contains(text, "..") || filepath.IsAbs(text) || strings.HasPrefix(text, "~") {
			return false
		}
	}
	dir, err := resolve(dir)
	if err != nil {
		return false
	}
	rel, ok := below(dir, at.resolved)
	return ok && matchNames(names, segments(rel))
}

// touches reports whether a path rule of Deny or Ask matches the call.
func (c *call) touches(pattern string) match {
	if len(c.shape.path) == 0 {
		return no
	}
	if c.args == nil || c.strange {
		return maybe
	}
	dir, names := c.split(pattern)
	if dir == "" {
		return maybe
	}
	found := no
	if c.workDir == "" {
		found = maybe // the path may be on another machine
	}
	texts := make([]string, 0, 2)
	for _, name := range c.shape.path {
		text, ok := c.text(name)
		switch {
		case ok:
			texts = append(texts, text)
		case !c.absent(name):
			found = maybe
		}
	}
	if len(texts) == 0 && c.shape.tree {
		texts = append(texts, ".")
	}
	if text, _ := c.text(c.shape.pattern); c.shape.pattern != "" && (strings.Contains(text, "..") || strings.HasPrefix(text, "~") || strings.HasPrefix(text, "/")) {
		found = maybe
	}
	// The folder of the pattern, and the first names in it, may be links.
	fixed := 0
	for fixed < len(names) && !strings.Contains(names[fixed], "*") {
		fixed++
	}
	starts := map[string]int{dir: 0}
	for n := range fixed + 1 {
		if start, err := resolve(filepath.Join(dir, filepath.Join(names[:n]...))); err == nil {
			starts[start] = n
		}
	}
	for _, text := range texts {
		p := c.locate(text)
		if !p.sure {
			found = max(found, maybe)
		}
		for _, path := range []string{p.written, p.resolved} {
			if path == "" {
				continue
			}
			folded := strings.ToLower(path)
			for start, n := range starts {
				if rel, ok := below(strings.ToLower(start), folded); ok && matchNames(lower(names[n:]), segments(rel)) {
					return yes
				}
				if !c.shape.tree {
					continue
				}
				first := strings.ToLower(filepath.Join(start, filepath.Join(names[n:max(n, fixed)]...)))
				_, holds := below(folded, first)
				_, inside := below(first, folded)
				if holds || inside {
					found = max(found, maybe)
				}
			}
		}
	}
	return found
}

func lower(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strings.ToLower(name)
	}
	return out
}

// matchNames reports whether the names of a path match the names of a pattern. "**" matches any number of names.
func matchNames(patterns, names []string) bool {
	star, mark := -1, 0
	i, n := 0, 0
	for n < len(names) {
		switch {
		case i < len(patterns) && patterns[i] == "**":
			star, mark = i, n
			i++
		case i < len(patterns) && glob(patterns[i], names[n]):
			i++
			n++
		case star >= 0:
			mark++
			i, n = star+1, mark
		default:
			return false
		}
	}
	for i < len(patterns) && patterns[i] == "**" {
		i++
	}
	return i == len(patterns)
}
