package page

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/wireproto"
)

// short returns at most n bytes of a text, with a sign if something is left out.
func short(t string, n int) string {
	if len(t) <= n {
		return t
	}
	return strings.ToValidUTF8(t[:n], "") + "…"
}

// cut does what short does, and says how many bytes it leaves out.
func cut(t string, n int) string {
	if len(t) <= n {
		return t
	}
	for n > 0 && !utf8.RuneStart(t[n]) {
		n--
	}
	return t[:n] + fmt.Sprintf("… and %s bytes more", screen.Number(len(t)-n))
}

func deref(s *string, or string) string {
	if s == nil || *s == "" {
		return or
	}
	return *s
}

func nonempty(list ...string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// The agent reports the counts, so they are kept at zero or above, and small enough to be added.
func atLeast(n int) int { return max(n, 0) }

func sum(a, b int) int {
	if b = atLeast(b); a > math.MaxInt-b {
		return math.MaxInt
	}
	return a + b
}

func input(u wireproto.TokenUsage) int {
	return sum(sum(atLeast(u.InputOther), u.InputCacheRead), u.InputCacheCreation)
}
