// Package demo puts a store under every load it promises to bear, at the same
// time, and checks each promise: nothing acknowledged is lost, no read is
// stale, no expired key is readable, no quota is exceeded, no event goes
// missing unnoticed.
//
// What it knows of the store comes from the calls that returned, never from
// the store itself (model.go). Each kind of load is a file of its own.
package demo

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

const (
	writers = 64
	readers = 4
	// watchBuffer keeps the watchers from falling behind in a burst. What
	// they lose all the same is counted.
	watchBuffer = 4_096
)

// Config says where and how long.
type Config struct {
	Path     string                      // of a database that isn't there yet
	Duration time.Duration               // of the load; opening and verifying come on top
	Progress func(elapsed time.Duration) // called ten times a second during the load; may be nil

	whileClosed func() // for tests: runs between closing and reopening
}

// Run runs the demo. Cancelling ctx ends the load early; what was
// acknowledged by then is verified all the same. The error says why the demo
// could not be carried out; what it found is in the result.
func Run(ctx context.Context, config Config) (Result, error) {
	store, err := open(config.Path)
	if err != nil {
		return Result{}, err
	}
	load := newLoad(store)
	err = load.run(ctx, config)
	if closeErr := store.Close(); err == nil {
		err = closeErr
	}
	if config.whileClosed != nil {
		config.whileClosed()
	}

	started := time.Now()
	store, openErr := open(config.Path)
	if openErr != nil {
		return load.result, openErr
	}
	load.verify(store, err != nil)
	closeErr := store.Close()
	load.result.verifying = time.Since(started)
	if err == nil {
		err = closeErr
	}
	if info, statErr := os.Stat(config.Path); statErr == nil {
		load.result.fileBytes = info.Size()
	}
	return load.finish(), err
}

func open(path string) (*api.Store, error) {
	return api.New(path, api.WithWatchBuffer(watchBuffer))
}

// load is a demo under way.
type load struct {
	store    *api.Store
	model    *model
	sessions sessions
	tenant   *tenant
	audience *audience

	gets    atomic.Uint64
	writes  atomic.Uint64 // acknowledged while the load ran
	refused atomic.Uint64

	stop     context.CancelFunc // ends the load
	failure  failure
	findings findings
	result   Result // owned by Run's goroutine
}

func newLoad(store *api.Store) *load {
	l := &load{store: store, model: newModel()}
	l.tenant = newTenant(l.model)
	return l
}

// run fills the store, runs every load until the time is over, and waits for
// what they set in motion.
func (l *load) run(ctx context.Context, config Config) error {
	l.audience = watchAll(l.store, l.model, &l.findings)
	defer l.audience.leave(l.store)
	if err := l.fill(ctx); err != nil {
		return err
	}
	if err := l.tenant.open(l.store); err != nil {
		return err
	}

	running, stop := context.WithTimeout(ctx, config.Duration)
	defer stop()
	l.stop = stop
	started := time.Now()
	l.runAll(running, started, config.Progress)
	l.result.loading = time.Since(started)

	l.tenant.fillUp(l)
	if err := l.failure.get(); err != nil {
		return err
	}
	l.settle()
	return l.failure.get()
}

// fill writes the data set.
func (l *load) fill(ctx context.Context) error {
	for batch := range slices.Chunk(l.model.assigned, 1_000) {
		if ctx.Err() != nil {
			return nil
		}
		items := make([]api.Item, 0, len(batch))
		for _, c := range batch {
			items = append(items, api.Item{Group: c.group, Key: c.key, Value: c.value(c.issued.Add(1))})
		}
		if err := l.store.SetAll(items); err != nil {
			for _, c := range batch {
				c.doubtful = true
			}
			return fmt.Errorf("write the data set: %w", err)
		}
		for _, c := range batch {
			c.acknowledge(true)
		}
	}
	return nil
}

// runAll runs all loads at the same time and returns when all have ended.
func (l *load) runAll(ctx context.Context, started time.Time, progress func(time.Duration)) {
	var group sync.WaitGroup
	for i, cells := range l.model.written {
		group.Go(func() { l.write(ctx, cells, newRandom("writer", i)) })
	}
	for i := range readers {
		group.Go(func() { l.read(ctx, newRandom("reader", i)) })
	}
	for i, cells := range l.tenant.teams {
		group.Go(func() { l.tenant.write(ctx, l, cells, newRandom("tenant", i)) })
	}
	group.Go(func() { l.tenant.inspect(ctx, l) })
	group.Go(func() { l.keepSessions(ctx, newRandom("sessions", 0)) })
	if progress != nil {
		group.Go(func() {
			every(ctx, 100*time.Millisecond, func() { progress(time.Since(started)) })
		})
	}
	group.Wait()
}

// settle waits until every session has expired, then compares the events with
// the changes.
func (l *load) settle() {
	patience := time.Now().Add(sessionLife + 10*time.Second)
	for l.audience.expired.Load() < l.sessions.written && time.Now().Before(patience) {
		time.Sleep(10 * time.Millisecond)
	}
	expired := l.audience.expired.Load()
	if expired != l.sessions.written {
		l.findings.add("%d sessions were written, %d expired", l.sessions.written, expired)
	}
	l.endSessions(time.Now().Add(sessionLife + slack))
	l.audience.leave(l.store)
	changes := l.model.acknowledged() + l.sessions.written + expired
	if seen := l.audience.received + l.audience.dropped; seen != changes {
		l.findings.add("%d changes, but %d events: %d received and %d dropped", changes, seen, l.audience.received, l.audience.dropped)
	}
}

// failed ends the load: a call that ought to succeed has not.
func (l *load) failed(call string, err error) {
	l.failure.set(fmt.Errorf("%s: %w", call, err))
	l.stop()
}

// every calls f at each interval until ctx ends.
func every(ctx context.Context, interval time.Duration, f func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f()
		}
	}
}
