package notifier

import (
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
)

// Ref is how the rest of the store speaks to the notifier. It is safe for use
// by any number of goroutines.
type Ref struct {
	system     *actor.ActorSystem
	to         actorsystem.Target
	index      *index[*Watcher]
	subscribed *subscriptions
	callbacks  *Callbacks
	drops      *drops
	answering  *atomic.Int64
	buffer     int
	dispatcher *actorsystem.Dispatcher
	done       chan struct{}
}

// Spawn starts a notifier that closes done when it has stopped. It fails only
// if the actor can't be spawned.
func Spawn(system *actor.ActorSystem, config Config, done chan struct{}) (Ref, error) {
	index, recipients, root := newIndex[*Watcher](), make(map[string]*recipient), actorsystem.Root(system)
	subscribed := newSubscriptions()
	config.drops = newDrops(config.Logger)
	answering, dispatcher := new(atomic.Int64), actorsystem.NewDispatcher()
	pid, err := actorsystem.Spawn(system, "go-store-notifier-", func() actor.Actor {
		return &Actor{Config: config, index: index, subscribed: subscribed, root: root, done: done, recipients: recipients, answering: answering}
	}, actor.WithDispatcher(dispatcher))
	if err != nil {
		dispatcher.Stop()
		return Ref{}, err
	}
	return Ref{system: system, to: actorsystem.TargetOf(system, pid), index: index, subscribed: subscribed, callbacks: config.Callbacks, drops: config.drops,
		answering: answering, buffer: config.Buffer, dispatcher: dispatcher, done: done}, nil
}

// Watch registers a watcher. Every event committed by a write that begins
// after Watch returned reaches it or is counted as dropped. On a stopped
// notifier the watcher's channel is closed.
func (r Ref) Watch(f kv.Filter) *Watcher { return r.add(newWatcher(f, r.buffer)) }

// WatchActor has the events sent to an actor, as Changed, until it stops or is
// unwatched. A mailbox that is known to take everything at once has them as a
// watcher's channel would, without limit. To any other, which may block its sender,
// they are taken by a goroutine that is kept for it, with courier.Queue of them (or QueueBytes) waiting
// at most; it may be at that for as long as the mailbox blocks it, also when the
// notifier has stopped.
func (r Ref) WatchActor(f kv.Filter, pid *actor.PID) *Watcher {
	if pid == nil {
		return NewClosedWatcher()
	}
	w := &Watcher{filter: f}
	w.address(r.system, pid)
	return r.add(w)
}

func (r Ref) add(w *Watcher) *Watcher {
	w.index, w.drops = r.index, r.drops
	if r.ask(func(done chan struct{}) Message { return watch{watcher: w, done: done} }) {
		return w
	}
	return NewClosedWatcher()
}

// Unwatch ends a watcher and closes its channel before it returns. A second
// call, one on a stopped notifier, or one with another's watcher, does nothing.
func (r Ref) Unwatch(w *Watcher) {
	if w.index != r.index {
		return
	}
	r.ask(func(done chan struct{}) Message { return unwatch{watcher: w, done: done} })
}

// Subscribe registers a subscriber, which begins behind; limit is how
// many events may wait for it. Every event committed by a write that begins
// after Subscribe returned comes by Chunks, or Behind says that it is in the
// log. On a stopped notifier Done is closed.
func (r Ref) Subscribe(filters []kv.Filter, limit int) *Subscription {
	s := newSubscription(filters, limit)
	r.ask(func(done chan struct{}) Message { return subscribe{subscription: s, done: done} })
	return s
}

// Unsubscribe ends a subscription.
func (r Ref) Unsubscribe(s *Subscription) {
	r.ask(func(done chan struct{}) Message { return unsubscribe{subscription: s, done: done} })
}

// Mark sends an EventProgress of this revision after all events up to it, if
// those have been handed to the notifier, unless the subscriber is behind.
func (r Ref) Mark(s *Subscription, progress kv.Event) {
	r.to.Send(mark{subscription: s, progress: progress})
}

// Resynchronise has all subscribers read the log after a revision up to which
// every event was handed over: it is not known which ones after it were.
func (r Ref) Resynchronise(sent uint64) { r.to.Send(resynchronise{sent: sent}) }

// Done is closed when the notifier has stopped.
func (r Ref) Done() <-chan struct{} { return r.done }

// ask sends a message and waits until it was handled, or no actor is left to do so.
func (r Ref) ask(message func(done chan struct{}) Message) (answered bool) {
	done := make(chan struct{})
	r.to.Send(message(done))
	select {
	case <-done:
		return true
	case <-r.done:
		return false
	}
}

// HasCallbacks reports whether there are callbacks.
func (r Ref) HasCallbacks() bool { return r.callbacks.Any() }

// Listening reports whether there are watchers or subscribers.
func (r Ref) Listening() bool { return !r.index.empty() || !r.subscribed.empty() }

// Watched reports whether a watcher or subscriber wants one of the events.
func (r Ref) Watched(events []kv.Event) bool {
	if !r.Listening() {
		return false
	}
	if len(*r.subscribed.everything.Load()) > 0 {
		return len(events) > 0
	}
	watchers, subscribers := !r.index.empty(), !r.subscribed.empty()
	for i := range events {
		e := &events[i]
		if watchers && r.index.has(e.Group, e.Key) || subscribers && r.subscribed.wanted(e) {
			return true
		}
	}
	return false
}

// Deliver hands committed events over, with the requests to answer after.
func (r Ref) Deliver(d admission.Delivery) {
	if d.Told {
		r.answering.Add(1)
	}
	r.to.Send(deliver{delivery: d})
}

// Answering reports whether a delivery is on its way that has Answerers to be told.
func (r Ref) Answering() bool { return r.answering.Load() > 0 }

// CallInBackground runs callbacks for events whose request no caller waits for.
func (r Ref) CallInBackground(events []kv.Event) { r.callbacks.CallInBackground(events) }

// Poison stops the notifier once it has handled what is queued, and returns at
// once.
func (r Ref) Poison() { r.to.Poison() }

// Wait blocks until the notifier has stopped.
func (r Ref) Wait() {
	<-r.done
	r.dispatcher.Stop()
}
