package page

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
)

// chart is a drawing that is 1000 units wide. If its height is 0, there is only the note.
type chart struct {
	Title, Note string
	Height      int
	Bars        []bar
	Lines       []edge
	Paths       []path
	Labels      []label
}

type bar struct{ Class, X, Y, W, H, Tip, To string }
type edge struct{ Class, X1, Y1, X2, Y2 string }
type path struct{ Class, Points string }
type label struct{ Class, X, Y, Text string }

const (
	left, right = 70.0, 990.0
	rowHeight   = 16.0
	maxLanes    = 6    // how many spans of one row can be shown at the same time
	maxBars     = 2000 // how many spans of one row are drawn
)

func (m *model) charts() []chart {
	var list []chart
	if c, ok := m.timeline(); ok {
		list = append(list, c)
	}
	list = append(list, m.tokens(), m.context())
	return list
}

func (m *model) timeline() (c chart, ok bool) {
	c.Title = "Time line"
	notes := []string{"Seconds since the start."}
	switch {
	case !m.timed:
		notes = []string{"The order of the messages; the files of this session have no times."}
	case m.folded:
		notes = []string{"Seconds, as kimi has recorded them, without the pauses between turns."}
	}
	scale := (right - left) / m.length
	y := 8.0
	for row, name := range []string{"turns", "steps", "tools", "waiting"} {
		spans := m.spans[row]
		if len(spans) == 0 {
			continue
		}
		ok = true
		if len(spans) > maxBars {
			notes = append(notes, fmt.Sprintf("Of %s %s the first %s are drawn.", screen.Number(len(spans)), name, screen.Number(maxBars)))
			spans = spans[:maxBars]
		}
		var lanes []float64 // the end of each lane
		for _, s := range spans {
			lane := 0
			for lane < len(lanes) && lane < maxLanes-1 && lanes[lane] > s.from {
				lane++
			}
			if lane == len(lanes) {
				lanes = append(lanes, 0)
			}
			lanes[lane] = max(lanes[lane], s.to)
			class := []string{"turn", "step", "tool", "wait"}[row]
			if s.failed {
				class += " failed"
			}
			tip := s.tip
			if m.timed {
				tip += ", " + duration(s.to-s.from)
			}
			c.Bars = append(c.Bars, bar{class, units(left + s.from*scale), units(y + float64(lane)*rowHeight), units(max((s.to-s.from)*scale, 1.5)), units(rowHeight - 3), tip, s.id})
		}
		c.Labels = append(c.Labels, label{"", "4", units(y + 11), name})
		y += float64(len(lanes))*rowHeight + 6
	}
	for i := range 6 {
		x := left + (right-left)*float64(i)/5
		c.Lines = append(c.Lines, edge{"", units(x), "4", units(x), units(y)})
		text := screen.Number(int(m.length * float64(i) / 5))
		if m.timed {
			text = strconv.FormatFloat(m.length*float64(i)/5/1000, 'f', 1, 64)
		}
		c.Labels = append(c.Labels, label{"end", units(x), units(y + 14), text})
	}
	c.Height = int(y + 20)
	c.Note = strings.Join(notes, " ")
	return c, ok
}

// These are the measures of the frame of both plots.
const (
	plotTop, plotBottom = 10.0, 150.0
	plotHeight          = 160
)

func frame(title, top string) chart {
	return chart{Title: title, Height: plotHeight,
		Lines:  []edge{{"", units(left), units(plotBottom), units(right), units(plotBottom)}, {"", units(left), units(plotTop), units(right), units(plotTop)}},
		Labels: []label{{"end", units(left - 6), units(plotTop + 8), top}, {"end", units(left - 6), units(plotBottom), "0"}},
	}
}

func (m *model) tokens() chart {
	var steps []usage
	most := 0
	for _, u := range m.usages {
		if u.counted {
			steps = append(steps, u)
			most = max(most, sum(input(u.tokens), u.tokens.Output))
		}
	}
	if most == 0 {
		return chart{Title: "Tokens", Note: "Not known: the messages of this session have no token counts."}
	}
	c := frame("Tokens", screen.Number(most))
	c.Note = "Each bar is a step. From below: input from the cache (grey), other input (blue), input written to the cache (violet), output (green)."
	if len(steps) > maxBars {
		c.Note += fmt.Sprintf(" Of %s the first %s are drawn.", screen.Number(len(steps)), screen.Number(maxBars))
		steps = steps[:maxBars]
	}
	width := math.Min((right-left)/float64(len(steps)), 40)
	for i, u := range steps {
		y := plotBottom
		for _, part := range []struct {
			class, name string
			n           int
		}{{"cache", "from the cache", u.tokens.InputCacheRead}, {"input", "input", u.tokens.InputOther}, {"write", "to the cache", u.tokens.InputCacheCreation}, {"output", "output", u.tokens.Output}} {
			if part.n <= 0 {
				continue
			}
			h := (plotBottom - plotTop) * float64(part.n) / float64(most)
			y -= h
			c.Bars = append(c.Bars, bar{part.class, units(left + float64(i)*width), units(y), units(math.Max(width-1, 0.4)), units(h), screen.Number(part.n) + " " + part.name, u.id})
		}
	}
	return c
}

func (m *model) context() chart {
	var points []string
	n := 0
	for _, u := range m.usages {
		if u.context >= 0 {
			n++
		}
	}
	if n == 0 {
		return chart{Title: "Context", Note: "Not known: the messages of this session do not say how full the context is."}
	}
	i := 0
	for _, u := range m.usages {
		if u.context < 0 {
			continue
		}
		x := left + (right-left)*float64(i)/float64(max(n-1, 1))
		y := units(plotBottom - (plotBottom-plotTop)*u.context)
		points = append(points, units(x)+","+y)
		if n == 1 {
			points = append(points, units(right)+","+y)
		}
		i++
	}
	c := frame("Context", "100%")
	c.Note = "How full the context is, at each status of the main agent."
	c.Paths = []path{{"", strings.Join(points, " ")}}
	return c
}

func units(x float64) string { return strconv.FormatFloat(x, 'f', 1, 64) }
