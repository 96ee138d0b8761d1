// Command test-windows builds the tests for Windows and runs them under wine:
//
//	go run ./scripts/test-windows [flags of go test] [packages]
//
// It fails if a test fails, and prints which tests were skipped. It needs wine and a C compiler for Windows; Debian has
// both (wine64, gcc-mingw-w64-x86-64). It makes everything else in a temporary folder: a wine prefix, and the functions
// that programs of Go 1.26 need and wine 8 lacks. It leaves out the packages whose tests run the go command.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "test-windows:", err)
		os.Exit(1)
	}
}

// packages are the packages whose tests do not need the go command.
var packages = []string{"./client/...", "./cmd/...", "./config/...", "./internal/...", "./wireproto/..."}

const install = "apt-get install --no-install-recommends wine64 gcc-mingw-w64-x86-64"

// prng is the source of bcryptprimitives.dll, with the one function that the runtime of Go needs.
const prng = `#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) {
	while (size > 0) {
		ULONG n = size > 1 << 20 ? 1 << 20 : (ULONG)size;
		if (!SystemFunction036(data, n)) return FALSE;
		data += n;
		size -= n;
	}
	return TRUE;
}
`

// wine is a wine prefix.
type wine struct {
	dir string   // the folder of the prefix and of everything else
	exe string   // the path of wine
	env []string // the environment of the programs in the prefix
}

func run(args []string) (err error) {
	w, err := prepare()
	if w != nil {
		defer func() { err = errors.Join(err, w.remove()) }()
	}
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "./") || a == "." }) {
		args = append(args, packages...)
	}
	cmd := exec.Command("go", slices.Concat([]string{"test", "-json", "-timeout", "15m",
		"-overlay", filepath.Join(w.dir, "overlay.json"), "-exec", filepath.Join(w.dir, "run")}, args)...)
	cmd.Env = append(w.env, "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	signal.Notify(make(chan os.Signal, 1), os.Interrupt) // Ctrl-C also ends go test, and then this program cleans up
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	report, readErr := read(out)
	err = errors.Join(readErr, cmd.Wait())
	report.print(time.Since(start))
	if err == nil && report.counts["pass"] == 0 {
		err = errors.New("no test has run")
	}
	return err
}

// prepare makes a prefix in which programs of Go can run.
func prepare() (*wine, error) {
	w := new(wine)
	for _, name := range []string{"wine64", "wine", "/usr/lib/wine/wine64"} {
		if path, err := exec.LookPath(name); err == nil && w.exe == "" {
			w.exe = path
		}
	}
	cc, err := exec.LookPath("x86_64-w64-mingw32-gcc")
	if err != nil || w.exe == "" {
		return nil, fmt.Errorf("needs wine and mingw-w64: %s", install)
	}
	if w.dir, err = os.MkdirTemp("", "test-windows-"); err != nil {
		return nil, err
	}
	prefix := filepath.Join(w.dir, "prefix")
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "KIMI_") && !strings.HasPrefix(entry, "WINE") && !strings.HasPrefix(entry, "DISPLAY=") {
			w.env = append(w.env, entry) // the tests must not find the kimi of this system
		}
	}
	w.env = append(w.env, "WINEPREFIX="+prefix, "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml=")
	fmt.Println("== making a wine prefix")
	if err := w.do(w.exe, "cmd", "/c", "exit"); err != nil {
		return w, err
	}
	source := filepath.Join(w.dir, "prng.c")
	if err := os.WriteFile(source, []byte(prng), 0o600); err != nil {
		return w, err
	}
	dll := filepath.Join(prefix, "drive_c", "windows", "system32", "bcryptprimitives.dll")
	if _, err := os.Stat(dll); errors.Is(err, os.ErrNotExist) { // newer versions of wine have this file
		if err := w.do(cc, "-O2", "-shared", "-o", dll, source, "-ladvapi32"); err != nil {
			return w, err
		}
	}
	if err := w.overlay(); err != nil {
		return w, err
	}
	script := "#!/bin/sh\nexec '" + w.exe + "' \"$@\"\n"
	return w, os.WriteFile(filepath.Join(w.dir, "run"), []byte(script), 0o700)
}

func (w *wine) do(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = w.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, out)
	}
	return nil
}

// overlay makes the standard library delete files as on an older Windows, because wine 8 lacks the newer way.
func (w *wine) overlay() error {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	source := filepath.Join(strings.TrimSpace(string(out)), "src", "internal", "syscall", "windows", "at_windows.go")
	text, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	const before, notImplemented = "case STATUS_INVALID_INFO_CLASS,", "case NTStatus(0xC0000002), STATUS_INVALID_INFO_CLASS,"
	if strings.Count(string(text), before) != 1 {
		return fmt.Errorf("%s is not as in Go 1.26: look at Deleteat there and correct overlay here", source)
	}
	patched := filepath.Join(w.dir, "at_windows.go")
	if err := os.WriteFile(patched, []byte(strings.Replace(string(text), before, notImplemented, 1)), 0o600); err != nil {
		return err
	}
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{source: patched}})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.dir, "overlay.json"), list, 0o600)
}

// remove ends the programs in the prefix and removes it.
func (w *wine) remove() error {
	for _, name := range []string{"wineserver", "/usr/lib/wine/wineserver64", "/usr/lib/wine/wineserver"} {
		if path, err := exec.LookPath(name); err == nil {
			w.do(path, "-k")
			w.do(path, "-w")
			break
		}
	}
	return os.RemoveAll(w.dir)
}

// report is the outcome of the tests.
type report struct {
	counts  map[string]int      // how many tests ended with each result
	skipped map[string][]string // the skipped tests, by the reason
}

// event is a line of go test -json.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

var place = regexp.MustCompile(`^\s*\S+\.go:\d+: `)

// read reads the output of go test -json, and prints the output of tests that fail.
func read(out io.Reader) (*report, error) {
	r := &report{counts: make(map[string]int), skipped: make(map[string][]string)}
	said := make(map[[2]string]*strings.Builder)
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return r, nil
		}
		if err != nil {
			return r, err
		}
		var e event
		if json.Unmarshal(line, &e) != nil {
			os.Stdout.Write(line)
			continue
		}
		key := [2]string{e.Package, e.Test}
		if said[key] == nil {
			said[key] = new(strings.Builder)
		}
		switch e.Action {
		case "build-output":
			fmt.Print(e.Output)
			continue
		case "output":
			said[key].WriteString(e.Output)
			continue
		case "pass", "fail", "skip":
		default:
			continue
		}
		text := said[key].String()
		delete(said, key)
		if e.Action == "fail" {
			fmt.Print(text)
		}
		if e.Test == "" {
			fmt.Printf("%s\t%s\t%.1fs\n", e.Action, e.Package, e.Elapsed)
			continue
		}
		r.counts[e.Action]++
		if e.Action == "skip" {
			reason := "no reason"
			for l := range strings.Lines(text) {
				if place.MatchString(l) {
					reason = fmt.Sprintf("%.60s", strings.TrimSpace(place.ReplaceAllString(l, "")))
				}
			}
			r.skipped[reason] = append(r.skipped[reason], e.Test)
		}
	}
}

func (r *report) print(took time.Duration) {
	fmt.Printf("== %d tests passed, %d failed, %d were skipped, in %v\n", r.counts["pass"], r.counts["fail"], r.counts["skip"], took.Round(time.Second))
	for _, reason := range slices.Sorted(maps.Keys(r.skipped)) {
		fmt.Printf("   skipped, %s: %s\n", reason, strings.Join(r.skipped[reason], " "))
	}
	fmt.Println("== not shown by wine: the real kimi, consoles and Ctrl-C, file permissions, symbolic links, the race detector")
}
