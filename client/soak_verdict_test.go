package client_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
)

// transcriptOf reads a transcript with lines of the form "who: what key (note)".
func transcriptOf(text string, errs map[string]error) []entry {
	var log []entry
	at := time.Unix(0, 0)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		at = at.Add(time.Millisecond)
		var e entry
		who, rest, _ := strings.Cut(line, ": ")
		if d, ok := strings.CutPrefix(who, "+"); ok { // a pause before the entry
			pause, name, _ := strings.Cut(d, " ")
			wait, err := time.ParseDuration(pause)
			if err != nil {
				panic(err)
			}
			at, who = at.Add(wait), name
		}
		if i := strings.Index(rest, " ("); i >= 0 {
			rest, e.Note = rest[:i], strings.TrimSuffix(rest[i+2:], ")")
		}

		if what, name, ok := strings.Cut(rest, " = "); ok {
			rest, e.Err = what, errs[name]
		}
		e.At, e.Who, e.What = at, who, rest
		if i := strings.LastIndex(rest, " "); i >= 0 {
			e.What, e.Key = rest[:i], rest[i+1:]
		}
		log = append(log, e)
	}
	return log
}

// The checker finds each kind of violation.
func TestSoakVerdict(t *testing.T) {
	yes, no := "", ""
	plan := &schedule{Seed: 1, Program: programPlan{Grace: time.Second, OnMessage: true}}
	for n := 1; yes == "" || no == ""; n++ {
		switch key := "a" + string(rune('0'+n)); decision(plan.Seed, key) {
		case "approve":
			yes = key
		case "reject":
			no = key
		}
	}
	errs := map[string]error{
		"closed": client.ErrClosed, "busy": client.ErrBusy, "cancelled": client.ErrCancelled, "answered": client.ErrAnswered,
		"provider": client.ErrProvider, "exit 3": &client.ProcessError{ExitCode: 3}, "other": errors.New("other"),
	}
	const turn = `
		main: call Prompt p1
		main: return Prompt p1
		agent: read p1 (prompt)`
	const sent = turn + `
		agent: write m1 (10)
		agent: wrote m1
		agent: write m2 (10)
		agent: wrote m2`
	const answered = sent + `
		agent: answer finished p1 (10)
		agent: wrote p1`
	const seen = `
		loop p1: message m1
		loop p1: message m2`
	const end = `
		loop p1: end of loop p1
		main: call Result p1
		main: return Result p1`
	ask := func(key string) string {
		return turn + `
		agent: write ` + key + ` (10)
		agent: wrote ` + key + `
		loop p1: message ` + key
	}
	for name, test := range map[string]struct{ text, want string }{
		"no start":        {"main: call NewSession s\nmain: return NewSession s = other", "the start: other"},
		"all is well":     {answered + seen + end, ""},
		"lost at the end": {answered + "\nloop p1: message m1" + end, "m2 was lost"},
		"lost before":     {sent + "\nloop p1: message m2", ""}, // the loop may not have reached it yet
		"lost between": {sent + "\nloop p1: message m2\nloop p1: call break p1\nloop p1: end of loop p1",
			"m1 was lost"},
		"twice":              {answered + "\nloop p1: message m1" + seen + end, "m1 came twice"},
		"in another place":   {answered + "\nloop p1: message m1\nOnMessage: message m2" + end, "m2 of loop p1 came in OnMessage"},
		"out of order":       {answered + "\nloop p1: message m2\nloop p1: message m1" + end, "m1 after m2"},
		"made up":            {answered + seen + "\nloop p1: message m7" + end, "did not send"},
		"ends with an error": {answered + seen + strings.Replace(end, "loop p1\n", "loop p1 = other\n", 1), "instead of nil"},
		"ends without an answer": {sent + seen + end,
			"has not finished"},
		"cancelled by no one": {sent + seen + "\nloop p1: end of loop p1 = cancelled", "nothing of the kind"},
		"closed by no one":    {sent + seen + "\nloop p1: end of loop p1 = closed", "nothing of the kind"},
		"another exit code":   {sent + seen + "\nagent: exit 2\nagent: gone \nloop p1: end of loop p1 = exit 3", "exited with 2"},
		"killed in health":    {sent + seen + "\nagent: gone \nloop p1: end of loop p1 = exit 3", "was well"},
		"a stray cancel":      {sent + "\nagent: read 7 (cancel)", "did not ask for it"},
		"a second prompt":     {sent + "\nmain: call Prompt p2\nmain: return Prompt p2\nagent: read p2 (prompt)", "while p1 ran"},
		"busy with nothing":   {answered + seen + end + "\nmain: call Prompt p2\nmain: return Prompt p2 = busy", "while no other ran"},
		"held": {sent + seen + "\nmain: end ctx p1\n+20s loop p1: end of loop p1 = cancelled",
			"held for 20"},
		"slow Close":  {"main: call Close c1\n+30s main: return Close c1", "took 30"},
		"never back":  {"main: call Close c1\nmain: through ", "has not returned"},
		"approved":    {ask(yes) + "\nloop p1: call approve " + yes + "\nloop p1: return approve " + yes + "\nagent: read " + yes + ` ({"request_id":"` + yes + `","response":"approve"})`, ""},
		"unapproved":  {ask(no) + "\nloop p1: call reject " + no + "\nloop p1: return reject " + no + "\nagent: read " + no + ` ({"request_id":"` + no + `","response":"approve"})`, "has not approved"},
		"overruled":   {ask(yes) + "\nloop p1: call approve " + yes + "\nloop p1: return approve " + yes + "\nagent: read " + yes + ` ({"request_id":"` + yes + `","response":"reject"})`, "has approved"},
		"two answers": {ask(no) + strings.Repeat("\nagent: read "+no+` ({"request_id":"`+no+`","response":"reject"})`, 2), "two answers"},
		"not asked":   {turn + "\nagent: read a9 " + `({"request_id":"a9","response":"reject"})`, "has not asked"},
		"starved":     {ask(no) + "\nagent: starved " + no, "no one answered"},
		"after the end": {answered + seen + end + "\nagent: write " + no + " (10)\nmain: call Close c1\nmain: return Close c1\nmain: call reject " + no + "\nmain: return reject " + no,
			"after Close"},
		"a late handler":   {"agent: write a1 (9)\nmain: call Close c1\nmain: return Close c1\nApprove: start a1\nApprove: end a1", "started after Close"},
		"a long handler":   {"agent: write a1 (9)\nApprove: start a1\nmain: call Close c1\nmain: return Close c1\nApprove: end a1", "ran when Close had returned"},
		"an unseen end":    {"agent: write a1 (9)\nmain: call Close c1\nagent: EOF \nagent: write a2 (9)\nApprove: start a2\nApprove: end a2", "Close had begun"},
		"handlers left":    {"agent: write a1 (9)\nApprove: start a1", "have not ended"},
		"two OnMessage":    {"agent: write m1 (9)\nagent: write m2 (9)\nOnMessage: start m1\nOnMessage: start m2\nOnMessage: end m1\nOnMessage: end m2", "two OnMessage"},
		"works after that": {"main: call Close c1\nmain: return Close c1\nmain: call Steer end\nmain: return Steer end", "succeeds after Close"},
	} {
		t.Run(name, func(t *testing.T) {
			log := transcriptOf(test.text, errs)
			for i := range log {
				if log[i].Key == "end" {
					log[i].Key = "after the end"
				}
			}
			bad := strings.Join(check(plan, log), "\n")
			if (bad == "") != (test.want == "") || !strings.Contains(bad, test.want) {
				t.Errorf("violations: %s\nwant: %s", bad, test.want)
			}
		})
	}
}
