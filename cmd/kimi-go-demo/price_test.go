package main

import (
	"testing"

	"github.com/kimi-go/kimi-go/wireproto"
)

// The cost is the sum for the tokens of the first model that has used tokens.
func TestCost(t *testing.T) {
	c, err := newCost("1, 10,0.5")
	if err != nil {
		t.Fatal(err)
	}
	u := wireproto.TokenUsage{InputOther: 100_000, InputCacheCreation: 100_000, InputCacheRead: 200_000, Output: 20_000}
	for i, tt := range []struct {
		model, want string
		spent       float64
	}{{"", "cost 0.5000", 0.5}, {"k2", "cost 1.00", 0.5}, {"", "cost 1.50", 0.5}, {"other", "cost 1.50, without other models", 0}, {"k2", "cost 2.00, without other models", 0.5}} {
		if got := c.of(tt.model, u); got != tt.spent || c.String() != tt.want {
			t.Errorf("%d: %v, %q, want %v, %q", i, got, c, tt.spent, tt.want)
		}
	}
	if c, err := newCost("1,2"); err != nil || c.of("", wireproto.TokenUsage{InputCacheRead: 1e6}) != 1 {
		t.Errorf("cached input without a price of its own: %v, %v", c, err)
	}
	for _, bad := range []string{"", "1", "1,2,3,4", "a,b", "-1,2", "NaN,1", "Inf,1", "1,,2"} {
		if _, err := newCost(bad); err == nil {
			t.Errorf("--price %q is taken", bad)
		}
	}
}
