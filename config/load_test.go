package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSaveAndLoad(t *testing.T) {
	full, err := Load("testdata/full.toml")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(full.Extra), 11; got != want {
		t.Errorf("%d unknown keys, want %d", got, want)
	}
	checkRoundTrip(t, full)
	for _, name := range []string{"config.toml", "config", "c.JSON"} {
		path := filepath.Join(t.TempDir(), "new", name)
		if err := full.Save(path); err != nil {
			t.Fatal(err)
		}
		got, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		dates := cmp.FilterPath(func(p cmp.Path) bool { // these are strings in JSON
			last, ok := p.Last().(cmp.MapIndex)
			return isJSON(path) && ok && strings.Contains("x_offset x_local x_date x_time", last.Key().String())
		}, cmp.Ignore())
		if diff := cmp.Diff(full, got, dates); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if isJSON(path) {
			want := Extra{"x_offset": "1979-05-27T07:32:00.5-07:00", "x_local": "1979-05-27T07:32:00", "x_date": "1979-05-27", "x_time": "07:32:00"}
			for k, v := range want {
				if got.Extra[k] != v {
					t.Errorf("%s is %v, want %v", k, got.Extra[k], v)
				}
			}
		}
		if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
		if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
			t.Errorf("%s: %v, %v next to it", name, entries, err)
		}
	}
}

func TestSaveReplaces(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "real.toml"), filepath.Join(dir, "link.toml")
	write(t, path, "theme = 'dark'")
	if err := os.Symlink(path, link); err != nil {
		t.Skip("no symbolic links:", err)
	}
	if _, err := os.Readlink(link); err != nil {
		t.Skip("a symbolic link cannot be read")
	}
	if err := (&Config{Theme: ThemeLight}).Save(link); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); string(data) != "theme = \"light\"\n" {
		t.Errorf("%q, %v", data, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
}

func TestSaveFailureLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "config.toml") // a folder, so that the rename fails
	if err := os.MkdirAll(filepath.Join(target, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	bad := map[string]*Config{"rename": {}, "channel": {Extra: Extra{"c": make(chan int)}}, "text": {DefaultEditor: "\xff"}}
	for name, cfg := range bad {
		if err := cfg.Save(target); err == nil || !strings.HasPrefix(err.Error(), "config: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("files are left: %v, %v", entries, err)
	}
}

func TestWriteExtraOfGo(t *testing.T) {
	type name string
	cfg := &Config{Extra: Extra{
		"secret": Secret("clear"), "uint": uint8(7), "names": []name{"a"}, "map": map[name]int{"k": 1}, "pointer": pointer(true), "null": nil,
	}}
	text, err := cfg.MarshalTOML()
	want := "names = [\"a\"]\npointer = true\nsecret = \"clear\"\nuint = 7\n\n[map]\nk = 1\n"
	if diff := cmp.Diff(want, string(text)); diff != "" || err != nil {
		t.Error(diff, err)
	}
	text, err = (&Config{Extra: Extra{"null": nil, "html": "<&>"}}).MarshalJSONFile()
	if diff := cmp.Diff("{\n  \"html\": \"<&>\",\n  \"null\": null\n}\n", string(text)); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for want, cfg := range map[string]*Config{
		"config: big: does not fit TOML's numbers of 64 bits: save as .json": {Extra: Extra{"big": uint64(1 << 63)}},
		"config: a.b[0]: is null, which TOML cannot hold: save as .json":     {Extra: Extra{"a": map[string]any{"b": []any{nil}}}},
		"config: providers.p.struct: a Go struct {} cannot be written":       {Providers: map[string]Provider{"p": {Extra: Extra{"struct": struct{}{}}}}},
		"config: providers.p.custom_headers.h: is not valid UTF-8":           {Providers: map[string]Provider{"p": {CustomHeaders: map[string]Secret{"h": "\xff"}}}},
	} {
		if _, err := cfg.MarshalTOML(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestWriteRequiredKeys(t *testing.T) {
	cfg := &Config{Models: map[string]Model{"m": {}}, Providers: map[string]Provider{"p": {}}, Hooks: []Hook{{}}, ExtraSkillDirs: []string{}}
	text, err := cfg.MarshalTOML()
	want := "[[hooks]]\ncommand = \"\"\nevent = \"\"\n\n[models]\n[models.m]\nmax_context_size = 0\nmodel = \"\"\nprovider = \"\"\n\n" +
		"[providers]\n[providers.p]\napi_key = \"\"\nbase_url = \"\"\ntype = \"\"\n"
	if diff := cmp.Diff(want, string(text)); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestLoadErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.toml")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "config: ") {
		t.Errorf("missing file: %v", err)
	}
	for text, want := range map[string]string{
		"theme = 'blue'":    "config: " + path + `: theme: "blue" is not one of dark, light`,
		"theme = 'dark'\nx": "config: " + path + ":2: not TOML: unexpected EOF; expected key separator …",
		"{}":                "config: " + path + ":1: not TOML: expected …", // a file is JSON only by its suffix
	} {
		write(t, path, text)
		if _, err := Load(path); err == nil || !strings.HasPrefix(err.Error(), strings.TrimSuffix(want, "expected …")) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestLoadDefault(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("KIMI_SHARE_DIR", dir)
	steps := []struct{ file, text, want string }{
		{"", "", ""},
		{"config.json", `{"default_editor": "old"}`, "old"},
		{"config.toml", `default_editor = "new"`, "new"},
	}
	for _, step := range steps {
		if step.file != "" {
			write(t, filepath.Join(dir, step.file), step.text)
		}
		before, _ := os.ReadDir(dir)
		cfg, err := LoadDefault()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&Config{DefaultEditor: step.want}, cfg); diff != "" {
			t.Error(diff)
		}
		if after, _ := os.ReadDir(dir); len(after) != len(before) {
			t.Errorf("%v became %v", before, after)
		}
	}
	if got, want := DefaultPath(), filepath.Join(dir, "config.toml"); got != want {
		t.Errorf("DefaultPath is %s, want %s", got, want)
	}
}

func TestShareDirIn(t *testing.T) {
	home := map[string]string{"HOME": "/h", "USERPROFILE": "/h"}
	if got, want := ShareDirIn(func(k string) string { return home[k] }), filepath.Join("/h", ".kimi"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	home["KIMI_SHARE_DIR"] = "/share"
	if got := ShareDirIn(func(k string) string { return home[k] }); got != "/share" {
		t.Errorf("got %s", got)
	}
	if got := ShareDirIn(func(string) string { return "" }); !filepath.IsAbs(got) {
		t.Errorf("without HOME: %s", got)
	}
}
