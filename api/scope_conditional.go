package api

import (
	"time"

	"forge.lthn.ai/core/go-store/kv"
)

// Revision is Store.Revision: that of the whole store, which numbers all
// namespaces' changes in one order.
func (s *ScopedStore) Revision() (uint64, error) { return s.parent().Revision() }

// Entry is Store.Entry within the namespace.
func (s *ScopedStore) Entry(group, key string) (Entry, error) {
	return s.parent().Entry(s.within()+group, key)
}

// SetIfAbsent is Store.SetIfAbsent within the namespace and its quota.
func (s *ScopedStore) SetIfAbsent(group, key, value string) (revision uint64, err error) {
	return s.change("SetIfAbsent", kv.Mutation{Kind: kv.Set, Group: s.within() + group, Key: key, Value: value,
		Conditions: expect(s.within()+group, key, 0)})
}

// CompareAndSet is Store.CompareAndSet within the namespace and its quota.
func (s *ScopedStore) CompareAndSet(group, key, value string, revision uint64) (uint64, error) {
	return s.change("CompareAndSet", kv.Mutation{Kind: kv.Set, Group: s.within() + group, Key: key, Value: value,
		Conditions: expect(s.within()+group, key, revision)})
}

// CompareAndDelete is Store.CompareAndDelete within the namespace.
func (s *ScopedStore) CompareAndDelete(group, key string, revision uint64) error {
	return s.parent().CompareAndDelete(s.within()+group, key, revision)
}

// Touch is Store.Touch within the namespace.
func (s *ScopedStore) Touch(group, key string, timeToLive time.Duration) error {
	return s.parent().Touch(s.within()+group, key, timeToLive)
}

// Persist is Store.Persist within the namespace.
func (s *ScopedStore) Persist(group, key string) error {
	return s.parent().Persist(s.within()+group, key)
}

// Increment is Store.Increment within the namespace and its quota.
func (s *ScopedStore) Increment(group, key string, delta int64) (int64, error) {
	m := kv.Mutation{Kind: kv.Increment, Group: s.within() + group, Key: key, Delta: delta}
	m.Namespace, m.Quota = s.Namespace(), s.limits()
	outcome, err := s.parent().inner().Apply(s.parent().context(), m)
	return outcome.Number, wrap("Increment", err)
}

// Batch is Store.Batch within the namespace and its quota.
func (s *ScopedStore) Batch(batch *Batch) (revision uint64, err error) {
	if batch == nil {
		batch = new(Batch)
	}
	return s.change("Batch", batch.mutation(s.within()))
}

func (s *ScopedStore) change(function string, m kv.Mutation) (uint64, error) {
	m.Namespace, m.Quota = s.Namespace(), s.limits()
	return s.parent().change(function, m)
}
