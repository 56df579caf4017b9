package kv

import "time"

// EventType says what happened to a key or a group.
type EventType int

const (
	EventSet         EventType = iota // a key was written, with or without a TTL
	EventDelete                       // a live key was deleted
	EventDeleteGroup                  // a group with a live key was deleted; Key and Value are empty
	EventExpire                       // a key past its deadline was removed; Value is its last value
)

// What only a subscription yields.
const (
	EventGap      EventType = 16 + iota // the revisions in Gap were not delivered
	EventSynced                         // the current state is complete; what follows are changes after Revision
	EventProgress                       // all that matches has been delivered up to Revision
)

// String is the type's name in lower case, "unknown" for an undefined type.
func (t EventType) String() string {
	switch t {
	case EventSet:
		return "set"
	case EventDelete:
		return "delete"
	case EventDeleteGroup:
		return "delete_group"
	case EventExpire:
		return "expire"
	case EventGap:
		return "gap"
	case EventSynced:
		return "synced"
	case EventProgress:
		return "progress"
	default:
		return "unknown"
	}
}

// Event is one change that was committed.
type Event struct {
	Type      EventType
	Group     string // the full group name, namespace included
	Key       string
	Value     string
	Timestamp time.Time // the store's clock when the commit was made
	Revision  uint64    // of the request that made it; all events of one request share it
	ExpiresAt time.Time // EventSet: when the key expires, to the millisecond; zero: never
	Gap       *Gap      // EventGap
}

// Gap is a range of revisions, both ends included.
type Gap struct{ From, To uint64 }
