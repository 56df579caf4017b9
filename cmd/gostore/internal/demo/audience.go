package demo

import (
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// audience is the demo's watchers: one of everything, and one of the sessions
// alone, which has so little to do that it never falls behind.
type audience struct {
	everything, ends *api.Watcher
	done             chan struct{} // closed when both channels were read to their ends
	left             bool          // owned by Run's goroutine

	expired           atomic.Uint64 // sessions seen to expire
	received, dropped uint64        // of everything; set by leave
}

func watchAll(store *api.Store, m *model, findings *findings) *audience {
	a := &audience{
		everything: store.Watch("*", "*"),
		ends:       store.Watch(sessionGroup, "*"),
		done:       make(chan struct{}),
	}
	counted := make(chan uint64, 1)
	go func() { counted <- follow(a.everything, m, findings) }()
	go func() {
		defer close(a.done)
		for event := range a.ends.Events {
			if event.Type == api.EventExpire {
				a.expired.Add(1)
			}
		}
		a.received = <-counted
	}()
	return a
}

// follow counts a watcher's events and checks that they come in commit order.
func follow(watcher *api.Watcher, m *model, findings *findings) (received uint64) {
	var last time.Time
	for event := range watcher.Events {
		received++
		if event.Timestamp.Before(last) {
			findings.add("an event of %v came after one of %v", event.Timestamp, last)
		}
		last = event.Timestamp
		c := m.all[[2]string{event.Group, event.Key}]
		if c == nil || event.Type != api.EventSet {
			continue
		}
		n, ok := c.number(event.Value)
		if !ok || n <= c.seen {
			findings.add("%s/%s: an event tells of %q after write %d", c.group, c.key, event.Value, c.seen)
		}
		c.seen = n
	}
	return received
}

// leave ends both watchers and reads what is left in them.
func (a *audience) leave(store *api.Store) {
	if a.left {
		return
	}
	a.left = true
	store.Unwatch(a.everything)
	store.Unwatch(a.ends)
	<-a.done
	a.dropped = a.everything.Dropped()
}
