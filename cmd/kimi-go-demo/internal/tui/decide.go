package tui

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"charm.land/bubbles/v2/textarea"
	tea "charm.land/bubbletea/v2"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/grant"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/render"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
)

// request is an approval or a question that the agent waits for.
type request struct {
	id        string
	order     int64                   // its place among the requests of a session
	approval  *client.ApprovalRequest // nil for questions
	question  *client.QuestionRequest // nil for an approval
	name      string                  // the tool of the call that is to be approved; "" if it is not known
	arguments json.RawMessage
	offers    []grant.Offer // what "always" may cover
	choosing  bool          // the person chooses one of offers

	open    bool     // the request has been on the screen, so keys are for it
	taken   bool     // there is a draft, and the person has pressed Esc to answer the request first
	ends    bool     // a refusal without words ends the turn
	top     int      // the first line that is shown
	end     int      // the line after the last line that is shown
	seen    int      // how many lines from the start have been shown
	laid    []string // the lines, for a width and a question; a request may be megabytes long, so it is not laid out for each frame
	laidFor [2]int   // the width and the question of laid
	total   int      // how many lines there are
	columns int      // width for which the lines were counted

	index   int // the question that is asked now
	cursor  int // the option or offer at the cursor
	chosen  map[int]bool
	words   string // the person's own words
	typed   string // own words that were not sent
	digit   *digit // what a digit has just chosen
	draft   bool   // the field has what was in the editor before
	nothing bool   // noneOfThese is marked
	kept    map[int]asked
	answers map[string]string
}

// decider has the requests that wait for an answer, and the state of the current one.
type decider struct {
	list    []*request
	current int
	words   *textarea.Model // the field for a reason or free text; nil if the person types neither
	cut     bool            // the terminal has too few rows for the request
	at      time.Time       // when the key was pressed
}

// add inserts a request by its order. The current request stays the current one.
func (d *decider) add(r *request) {
	i := len(d.list)
	for i > 0 && d.list[i-1].order > r.order {
		i--
	}
	if i <= d.current && len(d.list) > 0 {
		d.current++
	}
	d.list = slices.Insert(d.list, i, r)
}

// now returns the current request, or nil if there is none.
func (d *decider) now() *request {
	if len(d.list) == 0 {
		return nil
	}
	return d.list[d.current]
}

// find returns a request that waits, or nil.
func (d *decider) find(id string) *request {
	if i := slices.IndexFunc(d.list, func(r *request) bool { return r.id == id }); i >= 0 {
		return d.list[i]
	}
	return nil
}

// call returns the id of the tool call that the request is about.
func (r *request) call() string {
	if r.approval != nil {
		return r.approval.ToolCallID
	}
	return r.question.ToolCallID
}

// drop removes a request, and reports whether it was the current one.
func (d *decider) drop(id string) bool {
	for i, r := range d.list {
		if r.id != id {
			continue
		}
		d.list = append(d.list[:i:i], d.list[i+1:]...)
		asked := i == d.current
		if asked {
			d.words = nil
		}
		if i < d.current || d.current == len(d.list) {
			d.current = max(d.current-1, 0)
		}
		return asked
	}
	return false
}

// key identifies the question and how much of it has been shown.
func (d *decider) key() string {
	if r := d.now(); r != nil {
		return fmt.Sprint(r.id, "#", r.index, "#", r.seen)
	}
	return ""
}

// open reports whether keys are for the current request.
func (d *decider) open() bool {
	r := d.now()
	return r != nil && r.open
}

// fits notes whether the terminal has enough rows for what the chat shows. If not, no line of the current request counts
// as shown.
func (d *decider) fits(all bool) {
	r := d.now()
	d.cut = r != nil && !all
	if d.cut {
		r.top, r.seen = 0, 0
	}
}

// verdict is what a key has decided.
type verdict struct {
	done  bool
	none  bool         // the key means nothing here
	hint  string       // what another key would do
	call  string       // the tool call that was decided about
	text  string       // for the transcript
	offer *grant.Offer // what is allowed from now on; nil for nothing
	err   error
}

// press handles a key for the current request.
func (d *decider) press(k tea.KeyPressMsg) verdict {
	r := d.now()
	if d.words != nil {
		return d.say(r, k)
	}
	switch s := k.String(); s {
	case "tab", "shift+tab":
		if n := len(d.list); n > 1 {
			d.current = (d.current + map[string]int{"tab": 1, "shift+tab": n - 1}[s]) % n
		}
		return verdict{}
	case "pgdown", "m":
		switch {
		case s == "m" && r.question != nil: // the begin of a text
			return d.choose(r, k)
		case s == "m" && r.top == 0 && r.end == r.total:
			return verdict{hint: "all of it is on the screen"}
		}
		r.top = r.end
		return verdict{}
	case "space", "down":
		if r.unseen() > 0 && r.approval != nil {
			r.top = r.end
			return verdict{}
		}
	case "pgup":
		r.top = 0
		return verdict{}
	}
	switch {
	case r.choosing:
		return d.grant(r, k)
	case r.approval != nil:
		return d.approve(r, k)
	}
	return d.choose(r, k)
}

// grant handles a key while the person chooses what "always" covers.
func (d *decider) grant(r *request, k tea.KeyPressMsg) verdict {
	n := len(r.offers)
	switch s := k.String(); s {
	case "up":
		r.cursor = (r.cursor + n - 1) % n
	case "down":
		r.cursor = (r.cursor + 1) % n
	case "enter":
		if r.unseen() == 0 {
			return d.always(r)
		}
	case "esc":
		r.choosing = false
	default:
		i, err := strconv.Atoi(s)
		switch {
		case err != nil:
			r.choosing = false
			return verdict{none: true}
		case i < 1 || i > n:
			return verdict{hint: fmt.Sprintf("there is no %s: choose from 1 to %d", s, n)}
		}
		r.cursor = i - 1
	}
	return verdict{}
}

// always allows the offer at the cursor.
func (d *decider) always(r *request) verdict {
	o := r.offers[r.cursor]
	return verdict{done: true, call: r.approval.ToolCallID, text: "always allowed", offer: &o}
}

func (d *decider) approve(r *request, k tea.KeyPressMsg) verdict {
	v := verdict{done: true, call: r.approval.ToolCallID}
	switch k.String() {
	case "y", "a":
		if r.unseen() > 0 { // show the rest first
			r.top = r.seen
			return verdict{}
		}
	}
	switch k.String() {
	case "y":
		v.text, v.err = "allowed", r.approval.Approve()
	case "a":
		r.choosing, r.cursor = true, 0
		return verdict{}
	case "n":
		v.text, v.err = "refused", r.approval.Reject("")
	case "e":
		d.begin(r.typed)
		return verdict{}
	default:
		keys := "y, n, e or a answers"
		if r.unseen() > 0 {
			keys = "m shows more; n or e refuses"
		}
		return verdict{none: true, hint: "this key does nothing: " + keys}
	}
	return v
}

// letter returns what a letter means that answers an approval, "" for any other key.
func (d *decider) letter(key string) string {
	if r := d.now(); r == nil || r.approval == nil || r.choosing || d.words != nil {
		return ""
	}
	more := ""
	if r := d.now(); r.top == 0 && r.end == r.total {
		more = "m: all of it is on the screen" // with more pages, m shows the next one at once
	}
	return map[string]string{"y": "y: yes", "n": "n: no", "a": "a: always", "m": more}[key] // after e, the person may type a reason at once
}

// unseen returns how many lines have not been shown.
func (r *request) unseen() int { return r.total - r.seen }

// begin opens the field for a reason or free text, with the words that the person has typed before.
func (d *decider) begin(words string) {
	a := newArea("› ")
	a.SetValue(words)
	a.MoveToEnd()
	d.words = &a
}

// say handles a key while the person types a reason or free text.
func (d *decider) say(r *request, k tea.KeyPressMsg) verdict {
	switch k.String() {
	case "esc":
		r.typed = d.words.Value()
		d.words = nil
	case "ctrl+d":
		return verdict{hint: "Esc goes back to the request"}
	case "enter":
		text := strings.TrimSpace(d.words.Value())
		switch {
		case text == "" && r.words != "": // the words are taken back
			d.words, r.draft = nil, false
			r.unsay()
			return verdict{}
		case text == "":
			return verdict{hint: "type a text first; Esc goes back"}
		}
		d.words, r.draft = nil, false
		if r.approval != nil {
			return verdict{done: true, call: r.approval.ToolCallID, text: "refused: " + text, err: r.approval.Reject(text)}
		}
		q := r.question.Questions[r.index]
		r.words, r.typed, r.nothing = text, "", false
		if q.MultiSelect { // together with what is marked
			text = r.marked()
		}
		return d.answer(r, text)
	default:
		*d.words, _ = d.words.Update(k)
	}
	return verdict{}
}

// lines shows the current request in about height lines. silent says why keys do not answer the request now; it is "" if
// they do.
func (d *decider) lines(v view, height int, silent string) ([]string, *tea.Cursor) {
	r := d.now()
	body := r.body(v)
	if r.columns != v.columns { // the lines break at other places
		r.top, r.seen, r.columns = 0, 0, v.columns
	}
	r.total = len(body)
	var above, below []string
	if len(d.list) > 1 {
		above = d.others(v)
	}
	if r.approval != nil {
		below = approvalKeys(r, v, r.ends && len(d.list) == 1)
	} else {
		below = r.options(v, height-minBody-len(above))
	}
	var cursor *tea.Cursor
	if d.words != nil {
		var typed []string
		typed, cursor = areaLines(d.words, v.columns)
		what := "What should it do instead? Enter sends it, Esc goes back"
		if r.approval == nil {
			what = "Your answer. Enter sends it, Esc goes back"
			if r.question.Questions[r.index].Header == planHeader {
				what = "What should change? Enter sends it, Esc goes back"
			}
		}
		below = append([]string{paint(screen.Bold, what)}, typed...)
		if cursor != nil {
			cursor.Y++
		}
	}
	if silent != "" {
		below = append(below, paint(screen.Dim, "("+silent+")"))
	}
	room := max(height-len(below)-len(above)-1, 3)
	body = r.page(body, room)
	list := append(append(above, body...), below...)
	if cursor != nil {
		cursor.Y += len(above) + len(body)
	}
	return list, cursor
}

// others lists all requests that wait, and marks the current one.
func (d *decider) others(v view) []string {
	list := []string{paint(screen.Bold, fmt.Sprintf("%d requests wait for you; Tab shows the next", len(d.list)))}
	for i, r := range d.list {
		mark := "  "
		if i == d.current {
			mark = "❯ "
		}
		text := "a question"
		if r.approval != nil {
			text = r.approval.Sender + ": " + render.Arguments(string(r.arguments))
		}
		list = append(list, cut(mark+paint(screen.Plain, text), v.columns))
	}
	return list
}

// body returns all lines of what is asked about.
func (r *request) body(v view) []string {
	if of := [2]int{v.columns, r.index}; r.laid == nil || r.laidFor != of {
		r.laid, r.laidFor = r.layOut(v), of
	}
	return r.laid
}

func (r *request) layOut(v view) []string {
	if r.approval != nil {
		return rowLines(render.ApprovalRows(&r.approval.ApprovalRequest, r.name, r.arguments), v.columns)
	}
	q := r.question.Questions[r.index]
	head := q.Question
	if q.Header != "" {
		head = q.Header + ": " + head
	}
	if n := len(r.question.Questions); n > 1 {
		head = fmt.Sprintf("(%d of %d) %s", r.index+1, n, head)
	}
	list := under(wrapWords(paint(screen.Yellow, head), v.columns-2), paint(screen.Yellow, "? "), "  ")
	if q.Body != "" {
		list = append(list, (&prose{text: q.Body}).lines(v)...)
	}
	return list
}

// page returns the part of body that there is room for. The part starts at r.top.
func (r *request) page(body []string, room int) []string {
	if len(body) <= room {
		r.top, r.end, r.seen = 0, len(body), len(body)
		return body
	}
	if r.top >= len(body) {
		r.top = 0
	}
	var head []string // names the request again
	if r.top > 0 && room > 3 {
		head = []string{body[0]}
	}
	end := min(r.top+room-1-len(head), len(body))
	r.end, r.seen = end, max(r.seen, end)
	more := "m"
	if r.question != nil {
		more = "PgDn"
	}
	how := fmt.Sprintf("lines %d to %d of %d; %s shows more", max(r.top, 1), end-1, len(body)-1, more) // the first line, which names the request, is not counted
	if end == len(body) {
		how = strings.Replace(how, "shows more", "begins again", 1)
	}
	if rest := r.unseen(); rest > 0 {
		how = "NOT SHOWN YET: " + screen.Count(rest, "line") + "; " + how
	}
	return slices.Concat(head, body[r.top:end], []string{paint(screen.Yellow, how)})
}

// approvalKeys says which key does what. ends reports whether a refusal ends the turn.
func approvalKeys(r *request, v view, ends bool) []string {
	if r.choosing {
		list := []string{paint(screen.Bold, "What is always allowed?")}
		for i, o := range r.offers {
			list = append(list, optionLine(v, i == r.cursor, strconv.Itoa(i+1)+" ", o.Words, "")...)
		}
		return append(list, wrapWords(paint(screen.Dim, "↑ ↓ or a number, Enter allows it, Esc goes back"), v.columns)...)
	}
	no := "no"
	if ends {
		no = "no, and end the turn"
	}
	refuse := legend("n", no) + "  " + legend("e", "no, and say what instead")
	list := wrapWords(legend("y", "yes, once")+"  "+refuse+"  "+legend("a", "always: choose what it covers"), v.columns)
	if r.unseen() == 0 {
		return list
	}
	first := wrapWords(legend("m", "show the rest first")+"  "+refuse, v.columns)
	for len(first) < len(list) { // so that the page has the same height before and after all of the request has been shown
		first = append(first, "")
	}
	return first
}

// optionLine shows one choice.
func optionLine(v view, current bool, head, label, about string) []string {
	mark, style := "  ", screen.Plain
	if current {
		mark, style = "❯ ", screen.Bold
	}
	line := mark + head + paint(style, label)
	if about != "" {
		line += paint(screen.Dim, "  "+about)
	}
	return under(wrapWords(line, v.columns-4), "", "    ")
}

func legend(k, what string) string { return paint(screen.Bold, k) + " " + paint(screen.Plain, what) }
