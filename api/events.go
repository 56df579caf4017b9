package api

import (
	"forge.lthn.ai/core/go-store/engine"
	"forge.lthn.ai/core/go-store/kv"
)

// Event is one committed change: Type, the full Group name (namespace
// included), Key, Value, the Timestamp of its commit by the store's clock, and
// the Revision of the request that made it. EventDelete has no Value,
// EventDeleteGroup neither Key nor Value, EventExpire the last one. ExpiresAt is
// when a key that was set will expire, to the millisecond; the zero time: never.
// Gap is nil in all but an EventGap.
type Event = kv.Event

// EventType says what happened; its String is set, delete, delete_group or
// expire, of a subscription's own gap, synced or progress, else unknown.
type EventType = kv.EventType

// The types of events.
const (
	EventSet         = kv.EventSet         // a key was written; the same value again is a change too
	EventDelete      = kv.EventDelete      // a key was deleted
	EventDeleteGroup = kv.EventDeleteGroup // a group was deleted
	EventExpire      = kv.EventExpire      // an expired key was removed
)

// Changed is the message that a watching actor receives: the event in its
// field Event.
type Changed = engine.Changed

// Watcher receives events, in commit order, on its channel Events. The store
// closes the channel on Unwatch and on Close.
type Watcher struct {
	Events <-chan Event
	inner  *engine.Watcher
}

// Dropped is how many events were lost because Events was full, or what waits for a
// watching actor, or because a disk fault during COMMIT left unknown whether they
// happened.
func (w *Watcher) Dropped() uint64 { return w.inner.Dropped() }

// Watch registers a watcher of one key of a group. "*" is a wildcard for
// either. The deletion of a group goes to the watchers of all its keys
// ("*") and of the key "", not to those of single keys.
//
// When a write that began after Watch returned has returned, its events are in
// Events, or were dropped because it was full: it holds 16 by default (see
// WithWatchBuffer). On a closed store, and on a read-only one, Events is
// closed. Watchers are gone when the store closes.
func (s *Store) Watch(group, key string) *Watcher {
	return newWatcher(s.inner().Watch("", group, key))
}

// WatchActor has the events that Watch would receive sent to an actor, as
// messages of type Changed, until the actor stops or the watcher is unwatched.
// The watcher's own Events is nil. Use it with WithActorSystem and a PID of that
// system.
//
// An unbounded mailbox, Proto.Actor's default, has them when the write returns, and
// takes them without limit. A mailbox or dispatcher of any other kind (a bounded one,
// a synchronised dispatcher, one with middleware) may block its senders: then a
// goroutine that is kept for the actor hands them over, in order and some time after
// the write returned. Up to 1,024 wait for it, or 64 MiB; more are dropped, as Dropped tells. No
// write, Watch or Close waits for it, however long it is blocked.
func (s *Store) WatchActor(pid *PID, group, key string) *Watcher {
	return newWatcher(s.inner().WatchActor(pid, "", group, key))
}

func newWatcher(inner *engine.Watcher) *Watcher { return &Watcher{Events: inner.Events, inner: inner} }

// Unwatch ends a watcher and closes its channel; events that are in it can
// still be received. Ending it again, or nil, does nothing.
func (s *Store) Unwatch(watcher *Watcher) {
	if watcher != nil && watcher.inner != nil {
		s.inner().Unwatch(watcher.inner)
	}
}

// OnChange registers a callback for every change and returns the function that
// removes it, which may be called more than once. A nil callback does nothing.
//
// The callback runs in the goroutine that made the change, after its commit and
// before its call returns; so callbacks of different goroutines may run at the
// same time and in another order than the commits'. It may call anything,
// Close included. A panic in it goes through to the caller of the write, which
// stands; the call's remaining events and callbacks are skipped then. For changes that no goroutine made (the purge of expired keys, or a
// write whose caller has given up) it runs on one background goroutine, where
// panics are logged; when that is too far behind, events are dropped and
// counted in CallbackOverflow.
func (s *Store) OnChange(callback func(Event)) (unregister func()) {
	if callback == nil {
		return func() {}
	}
	return s.inner().OnChange(callback)
}

// CallbackOverflow is how many events of background changes were dropped
// because OnChange callbacks were too slow for them.
func (s *Store) CallbackOverflow() uint64 { return s.inner().CallbackOverflow() }

// InFlight is how many mutations have been admitted and not answered yet. See
// WithMaxInFlight.
func (s *Store) InFlight() int { return s.inner().InFlight() }
