package rules_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/client/rules"
	"github.com/kimi-go/kimi-go/wireproto"
)

func ExampleRules_Decide() {
	r, err := rules.Load("testdata/rules.toml")
	if err != nil {
		log.Fatal(err)
	}
	for _, command := range []string{"git push origin main", "git diff --stat; /bin/rm -rf ~", "git diff --output=x", "git commit -m 'a fix'"} {
		arguments, err := json.Marshal(map[string]string{"command": command})
		if err != nil {
			log.Fatal(err)
		}
		d := r.Decide("Shell", arguments, "/work")
		fmt.Printf("%s: %q %q\n", command, d.Verdict, d.Reason)
	}
	// Output:
	// git push origin main: "deny" "Do not push; a person does."
	// git diff --stat; /bin/rm -rf ~: "deny" "Do not remove files with rm; use git rm, or say what should go."
	// git diff --output=x: "" ""
	// git commit -m 'a fix': "ask" "a rule asks about it: command \"git commit *\""
}

func ExampleRules_Approve() {
	r, err := rules.Parse([]byte(`
[[deny]]
command = "rm *"
reason = "use git rm"
`))
	if err != nil {
		log.Fatal(err)
	}
	ask := func(_ context.Context, request *client.ApprovalRequest) error {
		fmt.Println("asked:", request.Description)
		return request.Approve()
	}
	agent := clienttest.NewAgent(nil, func(t *clienttest.Turn) {
		for _, command := range []string{"rm notes.txt", "git rm notes.txt"} {
			request := wireproto.ApprovalRequest{Sender: "Shell", Action: "run command", Description: command}
			answer := t.Approval(request, map[string]string{"command": command})
			t.Say(fmt.Sprintf("%s: %s %s\n", command, answer.Response, answer.Feedback))
		}
	})
	answer, err := client.Ask(context.Background(), "Remove my notes.", &client.Options{Transport: agent, Approve: r.Approve(ask)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(answer)
	// Output:
	// asked: git rm notes.txt
	// rm notes.txt: reject use git rm
	// git rm notes.txt: approve
}

func ExampleRules_Hook() {
	r, err := rules.Parse([]byte(`
[[deny]]
path = "/secrets/**"
reason = "these are not for you"
`))
	if err != nil {
		log.Fatal(err)
	}
	hook := r.Hook()
	hook.ID = "rules"
	agent := clienttest.NewAgent(nil, func(t *clienttest.Turn) {
		answer := t.Hook("rules", hook.Event, "ReadFile", map[string]any{"cwd": "/work", "tool_input": map[string]string{"path": "/secrets/key"}})
		t.Say(fmt.Sprintf("%s: %s", answer.Action, answer.Reason))
	})
	answer, err := client.Ask(context.Background(), "What is the key?", &client.Options{
		Transport: agent, Approve: r.Approve(nil), Hooks: []client.Hook{hook},
	})
	fmt.Println(answer, err)
	// Output: block: these are not for you <nil>
}
