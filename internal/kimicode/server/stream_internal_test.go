package server

import "testing"

// A connection is silent if a read waits too long. It is not silent if its events are not taken.
func TestQuiet(t *testing.T) {
	const most = int(silence / pongEvery)
	var q quiet
	silent := func(reads int64, ticks int) (at int) {
		for n := 1; n <= ticks; n++ {
			if q.tick(reads) {
				return n
			}
		}
		return 0
	}
	if n := silent(4, 10*most); n != 0 {
		t.Errorf("silent at tick %d, and nothing is read", n)
	}
	if n := silent(5, most); n != 0 {
		t.Errorf("silent at tick %d of a read", n)
	}
	if n := silent(7, 10*most); n != most+1 {
		t.Errorf("silent at tick %d of the next read", n)
	}
}
