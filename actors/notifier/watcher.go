package notifier

import (
	"sync/atomic"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
)

// Watcher receives the events of a pattern, in commit order. The notifier
// alone sends to it and closes it.
type Watcher struct {
	Events <-chan kv.Event // closed by Unwatch and when the store closes; nil for an actor's

	events  chan kv.Event
	filter  kv.Filter
	index   *index[*Watcher] // of the notifier that it belongs to
	dropped atomic.Uint64
	drops   *drops      // of all watchers; nil: it was closed from the beginning
	ended   atomic.Bool // nothing is to be sent any more
	open    bool        // owned by the notifier

	// Of an actor that gets Changed messages instead:
	pid       *actor.PID
	process   actor.Process // to which to send is harmless, if not nil
	recipient *recipient    // owned by the notifier
}

// Changed is what a watching actor receives.
type Changed struct{ Event kv.Event }

// IgnoreDeadLetterLogging keeps values out of the log when the actor stops at
// the moment of an event.
func (Changed) IgnoreDeadLetterLogging() {}

func newWatcher(f kv.Filter, capacity int) *Watcher {
	events := make(chan kv.Event, capacity)
	return &Watcher{Events: events, events: events, filter: f}
}

// NewClosedWatcher is a watcher that will never see an event.
func NewClosedWatcher() *Watcher {
	w := newWatcher(kv.Filter{}, 0)
	close(w.events)
	return w
}

// Dropped is how many events the watcher missed because its channel, or what waits
// for its actor, was full, or because a fault left it unknown whether they happened.
// It may be called at any time.
func (w *Watcher) Dropped() uint64 { return w.dropped.Load() }

func (w *Watcher) send(event kv.Event) {
	if w.recipient != nil {
		w.recipient.send(w, event)
		return
	}
	select {
	case w.events <- event:
	default:
		w.drop()
	}
}

// drop counts an event that the watcher has missed.
func (w *Watcher) drop() {
	w.dropped.Add(1)
	if w.drops != nil {
		w.drops.one()
	}
}
