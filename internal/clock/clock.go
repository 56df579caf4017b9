// Package clock is the time that a store lives by: the caller's source of
// time, made to never run backwards.
//
// It owns no goroutine; timers belong to whoever asked for them.
package clock

import (
	"sync/atomic"
	"time"
)

// Source is where time comes from. System is the one to use outside tests.
type Source interface {
	Now() time.Time
	// AfterFunc calls f in a goroutine of its own once d has passed; stop
	// reports whether it kept f from being called.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// System is the machine's clock.
func System() Source { return system{} }

type system struct{}

func (system) Now() time.Time { return time.Now() }

func (system) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	return time.AfterFunc(d, f).Stop
}

// Clock is a Source that never runs backwards. When the machine's wall clock
// is set back, it goes on from the latest time it showed at the rate of the
// monotonic clock, so that keys keep expiring; when the wall clock is set
// forward, it follows.
type Clock struct {
	source Source
	start  time.Time
	offset atomic.Int64 // the largest (wall time − monotonic time) seen, in nanoseconds
	last   atomic.Int64 // the latest time shown, for sources without a monotonic reading
}

// New is a clock that starts at the source's present.
func New(source Source) *Clock {
	c := &Clock{source: source, start: source.Now()}
	c.offset.Store(c.start.UnixNano())
	c.last.Store(c.start.UnixNano())
	return c
}

// Now is the store's time.
func (c *Clock) Now() time.Time { return time.Unix(0, c.nanos()) }

// Millis is Now in Unix milliseconds, the unit of deadlines.
func (c *Clock) Millis() int64 { return c.nanos() / int64(time.Millisecond) }

// AfterFunc is the source's AfterFunc.
func (c *Clock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	return c.source.AfterFunc(d, f)
}

func (c *Clock) nanos() int64 {
	t := c.source.Now()
	elapsed := int64(t.Sub(c.start))
	return raise(&c.last, raise(&c.offset, t.UnixNano()-elapsed)+elapsed)
}

// raise makes value at least candidate and returns what it then is.
func raise(value *atomic.Int64, candidate int64) int64 {
	for {
		current := value.Load()
		if current >= candidate {
			return current
		}
		if value.CompareAndSwap(current, candidate) {
			return candidate
		}
	}
}
