package kimigo_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// guides returns the pages that have programs and names of the packages.
func guides(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob("docs/*.md")
	if err != nil || len(docs) < 10 {
		t.Fatalf("%d pages in docs, %v", len(docs), err)
	}
	return append([]string{"README.md"}, docs...)
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is a fenced block of a page, with the comment directly before it.
type block struct {
	page, lang, code string
	line             int    // the line of the fence
	note             string // the text of the comment; "" if there is none
	pkg              string // the package as which a Go block is compiled
}

func (b *block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// blocks returns the fenced blocks of all pages that are in one of the languages.
func blocks(t *testing.T, langs ...string) (list []*block) {
	t.Helper()
	fence := regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	for _, page := range guides(t) {
		text := read(t, page)
		for _, at := range fence.FindAllStringSubmatchIndex(text, -1) {
			b := &block{page: page, lang: text[at[2]:at[3]], code: text[at[4]:at[5]], line: 1 + strings.Count(text[:at[0]], "\n")}
			if before, ok := strings.CutSuffix(text[:at[0]], "-->\n"); ok {
				b.note = strings.TrimSpace(before[strings.LastIndex(before, "<!--")+len("<!--"):])
			}
			if slices.Contains(langs, b.lang) {
				list = append(list, b)
				b.pkg = fmt.Sprintf("b%d", len(list))
			}
		}
	}
	return list
}

// overlay writes Go files that exist only for a build, each in a folder of the module. It returns the flag for go
// build.
func overlay(t *testing.T, files map[string]string) string {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir, replace := t.TempDir(), make(map[string]string)
	for name, code := range files {
		file := filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, filepath.FromSlash(name))] = file
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return "-overlay=" + file
}

// TestDocsPrograms compiles every Go block of README.md and docs. A fragment becomes the body of a function that has
// the variables of the text around it. The test also holds that each block says whether TestDocsRun runs it.
func TestDocsPrograms(t *testing.T) {
	list := blocks(t, "go")
	if len(list) < 20 {
		t.Fatalf("found %d Go blocks", len(list))
	}
	files := make(map[string]map[string]string) // the files, by the folder of the module
	for _, b := range list {
		if kind, _, found := strings.Cut(b.note, ":"); !found || !slices.Contains([]string{"run", "run on kimi-cli", "run on Kimi Code", "not run"}, kind) {
			t.Errorf("%v: no comment before the block says how it is run, or why it is not", b)
		}
		dir := "."
		if strings.Contains(b.code, "otel.") {
			dir = "otel"
		}
		if files[dir] == nil {
			files[dir] = make(map[string]string)
		}
		files[dir][dir+"/"+b.pkg+"/block.go"] = b.source(t)
	}
	for dir, files := range files {
		args := []string{"build", overlay(t, files), "-o", os.DevNull}
		for _, b := range list {
			if _, ok := files[dir+"/"+b.pkg+"/block.go"]; ok {
				args = append(args, "./"+b.pkg)
			}
		}
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("the programs do not compile: %v\n%s\n(%v)", err, out, list)
		}
	}
}

// source makes a Go file of the block: of a program, of declarations, or of statements.
func (b *block) source(t *testing.T) string {
	t.Helper()
	line := fmt.Sprintf("//line %s:%d\n", b.page, b.line+1)
	if code, program := strings.CutPrefix(b.code, "package main\n"); program {
		return "package " + b.pkg + "\n" + line + "\n" + strings.Replace(code, "func main()", "func Main()", 1)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "package %s\n", b.pkg)
	var given strings.Builder // the variables of the text around the fragment
	for name, declare := range map[string]string{
		"s": "s *client.Session", "turn": "turn *client.Turn", "opts": "opts *client.Options",
		"tracers": "tracers trace.TracerProvider", "meters": "meters metric.MeterProvider",
	} {
		if b.needs(name) {
			given.WriteString(", " + declare)
		}
	}
	body := given.String() + regexp.MustCompile(`"(?:[^"\\\n]|\\.)*"|//.*`).ReplaceAllString(b.code, "")
	for name, path := range map[string]string{
		"bytes": "bytes", "errors": "errors", "fmt": "fmt", "io": "io", "log": "log", "os": "os", "strings": "strings", "testing": "testing", "time": "time",
		"http": "net/http", "slog": "log/slog", "synctest": "testing/synctest", "json": "encoding/json", "exec": "os/exec", "filepath": "path/filepath", "subtle": "crypto/subtle",
		"client": module + "/client", "config": module + "/config", "wireproto": module + "/wireproto", "clienttest": module + "/client/clienttest",
		"rules": module + "/client/rules", "relay": module + "/client/relay", "otel": module + "/otel",
		"trace": "go.opentelemetry.io/otel/trace", "metric": "go.opentelemetry.io/otel/metric", "context": "context",
	} {
		if regexp.MustCompile(`\b`+name+`\.`).MatchString(body) || name == "context" && !b.declares() {
			fmt.Fprintf(&out, "import %q\n", path)
		}
	}
	if b.declares() {
		return out.String() + line + b.code
	}
	// The text after a fragment uses the variables that it declares. For the compiler, this adds a use of each.
	f, err := parser.ParseFile(token.NewFileSet(), "", "package p; func _() {\n"+b.code+"}", 0)
	if err != nil {
		t.Fatalf("%v: %v", b, err)
	}
	var uses strings.Builder
	for _, stmt := range f.Decls[0].(*ast.FuncDecl).Body.List {
		assign, ok := stmt.(*ast.AssignStmt)
		if !ok || assign.Tok != token.DEFINE {
			continue
		}
		for _, x := range assign.Lhs {
			if name := x.(*ast.Ident).Name; name != "_" {
				fmt.Fprintf(&uses, "_ = %s\n", name)
			}
		}
	}
	return out.String() + "func Run(ctx context.Context, key string" + given.String() + ") error {\n" + line + b.code + uses.String() + "return nil }\n"
}

// declares reports whether the block has declarations and not statements.
func (b *block) declares() bool { return regexp.MustCompile(`(?m)^(func|type) `).MatchString(b.code) }

// needs reports whether a fragment uses a variable of the text around it.
func (b *block) needs(name string) bool {
	used := regexp.MustCompile(`(^|[^.\w"])` + name + `[.,)]`).MatchString(b.code)
	return used && !regexp.MustCompile(`(?m)^\s*(?:for )?(\w+, )*`+name+`(, \w+)* :=`).MatchString(b.code)
}

// TestDocsTests holds that the tests which the pages name exist.
func TestDocsTests(t *testing.T) {
	var source strings.Builder
	for _, pattern := range []string{"client/*_test.go", "client/*/*_test.go", "scripts/record-fixtures/scenarios/*_test.go", "otel/*_test.go", "cmd/kimi-go-demo/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			source.WriteString(read(t, file))
		}
	}
	found := 0
	for _, page := range guides(t) {
		for _, name := range regexp.MustCompile("`(Test[A-Z][A-Za-z]+)`").FindAllStringSubmatch(read(t, page), -1) {
			found++
			if !strings.Contains(source.String(), "\nfunc "+name[1]+"(") {
				t.Errorf("%s names %s, which is not there", page, name[1])
			}
		}
	}
	if found < 40 {
		t.Errorf("the pages name %d tests", found)
	}
}

// api returns the names that the packages export, such as "client.Ask", and members of types, such as
// "client.Session.Close".
func api(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for _, dir := range []string{"client", "client/clienttest", "client/rules", "client/relay", "config", "wireproto", "otel"} {
		pkg := filepath.Base(dir) + "."
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				exported(d, pkg, names)
			}
		}
	}
	if !names["client.Ask"] || !names["client.Session.Close"] || !names["client.Options.WorkDir"] || !names["client.ErrBusy"] {
		t.Fatalf("not all that is exported was found: %d names", len(names))
	}
	return names
}

// exported adds the names that a declaration exports.
func exported(d ast.Decl, pkg string, names map[string]bool) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			names[pkg+d.Name.Name] = true
		} else {
			names[pkg+typeName(d.Recv.List[0].Type)+"."+d.Name.Name] = true
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					names[pkg+name.Name] = true
				}
			case *ast.TypeSpec:
				names[pkg+spec.Name.Name] = true
				var fields *ast.FieldList
				switch x := spec.Type.(type) {
				case *ast.StructType:
					fields = x.Fields
				case *ast.InterfaceType:
					fields = x.Methods
				default:
					continue
				}
				for _, field := range fields.List {
					for _, name := range field.Names {
						names[pkg+spec.Name.Name+"."+name.Name] = true
					}
				}
			}
		}
	}
}

// typeName returns the name of a receiver's type.
func typeName(x ast.Expr) string {
	for {
		switch y := x.(type) {
		case *ast.StarExpr:
			x = y.X
		case *ast.IndexExpr:
			x = y.X
		case *ast.Ident:
			return y.Name
		default:
			return ""
		}
	}
}

// TestDocsNames holds that names in backticks which look like names of the packages exist.
func TestDocsNames(t *testing.T) {
	names := api(t)
	packages := []string{"client", "clienttest", "rules", "relay", "config", "wireproto", "otel"}
	exists := func(pkg, name string) bool {
		if pkg != "" {
			return names[pkg+"."+name]
		}
		return slices.ContainsFunc(packages, func(p string) bool { return names[p+"."+name] })
	}
	name := regexp.MustCompile(`^[*&]?(?:([a-z]+)\.)?([A-Z]\w*)(?:\[\w+\])?(?:\.([A-Z]\w*))?(?:[({].*)?$`)
	found := 0
	for _, page := range append(guides(t), "CONTRIBUTING.md", "SECURITY.md") {
		text := regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(read(t, page), "")
		for _, code := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(text, -1) {
			m := name.FindStringSubmatch(code[1])
			switch {
			case m == nil || m[1] != "" && !slices.Contains(packages, m[1]): // a name of another package, or not a name
				continue
			case m[1] == "" && m[3] == "" && !regexp.MustCompile(`^(Err[A-Z]\w*|\w+Error)$`).MatchString(m[2]): // an ordinary word
				continue
			}
			found++
			ok := exists(m[1], m[2])
			if m[3] != "" {
				ok = exists(m[1], m[2]+"."+m[3])
			}
			if !ok {
				t.Errorf("%s names %s, which is not there", page, code[1])
			}
		}
	}
	if found < 100 {
		t.Errorf("found %d names", found)
	}
}

// TestDocsErrors holds that docs/troubleshooting.md has a row for each error of the packages, with an anchor.
func TestDocsErrors(t *testing.T) {
	page := read(t, "docs/troubleshooting.md")
	found := 0
	for name := range api(t) {
		pkg, rest, _ := strings.Cut(name, ".")
		typ, method, _ := strings.Cut(rest, ".")
		switch {
		case pkg != "client":
			continue
		case strings.HasPrefix(rest, "Err"):
		case method == "Error" && ast.IsExported(typ):
			rest = typ
		default:
			continue
		}
		found++
		if row := fmt.Sprintf("\n| <a id=%q></a>`", strings.ToLower(rest)); !strings.Contains(page, row) || !strings.Contains(page, rest+"`") {
			t.Errorf("docs/troubleshooting.md has no row of %s with the anchor %s", rest, strings.ToLower(rest))
		}
	}
	if found < 20 {
		t.Errorf("found %d errors", found)
	}
}

// TestDocsLinks holds that the files and headings to which the pages link exist.
func TestDocsLinks(t *testing.T) {
	pages := append(guides(t), "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
	found := 0
	for _, page := range pages {
		for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			found++
			file, anchor, _ := strings.Cut(link[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), filepath.FromSlash(file))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", page, link[1], err)
			} else if anchor != "" && !slices.Contains(anchors(read(t, target)), anchor) {
				t.Errorf("%s links to %s: no such heading", page, link[1])
			}
		}
	}
	index := read(t, "docs/README.md")
	for _, page := range pages {
		if name, ok := strings.CutPrefix(filepath.ToSlash(page), "docs/"); ok && name != "README.md" && !strings.Contains(index, "]("+name+")") {
			t.Errorf("docs/README.md does not link to %s", name)
		}
	}
	if found < 40 {
		t.Errorf("found %d links", found)
	}
}

// anchors returns the anchors of the page's headings, and those that the page sets itself.
func anchors(text string) (list []string) {
	text = regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(text, "")
	for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		slug := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(h[1]), "")
		list = append(list, strings.ReplaceAll(slug, " ", "-"))
	}
	for _, a := range regexp.MustCompile(`<a id="([^"]+)">`).FindAllStringSubmatch(text, -1) {
		list = append(list, a[1])
	}
	return list
}

// TestWords holds that no page, script, comment or text of a program has one of the words that readers of English as a
// second language often misread. Each of these words has a plainer one.
func TestWords(t *testing.T) {
	words := regexp.MustCompile(`(?i)\b(behind|no` + `body|some` + `body|be` + `side|a` + `new|be` + `ats?|mend(?:ed|ing|s)?)\b`)
	const data = "`{\"jsonrpc\":\"2.0\",\"id\":\"nobody\",\"result\":{}}`" // a line of the recording raw-bad-lines
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != ".":
			return filepath.SkipDir
		case slices.Contains([]string{".md", ".sh", ".toml", ".html", ".css", ".js"}, filepath.Ext(path)), d.Name() == "Makefile":
			files++
			for i, line := range strings.Split(read(t, path), "\n") {
				if word := words.FindString(line); word != "" {
					t.Errorf("%s:%d says %q", path, i+1, word)
				}
			}
			return nil
		case filepath.Ext(path) != ".go":
			return nil
		}
		files++
		source := []byte(read(t, path))
		fset := token.NewFileSet()
		file := fset.AddFile(path, fset.Base(), len(source))
		var s scanner.Scanner
		s.Init(file, source, nil, scanner.ScanComments)
		for {
			pos, tok, text := s.Scan()
			word := words.FindString(text)
			switch {
			case tok == token.EOF:
				return nil
			case word == "":
			case tok == token.COMMENT:
				t.Errorf("%v: a comment says %q", fset.Position(pos), word)
			case tok == token.STRING && !strings.HasSuffix(path, "_test.go") && text != data:
				t.Errorf("%v: a text says %q", fset.Position(pos), word)
			}
		}
	})
	if err != nil || files < 100 {
		t.Errorf("%d files, %v", files, err)
	}
}

// TestDocsOverview holds that what go doc says about the package client fits on two screens.
func TestDocsOverview(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "doc", "./client").CombinedOutput()
	if n := strings.Count(string(out), "\n"); err != nil || n < 50 || n > 120 {
		t.Errorf("go doc ./client: %v, %d lines, want 120 at most", err, n)
	}
}
