package main

import (
	"fmt"
	"regexp"
	"strings"
)

// volatile matches the parts that differ in every recording: ids, times and ports. The comments name what has the id.
var volatile = []struct {
	find *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`^\{"ms":\d+,`), `{"ms":0,`},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "HEX"},
	{regexp.MustCompile(`\b(bash|agent)-[a-z0-9]{8}\b`), "$1-ID"},       // background tasks
	{regexp.MustCompile(`\b[an][0-9a-f]{8}\b`), "ID"},                   // agents, notifications
	{regexp.MustCompile(`(\\"id\\":\\")[0-9a-f]{12}(\\")`), "${1}ID$2"}, // hook requests
	{regexp.MustCompile(`(\\"request_id\\":\\")[0-9a-f]{12}(\\")`), "${1}ID$2"},
	{regexp.MustCompile(`\b1[0-9]{9}\.[0-9]+`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[0-9.+:Z]*`), "TIME"},
	{regexp.MustCompile(`(\\"(?:duration_ms|wait_s)\\":)[0-9.]+`), "${1}0"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`plans/[a-z0-9-]+\.md`), "plans/PLAN.md"},
}

// normalize returns the lines of a fixture, without the parts that differ in every recording.
func normalize(data []byte) []string {
	var lines []string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		for _, v := range volatile {
			line = v.find.ReplaceAllString(line, v.with)
		}
		lines = append(lines, line)
	}
	return lines
}

// difference describes what has changed, in one line. If lines differ, it adds the first of them.
func difference(old, now []byte) string {
	a, b := normalize(old), normalize(now)
	count := make(map[string]int)
	for _, line := range a {
		count[line]++
	}
	var gone, come []string
	for _, line := range b {
		if count[line]--; count[line] < 0 {
			come = append(come, line)
		}
	}
	for _, line := range a {
		if count[line] > 0 {
			count[line]--
			gone = append(gone, line)
		}
	}
	if len(gone)+len(come) > 0 {
		var s strings.Builder
		fmt.Fprintf(&s, "%d lines differ", max(len(gone), len(come)))
		for j, list := range [][]string{gone, come} {
			for i, line := range list {
				if i == 3 {
					break
				}
				fmt.Fprintf(&s, "\n  %c %s", "-+"[j], cut(line))
			}
		}
		return s.String()
	}
	for i := range a {
		if a[i] != b[i] {
			return fmt.Sprintf("the same lines in another order, from line %d", i+1)
		}
	}
	return "same"
}

// cut shortens a line for reading.
func cut(line string) string {
	if len(line) > 300 {
		return strings.ToValidUTF8(line[:300], "") + "…"
	}
	return line
}
