package kv

import (
	"sort"
	"time"
)

// Kind names a mutation, or one operation of a batch.
type Kind uint8

const (
	Set          Kind = iota // write one key
	Delete                   // remove one key
	DeleteGroup              // remove a group
	DeletePrefix             // remove every group in Range
	Touch                    // give a live key a new deadline
	Increment                // add Delta to a key that holds a decimal number; an absent one holds 0
	Tell                     // put a message for the address Group into the outbox
	PurgeExpired             // remove at most Limit expired rows of the groups in Range
	Batch                    // do all Operations, in their order, or none
	kinds                    // how many there are
)

// Operation is one step of a mutation.
type Operation struct {
	Kind              Kind // any but PurgeExpired and Batch
	Group, Key, Value string
	HasTTL            bool // Set, Touch: the key expires TimeToLive after it was committed
	TimeToLive        time.Duration
	HasDeadline       bool  // Set without HasTTL: the key expires at Deadline
	Deadline          int64 // Unix milliseconds
	Notifies          bool  // Set with HasTTL: when the key expires, Notify is told
	Notify            string
	KeepsTimer        bool  // Set: the key's timer moves to the new deadline, as Touch has it
	Delta             int64 // Increment
	Range             Range // DeletePrefix
}

// Size is the operation's length in bytes.
func (o *Operation) Size() int { return len(o.Group) + len(o.Key) + len(o.Value) + len(o.Notify) }

// AnyRevision is the condition that a key is there, whatever its revision.
const AnyRevision = ^uint64(0)

// Condition is what a mutation wants of a key, or nothing of it is done: that
// its revision is the one given. The revision of a key that is absent, or has
// expired, is 0.
type Condition struct {
	Group, Key string
	Revision   uint64 // 0: the key must be absent; AnyRevision: it must be there
}

// Unchanged is what a transaction wants of groups that it has scanned: that
// nothing in Range was committed after Revision, and that nothing in it has
// expired since.
type Unchanged struct {
	Range    Range
	Revision uint64
	Now      int64 // when it judged which rows are live, Unix milliseconds
}

// FindUnchanged is the one of a mutation's ranges that a group lies in, nil if
// none. They are in order, and don't overlap.
func FindUnchanged(ranges []Unchanged, group string) *Unchanged {
	behind := sort.Search(len(ranges), func(i int) bool { return ranges[i].Range.From > group })
	if behind == 0 || !ranges[behind-1].Range.Contains(group) {
		return nil
	}
	return &ranges[behind-1]
}

// Mutation is one request to change the store. It is a value: no code changes
// it once it was handed to the writer.
type Mutation struct {
	Kind       Kind
	Group      string // Set, Delete, DeleteGroup, Touch, Increment; Tell: the address
	Key        string // Set, Delete, Touch, Increment
	Value      string // Set; Tell: the message
	HasTTL     bool   // Set, Touch: the key expires TimeToLive after it was committed
	TimeToLive time.Duration
	Notifies   bool        // Set with HasTTL: when the key expires, Notify is told
	Notify     string      // an address
	Delta      int64       // Increment
	Operations []Operation // Batch
	Conditions []Condition // checked before anything is done
	Unchanged  []Unchanged // checked before anything is done; their ranges are in order, and don't overlap
	Watched    *Watched    // nil, or what is known of what changed in ranges of Unchanged that it covers
	Namespace  string      // of the handle that it came through, if any
	Quota      QuotaConfig // the limits of that handle
	Range      Range       // DeletePrefix, PurgeExpired
	From       *Key        // PurgeExpired: where in the range to go on, as the Outcome before says
	Limit      int         // PurgeExpired

	// Began and Weight are when the call began and as how many it counts, where it is one
	// that is measured: see package metrics.
	Began  int64
	Weight uint32
}

// Operation is the single step of a mutation that is neither a Batch nor a
// PurgeExpired.
func (m *Mutation) Operation() Operation {
	return Operation{Kind: m.Kind, Group: m.Group, Key: m.Key, Value: m.Value,
		HasTTL: m.HasTTL, TimeToLive: m.TimeToLive, Notifies: m.Notifies, Notify: m.Notify, Delta: m.Delta, Range: m.Range}
}

// Size is what the mutation weighs towards the limit of a group commit.
func (m *Mutation) Size() int {
	size := len(m.Group) + len(m.Key) + len(m.Value) + len(m.Notify)
	for i := range m.Operations {
		size += m.Operations[i].Size()
	}
	for i := range m.Conditions {
		size += len(m.Conditions[i].Group) + len(m.Conditions[i].Key)
	}
	return size
}

// Outcome is what a committed mutation did.
type Outcome struct {
	Revision uint64  // of the change; 0 if nothing changed
	Events   []Event // in commit order; shared and read-only; nil if there is no listener
	Removed  int64   // rows that PurgeExpired removed
	More     bool    // PurgeExpired may have left expired rows
	Next     *Key    // and would go on from here; nil: from the range's beginning
	Number   int64   // what an Increment made of its key

	Batch *TracedBatch // that it was in; nil if there is no tracer
}
