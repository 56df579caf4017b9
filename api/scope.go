package api

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/kv"
)

// QuotaConfig limits a namespace: MaxKeys and MaxGroups, zero meaning
// unlimited. Overwriting a key never counts, an expired key neither, and a
// group counts while it has a key.
type QuotaConfig = kv.QuotaConfig

// ScopedStore is a store's view of one namespace: every group name is prefixed
// with the namespace and a colon on the way in and stripped of it on the way
// out. Only events carry full names. It is safe for use by any number of
// goroutines and lives as long as its store. The size limit of a group's name
// is for the whole of it, namespace and colon included.
type ScopedStore struct {
	store     *Store
	namespace string
	prefix    string
	quota     QuotaConfig
}

// NewScoped is a view of a namespace without limits. The namespace is one or
// more of a-z, A-Z, 0-9 and '-'; anything else is an InvalidNamespaceError.
func NewScoped(store *Store, namespace string) (*ScopedStore, error) {
	return newScoped("NewScoped", store, namespace, QuotaConfig{})
}

// NewScopedWithQuota is a view whose writes keep to a quota: those that would
// exceed it fail with QuotaExceededError and write nothing. What is written
// past the view counts and is never refused. A negative limit is an
// InvalidQuotaError.
//
// The namespace is counted at the first write under a quota, which waits for
// it; from then on a write's cost does not depend on the namespace's size.
func NewScopedWithQuota(store *Store, namespace string, quota QuotaConfig) (*ScopedStore, error) {
	if err := quota.Validate(); err != nil {
		return nil, wrap("NewScopedWithQuota", err)
	}
	return newScoped("NewScopedWithQuota", store, namespace, quota)
}

func newScoped(function string, store *Store, namespace string, quota QuotaConfig) (*ScopedStore, error) {
	if store == nil {
		return nil, wrap(function, errors.New("store is nil"))
	}
	if err := kv.ValidateNamespace(namespace); err != nil {
		return nil, wrap(function, err)
	}
	return &ScopedStore{store: store, namespace: namespace,
		prefix: namespace + kv.NamespaceSeparator, quota: quota}, nil
}

// Namespace is the view's namespace.
func (s *ScopedStore) Namespace() string { return s.namespace }

// WithContext is the same view; calls through it obey ctx, as Store.WithContext.
func (s *ScopedStore) WithContext(ctx context.Context) *ScopedStore {
	scoped := *s
	scoped.store = s.store.WithContext(ctx)
	return &scoped
}

// Set is Store.Set within the namespace and its quota.
func (s *ScopedStore) Set(group, key, value string) error {
	return s.apply("Set", kv.Mutation{Kind: kv.Set, Group: s.prefix + group, Key: key, Value: value})
}

// SetWithTTL is Store.SetWithTTL within the namespace and its quota.
func (s *ScopedStore) SetWithTTL(group, key, value string, timeToLive time.Duration) error {
	return s.apply("SetWithTTL", kv.Mutation{Kind: kv.Set, Group: s.prefix + group, Key: key, Value: value,
		HasTTL: true, TimeToLive: timeToLive})
}

// SetAll is Store.SetAll within the namespace and its quota.
func (s *ScopedStore) SetAll(items []Item) error {
	return s.apply("SetAll", setAll(items, s.prefix))
}

func (s *ScopedStore) apply(function string, m kv.Mutation) error {
	m.Namespace, m.Quota = s.namespace, s.quota
	return s.store.apply(function, m)
}

// Get is Store.Get within the namespace.
func (s *ScopedStore) Get(group, key string) (string, error) { return s.store.Get(s.prefix+group, key) }

// Exists is Store.Exists within the namespace.
func (s *ScopedStore) Exists(group, key string) (bool, error) {
	return s.store.Exists(s.prefix+group, key)
}

// GroupExists is Store.GroupExists within the namespace.
func (s *ScopedStore) GroupExists(group string) (bool, error) {
	return s.store.GroupExists(s.prefix + group)
}

// Delete is Store.Delete within the namespace.
func (s *ScopedStore) Delete(group, key string) error { return s.store.Delete(s.prefix+group, key) }

// DeleteGroup is Store.DeleteGroup within the namespace.
func (s *ScopedStore) DeleteGroup(group string) error { return s.store.DeleteGroup(s.prefix + group) }

// DeletePrefix is Store.DeletePrefix within the namespace: the empty prefix
// removes all of it and nothing else.
func (s *ScopedStore) DeletePrefix(groupPrefix string) error {
	return s.store.DeletePrefix(s.prefix + groupPrefix)
}

// GetAll is Store.GetAll within the namespace.
func (s *ScopedStore) GetAll(group string) (map[string]string, error) {
	return s.store.GetAll(s.prefix + group)
}

// GetPage is Store.GetPage within the namespace.
func (s *ScopedStore) GetPage(group string, offset, limit int) ([]KeyValue, error) {
	return s.store.GetPage(s.prefix+group, offset, limit)
}

// All is Store.All within the namespace.
func (s *ScopedStore) All(group string) iter.Seq2[KeyValue, error] {
	return s.store.All(s.prefix + group)
}

// Count is Store.Count within the namespace.
func (s *ScopedStore) Count(group string) (int, error) { return s.store.Count(s.prefix + group) }

// CountAll is Store.CountAll within the namespace.
func (s *ScopedStore) CountAll(groupPrefix string) (int, error) {
	return s.store.CountAll(s.prefix + groupPrefix)
}

// Groups is Store.Groups within the namespace; the names come without it.
func (s *ScopedStore) Groups(groupPrefix string) ([]string, error) {
	names, err := s.store.Groups(s.prefix + groupPrefix)
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, s.prefix)
	}
	return names, err
}

// GroupsSeq is Store.GroupsSeq within the namespace; the names come without it.
func (s *ScopedStore) GroupsSeq(groupPrefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range s.store.GroupsSeq(s.prefix + groupPrefix) {
			if !yield(strings.TrimPrefix(name, s.prefix), err) {
				return
			}
		}
	}
}

// GetSplit is Store.GetSplit within the namespace.
func (s *ScopedStore) GetSplit(group, key, separator string) (iter.Seq[string], error) {
	return s.store.GetSplit(s.prefix+group, key, separator)
}

// GetFields is Store.GetFields within the namespace.
func (s *ScopedStore) GetFields(group, key string) (iter.Seq[string], error) {
	return s.store.GetFields(s.prefix+group, key)
}

// Render is Store.Render within the namespace.
func (s *ScopedStore) Render(templateSource, group string) (string, error) {
	return s.store.Render(templateSource, s.prefix+group)
}

// PurgeExpired removes the namespace's expired keys and returns how many it
// removed.
func (s *ScopedStore) PurgeExpired() (int64, error) {
	removed, err := s.store.engine.PurgeExpired(s.store.ctx, kv.NamespaceRange(s.namespace))
	return removed, wrap("PurgeExpired", err)
}

// Usage is how many keys and groups live in the namespace, as Store.Usage.
func (s *ScopedStore) Usage() (Usage, error) { return s.store.Usage(s.namespace) }

// Watch is Store.Watch within the namespace: "*" stands for every group of it.
// Events carry the full group name.
func (s *ScopedStore) Watch(group, key string) *Watcher {
	namespace, full := s.scope(group)
	return newWatcher(s.store.engine.Watch(namespace, full, key))
}

// WatchActor is Store.WatchActor within the namespace.
func (s *ScopedStore) WatchActor(pid *PID, group, key string) *Watcher {
	namespace, full := s.scope(group)
	return newWatcher(s.store.engine.WatchActor(pid, namespace, full, key))
}

func (s *ScopedStore) scope(group string) (namespace, full string) {
	if group == "*" {
		return s.namespace, group
	}
	return "", s.prefix + group
}

// Unwatch is Store.Unwatch.
func (s *ScopedStore) Unwatch(watcher *Watcher) { s.store.Unwatch(watcher) }

// OnChange is Store.OnChange for the changes of the namespace. Events carry the
// full group name.
func (s *ScopedStore) OnChange(callback func(Event)) (unregister func()) {
	if callback == nil {
		return func() {}
	}
	return s.store.OnChange(func(event Event) {
		if strings.HasPrefix(event.Group, s.prefix) {
			callback(event)
		}
	})
}

// CallbackOverflow is Store.CallbackOverflow.
func (s *ScopedStore) CallbackOverflow() uint64 { return s.store.CallbackOverflow() }

// InFlight is Store.InFlight.
func (s *ScopedStore) InFlight() int { return s.store.InFlight() }
