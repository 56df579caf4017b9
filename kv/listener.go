package kv

// ListenerKind says how a listener gets its events.
type ListenerKind int

const (
	ListenerWatcher    ListenerKind = iota // by a channel
	ListenerActor                          // by an actor's mailbox
	ListenerSubscriber                     // by a loop over a subscription
)

// String is watcher, actor or subscriber.
func (k ListenerKind) String() string {
	switch k {
	case ListenerWatcher:
		return "watcher"
	case ListenerActor:
		return "actor"
	case ListenerSubscriber:
		return "subscriber"
	default:
		return "unknown"
	}
}

// Listener is one that is told of changes, as it was at some moment.
type Listener struct {
	Kind     ListenerKind
	Filters  []Filter // what it wants
	Waiting  int      // events that it has not taken yet, as far as that is known; of a read-only store's subscriber: revisions
	Capacity int      // how many may wait; 0: no limit
	Dropped  uint64   // that it has lost: watchers and actors
	Behind   bool     // a subscriber that has to read the log for what it did not take
}
