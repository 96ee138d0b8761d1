package wireproto

import (
	"strings"
	"testing"
)

func TestParseVersion(t *testing.T) {
	tests := []struct {
		in   string
		want Version
		str  string // "" if in is no version
	}{
		{"1.10", Version{1, 10, 0}, "1.10"},
		{"1.2", Version{1, 2, 0}, "1.2"},
		{"1", Version{1, 0, 0}, "1.0"},
		{"1.51.0", Version{1, 51, 0}, "1.51"},
		{"0.83.7", Version{0, 83, 7}, "0.83.7"},
		{"2.1.0-beta.1", Version{2, 1, 0}, "2.1"},
		{"2.1.3+build-5", Version{2, 1, 3}, "2.1.3"},
		{ProtocolVersion, Version{1, 10, 0}, "1.10"},
		{in: ""}, {in: "."}, {in: "1."}, {in: ".1"}, {in: "1..2"}, {in: "1.2.3.4"}, {in: "v1.2"}, {in: "-1"}, {in: "+1"},
		{in: "1.-2"}, {in: "1.+2"}, {in: "1_0"}, {in: "0x1"}, {in: " 1"}, {in: "1.2 "}, {in: "１"}, {in: "n/a"},
		{in: "99999999999999999999"}, {in: strings.Repeat("9", 1000)},
	}
	for _, tt := range tests {
		got, err := ParseVersion(tt.in)
		if tt.str == "" {
			if err == nil || got != (Version{}) {
				t.Errorf("%.40q gives %v, %v", tt.in, got, err)
			}
			continue
		}
		if err != nil || got != tt.want || got.String() != tt.str {
			t.Errorf("%q gives %v, %v, want %s", tt.in, got, err, tt.str)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	ordered := []string{"0.83", "1", "1.0.1", "1.2", "1.2.9", "1.2.10", "1.9", "1.10", "1.51.0", "2.0"}
	for i, a := range ordered {
		for j, b := range ordered {
			va, errA := ParseVersion(a)
			vb, errB := ParseVersion(b)
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := va.Compare(vb); got != want {
				t.Errorf("%s to %s: %d, want %d", a, b, got, want)
			}
		}
		if v, _ := ParseVersion(a); (Version{}).Compare(v) != -1 {
			t.Errorf("the unknown version is not before %s", a)
		}
	}
}
