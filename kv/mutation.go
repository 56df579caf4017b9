package kv

import "time"

// Kind names a mutation.
type Kind uint8

const (
	Set          Kind = iota // write one key
	Delete                   // remove one key
	DeleteGroup              // remove a group
	DeletePrefix             // remove every group in Range
	PurgeExpired             // remove at most Limit expired rows of the groups in Range
	SetAll                   // write all Items, or none
)

// Item is one key to write.
type Item struct{ Group, Key, Value string }

// Size is the item's length in bytes.
func (i Item) Size() int { return len(i.Group) + len(i.Key) + len(i.Value) }

// Mutation is one request to change the store. It is a value: nobody changes
// it once it was handed to the writer.
type Mutation struct {
	Kind       Kind
	Group      string // Set, Delete, DeleteGroup
	Key        string // Set, Delete
	Value      string // Set
	HasTTL     bool   // Set: the key expires TimeToLive after it was committed
	TimeToLive time.Duration
	Items      []Item      // SetAll
	Namespace  string      // Set, SetAll: the namespace of the handle that it came through, if any
	Quota      QuotaConfig // Set, SetAll: the limits of that handle
	Range      Range       // DeletePrefix, PurgeExpired
	Limit      int         // PurgeExpired
}

// Size is what the mutation weighs towards the limit of a group commit.
func (m *Mutation) Size() int {
	size := len(m.Group) + len(m.Key) + len(m.Value)
	for _, item := range m.Items {
		size += item.Size()
	}
	return size
}

// Outcome is what a committed mutation did.
type Outcome struct {
	Events  []Event // in commit order; shared and read-only
	Removed int64   // rows that PurgeExpired removed
}
