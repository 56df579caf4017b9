// Package store puts go-store itself under the harness, through its public API
// and nothing else.
package store

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/bench"
)

// Level is a durability by the name that reports use.
type Level string

// The levels.
const (
	Sync     Level = "sync"     // each commit is synced to disk
	Buffered Level = "buffered" // syncing is the operating system's
	Memory   Level = "memory"   // nothing outlives Close
)

// Levels are all there are.
var Levels = []Level{Sync, Buffered, Memory}

// Contender is go-store at a level of durability.
func Contender(level Level) bench.Contender {
	c := bench.Contender{Name: "store-" + string(level)}
	switch level {
	case Sync:
		c.Durability = "power cut (fsync before the call returns)"
		c.Open = open(api.WithDurability(api.DurabilitySync))
	case Buffered:
		c.Durability = "end of the process (no fsync)"
		c.Open = open(api.WithDurability(api.DurabilityBuffered))
	case Memory:
		c.Durability = "nothing (in memory)"
		c.Ephemeral = true
		c.Open = func(_ string, settings bench.Settings) (bench.Target, error) { return openPath(":memory:", settings) }
	}
	return c
}

// Direct is go-store each of whose commits writes to the table of entries.
func Direct() bench.Contender {
	return bench.Contender{
		Name: "store-direct", Durability: Contender(Sync).Durability, Note: "WithOverlay(0)",
		Open: open(api.WithDurability(api.DurabilitySync), api.WithOverlay(0)),
	}
}

func open(options ...api.Option) func(string, bench.Settings) (bench.Target, error) {
	return func(folder string, settings bench.Settings) (bench.Target, error) {
		return openPath(filepath.Join(folder, "store.db"), settings, options...)
	}
}

func openPath(path string, settings bench.Settings, options ...api.Option) (bench.Target, error) {
	if settings.EventBuffer > 0 {
		options = append(options, api.WithWatchBuffer(settings.EventBuffer))
	}
	t := &target{}
	if settings.Actors {
		t.system = newSystem()
		options = append(options, api.WithActorSystem(t.system))
	}
	store, err := api.New(path, options...)
	if err != nil {
		return nil, errors.Join(err, t.shutdown())
	}
	t.store = store
	return t, nil
}

// target has every capability that the store has.
type target struct {
	store  *api.Store
	system *api.ActorSystem // nil: no actors use it

	mu struct {
		sync.Mutex
		crowds []*crowd // not all are at work still
	}
}

func (t *target) Set(group, key, value string) error { return t.store.Set(group, key, value) }

// Close ends what a round that failed has left at work, too.
func (t *target) Close() error {
	err := t.stopCrowds()
	return errors.Join(err, t.store.Close(), t.shutdown())
}

func (t *target) Get(group, key string) (string, bool, error) { return found(t.store.Get(group, key)) }

// found makes an answer of the error that says that there is none.
func found(value string, err error) (string, bool, error) {
	if errors.Is(err, api.NotFoundError) {
		return "", false, nil
	}
	return value, err == nil, err
}

func (t *target) Delete(group, key string) error                 { return t.store.Delete(group, key) }
func (t *target) DeleteGroup(group string) error                 { return t.store.DeleteGroup(group) }
func (t *target) GetAll(group string) (map[string]string, error) { return t.store.GetAll(group) }

func (t *target) Page(group string, offset, limit int) (int, error) {
	page, err := t.store.GetPage(group, offset, limit)
	return len(page), err
}

func (t *target) Scan(group, key string, limit int) (int, error) {
	page := make([]api.KeyValue, 0, limit)
	for entry, err := range t.store.Scan(api.ScanOptions{Groups: api.Exactly(group), From: key, Limit: limit}) {
		if err != nil {
			return 0, err
		}
		page = append(page, api.KeyValue{Key: entry.Key, Value: entry.Value})
	}
	return len(page), nil
}

func (t *target) Load(items []bench.Item) error {
	all := make([]api.Item, len(items))
	for i, item := range items {
		all[i] = api.Item(item)
	}
	return t.store.SetAll(all)
}

func (t *target) SetWithTTL(group, key, value string, nanoseconds int64) error {
	return t.store.SetWithTTL(group, key, value, time.Duration(nanoseconds))
}

func (t *target) OnExpire(group string, receive func(key, value string)) (func() (uint64, error), error) {
	return t.listen(group, "*", func(event api.Event) {
		if event.Type == api.EventExpire {
			receive(event.Key, event.Value)
		}
	}), nil
}

func (t *target) Watch(group, key string, receive func(value string)) (func() (uint64, error), error) {
	return t.listen(group, key, func(event api.Event) { receive(event.Value) }), nil
}

// listen has receive called for each event, on a goroutine of its own, until
// stop or the store's Close.
func (t *target) listen(group, key string, receive func(api.Event)) (stop func() (uint64, error)) {
	watcher := t.store.Watch(group, key)
	var ended sync.WaitGroup
	ended.Go(func() {
		for event := range watcher.Events {
			receive(event)
		}
	})
	return func() (uint64, error) {
		t.store.Unwatch(watcher)
		ended.Wait()
		return watcher.Dropped(), nil
	}
}

// Subscribe delivers until stop, or the store's Close.
func (t *target) Subscribe(group string, receive func(value string)) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	events := t.store.Subscribe(ctx, api.SubscribeOptions{Filters: []api.Filter{{Group: api.Exactly(group)}}})
	ended := make(chan error, 1)
	go func() {
		for event, err := range events {
			if err != nil {
				ended <- err
				return
			}
			if event.Type == api.EventSet {
				receive(event.Value)
			}
		}
		ended <- nil
	}()
	return func() error {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) && !errors.Is(err, api.ClosedError) {
			return err
		}
		return nil
	}, nil
}

func (t *target) Transaction(function func(bench.Transaction) error) error {
	return t.store.Transaction(func(tx *api.Transaction) error { return function(transaction{tx}) })
}

func (t *target) Conflicts() uint64 { return t.store.Conflicts() }

type transaction struct{ *api.Transaction }

func (t transaction) Get(group, key string) (string, bool, error) {
	return found(t.Transaction.Get(group, key))
}

// OnCommit tells commits apart by their time, which all events of one carry.
func (t *target) OnCommit(observe func(commit int64)) (stop func()) {
	return t.store.OnChange(func(event api.Event) { observe(event.Timestamp.UnixNano()) })
}

func (t *target) Scope(namespace string, maxKeys, maxGroups int) (bench.Scope, error) {
	scoped, err := api.NewScopedWithQuota(t.store, namespace, api.QuotaConfig{MaxKeys: maxKeys, MaxGroups: maxGroups})
	if err != nil {
		return nil, err
	}
	return scope{scoped}, nil
}

type scope struct{ *api.ScopedStore }

func (s scope) Get(group, key string) (string, bool, error) {
	return found(s.ScopedStore.Get(group, key))
}
