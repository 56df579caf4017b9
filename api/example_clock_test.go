package api_test

import (
	"fmt"
	"log"
	"sync"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// handClock is a clock that is moved by hand, for tests and examples.
type handClock struct {
	mu     sync.Mutex
	now    time.Time
	timers []handTimer
}

type handTimer struct {
	due time.Time
	f   func()
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timers = append(c.timers, handTimer{c.now.Add(d), f})
	return func() bool { return false } // a call too many is harmless to a store
}

func (c *handClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	var waiting []handTimer
	for _, timer := range c.timers {
		if timer.due.After(c.now) {
			waiting = append(waiting, timer)
		} else {
			go timer.f()
		}
	}
	c.timers = waiting
}

// With a clock of its own a test need not wait for keys to expire. (In a
// bubble of testing/synctest the default clock does as well.)
func ExampleWithClock() {
	clock := &handClock{now: time.Date(2026, time.February, 19, 12, 0, 0, 0, time.UTC)}
	store, err := api.New(":memory:", api.WithClock(clock))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	if err := store.SetWithTTL("sessions", "ada", "token-1", time.Hour); err != nil {
		log.Fatal(err)
	}
	clock.Advance(time.Hour - time.Millisecond)
	fmt.Println(store.Get("sessions", "ada"))
	clock.Advance(time.Millisecond)
	_, err = store.Get("sessions", "ada")
	fmt.Println(err)
	// Output:
	// token-1 <nil>
	// store.Get: sessions/ada: not found
}

// Any clock will do that can tell the time and call back.
func ExampleClock() {
	var clock api.Clock = &handClock{now: time.Date(2026, time.February, 19, 12, 0, 0, 0, time.UTC)}
	stop := clock.AfterFunc(time.Hour, func() { fmt.Println("an hour later") })
	fmt.Println(clock.Now().Format(time.Kitchen), stop())
	// Output: 12:00PM false
}
