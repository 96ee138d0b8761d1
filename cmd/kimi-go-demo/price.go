package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// cost adds the costs of a session. The prices are for a million tokens of one model, the first one that uses tokens.
type cost struct {
	in, out, cached float64

	mu     sync.Mutex
	model  string
	spent  float64
	others bool // other models, which have no price, have used tokens
}

// newCost parses the value of --price.
func newCost(prices string) (*cost, error) {
	var list []float64
	for field := range strings.SplitSeq(prices, ",") {
		p, err := strconv.ParseFloat(strings.TrimSpace(field), 64)
		if err != nil || !(p >= 0) || math.IsInf(p, 0) {
			return nil, usage("--price %.80q: give the prices of a million tokens, as in --price 0.60,2.50", prices)
		}
		list = append(list, p)
	}
	switch len(list) {
	case 2:
		return &cost{in: list[0], out: list[1], cached: list[0]}, nil
	case 3:
		return &cost{in: list[0], out: list[1], cached: list[2]}, nil
	}
	return nil, usage("--price %.80q: give the prices of input and output and, if there is one, the price of cached input", prices)
}

// of returns the cost of tokens and adds it to the sum. It is a [client.Limits.CostOf].
func (c *cost) of(model string, u wireproto.TokenUsage) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.model == "":
		c.model = model
	case model != "" && model != c.model:
		c.others = true
		return 0
	}
	n := (c.in*float64(u.InputOther+u.InputCacheCreation) + c.cached*float64(u.InputCacheRead) + c.out*float64(u.Output)) / 1e6
	c.spent += n
	return n
}

// String returns the cost of the session, "" without prices.
func (c *cost) String() string {
	if c == nil {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	text := fmt.Sprintf("cost %.2f", c.spent)
	if c.spent < 1 {
		text = fmt.Sprintf("cost %.4f", c.spent)
	}
	if c.others {
		text += ", without other models"
	}
	return text
}

// prices sets the function that adds the costs.
func (f *runFlags) prices(o *client.Options) (err error) {
	if f.Price == "" {
		return nil
	}
	if f.cost, err = newCost(f.Price); err == nil {
		o.SessionLimits.CostOf = f.cost.of
	}
	return err
}
