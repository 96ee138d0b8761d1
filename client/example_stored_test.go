package client_test

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// storedExample writes the files of a session with two turns, so that the examples run without a kimi.
func storedExample() (opts *client.Options, id string, remove func()) {
	dir, err := os.MkdirTemp("", "kimi-go-example-")
	if err != nil {
		log.Fatal(err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		log.Fatal(err)
	}
	work, share := filepath.Join(dir, "work"), filepath.Join(dir, "share")
	session := filepath.Join(share, "sessions", fmt.Sprintf("%x", md5.Sum([]byte(work))), "my-id")
	var wire strings.Builder
	wire.WriteString(`{"type": "metadata", "protocol_version": "1.10"}` + "\n")
	var sent strings.Builder
	for i, turn := range []struct{ prompt, answer string }{{"Hello", "Hello, world!"}, {"And now?", "Goodbye."}} {
		for n, message := range []string{
			fmt.Sprintf(`{"type": "TurnBegin", "payload": {"user_input": %q}}`, turn.prompt), `{"type": "StepBegin", "payload": {"n": 1}}`,
			fmt.Sprintf(`{"type": "ContentPart", "payload": {"type": "text", "text": %q}}`, turn.answer), `{"type": "TurnEnd", "payload": {}}`,
		} {
			wire.WriteString(fmt.Sprintf(`{"timestamp": %d.5, "message": %s}`+"\n", 1795677588+60*i+n, message))
		}
		sent.WriteString(fmt.Sprintf(`{"role": "_checkpoint", "id": %d}`+"\n"+`{"role": "user", "content": %q}`+"\n"+`{"role": "assistant", "content": %q}`+"\n", i, turn.prompt, turn.answer))
	}
	for name, text := range map[string]string{
		filepath.Join(share, "kimi.json"):         fmt.Sprintf(`{"work_dirs": [{"path": %q, "kaos": "local"}]}`, work),
		filepath.Join(session, "wire.jsonl"):      wire.String(),
		filepath.Join(session, "context.jsonl"):   sent.String(),
		filepath.Join(work, "a file of the user"): "",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			log.Fatal(err)
		}
	}
	// There is no kimi at this path. The files of the session can be read without it.
	opts = &client.Options{WorkDir: work, ShareDir: share, Executable: filepath.Join(dir, "kimi")}
	return opts, "my-id", func() { os.RemoveAll(dir) }
}

func ExampleHistory() {
	opts, id, remove := storedExample()
	defer remove()
	for msg, err := range client.History(id, opts) {
		if err != nil {
			log.Fatal(err)
		}
		switch m := msg.(type) {
		case *wireproto.TurnBegin:
			fmt.Println(">", m.UserInput)
		case *wireproto.TextPart:
			fmt.Println(m.Text)
		}
	}
	// Output:
	// > Hello
	// Hello, world!
	// > And now?
	// Goodbye.
}

func ExampleHistoryRecords() {
	opts, id, remove := storedExample()
	defer remove()
	var begun time.Time
	for rec, err := range client.HistoryRecords(id, opts) {
		if err != nil {
			log.Fatal(err)
		}
		switch m := rec.Message.(type) {
		case *wireproto.TurnBegin:
			begun = rec.Time
			fmt.Println(rec.Time.UTC().Format(time.TimeOnly), m.UserInput)
		case *wireproto.TurnEnd:
			fmt.Println("took", rec.Time.Sub(begun))
		}
	}
	// Output:
	// 07:19:48 Hello
	// took 3s
	// 07:20:48 And now?
	// took 3s
}

func ExampleForkSession() {
	opts, id, remove := storedExample()
	defer remove()
	fork, err := client.ForkSession(context.Background(), id, 1, opts)
	if err != nil {
		log.Fatal(err)
	}
	for _, id := range []string{id, fork} {
		turns := 0
		for msg, err := range client.History(id, opts) {
			if _, ok := msg.(*wireproto.TurnBegin); ok && err == nil {
				turns++
			}
		}
		fmt.Println(turns)
	}
	// Output:
	// 2
	// 1
}

func ExampleRenameSession() {
	opts, id, remove := storedExample()
	defer remove()
	if err := client.RenameSession(id, "Greetings", opts); err != nil {
		log.Fatal(err)
	}
	list, err := client.ListAllSessions(opts)
	if err != nil {
		log.Fatal(err)
	}
	for _, info := range list {
		fmt.Println(info.ID, info.Title, info.Turns)
	}
	// Output: my-id Greetings 2
}

func ExampleDeleteSession() {
	opts, id, remove := storedExample()
	defer remove()
	if err := client.DeleteSession(id, opts); err != nil {
		log.Fatal(err)
	}
	err := client.DeleteSession(id, opts)
	fmt.Println(errors.Is(err, client.ErrSessionNotFound))
	// Output: true
}

func ExampleListAllSessions() {
	opts, _, remove := storedExample()
	defer remove()
	opts.WorkDir = filepath.Dir(opts.WorkDir)
	for _, list := range []func(*client.Options) ([]client.SessionInfo, error){client.ListSessions, client.ListAllSessions} {
		sessions, err := list(opts)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(sessions))
		for _, info := range sessions {
			fmt.Println(info.Backend, info.Title, filepath.Base(info.WorkDir))
		}
	}
	// Output:
	// 0
	// 1
	// wire Hello work
}

func ExampleSession_Undo() {
	ctx := context.Background()
	s, err := client.NewSession(ctx, &client.Options{Transport: clienttest.NewAgent(nil)})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	if err := s.Undo(ctx, 1); errors.Is(err, client.ErrUnsupported) {
		fmt.Println("this agent goes on from where it is; ForkSession keeps the first turns")
	}
	// Output: this agent goes on from where it is; ForkSession keeps the first turns
}
