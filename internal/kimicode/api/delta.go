package api

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"unicode/utf8"
)

// Decoder reads the frames of one connection. Most frames are deltas: a few bytes of text in 300 bytes of JSON. Decoder
// reads a delta in one pass if it has the form that the server writes. encoding/json reads everything else.
type Decoder struct{ session, epoch, agent string } // the values in the last frame

// DecodeDelta reads a thinking or assistant delta and its payload into e, which must be zero. For any other frame, and
// for a frame with an unexpected member, it returns false, and e may then hold anything.
func (d *Decoder) DecodeDelta(data []byte, e *Event) bool {
	both := new(struct {
		delta  Delta
		text   string
		offset int
	})
	s := scanner{data: data}
	for s.member('{') {
		switch string(s.name()) {
		case "type":
			switch {
			case s.word(TypeAssistantDelta):
				e.Type = TypeAssistantDelta
			case s.word(TypeThinkingDelta):
				e.Type = TypeThinkingDelta
			default:
				return false
			}
		case "seq":
			e.Seq = s.number()
		case "session_id":
			e.SessionID = s.same(&d.session)
		case "epoch":
			e.Epoch = s.same(&d.epoch)
		case "timestamp":
			s.plain()
		case "volatile":
			e.Volatile = s.bool()
		case "offset":
			both.offset = s.int()
			e.Offset = &both.offset
		case "payload":
			both.delta = Delta{Common: Common{TurnID: -1}}
			s.payload(d, &both.delta, &both.text)
			e.Delta = &both.delta
		default:
			return false
		}
	}
	return s.whole() && e.Type != "" && e.Delta != nil
}

func (s *scanner) payload(d *Decoder, delta *Delta, text *string) {
	for s.member('{') {
		switch string(s.name()) {
		case "agentId":
			delta.AgentID = s.same(&d.agent)
		case "turnId":
			delta.TurnID = s.int()
		case "delta":
			*text = s.text()
			delta.Delta = text
		case "type":
			s.plain()
		case "sessionId":
			s.same(&d.session)
		case "time":
			s.number()
		default:
			s.bad = true
		}
	}
}

// scanner reads simple JSON only. If it meets anything else, it becomes bad, and none of its results count.
type scanner struct {
	data []byte
	at   int
	more bool // inside an object, after a member
	bad  bool
}

func (s *scanner) space() {
	for s.at < len(s.data) && s.data[s.at] <= ' ' {
		switch s.data[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// next skips white space and takes the byte c, if it comes next.
func (s *scanner) next(c byte) bool {
	if s.at < len(s.data) && s.data[s.at] <= ' ' {
		s.space()
	}
	if s.at < len(s.data) && s.data[s.at] == c {
		s.at++
		return true
	}
	return false
}

// member reports whether an object has another member. open is the byte with which the object begins.
func (s *scanner) member(open byte) bool {
	if s.bad {
		return false
	}
	if !s.more {
		s.bad = !s.next(open)
		return !s.bad && !s.end()
	}
	if s.end() {
		return false
	}
	s.bad = !s.next(',')
	return !s.bad
}

// end takes the end of an object. The scanner is then inside the outer object, after a member.
func (s *scanner) end() bool {
	s.more = s.next('}')
	return s.more
}

// whole reports whether the whole text was read.
func (s *scanner) whole() bool {
	s.space()
	return !s.bad && s.at == len(s.data)
}

// name returns the name of a member.
func (s *scanner) name() []byte {
	name := s.plain()
	if !s.next(':') {
		s.bad = true
	}
	s.more = false // its value may be an object
	return name
}

// quoted returns a string with its quotes, which may have escapes.
func (s *scanner) quoted() []byte {
	if !s.next('"') {
		s.bad = true
		return nil
	}
	start := s.at
	for i := start; ; i++ {
		n := bytes.IndexByte(s.data[i:], '"')
		if n < 0 {
			s.bad = true
			return nil
		}
		i += n
		back := i
		for back > start && s.data[back-1] == '\\' {
			back--
		}
		if (i-back)%2 == 0 { // else it is escaped
			s.at, s.more = i+1, true
			return s.data[start-1 : s.at]
		}
	}
}

// plain returns the text of a short ASCII string without escapes.
func (s *scanner) plain() []byte {
	if !s.next('"') {
		s.bad = true
		return nil
	}
	for i, c := range s.data[s.at:] {
		if plain[c] {
			continue
		}
		text := s.data[s.at : s.at+i]
		s.bad = s.bad || c != '"'
		s.at, s.more = s.at+i+1, true
		return text
	}
	s.bad = true
	return nil
}

// word takes the string w, which must need no escapes. If another value comes next, it takes nothing and returns false.
func (s *scanner) word(w string) bool {
	s.space()
	rest := s.data[s.at:]
	n := len(w) + 2
	if len(rest) < n || rest[0] != '"' || string(rest[1:n-1]) != w || rest[n-1] != '"' {
		return false
	}
	s.at, s.more = s.at+n, true
	return true
}

// same returns the text of a plain string. Nearly always it equals the last one, and then it is not copied.
func (s *scanner) same(last *string) string {
	if !s.word(*last) {
		*last = string(s.plain())
	}
	return *last
}

// plain tells which bytes are ASCII and need no escape in a string.
var plain = func() (is [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}()

// text returns the text of a string.
func (s *scanner) text() (text string) {
	raw := s.quoted()
	if s.bad {
		return ""
	}
	body := raw[1 : len(raw)-1]
	if bytes.IndexByte(body, '\\') >= 0 || control(body) || !utf8.Valid(body) {
		s.bad = json.Unmarshal(raw, &text) != nil
		return text
	}
	return string(body)
}

// control reports whether b has a byte below 0x20. It looks at eight bytes at a time: after a subtraction of 0x20 from
// each, the high bit of a byte that had none before is set only if the byte was below 0x20 or follows such a byte.
func control(b []byte) bool {
	const spaces, high = 0x2020202020202020, 0x8080808080808080
	for ; len(b) >= 8; b = b[8:] {
		if x := binary.LittleEndian.Uint64(b); (x-spaces)&^x&high != 0 {
			return true
		}
	}
	for _, c := range b {
		if c < ' ' {
			return true
		}
	}
	return false
}

// number returns a whole number of at most 15 digits.
func (s *scanner) number() (n int64) {
	s.space()
	start := s.at
	for s.at < len(s.data) && '0' <= s.data[s.at] && s.data[s.at] <= '9' && s.at-start < 16 {
		n = 10*n + int64(s.data[s.at]-'0')
		s.at++
	}
	digits := s.at - start
	s.bad = s.bad || digits == 0 || digits > 15 || digits > 1 && s.data[start] == '0'
	s.more = true
	return n
}

func (s *scanner) int() int {
	n := s.number()
	s.bad = s.bad || int64(int(n)) != n
	return int(n)
}

func (s *scanner) bool() bool {
	s.space()
	s.more = true
	for _, word := range []string{"true", "false"} {
		if bytes.HasPrefix(s.data[s.at:], []byte(word)) {
			s.at += len(word)
			return word == "true"
		}
	}
	s.bad = true
	return false
}
