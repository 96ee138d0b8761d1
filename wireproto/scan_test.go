package wireproto

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestControl(t *testing.T) {
	for _, pad := range []int{0, 1, 7, 31, 32, 33, 63, 64, 100} {
		for _, fill := range []string{" ", "~", "\x7f", "\xa0", "\xff", "月", "\u2028"} {
			s := strings.Repeat(fill, pad+1)
			if found, ascii := control([]byte(s)); found || ascii != (fill[0] < 0x80) {
				t.Errorf("%d times %q: found %t, ascii %t", pad+1, fill, found, ascii)
			}
			for at := range len(s) {
				b := []byte(s)
				b[at] = byte(at % 0x20)
				if found, _ := control(b); !found {
					t.Errorf("control character at %d of %q not found", at, b)
				}
				b[at] = 0x80
				if found, ascii := control(b); found || ascii {
					t.Errorf("0x80 at %d of %q: found %t, ascii %t", at, b, found, ascii)
				}
			}
		}
	}
}

// decodeString accepts and refuses the same strings as encoding/json, and returns the same text.
func FuzzString(f *testing.F) {
	for _, s := range []string{
		`""`, `"a"`, `"\""`, `"\\"`, `"\/\b\f\n\r\t"`, `"\u0041\u00e9"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00\ud83d"`,
		`"\ud800\ud83d\ude00"`, `"\uD83D\uDE00"`, `"\u12"`, `"\u 123"`, `"\u+123"`, `"\u1_23"`, `"\x"`, `"\'"`, `"\`, `"`,
		"\"\xff\xed\xa0\x80\u2028\"", "\"\x1f\"", "\"\x00\"", "\"\x7f\"", "\"\xe6\x9c\\n\"",
		`"` + strings.Repeat("0123456789", 10) + `\n` + strings.Repeat("月", 40) + `"`,
		`"` + strings.Repeat("a", 40) + "\x1f" + `"`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if skipString(raw, 0) != len(raw) {
			if json.Valid(raw) && raw[0] == '"' && raw[len(raw)-1] == '"' {
				t.Fatalf("%q is a string, but not found as one", raw)
			}
			return
		}
		got, err := decodeString(raw)
		var want string
		wantErr := json.Unmarshal(raw, &want)
		if (err == nil) != (wantErr == nil) || got != want {
			t.Fatalf("%q gives %q, %v; encoding/json %q, %v", raw, got, err, want, wantErr)
		}
		for _, s := range []string{got, string(raw)} { // raw may be invalid UTF-8
			var b, wantB bytes.Buffer
			appendString(&b, s)
			if err := encodeJSON(&wantB, s); err != nil || b.String() != wantB.String() {
				t.Fatalf("%q is written as %s; by encoding/json as %s, %v", s, &b, &wantB, err)
			}
		}
	})
}

// appendPart writes text and thinking exactly as encoding/json does.
func TestAppendPart(t *testing.T) {
	sealed := "sealed"
	for _, m := range []Message{&TextPart{"a\n<b> \"\u2028\xff\x00\x7f\U0001f600"}, &TextPart{}, &ThinkPart{Think: "hm"}, &ThinkPart{Think: "hm", Encrypted: &sealed}, &TurnEnd{}} {
		var b, want bytes.Buffer
		done := appendPart(&b, m)
		if err := encodeJSON(&want, m); err != nil {
			t.Fatal(err)
		}
		if part, ok := m.(*ThinkPart); done != (m.MessageType() == "ContentPart" && (!ok || part.Encrypted == nil)) {
			t.Errorf("%#v: written %t", m, done)
		}
		if done && b.String() != want.String() {
			t.Errorf("%s, by encoding/json %s", &b, &want)
		}
	}
}

// In valid JSON, eachMember and eachElement find the members and elements that encoding/json finds.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, ` { "a" : [1, {"b":"}"}] , "c":"\"" } `, `[1,-2.5e+3,"x]",[[]],{"a":{}},true,null]`, `{"a":1,}`, `[1,]`, `{"a" 1}`, `[1 2]`, `{"a":1}x`, `{`, `[`, `[tru]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		valid := json.Valid(data)
		var members []json.RawMessage
		err := eachMember(data, func(_, value []byte) { members = append(members, value) })
		var object map[string]json.RawMessage
		if valid && (err == nil) != (json.Unmarshal(data, &object) == nil && object != nil) {
			t.Fatalf("eachMember of %q: %v", data, err)
		}
		var elements []json.RawMessage
		err = eachElement(data, func(value []byte) error { elements = append(elements, value); return nil })
		var array []json.RawMessage
		if valid && (err == nil) != (json.Unmarshal(data, &array) == nil && array != nil) {
			t.Fatalf("eachElement of %q: %v", data, err)
		}
		if !valid {
			return
		}
		if err == nil && len(array) != len(elements) {
			t.Fatalf("%d elements in %q, want %d", len(elements), data, len(array))
		}
		for i, e := range elements {
			if err == nil && string(e) != string(array[i]) {
				t.Fatalf("element %d of %q is %q, want %q", i, data, e, array[i])
			}
		}
		if object != nil {
			for _, m := range members {
				if !json.Valid(m) {
					t.Fatalf("member of %q is %q", data, m)
				}
			}
			if len(members) < len(object) {
				t.Fatalf("%d members in %q, want %d", len(members), data, len(object))
			}
		}
	})
}
