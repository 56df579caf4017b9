package engine

import (
	"time"

	"forge.lthn.ai/core/go-store/internal/clock"
)

// ticker ticks by the store's clock: once, some time after next was called.
type ticker struct {
	C     <-chan struct{} // nil: it never ticks
	ticks chan struct{}
	clock *clock.Clock
	every time.Duration
	end   func() bool
}

// newTicker is a ticker whose next is called; with an interval of 0 it never
// ticks.
func newTicker(c *clock.Clock, every time.Duration) *ticker {
	t := &ticker{clock: c, every: every}
	if every > 0 {
		t.ticks = make(chan struct{}, 1)
		t.C = t.ticks
	}
	t.next()
	return t
}

func (t *ticker) next() {
	if t.every > 0 {
		ticks := t.ticks
		t.end = t.clock.AfterFunc(t.every, func() {
			select {
			case ticks <- struct{}{}:
			default:
			}
		})
	}
}

func (t *ticker) stop() {
	if t.end != nil {
		t.end()
	}
}
