package api

import "forge.lthn.ai/core/go-store/kv"

// Listener is one that is told of changes, as it was at some moment: its Kind and
// Filters; how many events are Waiting to be taken, and how many may (Capacity, 0: no
// limit); how many it has lost (Dropped: watchers and actors); and whether a subscriber
// is Behind, so that it reads the log for what it did not take in time.
type Listener = kv.Listener

// ListenerKind is how a listener gets its events; its String is watcher, actor or
// subscriber.
type ListenerKind = kv.ListenerKind

// The kinds of listeners.
const (
	ListenerWatcher    = kv.ListenerWatcher    // Watch: by a channel
	ListenerActor      = kv.ListenerActor      // WatchActor: by an actor's mailbox
	ListenerSubscriber = kv.ListenerSubscriber // Subscribe: by a loop
)

// The kinds of a Match: see Match.Kind.
const (
	MatchAny     = kv.MatchAny
	MatchExactly = kv.MatchExactly
	MatchPrefix  = kv.MatchPrefix
)

// NamespaceUsage is a counted Namespace, its Usage, in which keys that have expired and
// were not removed yet count, and the Quota that was last written under, zero if none
// was.
type NamespaceUsage = kv.NamespaceUsage

// Listeners are the store's watchers, watching actors and subscribers, at most limit of
// them and in no order; more says that there are others. It delays none of them. A store
// opened WithReadOnly has subscribers alone, which read the log: as Waiting they have the
// revisions in it that they have not taken. OnChange's functions are no listeners: the
// goroutine that writes calls them.
func (s *Store) Listeners(limit int) (listeners []Listener, more bool, err error) {
	listeners, more, err = s.inner().Listeners(max(limit, 0))
	return listeners, more, wrap("Listeners", err)
}

// Callbacks is how many functions OnChange has registered and that were not taken out.
func (s *Store) Callbacks() int { return s.inner().Callbacks() }

// Namespaces are those that the store counts, in the order of their names: each that was
// written to under a quota since it was opened, or asked for by Usage. It counts nothing
// anew. A store opened WithReadOnly counts none.
func (s *Store) Namespaces() ([]NamespaceUsage, error) {
	all, err := s.inner().Namespaces(s.context())
	return all, wrap("Namespaces", err)
}

// Quota is what the view's writes keep to; the zero value: no limit.
func (s *ScopedStore) Quota() QuotaConfig { return s.limits() }
