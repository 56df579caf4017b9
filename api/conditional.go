package api

import (
	"time"

	"forge.lthn.ai/core/go-store/kv"
)

// Entry is a live key's Value with the Revision of the request that last
// changed it, and when it expires (ExpiresAt; the zero time: never).
type Entry = kv.Entry

// Revision is that of the last request that changed something: 0 in a store
// that nothing was ever written to. Requests that change something have dense,
// increasing revisions in the order of their commits, which survive restarts;
// all that one request changes has the same. Keys that were in the file before
// it had a log have revision 1.
func (s *Store) Revision() (uint64, error) {
	revision, err := s.inner().Revision(s.context())
	return revision, wrap("Revision", err)
}

// Entry is a key's value, revision and expiry. It fails with NotFoundError when
// there is no such key, or it has expired.
func (s *Store) Entry(group, key string) (Entry, error) {
	row, err := s.row("Entry", group, key)
	if err != nil {
		return Entry{}, err
	}
	return entryOf(row), nil
}

func entryOf(row kv.Row) Entry {
	return Entry{Value: row.Value, Revision: row.Revision, ExpiresAt: kv.DeadlineTime(row.Deadline)}
}

// SetIfAbsent writes a key that is not there, or has expired, and returns its
// revision. Otherwise it fails with a *RevisionMismatchError that carries the
// current one.
func (s *Store) SetIfAbsent(group, key, value string) (revision uint64, err error) {
	return s.change("SetIfAbsent", kv.Mutation{Kind: kv.Set, Group: group, Key: key, Value: value,
		Conditions: expect(group, key, 0)})
}

// CompareAndSet writes a key whose revision is the one given, and returns the
// new one. Like Set it clears the key's TTL. Revision 0 stands for a key that is
// not there, AnyRevision for one that is, whatever its revision. When the key has another revision it fails with a
// *RevisionMismatchError that carries it.
func (s *Store) CompareAndSet(group, key, value string, revision uint64) (uint64, error) {
	return s.change("CompareAndSet", kv.Mutation{Kind: kv.Set, Group: group, Key: key, Value: value,
		Conditions: expect(group, key, revision)})
}

// CompareAndDelete removes a key whose revision is the one given. When it has
// another one, or is not there, it fails with a *RevisionMismatchError.
// AnyRevision is that of every key that is there. With revision 0 it changes nothing and fails if the key is there.
func (s *Store) CompareAndDelete(group, key string, revision uint64) error {
	return s.apply("CompareAndDelete", kv.Mutation{Kind: kv.Delete, Group: group, Key: key,
		Conditions: expect(group, key, revision)})
}

// Touch has a key expire timeToLive after now, whatever it did before, and
// leaves its value alone. It has a revision and an EventSet with that value,
// unless the key is to expire at that very millisecond anyway: then nothing
// changes. A time to live of zero or less has expired already. It fails with
// NotFoundError when there is no such key.
func (s *Store) Touch(group, key string, timeToLive time.Duration) error {
	return s.apply("Touch", kv.Mutation{Kind: kv.Touch, Group: group, Key: key, HasTTL: true, TimeToLive: timeToLive})
}

// Persist has a key never expire. A key that never does is left unchanged. It
// fails with NotFoundError when there is no such key.
func (s *Store) Persist(group, key string) error {
	return s.apply("Persist", kv.Mutation{Kind: kv.Touch, Group: group, Key: key})
}

// Increment adds delta to a key that holds a decimal integer and returns the
// sum. A key that is not there counts as 0; one with a TTL keeps it. It fails
// with NotANumberError, and writes nothing, when the value is no integer as
// strconv.FormatInt writes it ("5" and "-5"; not "+5", "05" or " 5"), or the sum
// does not fit into 64 bits.
func (s *Store) Increment(group, key string, delta int64) (int64, error) {
	outcome, err := s.inner().Apply(s.context(), kv.Mutation{Kind: kv.Increment, Group: group, Key: key, Delta: delta})
	return outcome.Number, wrap("Increment", err)
}

func expect(group, key string, revision uint64) []kv.Condition {
	return []kv.Condition{{Group: group, Key: key, Revision: revision}}
}

// change applies a mutation and returns its revision.
func (s *Store) change(function string, m kv.Mutation) (uint64, error) {
	outcome, err := s.inner().Apply(s.context(), m)
	return outcome.Revision, wrap(function, err)
}
