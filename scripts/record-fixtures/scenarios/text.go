package scenarios

import (
	"context"
	"net/http"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// odd is text that programs often treat wrongly: NUL, carriage return, tab, characters that end a line in some
// languages but not in this protocol, emoji outside the first Unicode plane, and HTML.
const odd = "nul \x00 cr \r tab \t ls \u2028 ps \u2029 nel \u0085 \U0001F680 👩‍👩‍👧 <b>&amp;</b> \\u2028"

const pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

func textScenarios() []Scenario {
	return []Scenario{
		{
			Name: "hello", Shows: "a turn of thinking and text, with token usage",
			Scripts: []string{"think: They greet me.\ntext: Hello,\ntext:  world!\nid: scripted-1\nusage: input_other=10 output=2 input_cache_read=3 input_cache_creation=1"},
			Run: func(p *Play) {
				list := p.Turn("Say hello", nil)
				p.Order(list, "TurnBegin StepBegin ContentPart ContentPart ContentPart StatusUpdate TurnEnd")
				p.Says(list, "Hello, world!")
				want := wireproto.TokenUsage{InputOther: 10, Output: 2, InputCacheRead: 3, InputCacheCreation: 1}
				p.Check(p.Session.Status().Usage == want, "usage", p.Session.Status())
			},
		},
		{
			Name: "two-turns", Shows: "two turns; the second reports no token usage, so its StatusUpdate has nulls",
			Scripts: []string{"text: one\nusage: input_other=5 output=1", "text: two"},
			Run: func(p *Play) {
				p.Says(p.Turn("first", nil), "one")
				list := p.Turn("second", nil)
				p.Says(list, "two")
				status := one[wireproto.StatusUpdate](p, list)
				p.Check(status.TokenUsage == nil && status.PlanMode != nil, "no usage", status)
			},
		},
		{
			Name: "parts", Shows: "every content part in the model's output: text, think, image, audio, video",
			Scripts: []string{lines(`think: look`, `text: media: `, `image_url: {"url":"`+pixel+`","id":"img-1"}`,
				`audio_url: https://example.com/a.mp3`, `video_url: {"url":"https://example.com/v.mp4","id":"vid-1"}`)},
			Run: func(p *Play) {
				list := p.Turn("Show me media", nil)
				image, audio, video := one[wireproto.ImageURLPart](p, list), one[wireproto.AudioURLPart](p, list), one[wireproto.VideoURLPart](p, list)
				p.Check(image.ImageURL.URL == pixel && image.ImageURL.ID != nil && *image.ImageURL.ID == "img-1", "image", image)
				p.Check(audio.AudioURL.ID == nil, "audio", audio)
				p.Check(video.VideoURL.URL == "https://example.com/v.mp4", "video", video)
				p.Check(one[wireproto.ThinkPart](p, list).Think == "look", "thinking")
			},
		},
		{
			Name: "prompt-parts", Shows: "a prompt of text, image, audio and video parts",
			Scripts: []string{"text: I see"},
			Prepare: func(_ context.Context, r *Rig) error {
				r.sees()
				return nil
			},
			Run: func(p *Play) {
				id := "img-1"
				list := p.Turn("What is this?", nil,
					&wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: pixel, ID: &id}},
					&wireproto.AudioURLPart{AudioURL: wireproto.MediaURL{URL: "https://example.com/a.mp3"}},
					&wireproto.VideoURLPart{VideoURL: wireproto.MediaURL{URL: "https://example.com/v.mp4"}})
				p.Says(list, "I see")
				input := one[wireproto.TurnBegin](p, list).UserInput
				p.Check(len(input.Parts) == 4 && input.String() == "What is this?", "the prompt comes back", input)
			},
		},
		{
			Name: "odd-text", Shows: "NUL, CR, U+2028, U+2029, U+0085, emoji and HTML in a prompt and in an answer",
			Prepare: func(_ context.Context, r *Rig) error {
				return r.Model(config.Provider{APIKey: "none"}, func(w http.ResponseWriter, _ *http.Request) {
					stream(w, odd, " end")
					finish(w)
				})
			},
			Run: func(p *Play) {
				list := p.Turn(odd, nil)
				p.Says(list, odd+" end")
				p.Check(one[wireproto.TurnBegin](p, list).UserInput.String() == odd, "the prompt comes back", list[0])
			},
		},
		{
			Name: "secrets", Shows: "a model that repeats keys, headers and paths of the machine: they are not in the recording",
			Prepare: func(_ context.Context, r *Rig) error {
				r.Options.Env["MY_SERVICE_TOKEN"] = Planted[2]
				return r.Model(config.Provider{
					APIKey: config.Secret(Planted[0]), CustomHeaders: map[string]config.Secret{"X-Auth": config.Secret("Bearer " + Planted[1])},
				}, func(w http.ResponseWriter, req *http.Request) {
					if req.Header.Get("Authorization") != "Bearer "+Planted[0] || req.Header.Get("X-Auth") != "Bearer "+Planted[1] {
						http.Error(w, "no key", http.StatusForbidden)
						return
					}
					stream(w, "key "+Planted[0]+", header "+Planted[1]+", token "+Planted[2], ", in JSON "+toJSON(map[string]string{"k": toJSON(Planted)}),
						", in "+r.Options.WorkDir+" and "+r.Options.ShareDir+" and "+r.Options.Env["HOME"])
					finish(w)
				})
			},
			Run: func(p *Play) { p.Order(p.Turn("Repeat everything", nil), "TurnBegin ContentPart TurnEnd") },
		},
	}
}

// Planted are the secrets of the scenario "secrets". No fixture may contain them. The second begins with the first. The
// third has characters that JSON escapes.
var Planted = []string{"planted-key-2f61c4d0", "planted-key-2f61c4d0-and-more", `planted "quoted" \ <token> ü 77`}
