package client

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kimi-go/kimi-go/wireproto"
)

func TestIsCommand(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"/yolo": true, "  /yolo": true, "/yolo please": true, "\n\t/yolo\n": true, "/skill:a": true, "/add-dir /etc": true,
		"\u00a0/yolo": true, "\u3000/yolo": true, "\x1c/yolo": true, "\x1f/yolo\x1ca/b": true, "\u0085/yolo\u2028/b": true,
		"/ yolo": true, "/\ufeffyolo": true, "/日本": true, "/yolo\ta/b": true,
		"": false, " ": false, "/": false, "//": false, "/ ": false, "/etc/passwd": false, "what is /yolo?": false,
		wordsMark + "/yolo": false, "/a/b c": false, ".": false,
	} {
		if got := isCommand(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestAsWords(t *testing.T) {
	t.Parallel()
	text := func(list ...string) (c wireproto.Content) {
		for _, s := range list {
			c.Parts = append(c.Parts, &wireproto.TextPart{Text: s})
		}
		return c
	}
	image := &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: "data:image/png;base64,AA=="}}
	withImage := func(c wireproto.Content) wireproto.Content {
		c.Parts = append([]wireproto.ContentPart{image}, c.Parts...)
		return c
	}
	for name, tt := range map[string]struct{ in, want wireproto.Content }{
		"text":             {wireproto.Content{Text: " /yolo x"}, wireproto.Content{Text: " " + wordsMark + "/yolo x"}},
		"a path":           {wireproto.Content{Text: "/etc/passwd"}, wireproto.Content{Text: "/etc/passwd"}},
		"a part":           {text("/yolo"), text(wordsMark + "/yolo")},
		"the second part":  {text("", " ", "\n/yolo", "x"), text("", " ", "\n"+wordsMark+"/yolo", "x")},
		"not the first":    {text("x", "/yolo"), text("x", "/yolo")},
		"after an image":   {withImage(text("/yolo")), withImage(text(wordsMark + "/yolo"))},
		"over several":     {text("/", "yolo"), text(wordsMark+"/", "yolo")},
		"an image alone":   {withImage(text()), withImage(text())},
		"a path in a part": {text("/a/b", "/yolo"), text("/a/b", "/yolo")},
	} {
		before := cmp.Diff(wireproto.Content{}, tt.in)
		got, changed := asWords(tt.in)
		if unmarked(got.Text) != tt.in.Text {
			t.Errorf("%s: unmarked %q", name, unmarked(got.Text))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || changed != (cmp.Diff(tt.in, got) != "") {
			t.Errorf("%s: %v\n%s", name, changed, diff)
		}
		if cmp.Diff(wireproto.Content{}, tt.in) != before {
			t.Errorf("%s: the caller's parts are changed", name)
		}
	}
}
