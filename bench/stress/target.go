package stress

import (
	"context"
	"iter"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// Target is the store under stress. A call is a message, so that one method
// carries all of them to a store in another process, or past a wrapper that
// spoils some on purpose. All methods may be called by any number of
// goroutines.
type Target interface {
	// Do carries out one call. It blocks until the store has answered.
	Do(call Call) Answer
	// Watch begins to watch; "*" is a wildcard for either. It is nil where
	// the target has no watchers.
	Watch(group, key string) Watcher
	// Subscribe follows the log until ctx ends, or the subscription does. It
	// is nil where the target has no subscriptions.
	Subscribe(ctx context.Context, wish Wish) iter.Seq2[api.Event, error]
	// Footprint is what the store's process takes right now, after a garbage
	// collection.
	Footprint() (Footprint, error)
	// Close closes the store.
	Close() error
}

// Watcher is a watcher of a Target. Next and Try are for one goroutine.
type Watcher interface {
	Next() (event api.Event, ok bool) // waits; not ok at the end
	Try() (event api.Event, ok bool)  // what is there already
	Dropped() uint64
	Close() // Next then yields what is left, and ends
}

// Wish is what a subscription is to yield.
type Wish struct {
	Prefixes []string // what the names of groups begin with; none: everything
	From     uint64
	State    bool
	Slow     Slowness
	Buffer   int // 0: the store's default
}

// Slowness is the policy for a subscriber that falls behind.
type Slowness uint8

// The policies.
const (
	CatchUp Slowness = iota
	Skip
	End
)

// Kind names a call.
type Kind uint8

// The calls. Each is the api.Store method of its name, but for SetScoped.
const (
	Set Kind = iota + 1
	SetWithTTL
	SetScoped // Set, or with a TimeToLive SetWithTTL, in the namespace quotaNamespace under its quota
	SetAll
	Delete
	DeleteGroup
	DeletePrefix
	PurgeExpired
	SetIfAbsent
	CompareAndSet
	CompareAndDelete
	Touch
	Persist
	Increment
	Batch    // sets Items if Conditions hold
	Transfer // in a transaction: Delta from the account Key to the account Value

	Get
	Entry
	GetAll
	All
	GetPage
	Count
	CountAll
	Groups
	Usage
	Revision
)

var kindNames = [...]string{Set: "Set", SetWithTTL: "SetWithTTL", SetScoped: "SetScoped", SetAll: "SetAll",
	Delete: "Delete", DeleteGroup: "DeleteGroup", DeletePrefix: "DeletePrefix", PurgeExpired: "PurgeExpired",
	SetIfAbsent: "SetIfAbsent", CompareAndSet: "CompareAndSet", CompareAndDelete: "CompareAndDelete",
	Touch: "Touch", Persist: "Persist", Increment: "Increment", Batch: "Batch", Transfer: "Transfer",
	Get: "Get", Entry: "Entry", GetAll: "GetAll", All: "All", GetPage: "GetPage", Count: "Count",
	CountAll: "CountAll", Groups: "Groups", Usage: "Usage", Revision: "Revision"}

func (k Kind) String() string { return kindNames[k] }

// Writes reports whether the call changes the store.
func (k Kind) Writes() bool { return k < Get }

// Call is one call of the store. Which fields count is up to its kind.
type Call struct {
	Kind          Kind
	Group, Key    string // Group is the prefix of DeletePrefix, CountAll and Groups
	Value         string
	TimeToLive    time.Duration
	Items         []api.Item
	Conditions    []Condition
	Revision      uint64 // that the key has to have
	Delta         int64
	Offset, Limit int
}

// Condition of a Batch is that a key has this revision.
type Condition struct {
	Group, Key string
	Revision   uint64
}

// Answer is what a call returned. With an Err nothing else counts.
type Answer struct {
	Err   error
	Value string
	Rows  []api.KeyValue // in the order the store gave them
	Names []string
	Count int64 // keys, of Usage too; what Increment made
	Extra int64 // the groups of Usage
	// Revision is the store's, the entry's, or that of a conditional write.
	Revision uint64
	Expires  bool // of an entry: some time or other
}

// Footprint is what a process takes. What a system doesn't tell is 0.
type Footprint struct {
	Heap        int64 `json:"heap_bytes"` // in use, after a collection
	Resident    int64 `json:"resident_bytes"`
	Goroutines  int64 `json:"goroutines"`
	Descriptors int64 `json:"descriptors"`
}
