package tui

import (
	"cmp"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/wireproto"
)

// asked is how the person has left a question.
type asked struct {
	cursor  int
	chosen  map[int]bool
	nothing bool
	words   string
	typed   string
}

// noneOfThese is the answer to a question that allows several choices, if the person wants none of them.
const noneOfThese = "None of these"

// planHeader is the header of the question about a plan.
const planHeader = "Plan"

// rows returns how many choices a question has: its options and free text, and noneOfThese if several options may be
// chosen.
func rows(q wireproto.QuestionItem) int {
	if q.MultiSelect {
		return len(q.Options) + 2
	}
	return len(q.Options) + 1
}

// choose handles a key of a question with options. What a key chooses is the answer at once. Enter goes on.
func (d *decider) choose(r *request, k tea.KeyPressMsg) verdict {
	q := r.question.Questions[r.index]
	n := rows(q)
	s := k.String()
	if i, err := strconv.Atoi(s); err == nil && len(q.Options) > 0 {
		if i < 1 || i > n {
			return verdict{hint: fmt.Sprintf("there is no %s: choose from 1 to %d", s, n)}
		}
		r.digit = &digit{s, d.at, asked{r.cursor, maps.Clone(r.chosen), r.nothing, r.words, r.typed}, r.answers[q.Question]}
		r.cursor = i - 1
		d.mark(r)
		return verdict{}
	}
	switch s {
	case "up":
		r.cursor = (r.cursor + n - 1) % n
	case "down":
		r.cursor = (r.cursor + 1) % n
	case "left":
		if r.index > 0 {
			r.ask(r.index - 1)
		}
	case "right":
		if r.index+1 < len(r.question.Questions) {
			r.ask(r.index + 1)
		}
	case "space":
		d.mark(r)
	case "enter":
		switch last := r.cursor == n-1; {
		case last && r.words == "":
			d.begin(r.typed)
			return verdict{}
		case last && !q.MultiSelect:
			return d.answer(r, r.words)
		case !q.MultiSelect:
			return d.answer(r, q.Options[r.cursor].Label)
		case r.cursor == len(q.Options):
			r.nothing = true
		}
		if text := r.marked(); text != "" {
			return d.answer(r, text)
		}
		return verdict{hint: "nothing is marked: Space or a number marks"}
	case "esc":
		clear(r.chosen)
		r.nothing, r.words, r.typed = false, "", cmp.Or(r.words, r.typed)
		return d.answer(r, "")
	default:
		switch {
		case !printable(k):
			return verdict{none: true, hint: "this key does nothing: choose with ↑ ↓ or a number, then Enter"}
		case s == "?" || s == "/": // for the editor
			return verdict{none: true}
		}
		begin := r.undigit(d.at)
		r.cursor = n - 1 // the person types an answer
		d.begin(cmp.Or(r.words, r.typed) + begin)
		return d.say(r, k)
	}
	return verdict{}
}

// digit is a digit that has chosen an option. If text follows at once, as in "2-factor", the digit is the begin of it.
type digit struct {
	key    string
	at     time.Time
	before asked
	answer string
}

// undigit takes back what a digit has chosen just before, and returns the digit. Without one, it returns "".
func (r *request) undigit(now time.Time) string {
	d := r.digit
	r.digit = nil
	if d == nil || now.Sub(d.at) >= alone {
		return ""
	}
	r.cursor, r.chosen, r.nothing, r.words, r.typed = d.before.cursor, d.before.chosen, d.before.nothing, d.before.words, d.before.typed
	q := r.question.Questions[r.index].Question
	if r.answers[q] = d.answer; d.answer == "" {
		delete(r.answers, q)
	}
	return d.key
}

// mark chooses the option at the cursor. Where several may be chosen, it adds the option, or takes it away. For free
// text, it lets the person type.
func (d *decider) mark(r *request) {
	q := r.question.Questions[r.index]
	switch {
	case r.cursor == rows(q)-1:
		d.begin(cmp.Or(r.words, r.typed))
		return
	case !q.MultiSelect:
		r.answers[q.Question] = q.Options[r.cursor].Label
		return
	case r.cursor == len(q.Options): // the same key again brings the marks back
		r.nothing = !r.nothing
	default:
		if r.nothing {
			r.nothing = false
			clear(r.chosen)
		}
		r.chosen[r.cursor] = !r.chosen[r.cursor]
	}
	r.record()
}

// record makes what is marked the answer.
func (r *request) record() {
	q := r.question.Questions[r.index]
	if text := r.marked(); text != "" {
		r.answers[q.Question] = text
	} else {
		delete(r.answers, q.Question)
	}
}

// unsay takes back the person's own words.
func (r *request) unsay() {
	q := r.question.Questions[r.index]
	words := r.words
	r.words, r.typed = "", ""
	switch {
	case q.MultiSelect:
		r.record()
	case r.answers[q.Question] == words:
		delete(r.answers, q.Question)
	}
}

// marked returns the answer that the marks stand for, or "".
func (r *request) marked() string {
	if r.nothing {
		return noneOfThese
	}
	list := r.labels(r.question.Questions[r.index])
	if r.words != "" {
		list = append(list, r.words)
	}
	return strings.Join(list, ", ")
}

// labels returns the options that are marked.
func (r *request) labels(q wireproto.QuestionItem) []string {
	var list []string
	for i, o := range q.Options {
		if r.chosen[i] {
			list = append(list, o.Label)
		}
	}
	return list
}

// answer stores the answer to the current question and goes on to the next one. After the last question, it sends the
// answers. An empty text means that the question has no answer.
func (d *decider) answer(r *request, text string) verdict {
	list := r.question.Questions
	if text == "" {
		delete(r.answers, list[r.index].Question)
	} else {
		r.answers[list[r.index].Question] = text
	}
	if r.index+1 < len(list) {
		r.ask(r.index + 1)
		return verdict{}
	}
	v := verdict{done: true, call: r.question.ToolCallID}
	if len(r.answers) == 0 {
		v.text, v.err = "not answered", r.question.Dismiss()
		return v
	}
	v.text, v.err = "answered", r.question.Answer(r.answers)
	if list[0].Header == planHeader { // the result of the call does not say it
		v.text += ": " + r.answers[list[0].Question]
	}
	return v
}

// ask goes to a question of the request.
func (r *request) ask(index int) {
	if r.kept == nil {
		r.kept = make(map[int]asked)
	}
	r.kept[r.index] = asked{r.cursor, r.chosen, r.nothing, r.words, r.typed}
	now := r.kept[index]
	if now.chosen == nil {
		now.chosen = make(map[int]bool)
	}
	r.cursor, r.chosen, r.nothing, r.words, r.typed = now.cursor, now.chosen, now.nothing, now.words, now.typed
	r.index, r.top, r.seen, r.open, r.digit = index, 0, 0, false, nil
}

// minBody is how many lines are kept free for a question above its options.
const minBody = 5

// options shows what may be chosen, and how, in about height lines. If there are more, those near the cursor are shown.
func (r *request) options(v view, height int) []string {
	q := r.question.Questions[r.index]
	other := q.OtherLabel
	if other == "" {
		other = "Something else: type it"
		if q.Header == planHeader {
			other = "Change it: type how"
		}
	}
	var list []string
	from, to := 0, 0 // the lines of the option at the cursor
	answer := r.answers[q.Question]
	row := func(i int, label, about string) {
		box, on := "", false
		switch {
		case q.MultiSelect && i == len(q.Options):
			on = r.nothing
		case q.MultiSelect && i < len(q.Options):
			on = r.chosen[i] && !r.nothing
		case q.MultiSelect:
			on = r.words != "" && !r.nothing
		default:
			on = answer != "" && (i < len(q.Options) && answer == q.Options[i].Label || i == len(q.Options) && answer == r.words)
		}
		switch {
		case q.MultiSelect && i <= len(q.Options):
			box = map[bool]string{true: "[x] ", false: "[ ] "}[on]
		case on:
			box = "✓ "
		}
		if i == r.cursor {
			from = len(list)
			defer func() { to = len(list) }()
		}
		list = append(list, optionLine(v, i == r.cursor, fmt.Sprintf("%d ", i+1)+box, label, about)...)
	}
	for i, o := range q.Options {
		row(i, o.Label, o.Description)
	}
	if q.MultiSelect {
		row(len(q.Options), noneOfThese, "")
	}
	about := q.OtherDescription
	if r.words != "" && !r.nothing {
		about = "“" + screen.Line(r.words) + "”"
	}
	row(rows(q)-1, other, about)
	skip := ", Esc skips it"
	if q.Header == planHeader {
		skip = ", Esc gives no answer"
	}
	how := "↑ ↓ or a number, Enter chooses" + skip
	if q.MultiSelect {
		how = "↑ ↓, Space or a number marks, Enter answers" + skip
	}
	if r.index > 0 {
		how += ", ← back"
	}
	if r.index+1 < len(r.question.Questions) {
		how += ", → next"
	}
	keys := wrapWords(paint(screen.Dim, how), v.columns)
	return append(around(list, from, to, height-len(keys)), keys...)
}

// around returns about n of the lines: lines[from:to], and as many lines before and after them as there is room for.
func around(lines []string, from, to, n int) []string {
	if len(lines) <= n {
		return lines
	}
	n = max(n-2, to-from) // two rows say how much is left out
	first := min(max(from-(n-(to-from))/2, 0), len(lines)-n)
	var list []string
	if first > 0 {
		list = append(list, paint(screen.Dim, "  ↑ "+screen.Count(first, "more line")))
	}
	list = append(list, lines[first:first+n]...)
	if rest := len(lines) - first - n; rest > 0 {
		list = append(list, paint(screen.Dim, "  ↓ "+screen.Count(rest, "more line")))
	}
	return list
}
