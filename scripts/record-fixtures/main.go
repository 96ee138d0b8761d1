// Command record-fixtures records the scenarios of scripts/record-fixtures/scenarios with the real kimi, writes them to
// testdata/fixtures, and prints what has changed. With arguments, it records only the scenarios with these names. The
// variable KIMI_PATH must contain the path of kimi.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kimi-go/kimi-go/scripts/record-fixtures/scenarios"
)

// timeout is the time limit of one recording.
const timeout = 90 * time.Second

func main() {
	if os.Getenv(scenarios.ServeMCPKey) != "" {
		if scenarios.ServeMCP(os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		return
	}
	dir := flag.String("dir", filepath.Join("testdata", "fixtures"), "where the fixtures are")
	dry := flag.Bool("n", false, "compare only, write nothing")
	flag.Parse()
	if err := run(*dir, *dry, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "record-fixtures:", err)
		os.Exit(1)
	}
}

func run(dir string, dry bool, names []string) error {
	kimi := os.Getenv("KIMI_PATH")
	if kimi == "" {
		return errors.New("set KIMI_PATH to the kimi of kimi-cli 1.51.0, or use make fixtures")
	}
	all := scenarios.All()
	for _, name := range names {
		if !slices.ContainsFunc(all, func(s scenarios.Scenario) bool { return s.Name == name }) {
			return fmt.Errorf("there is no scenario %q", name)
		}
	}
	failed := 0
	for _, s := range all {
		if len(names) > 0 && !slices.Contains(names, s.Name) {
			continue
		}
		file := filepath.Join(dir, s.Name+".jsonl")
		old, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		rec, err := record(&s, kimi)
		switch {
		case errors.Is(err, scenarios.ErrNoTombstone), errors.Is(err, scenarios.ErrNoKimiCode):
			fmt.Printf("%s: left out: %v\n", s.Name, err)
			continue
		case err != nil:
			fmt.Printf("%s: FAILED: %v\n", s.Name, err)
			failed++
			continue
		case old == nil:
			fmt.Printf("%s: new, %d bytes\n", s.Name, len(rec))
		default:
			fmt.Printf("%s: %s\n", s.Name, difference(old, rec))
		}
		if !dry {
			if err := os.WriteFile(file, rec, 0o644); err != nil {
				return err
			}
		}
	}
	if !dry {
		if err := os.WriteFile(filepath.Join(dir, "README.md"), scenarios.README(), 0o644); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d scenarios failed; their files are as they were", failed)
	}
	return nil
}

// record makes one recording in a temporary folder.
func record(s *scenarios.Scenario, kimi string) ([]byte, error) {
	root, err := os.MkdirTemp("", "kimi-go-fixture-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(root)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var rec bytes.Buffer
	if err := scenarios.Record(ctx, s, kimi, root, &rec); err != nil {
		file := filepath.Join(os.TempDir(), "failed-"+s.Name+".jsonl")
		if os.WriteFile(file, rec.Bytes(), 0o600) == nil {
			err = fmt.Errorf("%w (see %s)", err, file)
		}
		return nil, err
	}
	return rec.Bytes(), nil
}
