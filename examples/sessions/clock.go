package main

import (
	"sync"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// clock is the store's, and moved by the program: how old a session may be follows from what
// has happened, however slow the machine is.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	passed time.Time // see certain
	timers []timer
}

// step is how far the clock moves each time: sessions expire long before their users come back.
const step = 5 * time.Millisecond

type timer struct {
	due time.Time
	f   func()
}

func newClock() *clock {
	begin := time.Date(2026, time.February, 19, 12, 0, 0, 0, time.UTC)
	return &clock{now: begin, passed: begin}
}

// Now is the store's time.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc is for the store, which has expired keys removed by it.
func (c *clock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timers = append(c.timers, timer{c.now.Add(d), f})
	return func() bool { return false } // a call too many is harmless to a store
}

// certain is a moment that has passed for whatever is asked of the store from now on. It is
// not simply Now: while a commit is under way, reads go by the time at which that began. So
// it is that of the last write which was answered and had begun at that time.
func (c *clock) certain() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.passed
}

// tick moves the clock until it is stopped.
func (c *clock) tick(store *api.Store, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		case <-time.After(time.Millisecond):
		}
		now := c.advance(step)
		if err := store.Set("clock", "tick", now.Format(time.RFC3339Nano)); err != nil {
			return err
		}
		c.mu.Lock()
		c.passed = now
		c.mu.Unlock()
	}
}

func (c *clock) advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	var waiting []timer
	for _, t := range c.timers {
		if t.due.After(c.now) {
			waiting = append(waiting, t)
		} else {
			go t.f()
		}
	}
	c.timers = waiting
	return c.now
}
