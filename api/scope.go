package api

import (
	"context"
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
// goroutines and lives as long as its store. Methods of one
// that is nil fail as those of a nil Store do. The size limit of a group's name
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
	if err := store.missing(); err != nil {
		return nil, wrap("NewScopedWithQuota", err)
	}
	if err := quota.Validate(); err != nil {
		return nil, wrap("NewScopedWithQuota", err)
	}
	return newScoped("NewScopedWithQuota", store, namespace, quota)
}

func newScoped(function string, store *Store, namespace string, quota QuotaConfig) (*ScopedStore, error) {
	if err := store.missing(); err != nil {
		return nil, wrap(function, err)
	}
	if err := kv.ValidateNamespace(namespace); err != nil {
		return nil, wrap(function, err)
	}
	return &ScopedStore{store: store, namespace: namespace,
		prefix: namespace + kv.NamespaceSeparator, quota: quota}, nil
}

// Namespace is the view's namespace; "" of a view that is nil.
func (s *ScopedStore) Namespace() string {
	if s == nil {
		return ""
	}
	return s.namespace
}

// parent is the store; nil, which answers every call with NilStoreError, for a view
// that is nil or was not made by NewScoped.
func (s *ScopedStore) parent() *Store {
	if s == nil {
		return nil
	}
	return s.store
}

// within is what stands before every group.
func (s *ScopedStore) within() string {
	if s == nil {
		return ""
	}
	return s.prefix
}

func (s *ScopedStore) limits() QuotaConfig {
	if s == nil {
		return QuotaConfig{}
	}
	return s.quota
}

// WithContext is the same view; calls through it obey ctx, as Store.WithContext.
func (s *ScopedStore) WithContext(ctx context.Context) *ScopedStore {
	if s == nil {
		return nil
	}
	scoped := *s
	scoped.store = s.parent().WithContext(ctx)
	return &scoped
}

// Set is Store.Set within the namespace and its quota.
func (s *ScopedStore) Set(group, key, value string) error {
	return s.apply("Set", kv.Mutation{Kind: kv.Set, Group: s.within() + group, Key: key, Value: value})
}

// SetWithTTL is Store.SetWithTTL within the namespace and its quota. The address of a
// NotifyOnExpiry is one of the namespace, as Tell's.
func (s *ScopedStore) SetWithTTL(group, key, value string, timeToLive time.Duration, options ...TTLOption) error {
	notifies, notify := notice(s.within(), options)
	return s.apply("SetWithTTL", kv.Mutation{Kind: kv.Set, Group: s.within() + group, Key: key, Value: value,
		HasTTL: true, TimeToLive: timeToLive, Notifies: notifies, Notify: notify})
}

// SetAll is Store.SetAll within the namespace and its quota.
func (s *ScopedStore) SetAll(items []Item) error {
	return s.apply("SetAll", setAll(items, s.within()))
}

func (s *ScopedStore) apply(function string, m kv.Mutation) error {
	m.Namespace, m.Quota = s.Namespace(), s.limits()
	return s.parent().apply(function, m)
}

// Get is Store.Get within the namespace.
func (s *ScopedStore) Get(group, key string) (string, error) {
	return s.parent().Get(s.within()+group, key)
}

// Exists is Store.Exists within the namespace.
func (s *ScopedStore) Exists(group, key string) (bool, error) {
	return s.parent().Exists(s.within()+group, key)
}

// GroupExists is Store.GroupExists within the namespace.
func (s *ScopedStore) GroupExists(group string) (bool, error) {
	return s.parent().GroupExists(s.within() + group)
}

// Delete is Store.Delete within the namespace.
func (s *ScopedStore) Delete(group, key string) error {
	return s.parent().Delete(s.within()+group, key)
}

// DeleteGroup is Store.DeleteGroup within the namespace.
func (s *ScopedStore) DeleteGroup(group string) error {
	return s.parent().DeleteGroup(s.within() + group)
}

// DeletePrefix is Store.DeletePrefix within the namespace: the empty prefix
// removes all of it and nothing else.
func (s *ScopedStore) DeletePrefix(groupPrefix string) error {
	return s.parent().DeletePrefix(s.within() + groupPrefix)
}

// GetAll is Store.GetAll within the namespace.
func (s *ScopedStore) GetAll(group string) (map[string]string, error) {
	return s.parent().GetAll(s.within() + group)
}

// GetPage is Store.GetPage within the namespace.
func (s *ScopedStore) GetPage(group string, offset, limit int) ([]KeyValue, error) {
	return s.parent().GetPage(s.within()+group, offset, limit)
}

// All is Store.All within the namespace.
func (s *ScopedStore) All(group string) iter.Seq2[KeyValue, error] {
	return s.parent().All(s.within() + group)
}

// Count is Store.Count within the namespace.
func (s *ScopedStore) Count(group string) (int, error) { return s.parent().Count(s.within() + group) }

// CountAll is Store.CountAll within the namespace.
func (s *ScopedStore) CountAll(groupPrefix string) (int, error) {
	return s.parent().CountAll(s.within() + groupPrefix)
}

// Groups is Store.Groups within the namespace; the names come without it.
func (s *ScopedStore) Groups(groupPrefix string) ([]string, error) {
	names, err := s.parent().Groups(s.within() + groupPrefix)
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, s.within())
	}
	return names, err
}

// GroupsSeq is Store.GroupsSeq within the namespace; the names come without it.
func (s *ScopedStore) GroupsSeq(groupPrefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range s.parent().GroupsSeq(s.within() + groupPrefix) {
			if !yield(strings.TrimPrefix(name, s.within()), err) {
				return
			}
		}
	}
}

// GetSplit is Store.GetSplit within the namespace.
func (s *ScopedStore) GetSplit(group, key, separator string) (iter.Seq[string], error) {
	return s.parent().GetSplit(s.within()+group, key, separator)
}

// GetFields is Store.GetFields within the namespace.
func (s *ScopedStore) GetFields(group, key string) (iter.Seq[string], error) {
	return s.parent().GetFields(s.within()+group, key)
}

// Render is Store.Render within the namespace.
func (s *ScopedStore) Render(templateSource, group string) (string, error) {
	return s.parent().Render(templateSource, s.within()+group)
}

// PurgeExpired removes the namespace's expired keys and returns how many it
// removed.
func (s *ScopedStore) PurgeExpired() (int64, error) {
	removed, err := s.parent().inner().PurgeExpired(s.parent().context(), kv.NamespaceRange(s.Namespace()))
	return removed, wrap("PurgeExpired", err)
}

// Usage is how many keys and groups live in the namespace, as Store.Usage.
func (s *ScopedStore) Usage() (Usage, error) { return s.parent().Usage(s.Namespace()) }

// Watch is Store.Watch within the namespace: "*" stands for every group of it.
// Events carry the full group name.
func (s *ScopedStore) Watch(group, key string) *Watcher {
	namespace, full := s.scope(group)
	return newWatcher(s.parent().inner().Watch(namespace, full, key))
}

// WatchActor is Store.WatchActor within the namespace.
func (s *ScopedStore) WatchActor(pid *PID, group, key string) *Watcher {
	namespace, full := s.scope(group)
	return newWatcher(s.parent().inner().WatchActor(pid, namespace, full, key))
}

func (s *ScopedStore) scope(group string) (namespace, full string) {
	if group == "*" {
		return s.Namespace(), group
	}
	return "", s.within() + group
}

// Unwatch is Store.Unwatch.
func (s *ScopedStore) Unwatch(watcher *Watcher) { s.parent().Unwatch(watcher) }

// OnChange is Store.OnChange for the changes of the namespace. Events carry the
// full group name.
func (s *ScopedStore) OnChange(callback func(Event)) (unregister func()) {
	if callback == nil || s == nil {
		return func() {}
	}
	return s.parent().OnChange(func(event Event) {
		if strings.HasPrefix(event.Group, s.within()) {
			callback(event)
		}
	})
}

// CallbackOverflow is Store.CallbackOverflow.
func (s *ScopedStore) CallbackOverflow() uint64 { return s.parent().CallbackOverflow() }

// InFlight is Store.InFlight.
func (s *ScopedStore) InFlight() int { return s.parent().InFlight() }
