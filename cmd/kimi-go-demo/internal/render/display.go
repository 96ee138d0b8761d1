package render

import (
	"fmt"
	"strings"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/wireproto"
)

// display shows a display block of a result.
func (r *Renderer) display(s *stream, b wireproto.DisplayBlock) {
	r.rows(s, BlockRows(b, maxDiff))
}

// BlockRows returns a display block as rows. limit is the largest number of rows of a change; 0 means all.
func BlockRows(b wireproto.DisplayBlock, limit int) []screen.Row {
	one := func(st screen.Style, text string) []screen.Row {
		return []screen.Row{{Style: st, Mark: "    ", Text: text}}
	}
	switch b := b.(type) {
	case *wireproto.DiffDisplayBlock:
		return diffRows(b, limit)
	case *wireproto.TodoDisplayBlock:
		var list []screen.Row
		for _, item := range b.Items {
			box, st := "[ ] ", screen.Plain
			switch item.Status {
			case "done":
				box, st = "[x] ", screen.Dim
			case "in_progress":
				box, st = "[>] ", screen.Bold
			}
			list = append(list, screen.Row{Style: st, Mark: "    " + box, Text: oneLine(item.Title, 200)})
		}
		return list
	case *wireproto.ShellDisplayBlock:
		return screen.Rows(screen.Bold, "    $ ", "      ", strings.TrimRight(b.Command, "\n"))
	case *wireproto.BackgroundTaskDisplayBlock:
		return one(screen.Dim, fmt.Sprintf("background task %s (%s): %s", b.TaskID, b.Status, b.Description))
	case *wireproto.UnknownDisplayBlock:
		return one(screen.Dim, "["+b.Type+"]")
	}
	return nil
}

func diffRows(b *wireproto.DiffDisplayBlock, limit int) []screen.Row {
	if b.IsSummary {
		return []screen.Row{{Style: screen.Bold, Mark: "    ", Text: fmt.Sprintf("%s: %s → %s: too long for a diff, these are only the sizes", b.Path, b.OldText, b.NewText)}}
	}
	changes := compare(split(b.OldText), split(b.NewText))
	added, removed := 0, 0
	for _, c := range changes {
		switch c.op {
		case '+':
			added++
		case '-':
			removed++
		}
	}
	list := []screen.Row{{Style: screen.Bold, Mark: "    ", Text: fmt.Sprintf("%s:%d  +%d -%d", b.Path, b.NewStart, added, removed)}}
	for i, c := range changes {
		if limit > 0 && i == limit-1 && len(changes) > limit {
			return append(list, screen.Row{Style: screen.Dim, Mark: "    … ", Text: screen.Count(len(changes)-i, "more line")})
		}
		st := screen.Plain
		switch c.op {
		case '+':
			st = screen.Green
		case '-':
			st = screen.Red
		}
		list = append(list, screen.Row{Style: st, Mark: "    " + string(c.op) + " ", Text: c.text})
	}
	return list
}

func split(t string) []string {
	if t == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(t, "\n"), "\n")
}

// change is a line of a diff. Its op is ' ', '-' or '+'.
type change struct {
	op   byte
	text string
}

// around is how many equal lines are kept around a change.
const around = 3

// compare returns the shortest change from old to new, by the longest common subsequence of the part that differs. If
// that would take too long, it returns all old lines and then all new lines.
func compare(old, new []string) []change {
	head := 0
	for head < len(old) && head < len(new) && old[head] == new[head] {
		head++
	}
	tail := 0
	for tail < len(old)-head && tail < len(new)-head && old[len(old)-1-tail] == new[len(new)-1-tail] {
		tail++
	}
	var list []change
	add := func(op byte, lines []string) {
		for _, l := range lines {
			list = append(list, change{op, l})
		}
	}
	add(' ', old[max(0, head-around):head])
	a, b := old[head:len(old)-tail], new[head:len(new)-tail]
	if len(a)*len(b) > 1<<20 {
		add('-', a)
		add('+', b)
	} else {
		list = append(list, align(a, b)...)
	}
	end := old[len(old)-tail:]
	add(' ', end[:min(len(end), around)])
	return list
}

func align(a, b []string) []change {
	common := make([][]int, len(a)+1) // the length of the common subsequence of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var list []change
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			list = append(list, change{' ', a[i]})
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			list = append(list, change{'-', a[i]})
			i++
		default:
			list = append(list, change{'+', b[j]})
			j++
		}
	}
	return list
}
