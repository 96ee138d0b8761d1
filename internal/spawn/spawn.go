// Package spawn starts programs without a shell, and in groups that can be ended together. Windows runs a batch file
// through cmd.exe, which interprets the arguments again: it expands %PATH% and runs the text after an ampersand. No
// quoting prevents that. So this package reads the shims of npm and pnpm, which are batch files, and runs their program
// itself. It refuses any other batch file.
package spawn

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Find returns the path of the program at path. Windows may add an extension to it. It returns false if there is no
// program that can run.
func Find(path string) (string, bool) {
	found, err := exec.LookPath(path)
	return found, err == nil
}

// Command returns the command that runs the program at path with these arguments and the environment env, like
// [exec.CommandContext]. If cmd.exe would have to run the program, the error is a [*BatchError].
func Command(ctx context.Context, path string, env []string, args ...string) (*exec.Cmd, error) {
	if windows && isBatch(path) {
		return shimCommand(ctx, path, env, args)
	}
	if windows && isVolta(path) {
		return nil, &BatchError{path, "Volta runs it by cmd.exe"}
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = slices.Clone(env)
	return cmd, nil
}

// isBatch reports whether Windows would run the file through cmd.exe. Windows ignores dots and blanks at the end of a
// path, and so does isBatch.
func isBatch(path string) bool {
	ext := strings.ToLower(filepath.Ext(strings.TrimRight(path, ". ")))
	return ext == ".cmd" || ext == ".bat"
}

// BatchError says that cmd.exe would interpret the arguments of a program, because the program is a batch file but no
// shim, or because it starts such a file.
type BatchError struct {
	Path   string
	Reason string
}

// Error says which program to name instead.
func (e *BatchError) Error() string {
	return fmt.Sprintf("%s cannot be run safely: cmd.exe would read its arguments (%s); name kimi.exe, or the kimi.cmd that npm install -g makes", e.Path, e.Reason)
}

// maxShim is larger than any shim, in bytes.
const maxShim = 16 << 10

// shimCommand returns the command that the shim at path would run.
func shimCommand(ctx context.Context, path string, env, args []string) (*exec.Cmd, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxShim {
		return nil, &BatchError{path, "it is not a shim of npm or pnpm"}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s, err := parseShim(string(text))
	if err != nil {
		return nil, &BatchError{path, err.Error()}
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	node := expand(s.node, dir)
	if node == "" {
		if node = findNode(dir, env); node == "" {
			return nil, &BatchError{path, "it runs node, and there is no node.exe next to it or on PATH"}
		}
	}
	cmd := exec.CommandContext(ctx, node, slices.Concat(s.flags, []string{expand(s.script, dir)}, args)...)
	cmd.Env = s.environ(env, dir)
	return cmd, nil
}

// expand replaces shimDir at the start of a path by the directory of the shim.
func expand(path, dir string) string {
	rest, relative := strings.CutPrefix(path, shimDir)
	if !relative {
		return path
	}
	return filepath.Join(dir, rest)
}

// environ returns env with the changes of the shim.
func (s *shim) environ(env []string, dir string) []string {
	env = slices.Clone(env)
	if s.nodePath == "" && s.nodePathMore == "" {
		return env
	}
	const key = "NODE_PATH"
	value := s.nodePath
	if old := lookupEnv(env, key); old != "" {
		value = strings.ReplaceAll(s.nodePathMore, oldNodePath, old)
	}
	dirs := strings.Split(value, ";")
	for i, d := range dirs {
		dirs[i] = expand(d, dir)
	}
	env = slices.DeleteFunc(env, func(entry string) bool {
		k, _, _ := strings.Cut(entry, "=")
		return strings.EqualFold(k, key)
	})
	return append(env, key+"="+strings.Join(dirs, ";"))
}

// lookupEnv returns a variable of a Windows environment, where the case of names has no meaning.
func lookupEnv(env []string, key string) string {
	for _, entry := range slices.Backward(env) {
		if k, v, _ := strings.Cut(entry, "="); strings.EqualFold(k, key) {
			return v
		}
	}
	return ""
}

// findNode returns the node.exe next to a shim, or else the first on PATH, or "". It skips the node.exe of Volta, which
// is itself a shim and starts the real one through cmd.exe.
func findNode(dir string, env []string) string {
	for _, d := range append([]string{dir}, filepath.SplitList(lookupEnv(env, "PATH"))...) {
		path := filepath.Join(d, "node.exe")
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || !filepath.IsAbs(path) || isVolta(path) {
			continue
		}
		return path
	}
	return ""
}

// isVolta reports whether a program is a shim of Volta: a link to volta-shim.exe, or a copy of it next to volta.exe.
func isVolta(path string) bool {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	if strings.EqualFold(filepath.Base(real), "volta-shim.exe") {
		return true
	}
	_, err = os.Stat(filepath.Join(filepath.Dir(real), "volta-shim.exe"))
	return err == nil
}
