package translator

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/wireproto"
)

const (
	// bodyMost is the most that the content of a prompt may have. The server takes 1 MiB with everything around it.
	bodyMost = 1<<20 - 4<<10
	// inlineMost is the most base64 data of a picture that goes into a prompt. A larger picture is uploaded.
	inlineMost = 256 << 10
)

// convert turns a client's input into the parts of a prompt. It first stores large pictures and all videos on the
// server. At the end it calls then. If there is nothing to store, that is before convert returns.
func (t *Translator) convert(input wireproto.Content, then func([]api.Part, error)) {
	parts, uploads, err := partsOf(input)
	if err != nil {
		then(nil, err)
		return
	}
	t.upload(parts, uploads, then)
}

// upload stores data on the server that is too large for a prompt, one upload after the other.
func (t *Translator) upload(parts []api.Part, uploads []upload, then func([]api.Part, error)) {
	if len(uploads) == 0 {
		then(parts, fits(parts))
		return
	}
	u := uploads[0]
	t.lastID++
	t.calls[t.lastID] = func(data json.RawMessage, err error) {
		var stored struct {
			ID string `json:"id"`
		}
		if err == nil {
			err = json.Unmarshal(data, &stored)
		}
		if err == nil && stored.ID == "" {
			err = errors.New("the server has returned no id")
		}
		if err != nil {
			then(nil, fmt.Errorf("store a %s on the server: %w", parts[u.part].Type, err))
			return
		}
		parts[u.part].Source = &api.Source{Kind: "file", FileID: stored.ID}
		t.upload(parts, uploads[1:], then)
	}
	t.do(Upload{t.lastID, u.name, u.mediaType, u.data})
}

// upload is a part whose data goes to the server by itself.
type upload struct {
	part            int // the index of the part
	name, mediaType string
	data            []byte
}

// fits returns an error if the prompt is larger than the server accepts.
func fits(parts []api.Part) error {
	raw, err := json.Marshal(parts)
	if err == nil && len(raw) > bodyMost {
		err = fmt.Errorf("the prompt has %d bytes, but Kimi Code's server takes at most %d; put the text into a file, and name the file in the prompt", len(raw), bodyMost)
	}
	return err
}

func partsOf(input wireproto.Content) (parts []api.Part, uploads []upload, err error) {
	if input.Parts == nil {
		if strings.TrimSpace(input.Text) == "" {
			return nil, nil, errors.New("the input is empty") // Kimi Code would call the model nevertheless
		}
		return []api.Part{{Type: "text", Text: input.Text}}, nil, nil
	}
	for _, p := range input.Parts {
		switch p := p.(type) {
		case *wireproto.TextPart:
			if p.Text != "" {
				parts = append(parts, api.Part{Type: "text", Text: p.Text})
			}
		case *wireproto.ThinkPart: // thinking is not input
		case *wireproto.ImageURLPart:
			parts, uploads, err = media(parts, uploads, "image", p.ImageURL.URL)
		case *wireproto.VideoURLPart:
			parts, uploads, err = media(parts, uploads, "video", p.VideoURL.URL)
		case *wireproto.AudioURLPart:
			err = &UnsupportedError{Option: "audio", Why: "it takes text, pictures and videos"}
		default:
			err = errors.New("the input has a content part of an unknown type")
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if len(parts) == 0 {
		return nil, nil, errors.New("the input is empty")
	}
	return parts, uploads, nil
}

// media adds a picture or a video.
func media(parts []api.Part, uploads []upload, kind, url string) ([]api.Part, []upload, error) {
	if !strings.HasPrefix(url, "data:") {
		return append(parts, api.Part{Type: kind, Source: &api.Source{Kind: "url", URL: url}}), uploads, nil
	}
	mediaType, data, ok := dataURL(url)
	switch {
	case !ok:
		return nil, nil, fmt.Errorf("the data: URL of a %s is not base64", kind)
	case data == "":
		return nil, nil, fmt.Errorf("the data: URL of the %s is empty", kind)
	}
	part := api.Part{Type: kind, Source: &api.Source{Kind: "base64", MediaType: mediaType, Data: data}}
	if len(data) > inlineMost || kind == "video" {
		raw, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return nil, nil, fmt.Errorf("the data: URL of a %s is not base64", kind)
		}
		_, suffix, _ := strings.Cut(mediaType, "/")
		uploads = append(uploads, upload{len(parts), kind + "." + suffix, mediaType, raw})
		part.Source = nil
	}
	return append(parts, part), uploads, nil
}

// dataURL takes a data: URL apart into its media type and its data in base64.
func dataURL(url string) (kind, data string, ok bool) {
	head, data, based := strings.Cut(url, ";base64,")
	kind, isData := strings.CutPrefix(head, "data:")
	return kind, data, based && isData
}
