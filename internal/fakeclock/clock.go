// Package fakeclock is a clock that stands still until it is moved, for tests: those of
// this module (testkit) and those of its users (storetest).
package fakeclock

import (
	"slices"
	"sync"
	"time"
)

// Clock is a source of time that moves only when told to. It has the two
// motions of a machine's clock: time passing, and the date being set.
type Clock struct {
	mu struct {
		sync.Mutex
		wall    time.Time
		elapsed time.Duration // time that passed; timers live by it
		timers  []*timer
	}
	changed *sync.Cond // a timer was set or stopped
}

type timer struct {
	at time.Duration
	f  func()
}

// New stands at a fixed moment.
func New() *Clock {
	c := &Clock{}
	c.mu.wall = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c.changed = sync.NewCond(&c.mu)
	return c
}

// Now has no monotonic reading: what it shows is all that is known.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.wall
}

// AfterFunc calls f from Advance, or at once in a goroutine if d is no wait.
func (c *Clock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	if d <= 0 {
		go f()
		return func() bool { return false }
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{at: c.mu.elapsed + d, f: f}
	c.mu.timers = append(c.mu.timers, t)
	c.changed.Broadcast()
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		before := len(c.mu.timers)
		c.mu.timers = slices.DeleteFunc(c.mu.timers, func(other *timer) bool { return other == t })
		c.changed.Broadcast()
		return len(c.mu.timers) < before
	}
}

// Advance lets time pass and calls what falls due meanwhile, in order, each at
// its time.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	end := c.mu.elapsed + d
	for {
		var next *timer
		for _, t := range c.mu.timers {
			if t.at <= end && (next == nil || t.at < next.at) {
				next = t
			}
		}
		if next == nil {
			break
		}
		c.mu.wall = c.mu.wall.Add(next.at - c.mu.elapsed)
		c.mu.elapsed = next.at
		c.mu.timers = slices.DeleteFunc(c.mu.timers, func(t *timer) bool { return t == next })
		c.mu.Unlock()
		next.f()
		c.mu.Lock()
	}
	c.mu.wall = c.mu.wall.Add(end - c.mu.elapsed)
	c.mu.elapsed = end
	c.changed.Broadcast()
	c.mu.Unlock()
}

// Jump sets the date: no time passes and no timer fires.
func (c *Clock) Jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.wall = c.mu.wall.Add(d)
}

// Next is how long it is until the next timer fires.
func (c *Clock) Next() (wait time.Duration, armed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next()
}

func (c *Clock) next() (wait time.Duration, armed bool) {
	for _, t := range c.mu.timers {
		if left := t.at - c.mu.elapsed; !armed || left < wait {
			wait, armed = left, true
		}
	}
	return wait, armed
}

// AwaitTimer blocks until a timer is set that fires within d.
func (c *Clock) AwaitTimer(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if wait, armed := c.next(); armed && wait <= d {
			return
		}
		c.changed.Wait()
	}
}
