package kimigo_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmePrograms compiles every Go program of the README, a fragment as the body of a
// function that has what the text around it speaks of.
func TestReadmePrograms(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := make(map[string]string) // files that exist only for the build
	packages := []string{"build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", os.DevNull}
	blocks := 0
	for block := range strings.SplitSeq(string(readme), "```go\n") {
		code, _, found := strings.Cut(block, "\n```")
		if !found || blocks == 0 && strings.HasPrefix(block, "# ") {
			continue
		}
		blocks++
		if !strings.HasPrefix(code, "package ") {
			code = fragment(code)
		}
		file := filepath.Join(dir, fmt.Sprintf("%d.go", blocks))
		if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
		pkg := fmt.Sprintf("readme%d", blocks)
		replace[filepath.Join(root, pkg, "main.go")] = file
		packages = append(packages, "./"+pkg)
	}
	if blocks < 4 {
		t.Fatalf("found %d Go programs in the README", blocks)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", packages...).CombinedOutput(); err != nil {
		t.Errorf("the README's programs do not compile: %v\n%s", err, out)
	}
}

// TestReadmeTests looks for the tests that the README names.
func TestReadmeTests(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, pattern := range []string{"client/*_test.go", "internal/scenarios/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
	}
	names := regexp.MustCompile("`(Test[A-Z][A-Za-z]+)`").FindAllStringSubmatch(string(readme), -1)
	if len(names) < 20 {
		t.Errorf("the README names %d tests", len(names))
	}
	for _, name := range names {
		if !strings.Contains(source.String(), "\nfunc "+name[1]+"(") {
			t.Errorf("the README names %s, which is not there", name[1])
		}
	}
}

// fragment makes a program of a few statements.
func fragment(code string) string {
	var imports strings.Builder
	for name, path := range map[string]string{
		"fmt": "fmt", "strings": "strings", "log": "log", "testing": "testing", "errors": "errors",
		"client": "github.com/kimi-go/kimi-go/client", "config": "github.com/kimi-go/kimi-go/config",
		"wireproto": "github.com/kimi-go/kimi-go/wireproto", "clienttest": "github.com/kimi-go/kimi-go/client/clienttest",
	} {
		if strings.Contains(code, name+".") {
			imports.WriteString(fmt.Sprintf("%q\n", path))
		}
	}
	if strings.HasPrefix(code, "func ") {
		return "package main\nimport (\n" + imports.String() + ")\nfunc main() {}\n" + code
	}
	return "package main\nimport (\n\"context\"\n" + imports.String() + ")\n" +
		"func main() { _ = run(context.Background(), \"\") }\n" +
		"func use(...any) {}\n" +
		"func run(ctx context.Context, key string) error {\n" + code + "\n" + uses(code) + "return nil }\n"
}

// uses makes the compiler accept what a fragment declares and leaves for the reader to use.
func uses(code string) string {
	var out strings.Builder
	for _, name := range []string{"answer", "err", "s", "turn"} {
		if strings.Contains(code, "\n"+name+", ") || strings.HasPrefix(code, name+", ") || strings.Contains(code, ", "+name+" := ") {
			out.WriteString("use(" + name + ")\n")
		}
	}
	return out.String()
}
