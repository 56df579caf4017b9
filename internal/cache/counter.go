package cache

import (
	"math/rand/v2"
	"sync/atomic"
)

// counter counts what happens so often that counting each would cost as much as what is
// counted: one in sampled, by lot, as so many. What it says is right to a few per cent
// from some ten thousand on.
type counter struct{ n atomic.Uint64 }

const sampled = 64

// add counts, and reports whether the lot fell on this one.
func (c *counter) add() bool {
	if rand.Uint32()%sampled != 0 {
		return false
	}
	c.n.Add(sampled)
	return true
}
