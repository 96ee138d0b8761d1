package translator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/wireproto"
)

// blocks turns what a call shows into display blocks. A file that is written is shown as a change
// only where its old text is known.
func (t *Translator) blocks(raw json.RawMessage) wireproto.DisplayBlocks {
	var d struct {
		api.Display
		Old *string `json:"old"` // see [OldText]
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
		return wireproto.DisplayBlocks{&wireproto.DiffDisplayBlock{Path: d.Path, OldText: *d.Before, NewText: *d.After, OldStart: 1, NewStart: 1}}
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

// OldText returns a display with the current text of a file, if the display is about writing that file. path is "" for
// any other display.
func OldText(display json.RawMessage, read func(path string) (string, bool)) json.RawMessage {
	var d api.Display
	if json.Unmarshal(display, &d) != nil || d.Kind != "file_io" || d.Content == nil || d.Before != nil || d.Path == "" {
		return display
	}
	old, ok := read(d.Path)
	if !ok {
		return display
	}
	text, err := json.Marshal(old)
	if err != nil {
		return display
	}
	trimmed := bytes.TrimRight(display, " \n")
	return append(append(append(bytes.Clone(trimmed[:len(trimmed)-1]), `,"old":`...), text...), '}')
}
