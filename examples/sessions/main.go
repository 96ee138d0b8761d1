// Command sessions manages the stored sessions of the current folder, of kimi-cli and Kimi Code, and starts neither of them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"

	"github.com/kimi-go/kimi-go/client"
)

func main() {
	if err := run(context.Background(), &client.Options{}, os.Args, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, opts *client.Options, args []string, out io.Writer) (err error) {
	turns, noNumber := strconv.Atoi(args[len(args)-1])
	switch n := len(args) - 1; {
	case n == 1 && args[1] == "list":
		list, err := client.ListSessions(opts)
		for _, s := range list { // the title is quoted, because it may contain control characters of a terminal
			fmt.Fprintf(out, "%s %s %s %d turns %q\n", s.ID, s.Backend, s.Updated.Format("2006-01-02 15:04"), s.Turns, s.Title)
		}
		return err
	case n == 2 && args[1] == "history":
		for msg, failed := range client.Merge(client.History(args[2], opts)) {
			if err = errors.Join(err, failed); err == nil {
				err = json.NewEncoder(out).Encode(msg)
			}
		}
		return err
	case n == 3 && args[1] == "fork" && noNumber == nil:
		id, err := client.ForkSession(ctx, args[2], turns, opts)
		fmt.Fprintln(out, id)
		return err
	case n == 3 && args[1] == "rename":
		return client.RenameSession(args[2], args[3], opts)
	case n == 2 && args[1] == "delete":
		return client.DeleteSession(args[2], opts)
	}
	return errors.New("usage: sessions list | history ID | fork ID TURNS | rename ID TITLE | delete ID")
}
