package api

import (
	"time"

	"forge.lthn.ai/core/go-store/kv"
)

// Writes is the content of a Batch, as a value that can be sent to an actor. The zero
// value is an empty one.
type Writes = kv.Writes

// Batch is a list of writes to any keys and groups, with conditions, that
// Store.Batch carries out whole or not at all. The zero value is empty and ready
// to use; every method returns the batch, so that calls can be chained. It is
// not safe for concurrent use, and Store.Batch does not keep it: it may be
// changed and used again afterwards.
//
// Conditions are judged by what was committed before the batch. The writes are
// done in the order of their calls and see each other; each has its event, all
// with the same revision. A batch that writes a key twice has two events for it.
type Batch struct {
	operations []kv.Operation
	conditions []kv.Condition
}

// Set writes a key, which then never expires.
func (b *Batch) Set(group, key, value string) *Batch {
	return b.add(kv.Operation{Kind: kv.Set, Group: group, Key: key, Value: value})
}

// SetWithTTL writes a key that expires timeToLive after the commit. If that is
// after the year 9999 the batch fails with InvalidDeadlineError. With NotifyOnExpiry an
// address is told then.
func (b *Batch) SetWithTTL(group, key, value string, timeToLive time.Duration, options ...TTLOption) *Batch {
	notifies, notify := notice("", options)
	return b.add(kv.Operation{Kind: kv.Set, Group: group, Key: key, Value: value, HasTTL: true, TimeToLive: timeToLive,
		Notifies: notifies, Notify: notify})
}

// SetUntil writes a key that expires at a moment, to the millisecond: the one
// that Entry.ExpiresAt tells, so that entries can be copied from store to store
// and expire as they would have. The zero time is never. With a moment that has
// passed when the batch is committed the key has expired already: no read
// returns it, and its EventSet is followed by an EventExpire. A moment outside
// the years 1 to 9999 makes the batch fail with InvalidDeadlineError.
func (b *Batch) SetUntil(group, key, value string, expiresAt time.Time) *Batch {
	o := kv.Operation{Kind: kv.Set, Group: group, Key: key, Value: value}
	if !expiresAt.IsZero() {
		o.HasDeadline, o.Deadline = true, kv.DeadlineOf(expiresAt)
	}
	return b.add(o)
}

// Touch has a key expire timeToLive after the commit. If the key is not there
// the batch fails with NotFoundError.
func (b *Batch) Touch(group, key string, timeToLive time.Duration) *Batch {
	return b.add(kv.Operation{Kind: kv.Touch, Group: group, Key: key, HasTTL: true, TimeToLive: timeToLive})
}

// Persist has a key never expire. If the key is not there the batch fails with
// NotFoundError.
func (b *Batch) Persist(group, key string) *Batch {
	return b.add(kv.Operation{Kind: kv.Touch, Group: group, Key: key})
}

// Increment adds delta to a key as Store.Increment does. If it can't, the batch
// fails with NotANumberError.
func (b *Batch) Increment(group, key string, delta int64) *Batch {
	return b.add(kv.Operation{Kind: kv.Increment, Group: group, Key: key, Delta: delta})
}

// Delete removes a key, if it is there.
func (b *Batch) Delete(group, key string) *Batch {
	return b.add(kv.Operation{Kind: kv.Delete, Group: group, Key: key})
}

// DeleteGroup removes a group with all its keys.
func (b *Batch) DeleteGroup(group string) *Batch {
	return b.add(kv.Operation{Kind: kv.DeleteGroup, Group: group})
}

// DeletePrefix removes every group whose name begins with groupPrefix. In a
// scoped store the empty prefix is the whole namespace.
func (b *Batch) DeletePrefix(groupPrefix string) *Batch {
	return b.add(kv.Operation{Kind: kv.DeletePrefix, Group: groupPrefix})
}

// IfRevision makes the batch fail with a *RevisionMismatchError unless the key's
// revision is the one given; 0 is that of a key that is not there. Conditions count
// with the writes: see Store.Batch.
func (b *Batch) IfRevision(group, key string, revision uint64) *Batch {
	b.conditions = append(b.conditions, kv.Condition{Group: group, Key: key, Revision: revision})
	return b
}

// IfAbsent makes the batch fail with a *RevisionMismatchError if the key is
// there.
func (b *Batch) IfAbsent(group, key string) *Batch { return b.IfRevision(group, key, 0) }

// IfPresent makes the batch fail with a *RevisionMismatchError unless the key
// is there.
func (b *Batch) IfPresent(group, key string) *Batch { return b.IfRevision(group, key, kv.AnyRevision) }

// Len is the number of writes.
func (b *Batch) Len() int { return len(b.operations) }

// Reset makes the batch empty again, and keeps its memory.
func (b *Batch) Reset() *Batch {
	clear(b.operations)
	clear(b.conditions)
	b.operations, b.conditions = b.operations[:0], b.conditions[:0]
	return b
}

func (b *Batch) add(o kv.Operation) *Batch {
	b.operations = append(b.operations, o)
	return b
}

// Writes is what the batch holds now, for a protocol.Batch message: what becomes of the
// batch later does not change it.
func (b *Batch) Writes() Writes {
	if b == nil {
		return Writes{}
	}
	return kv.NewWrites(b.operations, b.conditions)
}

// mutation is the batch with a prefix before every group, independent of what
// becomes of the batch.
func (b *Batch) mutation(prefix string) kv.Mutation {
	return kv.BatchOf(prefix, b.operations, b.conditions)
}

// Batch carries out a batch in one commit and returns its revision, or 0 if it
// changed nothing. When a condition does not hold, a write can't be done, or
// the quota of a scoped store would be exceeded, nothing of it is written. All
// of it together, conditions included, is bounded by SizeLimits.Commit, and by
// 262,144 writes and conditions; the values of the keys that it touches, each time that it does
// (whether or not that changes anything), by 64 MiB, or SizeLimits.Commit if that is
// more. A nil batch is an empty one.
func (s *Store) Batch(batch *Batch) (revision uint64, err error) {
	if batch == nil {
		batch = new(Batch)
	}
	return s.change("Batch", batch.mutation(""))
}
