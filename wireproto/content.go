package wireproto

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// ContentPart is a piece of content. It occurs in the model's output, where each part is an event, in a prompt, and in
// the output of a tool. The set of types is closed. A part that this version does not know is an [*UnknownPart].
type ContentPart interface {
	Event
	bare() any // a value whose JSON is the part without the envelope
}

// TextPart is text.
type TextPart struct {
	Text string
}

// ThinkPart is a piece of the model's thinking.
type ThinkPart struct {
	Think     string
	Encrypted *string // encrypted thinking, or its signature
}

// ImageURLPart is an image.
type ImageURLPart struct {
	ImageURL MediaURL
}

// AudioURLPart is sound.
type AudioURLPart struct {
	AudioURL MediaURL
}

// VideoURLPart is a video.
type VideoURLPart struct {
	VideoURL MediaURL
}

// MediaURL is the URL of an image, a sound or a video. A data: URL contains the bytes.
type MediaURL struct {
	URL string  `json:"url"`
	ID  *string `json:"id"` // an id by which the model tells media apart
}

// UnknownPart is a content part of a type that this version does not know. The agent may send it. Never send it to the
// agent: an unknown part ends kimi-cli.
type UnknownPart struct {
	Type string
	Raw  json.RawMessage // the whole part; if nil, only the type is written
}

// bare returns what json.Marshal makes the part of, without the envelope.
func (p *TextPart) bare() any {
	return struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}{"text", p.Text}
}

func (p *ThinkPart) bare() any {
	return struct {
		Type      string  `json:"type"`
		Think     string  `json:"think"`
		Encrypted *string `json:"encrypted"`
	}{"think", p.Think, p.Encrypted}
}

func (p *ImageURLPart) bare() any {
	return struct {
		Type string   `json:"type"`
		URL  MediaURL `json:"image_url"`
	}{"image_url", p.ImageURL}
}

func (p *AudioURLPart) bare() any {
	return struct {
		Type string   `json:"type"`
		URL  MediaURL `json:"audio_url"`
	}{"audio_url", p.AudioURL}
}

func (p *VideoURLPart) bare() any {
	return struct {
		Type string   `json:"type"`
		URL  MediaURL `json:"video_url"`
	}{"video_url", p.VideoURL}
}

func (p *UnknownPart) bare() any {
	if p.Raw == nil {
		return map[string]string{"type": p.Type}
	}
	return p.Raw
}

// decodePart reads one part. It returns nil if data is not an object with a type. It uses no reflection for text and
// thinking, because an agent sends mostly these.
func decodePart(data []byte) ContentPart {
	var kind, text, think, encrypted, image, audio, video []byte
	err := eachMember(data, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "text":
			text = value
		case "think":
			think = value
		case "encrypted":
			encrypted = value
		case "image_url":
			image = value
		case "audio_url":
			audio = value
		case "video_url":
			video = value
		}
	})
	if err != nil {
		return nil
	}
	switch string(kind) {
	case `"text"`:
		if s, err := decodeString(text); err == nil {
			return &TextPart{s}
		}
	case `"think"`:
		if s, err := decodeString(think); err == nil {
			p := &ThinkPart{Think: s}
			if encrypted == nil || json.Unmarshal(encrypted, &p.Encrypted) == nil {
				return p
			}
		}
	case `"image_url"`:
		if m, ok := decodeMedia(image); ok {
			return &ImageURLPart{m}
		}
	case `"audio_url"`:
		if m, ok := decodeMedia(audio); ok {
			return &AudioURLPart{m}
		}
	case `"video_url"`:
		if m, ok := decodeMedia(video); ok {
			return &VideoURLPart{m}
		}
	}
	name, err := decodeString(kind)
	if err != nil || !json.Valid(data) {
		return nil
	}
	return &UnknownPart{name, bytes.Clone(data)}
}

func decodeMedia(raw []byte) (MediaURL, bool) {
	var m struct {
		URL *string `json:"url"`
		ID  *string `json:"id"`
	}
	if json.Unmarshal(raw, &m) != nil || m.URL == nil {
		return MediaURL{}, false
	}
	return MediaURL{*m.URL, m.ID}, true
}

// Content is a string or a list of parts.
type Content struct {
	Text  string        // used when Parts is nil
	Parts []ContentPart // nil for the string form
}

// String returns the text of the content: Text, or the text parts joined.
func (c Content) String() string {
	if c.Parts == nil {
		return c.Text
	}
	var b strings.Builder
	for _, p := range c.Parts {
		if t, ok := p.(*TextPart); ok {
			b.WriteString(t.Text)
		}
	}
	return b.String()
}

// MarshalJSON returns a string, or a list if Parts is not nil.
func (c Content) MarshalJSON() ([]byte, error) {
	if c.Parts == nil {
		return marshalJSON(c.Text)
	}
	return marshalList(c.Parts, func(p ContentPart) any { return p.bare() })
}

// UnmarshalJSON reads a string or a list.
func (c *Content) UnmarshalJSON(data []byte) error {
	*c = Content{}
	if len(data) > 0 && data[0] != '[' {
		return json.Unmarshal(data, &c.Text)
	}
	c.Parts = []ContentPart{}
	return eachElement(data, func(raw []byte) error {
		p := decodePart(raw)
		if p == nil {
			return fmt.Errorf("wireproto: not a content part: %s", preview(raw))
		}
		c.Parts = append(c.Parts, p)
		return nil
	})
}

// Sendable returns an error if the content must not be sent to an agent. A nil part or an unknown part would end
// kimi-cli without a reply.
func (c Content) Sendable() error {
	for i, p := range c.Parts {
		if isNil(p) {
			return fmt.Errorf("wireproto: content part %d is nil", i)
		}
		if p, ok := p.(*UnknownPart); ok {
			return fmt.Errorf("wireproto: content part %d has the unknown type %s, which would end kimi", i, preview(p.Type))
		}
	}
	return nil
}

// marshalList writes the value of bare for each element. A nil list gives []. A nil element is an error.
func marshalList[T any](list []T, bare func(T) any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, e := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		if isNil(e) {
			return nil, fmt.Errorf("wireproto: element %d of a list is nil", i)
		}
		if err := encodeJSON(&b, bare(e)); err != nil {
			return nil, err
		}
	}
	b.WriteByte(']')
	return b.Bytes(), nil
}
