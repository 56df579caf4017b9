package stress

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"forge.lthn.ai/core/go-store/api"
)

const (
	quotaNamespace = "quota"
	quotaKeys      = 100 // what the namespace may hold
	// watchBuffer keeps a watcher that works from falling behind in a burst.
	// What it loses all the same is counted.
	watchBuffer = 4096
)

// storeTarget is a store in this process.
type storeTarget struct {
	store *api.Store
	scope *api.ScopedStore
}

// fileTarget is one that can be opened again.
type fileTarget struct {
	*storeTarget
	path string
}

// Open opens the store at path, ":memory:" for one in memory, as a Target.
func Open(path string) (Target, error) {
	target, err := open(path)
	if err != nil {
		return nil, err
	}
	if path == ":memory:" {
		return target, nil
	}
	return &fileTarget{target, path}, nil
}

func open(path string) (*storeTarget, error) {
	store, err := api.New(path, api.WithWatchBuffer(watchBuffer))
	if err != nil {
		return nil, err
	}
	scope, err := api.NewScopedWithQuota(store, quotaNamespace, api.QuotaConfig{MaxKeys: quotaKeys})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &storeTarget{store, scope}, nil
}

// Footprint is that of this process, whatever store it has open.
func (t *fileTarget) Footprint() (Footprint, error) { return ownFootprint(), nil }

// Reopen closes the store and opens it again. No call may be under way.
func (t *fileTarget) Reopen() error {
	if err := t.Close(); err != nil {
		return err
	}
	target, err := open(t.path)
	if err == nil {
		t.storeTarget = target
	}
	return err
}

func (t *storeTarget) Close() error { return t.store.Close() }

func (t *storeTarget) Footprint() (Footprint, error) { return ownFootprint(), nil }

func (t *storeTarget) Do(call Call) Answer {
	if call.Kind.Writes() {
		return t.write(call)
	}
	return t.read(call)
}

func (t *storeTarget) write(call Call) (answer Answer) {
	switch call.Kind {
	case Set:
		answer.Err = t.store.Set(call.Group, call.Key, call.Value)
	case SetWithTTL:
		answer.Err = t.store.SetWithTTL(call.Group, call.Key, call.Value, call.TimeToLive)
	case SetScoped:
		if call.TimeToLive != 0 {
			answer.Err = t.scope.SetWithTTL(call.Group, call.Key, call.Value, call.TimeToLive)
		} else {
			answer.Err = t.scope.Set(call.Group, call.Key, call.Value)
		}
	case SetAll:
		answer.Err = t.store.SetAll(call.Items)
	case Delete:
		answer.Err = t.store.Delete(call.Group, call.Key)
	case DeleteGroup:
		answer.Err = t.store.DeleteGroup(call.Group)
	case DeletePrefix:
		answer.Err = t.store.DeletePrefix(call.Group)
	case PurgeExpired:
		answer.Count, answer.Err = t.store.PurgeExpired()
	default:
		return t.writeIf(call)
	}
	return answer
}

// writeIf does what depends on what is there.
func (t *storeTarget) writeIf(call Call) (answer Answer) {
	switch call.Kind {
	case SetIfAbsent:
		answer.Revision, answer.Err = t.store.SetIfAbsent(call.Group, call.Key, call.Value)
	case CompareAndSet:
		answer.Revision, answer.Err = t.store.CompareAndSet(call.Group, call.Key, call.Value, call.Revision)
	case CompareAndDelete:
		answer.Err = t.store.CompareAndDelete(call.Group, call.Key, call.Revision)
	case Touch:
		answer.Err = t.store.Touch(call.Group, call.Key, call.TimeToLive)
	case Persist:
		answer.Err = t.store.Persist(call.Group, call.Key)
	case Increment:
		answer.Count, answer.Err = t.store.Increment(call.Group, call.Key, call.Delta)
	case Batch:
		var batch api.Batch
		for _, c := range call.Conditions {
			batch.IfRevision(c.Group, c.Key, c.Revision)
		}
		for _, item := range call.Items {
			batch.Set(item.Group, item.Key, item.Value)
		}
		answer.Revision, answer.Err = t.store.Batch(&batch)
	case Transfer:
		answer.Err = named(t.transfer(call.Group, call.Key, call.Value, call.Delta))
	default:
		answer.Err = fmt.Errorf("a write of unknown kind %d", call.Kind)
	}
	return answer
}

// transfer moves an amount from one account to another, if it is there.
func (t *storeTarget) transfer(group, from, to string, amount int64) error {
	return t.store.Transaction(func(tx *api.Transaction) error {
		value, err := tx.Get(group, from)
		if err != nil {
			return err
		}
		balance, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return err
		}
		if balance < amount {
			return errTooPoor
		}
		if err := tx.Set(group, from, strconv.FormatInt(balance-amount, 10)); err != nil {
			return err
		}
		_, err = tx.Increment(group, to, amount)
		return err
	})
}

var (
	// errTooPoor: an account does not hold what was to be taken from it.
	errTooPoor = errors.New("the account holds too little")
	// Two errors of the store that have values are told by these.
	errConflict = errors.New("transaction gave up")
	errFuture   = errors.New("no such revision yet")
)

// named adds them.
func named(err error) error {
	var conflict *api.ConflictError
	var future *api.FutureRevisionError
	switch {
	case errors.As(err, &conflict):
		return fmt.Errorf("%w: %w", errConflict, err)
	case errors.As(err, &future):
		return fmt.Errorf("%w: %w", errFuture, err)
	}
	return err
}

func (t *storeTarget) read(call Call) (answer Answer) {
	switch call.Kind {
	case Get:
		answer.Value, answer.Err = t.store.Get(call.Group, call.Key)
	case Entry:
		var entry api.Entry
		entry, answer.Err = t.store.Entry(call.Group, call.Key)
		answer.Value, answer.Revision, answer.Expires = entry.Value, entry.Revision, !entry.ExpiresAt.IsZero()
	case Revision:
		answer.Revision, answer.Err = t.store.Revision()
	case GetAll:
		var all map[string]string
		all, answer.Err = t.store.GetAll(call.Group)
		for key, value := range all {
			answer.Rows = append(answer.Rows, api.KeyValue{Key: key, Value: value})
		}
	case All:
		answer.Rows, answer.Err = gather(t.store.All(call.Group))
	case GetPage:
		answer.Rows, answer.Err = t.store.GetPage(call.Group, call.Offset, call.Limit)
	case Count:
		answer.Count, answer.Err = long(t.store.Count(call.Group))
	case CountAll:
		answer.Count, answer.Err = long(t.store.CountAll(call.Group))
	case Groups:
		answer.Names, answer.Err = t.store.Groups(call.Group)
	case Usage:
		var usage api.Usage
		usage, answer.Err = t.store.Usage(call.Group)
		answer.Count, answer.Extra = usage.Keys, usage.Groups
	default:
		answer.Err = fmt.Errorf("a read of unknown kind %d", call.Kind)
	}
	return answer
}

func long(n int, err error) (int64, error) { return int64(n), err }

func gather[T any](values iter.Seq2[T, error]) (all []T, err error) {
	for value, err := range values {
		if err != nil {
			return nil, err
		}
		all = append(all, value)
	}
	return all, nil
}

func (t *storeTarget) Watch(group, key string) Watcher {
	return &storeWatcher{t.store, t.store.Watch(group, key)}
}

// Subscribe is the store's.
func (t *storeTarget) Subscribe(ctx context.Context, wish Wish) iter.Seq2[api.Event, error] {
	options := api.SubscribeOptions{From: wish.From, State: wish.State, Slow: slownesses[wish.Slow], Buffer: wish.Buffer}
	for _, prefix := range wish.Prefixes {
		options.Filters = append(options.Filters, api.Filter{Group: api.Prefix(prefix)})
	}
	return func(yield func(api.Event, error) bool) {
		for event, err := range t.store.Subscribe(ctx, options) {
			if !yield(event, named(err)) {
				return
			}
		}
	}
}

var slownesses = [...]api.SlowPolicy{CatchUp: api.SlowCatchUp, Skip: api.SlowSkip, End: api.SlowEnd}

type storeWatcher struct {
	store *api.Store
	inner *api.Watcher
}

func (w *storeWatcher) Next() (api.Event, bool) {
	event, ok := <-w.inner.Events
	return event, ok
}

func (w *storeWatcher) Try() (api.Event, bool) {
	select {
	case event, ok := <-w.inner.Events:
		return event, ok
	default:
		return api.Event{}, false
	}
}

func (w *storeWatcher) Dropped() uint64 { return w.inner.Dropped() }
func (w *storeWatcher) Close()          { w.store.Unwatch(w.inner) }
