// Package clock is the time that a store lives by: the caller's source of
// time, made to never run backwards.
//
// It owns no goroutine; timers belong to their callers.
package clock

import (
	"math"
	"runtime"
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
//
// It shows any moment of the years 0 to 9999, and the nearer end of those for a
// source that is beyond them.
type Clock struct {
	source Source
	span   atomic.Pointer[span]
	frozen atomic.Int64 // Unix milliseconds, or one of the two below
}

// These lie before every moment that a clock shows.
const (
	thawed   = math.MinInt64     // the clock is not frozen
	freezing = math.MinInt64 + 1 // it is about to be, and it is not known when yet
)

// span is the time around a start, counted from it in nanoseconds: these reach 292
// years, and from 1970 only from 1678 to 2262. A clock that leaves its span has
// another one from then on.
type span struct {
	start  time.Time    // as the source said it
	wall   time.Time    // the same without its monotonic reading
	offset atomic.Int64 // the largest (wall time − monotonic time) seen
	last   atomic.Int64 // the latest time shown, for sources without a monotonic reading
}

// reach is how far from its start a span is used: differences of two such moments
// do not overflow.
const reach = time.Duration(1 << 61) // 73 years

// The milliseconds that Unix nanoseconds reach.
const (
	leastNanos = math.MinInt64/int64(time.Millisecond) + 1
	mostNanos  = math.MaxInt64/int64(time.Millisecond) - 1
)

var (
	earliest = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
)

// New is a clock that starts at the source's present.
func New(source Source) *Clock {
	c := &Clock{source: source}
	c.span.Store(newSpan(source.Now()))
	c.Thaw()
	return c
}

func newSpan(start time.Time) *span { return &span{start: start, wall: clamped(start)} }

// Now is the store's time, in local time. Outside the years that Unix nanoseconds
// can tell it is in whole microseconds, so that the log tells the same.
func (c *Clock) Now() time.Time {
	s, since := c.now()
	now := s.wall.Add(since)
	if ms := now.UnixMilli(); ms >= leastNanos && ms <= mostNanos {
		return now
	}
	return clamped(now.Truncate(time.Microsecond))
}

// Millis is Now in Unix milliseconds, the unit of deadlines.
func (c *Clock) Millis() int64 { return c.Now().UnixMilli() }

// Freeze begins a batch of mutations that are judged at the moment returned: until
// Thaw no read is to judge expiry later. One goroutine at a time may have it frozen.
func (c *Clock) Freeze() time.Time {
	// Shown before the clock is looked at: a read that finds nothing frozen has looked
	// before, so that it is no later than the batch, nor than the reads after it.
	c.frozen.Store(freezing)
	now := c.Now()
	c.frozen.Store(now.UnixMilli())
	return now
}

// Thaw ends that, once what the batch did can be seen.
func (c *Clock) Thaw() { c.frozen.Store(thawed) }

// ReadMillis is when a read judges expiry, in Unix milliseconds: now, or when the
// batch under way began. A read that asks before it looks at what is stored is no later
// than any batch that it does not see, so that what has expired for it is not brought
// back by a batch that began before. It may see a batch that began since: what that
// took for expired it has removed.
func (c *Clock) ReadMillis() int64 {
	for {
		now := c.Millis() // first: see Freeze
		switch frozen := c.frozen.Load(); frozen {
		case thawed:
			return now
		case freezing: // for as long as it takes to look at the clock
			runtime.Gosched()
		default:
			return frozen
		}
	}
}

// AfterFunc is the source's AfterFunc.
func (c *Clock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	return c.source.AfterFunc(d, f)
}

// now is the present as a time since the start of a span.
func (c *Clock) now() (*span, time.Duration) {
	for {
		s, t := c.span.Load(), c.source.Now()
		wall := clamped(t).Sub(s.wall) // of wall clocks alone
		if wall <= reach {
			// What lies far behind the start raises nothing.
			elapsed := min(max(t.Sub(s.start), -reach), reach)
			return s, time.Duration(raise(&s.last, raise(&s.offset, int64(max(wall, -reach)-elapsed))+int64(elapsed)))
		}
		// A span begins where the last one was left, and never before what it has
		// shown: a call that still reads that one began before this one was there.
		start := t
		if shown := s.wall.Add(time.Duration(s.last.Load())); shown.After(clamped(t)) {
			start = shown
		}
		c.span.CompareAndSwap(s, newSpan(start))
	}
}

// clamped is a moment without monotonic reading, within the years that a clock
// shows.
func clamped(t time.Time) time.Time {
	switch t = time.Unix(t.Unix(), int64(t.Nanosecond())); {
	case t.Before(earliest):
		return earliest.Local()
	case t.After(latest):
		return latest.Local()
	default:
		return t
	}
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
