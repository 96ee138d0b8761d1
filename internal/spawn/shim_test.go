package spawn

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The files of testdata were made by the packages cmd-shim and @zkochan/cmd-shim of npm.
func TestShim(t *testing.T) {
	const script = `%~dp0\node_modules\@moonshot-ai\kimi-code\dist\main.mjs`
	const paths = `C:\pnpm\node_modules;C:\pnpm\global\node_modules`
	want := map[string]*shim{
		"npm-cmd-shim-2.0.2.cmd":  {script: script},
		"npm-cmd-shim-3.0.3.cmd":  {script: script},
		"npm-cmd-shim-4.1.0.cmd":  {script: script},
		"npm-cmd-shim-9.0.2.cmd":  {script: script},
		"flags.cmd":               {script: `%~dp0\flags.mjs`, flags: []string{"--no-warnings", "--max-old-space-size=4096"}},
		"pnpm-cmd-shim-3.1.0.cmd": {script: script, nodePath: paths, nodePathMore: paths},
		"pnpm-cmd-shim-5.4.1.cmd": {script: script, nodePath: paths, nodePathMore: "%NODE_PATH%;" + paths},
		"pnpm-cmd-shim-9.0.7.cmd": {script: script, nodePath: paths, nodePathMore: paths + ";%NODE_PATH%"},
		"pnpm-no-node-path.cmd":   {script: script},
		"pnpm-node.cmd":           {script: script, node: `C:\Program Files\nodejs\node.exe`},
		"refused-python.cmd":      nil,
		"refused-variable.cmd":    nil,
	}
	files, err := os.ReadDir("testdata")
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		t.Run(f.Name(), func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{string(text), strings.ReplaceAll(string(text), "\r\n", "\n"), strings.ReplaceAll(string(text), "%dp0%", "%DP0%")} {
				got, err := parseShim(text)
				if (err == nil) != (want[f.Name()] != nil) {
					t.Errorf("error: %v", err)
				}
				if got != nil && len(got.flags) == 0 {
					got.flags = nil
				}
				if diff := cmp.Diff(want[f.Name()], got, cmp.AllowUnexported(shim{})); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// A batch file with more lines than a shim, or with others, is refused.
func TestShimRefused(t *testing.T) {
	data, err := os.ReadFile("testdata/npm-cmd-shim-9.0.2.cmd")
	if err != nil {
		t.Fatal(err)
	}
	npm := string(data)
	for name, text := range map[string]string{
		"empty":               "",
		"no run":              "@echo off\r\n",
		"volta":               "@echo off\r\nvolta run %~n0 %*\r\n",
		"a call":              "@call \"%~dp0\\other.cmd\" %*\r\n",
		"more after it":       npm + "del x\r\n",
		"more before it":      "del x\r\n" + npm,
		"more in a line":      strings.Replace(npm, "%*", "%* & del x", 1),
		"more arguments":      strings.Replace(npm, "%*", "--yolo %*", 1),
		"another argument":    strings.Replace(npm, "%*", "%1", 1),
		"a variable":          strings.Replace(npm, `@moonshot-ai`, `%NAME%`, 1),
		"a relative script":   strings.Replace(npm, `%dp0%\node_modules`, `node_modules`, 1),
		"two scripts":         npm + strings.Replace(npm, "main.mjs", "other.mjs", 1),
		"another program":     strings.ReplaceAll(npm, "node", "deno"),
		"a variable in paths": "@SET NODE_PATH=%HOME%\\x\r\n@\"C:\\node.exe\" \"%~dp0\\a.mjs\" %*\r\n",
		"half of the paths":   "@IF NOT DEFINED NODE_PATH (\r\n@SET NODE_PATH=C:\\x\r\n)\r\n@\"C:\\node.exe\" \"%~dp0\\a.mjs\" %*\r\n",
	} {
		if got, err := parseShim(text); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestShimEnvironment(t *testing.T) {
	s := &shim{nodePath: `C:\a;C:\b`, nodePathMore: `C:\a;C:\b;%NODE_PATH%`}
	for _, tt := range []struct{ env, want []string }{
		{[]string{"A=1"}, []string{"A=1", `NODE_PATH=C:\a;C:\b`}},
		{[]string{"Node_Path=x", "A=1"}, []string{"A=1", `NODE_PATH=C:\a;C:\b;x`}},
	} {
		before := slices.Clone(tt.env)
		if diff := cmp.Diff(tt.want, s.environ(tt.env, "/dir")); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(before, tt.env); diff != "" {
			t.Errorf("the caller's environment has changed: %s", diff)
		}
	}
	if diff := cmp.Diff([]string{"NODE_PATH=x"}, new(shim).environ([]string{"NODE_PATH=x"}, "/dir")); diff != "" {
		t.Error(diff)
	}
}

func TestIsBatch(t *testing.T) {
	for path, want := range map[string]bool{
		`C:\kimi.cmd`: true, `kimi.BAT`: true, `kimi.cmd.`: true, `kimi.cmd . `: true,
		`kimi.exe`: false, `kimi`: false, `cmd`: false, `kimi.cmd.exe`: false, ``: false,
	} {
		if got := isBatch(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}
