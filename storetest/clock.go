package storetest

import (
	"time"

	"forge.lthn.ai/core/go-store/internal/fakeclock"
)

// Clock is an api.Clock that stands still until it is moved. It begins at 03:04:05 on
// 2 January 2026, UTC. It is safe for use by any number of goroutines.
type Clock struct{ inner *fakeclock.Clock }

// NewClock is a clock to be shared by several stores, or by a store and what is tested:
// see WithClock.
func NewClock() *Clock { return &Clock{fakeclock.New()} }

// Now is where the clock stands.
func (c *Clock) Now() time.Time { return c.inner.Now() }

// AfterFunc calls f from Advance once d has passed, or at once in a goroutine if d is no
// wait; stop keeps it from being called and reports whether it was in time.
func (c *Clock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	return c.inner.AfterFunc(d, f)
}

// Advance lets time pass, and calls what falls due meanwhile, in order, each at its time.
// It returns when those calls have. What a store then does in its actors may take a moment
// more: that an expired key is gone every read sees at once; for the EventExpire wait on
// the watcher's channel. It may be called from one goroutine at a time.
func (c *Clock) Advance(d time.Duration) { c.inner.Advance(d) }

// Jump sets the date, as a correction of a machine's clock does: no time passes and
// no timer fires. A store's own time never runs backwards, so that a jump back holds it
// still.
func (c *Clock) Jump(d time.Duration) { c.inner.Jump(d) }
