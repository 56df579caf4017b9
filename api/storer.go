package api

import (
	"context"
	"iter"
	"time"

	"forge.lthn.ai/core/go-store/kv"
)

// Storer is a *Store or a *ScopedStore: what code takes that works with either,
// such as Of. Nothing else is one, so that methods may be added.
type Storer interface {
	Get(group, key string) (string, error)
	GetBytes(group, key string) ([]byte, error)
	AppendValue(buffer []byte, group, key string) ([]byte, error)
	Entry(group, key string) (Entry, error)
	Exists(group, key string) (bool, error)
	GetMany(group string, keys ...string) (map[string]string, error)
	GetAll(group string) (map[string]string, error)
	GetPage(group string, offset, limit int) ([]KeyValue, error)
	All(group string) iter.Seq2[KeyValue, error]
	Scan(options ScanOptions) iter.Seq2[ScanEntry, error]
	Snapshot() (*Snapshot, error)
	Count(group string) (int, error)
	CountAll(groupPrefix string) (int, error)
	GroupExists(group string) (bool, error)
	Groups(groupPrefix string) ([]string, error)
	GroupsSeq(groupPrefix string) iter.Seq2[string, error]
	GroupsFrom(groupPrefix, from string) iter.Seq2[string, error]
	Revision() (uint64, error)

	Set(group, key, value string) error
	SetBytes(group, key string, value []byte) error
	SetWithTTL(group, key, value string, timeToLive time.Duration, options ...TTLOption) error
	SetAll(items []Item) error
	SetIfAbsent(group, key, value string) (revision uint64, err error)
	CompareAndSet(group, key, value string, revision uint64) (uint64, error)
	CompareAndDelete(group, key string, revision uint64) error
	Touch(group, key string, timeToLive time.Duration) error
	Persist(group, key string) error
	Increment(group, key string, delta int64) (int64, error)
	Delete(group, key string) error
	DeleteGroup(group string) error
	DeletePrefix(groupPrefix string) error
	Batch(batch *Batch) (revision uint64, err error)
	Transaction(function func(tx *Transaction) error) error
	Tell(address, message string) error

	Subscribe(ctx context.Context, options SubscribeOptions) iter.Seq2[Event, error]
	History(group, key string) iter.Seq2[Event, error]
	Watch(group, key string) *Watcher
	Unwatch(watcher *Watcher)
	OnChange(callback func(Event)) (unregister func())

	inContext(ctx context.Context) Storer
	within() string
	change(function string, m kv.Mutation) (uint64, error)
}

// InContext is WithContext for code that has a Storer: the same store or view,
// whose calls obey ctx. A nil interface stays one.
func InContext[S Storer](ctx context.Context, store S) S {
	if any(store) == nil {
		return store
	}
	return store.inContext(ctx).(S)
}

// within is what stands before every group: nothing.
func (s *Store) within() string { return "" }

func (s *Store) inContext(ctx context.Context) Storer       { return s.WithContext(ctx) }
func (s *ScopedStore) inContext(ctx context.Context) Storer { return s.WithContext(ctx) }

// GetBytes is Get for callers that need bytes: a slice of their own. The value is
// copied once, into it; AppendValue has it copied into a buffer that is there
// already.
func (s *Store) GetBytes(group, key string) ([]byte, error) { return s.getBytes(group, key) }

// GetBytes is Store.GetBytes within the namespace.
func (s *ScopedStore) GetBytes(group, key string) ([]byte, error) {
	return s.parent().getBytes(s.within()+group, key)
}

func (s *Store) getBytes(group, key string) ([]byte, error) {
	value, err := s.get("GetBytes", group, key)
	if err != nil {
		return nil, err
	}
	return []byte(value), nil
}

// SetBytes is Set for callers that have bytes. The value is copied once, before
// anything else: the slice may be changed as soon as SetBytes returns, and the
// store, its cache and the events share the copy.
func (s *Store) SetBytes(group, key string, value []byte) error {
	return s.apply("SetBytes", kv.Mutation{Kind: kv.Set, Group: group, Key: key, Value: string(value)})
}

// SetBytes is Store.SetBytes within the namespace and its quota.
func (s *ScopedStore) SetBytes(group, key string, value []byte) error {
	return s.apply("SetBytes", kv.Mutation{Kind: kv.Set, Group: s.within() + group, Key: key, Value: string(value)})
}
