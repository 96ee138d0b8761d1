package client

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// places gives the right folders for each system, with and without the variables that move them. A "*" stands for a
// version.
func TestPlaces(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the paths of this test are absolute only on Unix; they cover Windows, too")
	}
	unix := []string{
		"/h/.local/bin", "/h/.kimi-code/bin", "uv /d/uv/tools/kimi-cli/bin",
		"npm /h/.npm-global/bin", "npm /h/.npm-packages/bin",
		"pnpm /d/pnpm", "pnpm /d/pnpm/bin", "bun /h/.bun/bin", "volta /h/.volta/bin",
		"mise /d/mise/shims", "mise /d/mise/installs/npm-moonshot-ai-kimi-code/*/bin", "mise /d/mise/installs/pipx-kimi-cli/*/bin", "mise /d/mise/installs/node/*/bin",
		"asdf /h/.asdf/shims", "asdf /h/.asdf/installs/nodejs/*/bin", "nvm /h/.nvm/versions/node/*/bin",
		"fnm /d/fnm/aliases/default/bin", "fnm /d/fnm/node-versions/*/installation/bin", "fnm /h/.fnm/aliases/default/bin", "fnm /h/.fnm/node-versions/*/installation/bin",
	}
	replaced := func(old ...string) []string {
		return strings.Split(strings.NewReplacer(old...).Replace(strings.Join(unix, "\n")), "\n")
	}
	for name, test := range map[string]struct {
		goos string
		env  map[string]string
		want []string
	}{
		"linux":     {"linux", map[string]string{"HOME": "/h", "USERPROFILE": "/no", "APPDATA": "/no"}, replaced("/d/", "/h/.local/share/")},
		"linux XDG": {"linux", map[string]string{"HOME": "/h", "XDG_DATA_HOME": "/d"}, unix},
		"darwin":    {"darwin", map[string]string{"HOME": "/h"}, replaced("/d/pnpm", "/h/Library/pnpm", "/d/fnm", "/h/Library/Application Support/fnm", "/d/", "/h/.local/share/")},
		"nothing":   {"linux", nil, nil},
		"variables": {"linux", map[string]string{
			"UV_TOOL_DIR": "/v/uv", "NPM_CONFIG_PREFIX": "/v/npm", "PNPM_HOME": "/v/pnpm", "BUN_INSTALL": "/v/bun", "VOLTA_HOME": "/v/volta",
			"MISE_DATA_DIR": "/v/mise", "ASDF_DATA_DIR": "/v/asdf", "NVM_BIN": "/v/nvm/now", "NVM_DIR": "/v/nvm", "FNM_DIR": "/v/fnm",
		}, []string{
			"uv /v/uv/kimi-cli/bin", "npm /v/npm/bin", "pnpm /v/pnpm", "pnpm /v/pnpm/bin", "bun /v/bun/bin", "volta /v/volta/bin",
			"mise /v/mise/shims", "mise /v/mise/installs/npm-moonshot-ai-kimi-code/*/bin", "mise /v/mise/installs/pipx-kimi-cli/*/bin", "mise /v/mise/installs/node/*/bin",
			"asdf /v/asdf/shims", "asdf /v/asdf/installs/nodejs/*/bin", "nvm /v/nvm/now", "nvm /v/nvm/versions/node/*/bin",
			"fnm /v/fnm/aliases/default/bin", "fnm /v/fnm/node-versions/*/installation/bin",
		}},
		"relative": {"linux", map[string]string{"HOME": "h", "PNPM_HOME": "pnpm", "NVM_DIR": "nvm"}, nil},
		"windows": {"windows", map[string]string{"USERPROFILE": "/u", "APPDATA": "/u/Roaming", "LOCALAPPDATA": "/u/Local", "NVM_SYMLINK": "/Program Files/nodejs", "HOME": "/no"}, []string{
			"/u/.local/bin", "/u/.kimi-code/bin", "uv /u/Roaming/uv/tools/kimi-cli/Scripts",
			"npm /u/Roaming/npm", "npm /u/.npm-global", "npm /u/.npm-packages",
			"pnpm /u/Local/pnpm", "pnpm /u/Local/pnpm/bin", "bun /u/.bun/bin", "volta /u/Local/Volta/bin",
			"mise /u/Local/mise/shims", "mise /u/Local/mise/installs/npm-moonshot-ai-kimi-code/*/bin", "mise /u/Local/mise/installs/pipx-kimi-cli/*/bin", "mise /u/Local/mise/installs/node/*",
			"asdf /u/.asdf/shims", "asdf /u/.asdf/installs/nodejs/*/bin", "nvm /Program Files/nodejs", "nvm /u/Roaming/nvm/*",
			"fnm /u/Roaming/fnm/aliases/default", "fnm /u/Roaming/fnm/node-versions/*/installation", "fnm /u/.fnm/aliases/default", "fnm /u/.fnm/node-versions/*/installation",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range places(test.goos, func(key string) string { return test.env[key] }) {
				path := p.dir
				if p.each {
					path = filepath.Join(p.dir, "*", p.below)
				}
				got = append(got, strings.TrimSpace(p.tool+" "+filepath.ToSlash(path)))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNpmPrefix(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "",
		"registry=https://x\n":        "",
		"prefix=/opt/npm":             "/opt/npm",
		"a=b\n prefix = \"/opt/n m\"": "/opt/n m",
		"prefix=~/.npm":               "/h/.npm",
		"prefix=${HOME}/.npm\nb=c":    "/h/.npm",
		"; prefix=/no\nsave-prefix=~": "",
	} {
		file := filepath.Join(t.TempDir(), ".npmrc")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := npmPrefix(file, "/h"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := npmPrefix(filepath.Join(t.TempDir(), "none"), "/h"); got != "" {
		t.Errorf("no file: %q", got)
	}
}

// tested returns the versions that the tests install.
func TestTestedVersions(t *testing.T) {
	cli, err := os.ReadFile("../scripts/kimi-requirements.in")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(cli), "kimi-cli=="+kimiCLI{}.tested()+"\n") {
		t.Errorf("kimi-cli %s is not what is installed:\n%s", kimiCLI{}.tested(), cli)
	}
	data, err := os.ReadFile("../scripts/kimi-code/package.json")
	if err != nil {
		t.Fatal(err)
	}
	var code struct{ Dependencies map[string]string }
	if err := json.Unmarshal(data, &code); err != nil {
		t.Fatal(err)
	}
	if got := code.Dependencies["@moonshot-ai/kimi-code"]; got != (kimiCode{}).tested() {
		t.Errorf("Kimi Code %s is not what is installed: %s", kimiCode{}.tested(), got)
	}
}
