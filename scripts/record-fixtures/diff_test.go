package main

import (
	"strings"
	"testing"
)

const recorded = `{"fixture":1,"agent":{"name":"Kimi Code CLI","version":"1.51.0"},"wire":"1.10"}
{"ms":12,"from":"agent","line":"{\"id\":\"210e0f1d-0000-4000-8000-00000000000a\",\"created_at\":1795499264.21,\"source_id\":\"bash-pw5k2086\"}"}
{"ms":13,"from":"agent","line":"{\"id\":\"94e036e36f59\",\"duration_ms\":17,\"url\":\"http://127.0.0.1:4711/v1\"}"}
{"ms":14,"from":"agent","end":{"exit_code":0}}
`

func TestDifference(t *testing.T) {
	again := strings.NewReplacer(`"ms":1`, `"ms":33`, "210e0f1d", "310e0f1d", "1795499264.21", "1795499999.5", "pw5k2086", "aaaa1111",
		"94e036e36f59", "a4e036e36f5a", `duration_ms\":17`, `duration_ms\":3`, ":4711", ":80").Replace(recorded)
	lines := strings.SplitAfter(recorded, "\n")
	tests := []struct{ name, now, want string }{
		{"the same", recorded, "same"},
		{"only parts that always differ", again, "same"},
		{"another version", strings.Replace(recorded, "1.51.0", "1.51.1", 1), "1 lines differ\n  - {\"fixture\""},
		{"a line more", recorded + lines[1], "1 lines differ\n  + {\"ms\":0"},
		{"a line less", lines[0] + lines[1] + lines[3], "1 lines differ\n  - {\"ms\":0"},
		{"another order", lines[0] + lines[2] + lines[1] + lines[3], "the same lines in another order, from line 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := difference([]byte(recorded), []byte(tt.now)); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%q, not %q", got, tt.want)
			}
		})
	}
}

func TestDifferenceIsShort(t *testing.T) {
	long := strings.Repeat(`{"ms":1,"from":"agent","line":"`+strings.Repeat("ü", 500)+"\"}\n", 50)
	if got := difference([]byte(recorded), []byte(long)); strings.Count(got, "\n") > 8 || len(got) > 3000 {
		t.Errorf("%d bytes: %.500s", len(got), got)
	}
}
