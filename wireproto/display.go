package wireproto

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// DisplayBlock is something to show to the user with a tool result or an approval request. The set of types is closed.
// A block that this version does not know is an [*UnknownDisplayBlock].
type DisplayBlock interface {
	// BlockType returns the type name of the block, such as "diff".
	BlockType() string
	isDisplayBlock()
}

// DisplayBlocks is a list of blocks. A nil list is written as [].
type DisplayBlocks []DisplayBlock

// BriefDisplayBlock is one line of text.
type BriefDisplayBlock struct {
	Text string `json:"text"`
}

// DiffDisplayBlock is a change of a file.
type DiffDisplayBlock struct {
	Path      string `json:"path"`
	OldText   string `json:"old_text"`
	NewText   string `json:"new_text"`
	OldStart  int    `json:"old_start"`  // line number, from 1; decodes to 1 when absent
	NewStart  int    `json:"new_start"`  // line number, from 1; decodes to 1 when absent
	IsSummary bool   `json:"is_summary"` // the texts are not the contents, but say how long those are
}

// TodoDisplayBlock is a todo list.
type TodoDisplayBlock struct {
	Items []TodoItem `json:"items"`
}

// TodoItem is one entry of a todo list.
type TodoItem struct {
	Title  string `json:"title"`
	Status string `json:"status"` // pending, in_progress, done
}

// ShellDisplayBlock is a shell command.
type ShellDisplayBlock struct {
	Language string `json:"language"` // such as "bash"
	Command  string `json:"command"`
}

// BackgroundTaskDisplayBlock is the state of a background task.
type BackgroundTaskDisplayBlock struct {
	TaskID      string `json:"task_id"`
	Kind        string `json:"kind"`   // such as "bash"
	Status      string `json:"status"` // such as "starting"
	Description string `json:"description"`
}

// UnknownDisplayBlock is a block of a type that this version does not know. It encodes to the same JSON. If a client
// sends it in a tool result, kimi-cli moves all members except type into a new member data.
type UnknownDisplayBlock struct {
	Type string
	Raw  json.RawMessage // the whole block; if nil, only the type is written
}

// BlockType returns "brief".
func (*BriefDisplayBlock) BlockType() string { return "brief" }

// BlockType returns "diff".
func (*DiffDisplayBlock) BlockType() string { return "diff" }

// BlockType returns "todo".
func (*TodoDisplayBlock) BlockType() string { return "todo" }

// BlockType returns "shell".
func (*ShellDisplayBlock) BlockType() string { return "shell" }

// BlockType returns "background_task".
func (*BackgroundTaskDisplayBlock) BlockType() string { return "background_task" }

// BlockType returns the type that the agent wrote.
func (b *UnknownDisplayBlock) BlockType() string { return b.Type }

func (*BriefDisplayBlock) isDisplayBlock()          {}
func (*DiffDisplayBlock) isDisplayBlock()           {}
func (*TodoDisplayBlock) isDisplayBlock()           {}
func (*ShellDisplayBlock) isDisplayBlock()          {}
func (*BackgroundTaskDisplayBlock) isDisplayBlock() {}
func (*UnknownDisplayBlock) isDisplayBlock()        {}

// MarshalJSON returns the block with its type.
func (b *BriefDisplayBlock) MarshalJSON() ([]byte, error) {
	type fields BriefDisplayBlock
	return marshalBlock(b, (*fields)(b))
}

// MarshalJSON returns the block with its type.
func (b *DiffDisplayBlock) MarshalJSON() ([]byte, error) {
	type fields DiffDisplayBlock
	return marshalBlock(b, (*fields)(b))
}

// MarshalJSON returns the block with its type.
func (b *TodoDisplayBlock) MarshalJSON() ([]byte, error) {
	type fields TodoDisplayBlock
	return marshalBlock(b, fields{orEmpty(b.Items)})
}

// MarshalJSON returns the block with its type.
func (b *ShellDisplayBlock) MarshalJSON() ([]byte, error) {
	type fields ShellDisplayBlock
	return marshalBlock(b, (*fields)(b))
}

// MarshalJSON returns the block with its type.
func (b *BackgroundTaskDisplayBlock) MarshalJSON() ([]byte, error) {
	type fields BackgroundTaskDisplayBlock
	return marshalBlock(b, (*fields)(b))
}

// MarshalJSON returns the block unchanged.
func (b *UnknownDisplayBlock) MarshalJSON() ([]byte, error) {
	if b.Raw == nil {
		return json.Marshal(map[string]string{"type": b.Type})
	}
	return b.Raw, nil
}

// MarshalJSON returns the list. For nil it returns [].
func (l DisplayBlocks) MarshalJSON() ([]byte, error) {
	return marshalList(l, func(b DisplayBlock) any { return b })
}

// UnmarshalJSON reads a list of blocks, or null.
func (l *DisplayBlocks) UnmarshalJSON(data []byte) error {
	*l = nil
	if string(data) == "null" {
		return nil
	}
	return eachElement(data, func(raw []byte) error {
		b, err := decodeBlock(raw)
		if err == nil {
			*l = append(*l, b)
		}
		return err
	})
}

func decodeBlock(raw []byte) (DisplayBlock, error) {
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &head); err != nil || head.Type == "" {
		return nil, fmt.Errorf("wireproto: not a display block: %s", preview(raw))
	}
	var b DisplayBlock
	switch head.Type {
	case "brief":
		b = new(BriefDisplayBlock)
	case "diff":
		b = &DiffDisplayBlock{OldStart: 1, NewStart: 1}
	case "todo":
		b = new(TodoDisplayBlock)
	case "shell":
		b = new(ShellDisplayBlock)
	case "background_task":
		b = new(BackgroundTaskDisplayBlock)
	}
	if b == nil || json.Unmarshal(raw, b) != nil {
		b = &UnknownDisplayBlock{head.Type, bytes.Clone(raw)}
	}
	return b, nil
}

// marshalBlock writes the type before the fields, in the order of the agent.
func marshalBlock(b DisplayBlock, fields any) ([]byte, error) {
	var buf bytes.Buffer
	buf.WriteString(`{"type":"` + b.BlockType() + `",`)
	head := buf.Len()
	if err := encodeJSON(&buf, fields); err != nil {
		return nil, err
	}
	out := buf.Bytes()
	copy(out[head:], out[head+1:]) // remove the opening brace of the fields
	return out[:len(out)-1], nil
}
