// Package engine opens a store's database, starts the four actors on it,
// connects them, admits requests and closes everything in order.
//
// Data flows one way: a mutation goes through Apply to the writer, the writer's
// facts go to the projections, and answers come back to the caller. Reads go to
// the database's read side and pass no actor. The engine holds no data.
package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/actors/notifier"
	"forge.lthn.ai/core/go-store/actors/quota"
	"forge.lthn.ai/core/go-store/actors/reaper"
	"forge.lthn.ai/core/go-store/actors/writer"
	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/internal/cache"
	"forge.lthn.ai/core/go-store/internal/clock"
	"forge.lthn.ai/core/go-store/internal/health"
	"forge.lthn.ai/core/go-store/internal/metrics"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/sqlite"
	"forge.lthn.ai/core/go-store/kv"
)

// Watcher receives the events of a pattern.
type Watcher = notifier.Watcher

// Changed is what a watching actor receives.
type Changed = notifier.Changed

// Engine is one open store. It is safe for use by any number of goroutines.
type Engine struct {
	config    Config
	logs      *logs // nil: there is no logger
	clock     *clock.Clock
	database  storage.Database
	reads     storage.Reads
	cache     *cache.Cache // nil: none
	health    *health.State
	snapshots atomic.Int64 // how many are open
	records   records
	pollers   pollers // of a read-only store
	callbacks *notifier.Callbacks
	announced atomic.Uint64 // the last one whose events the notifier was given; the writer sets it

	lostTimers atomic.Uint64 // the writer's count
	conflicts  atomic.Uint64 // of transactions
	ended      chan struct{} // closed by Close
	closed     atomic.Bool
	close      sync.Once
	gateways   gateways

	opened   time.Time         // by the machine's clock
	meter    *metrics.Recorder // nil: requests are not counted
	tracer   kv.Tracer         // nil: they are not traced
	restarts restarts
	slow     slowness

	actors *actors // nil for a read-only store
}

// actors is the writing side of a store.
type actors struct {
	gate     *admission.Gate
	writer   writer.Ref
	notifier notifier.Ref
	reaper   reaper.Ref
	quota    quota.Ref
	release  func() // of the actor system

	connected atomic.Bool // all are there, and none is to stop yet
}

// Open opens the database and starts the actors. It blocks for as long as
// migrations and the recovery of a crashed store's log take. On an error
// nothing is left running, and a file that was refused is as it was.
func Open(config Config) (_ *Engine, err error) {
	config, err = config.complete()
	if err != nil {
		return nil, err
	}
	state := health.NewState()
	logger, logs := startLogs(config.Logger)
	config.Logger = logger
	defer func() {
		if err != nil {
			logs.stop()
		}
	}()
	var meter *metrics.Recorder
	if config.Metrics {
		meter = metrics.New(config.Path == storage.MemoryPath)
	}
	database, err := sqlite.Open(sqlite.Config{
		Path: config.Path, ReadOnly: config.ReadOnly, Durability: config.Durability,
		Readers: config.Readers, NoMmap: config.NoMmap, NoPages: config.NoPages, Overlay: config.Overlay, ScanAge: config.SnapshotAge, DiscardLog: config.DiscardLog, LockWait: config.LockWait, Logger: config.Logger, Metrics: meter, HealthChanged: state.Notify,
		CheckLog: verifyLog, CheckLogBytes: verifiedBytes, FoldStep: config.FoldStep, Events: decodeRecord})
	if err != nil {
		return nil, err
	}
	e := &Engine{config: config, health: state, logs: logs, ended: make(chan struct{}), clock: clock.New(config.Clock), database: database, reads: database.Reads(),
		callbacks: notifier.NewCallbacks(config.Logger), opened: time.Now(), meter: meter, tracer: config.Tracer, slow: newSlowness()}
	if config.ReadOnly {
		e.tellOpened()
		return e, nil
	}
	e.openCache()
	if e.actors, err = e.start(); err != nil {
		e.callbacks.Stop()
		return nil, fmt.Errorf("start actors: %w", errors.Join(err, database.Close()))
	}
	e.tellOpened()
	return e, nil
}

// tellOpened calls what is to be called with the store. Where that does not return no caller has
// the store.
func (e *Engine) tellOpened() {
	if e.config.Opened == nil {
		return
	}
	returned := false
	defer func() {
		if !returned {
			_ = e.Close()
		}
	}()
	e.config.Opened(e)
	returned = true
}

// usable says why nothing can be asked of the engine: there is none, or it is
// closed.
func (e *Engine) usable() error {
	switch {
	case e == nil:
		return kv.NilStoreError
	case e.closed.Load():
		return kv.ClosedError
	default:
		return nil
	}
}

// Now is the store's time; the zero one without a store.
func (e *Engine) Now() time.Time {
	if e == nil {
		return time.Time{}
	}
	return e.clock.Now()
}

// Apply validates a mutation, has the writer commit it, and runs the OnChange
// callbacks for what it changed in the caller's goroutine. It blocks while the
// store is at its limit of requests in flight and until the commit is durable.
func (e *Engine) Apply(ctx context.Context, m kv.Mutation) (kv.Outcome, error) {
	if err := e.usable(); err != nil {
		return kv.Outcome{}, err
	}
	var o observation
	if e.meter != nil || e.tracer != nil {
		ctx = e.beginMutation(ctx, &m, &o)
	}
	if err := e.admissible(&m); err != nil {
		o.end(err)
		return kv.Outcome{}, err
	}
	outcome, err := e.actors.writer.Apply(ctx, m)
	if err != nil || o.timer.Weight != 0 || o.ended != nil {
		o.endIn(err, outcome.Batch)
	}
	if err == nil && len(outcome.Events) > 0 {
		e.callbacks.Run(outcome.Events)
	}
	return outcome, err
}

// PurgeExpired removes every row of the groups in r that has expired, in
// bounded chunks, and returns how many it removed. What a chunk removed stays
// removed when a later one fails.
func (e *Engine) PurgeExpired(ctx context.Context, r kv.Range) (removed int64, err error) {
	for from := (*kv.Key)(nil); ; {
		outcome, err := e.Apply(ctx, kv.Mutation{Kind: kv.PurgeExpired, Range: r, From: from, Limit: writer.PurgeChunk})
		removed += outcome.Removed
		if err != nil || !outcome.More {
			return removed, err
		}
		from = outcome.Next
	}
}

// Usage is what lives in a namespace: the first question counts it.
func (e *Engine) Usage(ctx context.Context, namespace string) (kv.Usage, error) {
	if err := e.usable(); err != nil {
		return kv.Usage{}, err
	}
	ctx, o := e.begin(ctx, metrics.Usage, "", namespace)
	usage, err := e.usage(ctx, namespace)
	o.end(err)
	return usage, err
}

func (e *Engine) usage(ctx context.Context, namespace string) (kv.Usage, error) {
	if e.actors == nil {
		return e.reads.Usage(ctx, kv.NamespaceRange(namespace), e.clock.ReadMillis())
	}
	return e.actors.quota.Usage(ctx, namespace)
}

// Watch registers a watcher; on a closed or read-only store its channel is
// closed.
func (e *Engine) Watch(namespace, group, key string) *Watcher {
	if e.usable() != nil || e.actors == nil {
		return notifier.NewClosedWatcher()
	}
	return e.actors.notifier.Watch(notifier.WatchFilter(namespace, group, key))
}

// WatchActor has events sent to an actor as Changed messages.
func (e *Engine) WatchActor(pid *PID, namespace, group, key string) *Watcher {
	if e.usable() != nil || e.actors == nil {
		return notifier.NewClosedWatcher()
	}
	return e.actors.notifier.WatchActor(notifier.WatchFilter(namespace, group, key), pid)
}

// Unwatch ends a watcher.
func (e *Engine) Unwatch(w *Watcher) {
	if e != nil && e.actors != nil {
		e.actors.notifier.Unwatch(w)
	}
}

// OnChange registers a callback.
func (e *Engine) OnChange(callback func(kv.Event)) (unregister func()) {
	if e == nil {
		return func() {}
	}
	return e.callbacks.Register(callback)
}

// CallbackOverflow is how many events of purges no callback saw.
func (e *Engine) CallbackOverflow() uint64 {
	if e == nil {
		return 0
	}
	return e.callbacks.Overflow()
}

// InFlight is how many mutations were admitted and not answered yet.
func (e *Engine) InFlight() int {
	if e.usable() != nil || e.actors == nil {
		return 0
	}
	return e.actors.gate.InFlight()
}

// Close refuses new requests, answers those in flight, closes every watcher,
// stops the actors and closes the database. It waits for no callback and for no
// loop over a scan. Further calls do nothing and return nil.
func (e *Engine) Close() error {
	if e == nil {
		return kv.NilStoreError
	}
	var err error
	e.close.Do(func() {
		e.closed.Store(true)
		close(e.ended)
		e.database.EndOperations()
		if e.actors != nil {
			e.actors.stop()
		}
		e.gateways.stop()
		e.callbacks.Stop()
		err = e.database.Close()
		e.closeCache()
		if e.actors != nil {
			e.actors.release()
		}
		e.logs.stop()
	})
	return err
}
