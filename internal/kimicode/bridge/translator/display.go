package translator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/wireproto"
)

// blocks converts the display of a call to display blocks. If the call writes a file, this is shown as a change only if
// the old text of the file is known.
func (t *Translator) blocks(raw json.RawMessage) wireproto.DisplayBlocks {
	var d struct {
		api.Display
		Old  *string `json:"old"`  // see [OldText]
		Line int     `json:"line"` // see [OldText]
	}
	if json.Unmarshal(raw, &d) != nil {
		return nil
	}
	switch {
	case d.Kind == "command":
		language := d.Language
		if language == "" {
			language = "bash"
		}
		return wireproto.DisplayBlocks{&wireproto.ShellDisplayBlock{Language: language, Command: d.Command}}
	case d.Kind == "file_io" && d.Before != nil && d.After != nil:
		line := max(d.Line, 1)
		return wireproto.DisplayBlocks{&wireproto.DiffDisplayBlock{Path: d.Path, OldText: *d.Before, NewText: *d.After, OldStart: line, NewStart: line}}
	case d.Kind == "file_io" && d.Content != nil && d.Old != nil:
		return wireproto.DisplayBlocks{&wireproto.DiffDisplayBlock{Path: d.Path, OldText: *d.Old, NewText: *d.Content, OldStart: 1, NewStart: 1}}
	case d.Kind == "file_io" && d.Content != nil:
		return wireproto.DisplayBlocks{&wireproto.BriefDisplayBlock{Text: fmt.Sprintf("%s %s: %d lines", d.Operation, d.Path, strings.Count(*d.Content, "\n"))}}
	case d.Kind == "todo_list":
		list := &wireproto.TodoDisplayBlock{}
		for _, item := range d.Items {
			status := item.Status
			if status == "completed" {
				status = "done"
			}
			list.Items = append(list.Items, wireproto.TodoItem{Title: item.Title, Status: status})
		}
		return wireproto.DisplayBlocks{list}
	}
	return nil
}

// OldText adds to a display what only the file itself says. If the display is about writing a file, this is the current
// text of the file. If it is about a change in a file, this is the number of the line where the change begins. OldText
// returns any other display unchanged.
func OldText(display json.RawMessage, read func(path string) (string, bool)) json.RawMessage {
	var d api.Display
	if json.Unmarshal(display, &d) != nil || d.Kind != "file_io" || d.Content == nil && d.Before == nil || d.Path == "" {
		return display
	}
	old, ok := read(d.Path)
	if !ok {
		return display
	}
	key, value := "old", any(old)
	if d.Before != nil {
		i := strings.Index(old, *d.Before)
		if i < 0 || *d.Before == "" {
			return display
		}
		key, value = "line", 1+strings.Count(old[:i], "\n")
	}
	text, err := json.Marshal(value)
	if err != nil {
		return display
	}
	trimmed := bytes.TrimRight(display, " \n")
	return fmt.Appendf(bytes.Clone(trimmed[:len(trimmed)-1]), `,%q:%s}`, key, text)
}
