package wireproto

import (
	"strings"
	"testing"
)

func TestContent(t *testing.T) {
	c := Content{Text: "left out", Parts: []ContentPart{&TextPart{"a"}, &ThinkPart{Think: "no"}, &TextPart{"b"}}}
	if got := c.String(); got != "ab" {
		t.Errorf("String of parts is %q", got)
	}
	if got := (Content{Text: "t"}).String(); got != "t" {
		t.Errorf("String of text is %q", got)
	}
	tests := []struct {
		parts []ContentPart
		want  string // part of the error, "" for none
	}{
		{nil, ""},
		{[]ContentPart{}, ""},
		{[]ContentPart{&TextPart{}, &ThinkPart{}, &ImageURLPart{}, &AudioURLPart{}, &VideoURLPart{}}, ""},
		{[]ContentPart{&TextPart{}, nil}, "part 1 is nil"},
		{[]ContentPart{(*TextPart)(nil)}, "part 0 is nil"},
		{[]ContentPart{(*UnknownPart)(nil)}, "part 0 is nil"},
		{[]ContentPart{&UnknownPart{Type: "smell"}}, `part 0 has the unknown type "smell"`},
	}
	for _, tt := range tests {
		err := Content{Parts: tt.parts}.Sendable()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("Sendable of %v is %v, want %q", tt.parts, err, tt.want)
		}
	}
}

func TestTokenUsage(t *testing.T) {
	u := TokenUsage{InputOther: 1, Output: 20, InputCacheRead: 300, InputCacheCreation: 4000}
	u.Add(TokenUsage{InputOther: 1, Output: 10, InputCacheRead: 100, InputCacheCreation: 1000})
	if want := (TokenUsage{2, 30, 400, 5000}); u != want {
		t.Errorf("sum is %v, want %v", u, want)
	}
	if got := u.Total(); got != 5432 {
		t.Errorf("total is %d", got)
	}
}
