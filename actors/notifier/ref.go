package notifier

import (
	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
)

// Ref is how the rest of the store speaks to the notifier. It is safe for use
// by any number of goroutines.
type Ref struct {
	root       *actor.RootContext
	pid        *actor.PID
	index      *index
	callbacks  *Callbacks
	buffer     int
	dispatcher *actorsystem.Dispatcher
	done       chan struct{}
}

// Spawn starts a notifier that closes done when it has stopped. It fails only
// if the actor can't be spawned.
func Spawn(system *actor.ActorSystem, config Config, done chan struct{}) (Ref, error) {
	index, pids := newIndex(), make(map[string]map[*Watcher]struct{})
	dispatcher := actorsystem.NewDispatcher()
	pid, err := actorsystem.Spawn(system, "go-store-notifier-", func() actor.Actor {
		return &Actor{Config: config, index: index, root: system.Root, done: done, pids: pids}
	}, actor.WithDispatcher(dispatcher))
	if err != nil {
		dispatcher.Stop()
		return Ref{}, err
	}
	return Ref{root: system.Root, pid: pid, index: index, callbacks: config.Callbacks,
		buffer: config.Buffer, dispatcher: dispatcher, done: done}, nil
}

// Watch registers a watcher. Every event committed by a write that begins
// after Watch returned reaches it or is counted as dropped. On a stopped
// notifier the watcher's channel is closed.
func (r Ref) Watch(p Pattern) *Watcher { return r.add(newWatcher(p, r.buffer)) }

// WatchActor has the events sent to an actor, as Changed, until it stops or is
// unwatched. The actor's mailbox takes them without limit.
func (r Ref) WatchActor(p Pattern, pid *actor.PID) *Watcher {
	return r.add(&Watcher{pattern: p, pid: pid})
}

func (r Ref) add(w *Watcher) *Watcher {
	w.index = r.index
	done := make(chan struct{})
	r.root.Send(r.pid, watch{watcher: w, done: done})
	select {
	case <-done:
		return w
	case <-r.done:
		return NewClosedWatcher()
	}
}

// Unwatch ends a watcher and closes its channel before it returns. A second
// call, one on a stopped notifier, or one with another's watcher, does nothing.
func (r Ref) Unwatch(w *Watcher) {
	if w.index != r.index {
		return
	}
	done := make(chan struct{})
	r.root.Send(r.pid, unwatch{watcher: w, done: done})
	select {
	case <-done:
	case <-r.done:
	}
}

// Listening reports whether events are of use to anybody.
func (r Ref) Listening() bool { return r.callbacks.Any() || !r.index.empty() }

// Watched reports whether a watcher wants one of the events.
func (r Ref) Watched(events []kv.Event) bool { return r.index.watched(events) }

// Deliver hands committed events over, with the requests to answer after.
func (r Ref) Deliver(d admission.Delivery) { r.root.Send(r.pid, deliver{delivery: d}) }

// Unasked runs callbacks for events that no goroutine waits for.
func (r Ref) Unasked(events []kv.Event) { r.callbacks.Unasked(events) }

// Poison stops the notifier once it has handled what is queued, and returns at
// once.
func (r Ref) Poison() { r.root.Poison(r.pid) }

// Wait blocks until the notifier has stopped.
func (r Ref) Wait() {
	<-r.done
	r.dispatcher.Stop()
}
