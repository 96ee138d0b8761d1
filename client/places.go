package client

import (
	"bufio"
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/wireproto"
)

// place is a folder, not on PATH, in which a kimi may be installed.
type place struct {
	tool string // the tool that installs programs there; "" for the folders of kimi and of the user
	dir  string
	// If each is true, dir has a folder for each version, and kimi may be in dir/VERSION/below.
	each  bool
	below string
}

// dirs returns the folders in which kimi may be. The folder of the newest version comes first.
func (p place) dirs() []string {
	if !p.each {
		return []string{p.dir}
	}
	entries, _ := os.ReadDir(p.dir)
	slices.SortStableFunc(entries, func(a, b os.DirEntry) int { return versionOf(b.Name()).Compare(versionOf(a.Name())) })
	var dirs []string
	for _, e := range entries {
		dirs = append(dirs, filepath.Join(p.dir, e.Name(), p.below))
	}
	return dirs
}

// versionOf reads the version from a folder's name such as v22.19.0.
func versionOf(name string) wireproto.Version {
	v, _ := wireproto.ParseVersion(strings.TrimPrefix(name, "v"))
	return v
}

// places lists the folders to search after PATH, in order: the folders of the user's own programs, and then those of
// package managers and version managers. For each manager, the folder in its variable comes before its default.
func places(goos string, getenv func(string) string) (list []place) {
	windows := goos == "windows"
	home := getenv("HOME")
	bin := "bin"
	if windows {
		home, bin = getenv("USERPROFILE"), ""
	}
	// under joins a root and more names. It returns "" if the root is not known.
	under := func(root string, more ...string) string {
		if root == "" {
			return ""
		}
		return filepath.Join(append([]string{root}, more...)...)
	}
	data := cmp.Or(getenv("XDG_DATA_HOME"), under(home, ".local", "share"))
	roaming, local := "", ""
	if windows {
		roaming = cmp.Or(getenv("APPDATA"), under(home, "AppData", "Roaming"))
		local = cmp.Or(getenv("LOCALAPPDATA"), under(home, "AppData", "Local"))
	}
	// by returns the default for the system.
	by := func(onWindows, onMac, elsewhere string) string {
		switch goos {
		case "windows":
			return onWindows
		case "darwin":
			return onMac
		}
		return elsewhere
	}
	add := func(tool string, dirs ...string) {
		for _, dir := range dirs {
			if filepath.IsAbs(dir) && !slices.Contains(list, place{tool: tool, dir: dir}) {
				list = append(list, place{tool: tool, dir: dir})
			}
		}
	}
	each := func(tool, dir, below string) {
		if filepath.IsAbs(dir) {
			list = append(list, place{tool: tool, dir: dir, each: true, below: below})
		}
	}

	add("", under(home, ".local", "bin"), under(home, ".kimi-code", "bin"))

	tools := cmp.Or(getenv("UV_TOOL_DIR"), by(under(roaming, "uv", "tools"), under(data, "uv", "tools"), under(data, "uv", "tools")))
	add("uv", under(tools, "kimi-cli", by("Scripts", "bin", "bin")))

	for _, prefix := range []string{getenv("NPM_CONFIG_PREFIX"), getenv("npm_config_prefix"), npmPrefix(under(home, ".npmrc"), home), under(roaming, "npm"), under(home, ".npm-global"), under(home, ".npm-packages")} {
		add("npm", under(prefix, bin))
	}

	pnpm := cmp.Or(getenv("PNPM_HOME"), by(under(local, "pnpm"), under(home, "Library", "pnpm"), under(data, "pnpm")))
	add("pnpm", pnpm, under(pnpm, "bin"))
	add("bun", under(getenv("BUN_INSTALL"), "bin"), under(home, ".bun", "bin"))
	add("volta", under(getenv("VOLTA_HOME"), "bin"), by(under(local, "Volta", "bin"), under(home, ".volta", "bin"), under(home, ".volta", "bin")))

	mise := cmp.Or(getenv("MISE_DATA_DIR"), by(under(local, "mise"), under(data, "mise"), under(data, "mise")))
	add("mise", under(mise, "shims"))
	for _, name := range []string{"npm-moonshot-ai-kimi-code", "pipx-kimi-cli"} {
		each("mise", under(mise, "installs", name), "bin")
	}
	each("mise", under(mise, "installs", "node"), bin)

	asdf := cmp.Or(getenv("ASDF_DATA_DIR"), under(home, ".asdf"))
	add("asdf", under(asdf, "shims"))
	each("asdf", under(asdf, "installs", "nodejs"), "bin")

	if windows {
		add("nvm", getenv("NVM_SYMLINK"))
		each("nvm", cmp.Or(getenv("NVM_HOME"), under(roaming, "nvm")), "")
	} else {
		add("nvm", getenv("NVM_BIN"))
		each("nvm", under(cmp.Or(getenv("NVM_DIR"), under(home, ".nvm")), "versions", "node"), "bin")
	}

	for _, fnm := range []string{getenv("FNM_DIR"), by(under(roaming, "fnm"), under(home, "Library", "Application Support", "fnm"), under(data, "fnm")), under(home, ".fnm")} {
		add("fnm", under(fnm, "aliases", "default", bin))
		each("fnm", under(fnm, "node-versions"), filepath.Join("installation", bin))
	}
	return list
}

// npmPrefix reads the user's configuration of npm. It returns the folder in which "npm install -g" puts programs.
func npmPrefix(file, home string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		if strings.TrimSpace(key) == "prefix" {
			value = strings.Trim(strings.TrimSpace(value), `"'`)
			for _, variable := range []string{"${HOME}", "$HOME", "~"} {
				if rest, ok := strings.CutPrefix(value, variable); ok {
					return home + rest
				}
			}
			return value
		}
	}
	return ""
}
