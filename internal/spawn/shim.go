package spawn

import (
	"errors"
	"regexp"
	"strings"
)

// shim describes the work of a batch file that npm (cmd-shim) or pnpm (@zkochan/cmd-shim) has made.
type shim struct {
	node   string   // the path of node.exe; "" for the one next to the shim or on PATH
	flags  []string // flags for node
	script string
	// The new value of NODE_PATH if it is not set, and if it is set; "" if the shim does not change it.
	nodePath, nodePathMore string
}

const (
	// shimDir is the start of a path in the shim's own directory, in the language of cmd.exe.
	shimDir = `%~dp0\`
	// oldNodePath stands for the old value of NODE_PATH.
	oldNodePath = "%NODE_PATH%"
)

// These match the lines of a shim in upper or lower case, without leading blanks and @. A batch file with any other
// line is refused.
var (
	shimNoise = regexp.MustCompile(`(?i)^(?:` + strings.Join([]string{
		`|echo off|setlocal|endlocal|goto start|:start|call :find_dp0|:find_dp0|set dp0=%~dp0|exit /b(?: %errorlevel%)?`,
		`if exist "(?:%~dp0|%dp0%)\\node\.exe" \(|\) else \(|\)`,
		`set "_prog=(?:%dp0%\\node\.exe|node)"`,
		`set pathext=%pathext:;\.js;=;%`,
		`if not defined node_path \(`,
	}, "|") + `)$`)
	shimNodePath = regexp.MustCompile(`(?i)^set (?:"node_path=([^"]*)"|node_path=([^"&|<>^]*))$`)
	// The line that runs node, with the commands that cmd-shim 4 and later write before it. The flags of node come from
	// the first line of the script.
	shimRun = regexp.MustCompile(`(?i)^(?:endlocal & goto #_undefined_# 2>nul \|\| title %comspec% & )?(?:set pathext=%pathext:;\.js;=;% & )?` +
		`(?:"(%_prog%|(?:%~dp0|%dp0%)\\node\.exe|[a-z]:\\[^"%]*\\node\.exe)"|(node)) +((?:--?[a-z][a-z0-9=_.-]* +)*)"((?:(?:%~dp0|%dp0%)\\|[a-z]:\\)[^"%]+)" +%\*$`)
)

var errNotShim = errors.New("it is not a shim of npm or pnpm")

// parseShim reads the text of a shim.
func parseShim(text string) (*shim, error) {
	var s *shim
	var paths []string
	inDefined := false
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "@")
		if strings.EqualFold(line, "if not defined node_path (") {
			inDefined = true
		}
		if shimNoise.MatchString(line) {
			continue
		}
		if m := shimNodePath.FindStringSubmatch(line); m != nil {
			paths = append(paths, fold(m[1]+m[2]))
			continue
		}
		m := shimRun.FindStringSubmatch(line)
		if m == nil {
			return nil, errNotShim
		}
		run := &shim{flags: strings.Fields(m[3]), script: fold(m[4])}
		if strings.Contains(m[1], ":") {
			run.node = m[1]
		}
		if s == nil {
			s = run
		} else if s.node != "" || run.node != "" || s.script != run.script || strings.Join(s.flags, " ") != strings.Join(run.flags, " ") {
			return nil, errNotShim // it runs one script if node.exe is next to it, and another one if not
		}
	}
	switch {
	case s == nil:
		return nil, errNotShim
	case len(paths) == 0:
	case len(paths) == 1 && !inDefined:
		s.nodePath, s.nodePathMore = paths[0], paths[0]
	case len(paths) == 2 && inDefined:
		s.nodePath, s.nodePathMore = paths[0], paths[1]
	default:
		return nil, errNotShim
	}
	if strings.Contains(strings.ReplaceAll(s.nodePath, shimDir, ""), "%") ||
		strings.Contains(strings.NewReplacer(shimDir, "", oldNodePath, "").Replace(s.nodePathMore), "%") {
		return nil, errNotShim // a variable that cmd.exe would expand
	}
	return s, nil
}

// fold replaces all spellings of the shim's own directory by shimDir.
func fold(path string) string {
	return strings.NewReplacer(`%dp0%\`, shimDir, `%DP0%\`, shimDir, `%~DP0\`, shimDir, "%node_path%", oldNodePath).Replace(path)
}
