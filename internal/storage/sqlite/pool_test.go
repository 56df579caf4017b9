package sqlite

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// busyReads has so many reads of SQLite's begin, which go on until they are told to end.
func busyReads(t *testing.T, p *pool, n int) (end func()) {
	t.Helper()
	goOn, all, began := make(chan struct{}), sync.WaitGroup{}, make(chan struct{}, n)
	for range n {
		all.Go(func() {
			assert.NoError(t, p.with(background, func(*reader) error {
				began <- struct{}{}
				<-goOn
				return nil
			}))
		})
	}
	for range n {
		<-began
	}
	return func() {
		close(goOn)
		all.Wait()
	}
}

// As many reads are at work as may be, on as many connections; one more waits for one of
// them to end, and no longer than its caller.
func TestSoManyReadsAtATime(t *testing.T) {
	path := temporary(t)
	synctest.Test(t, func(t *testing.T) {
		const n = 3
		d, err := Open(Config{NoPages: true, Path: path, Readers: n})
		require.NoError(t, err)
		require.NoError(t, write(d, row("g", "k", "v")))
		p := d.reads.(*fileReads).pool
		end := busyReads(t, p, n)
		ctx, cancel := context.WithCancel(background)
		left, answered := make(chan error, 1), make(chan error, 1)
		go func() { _, _, err := d.Reads().Get(ctx, "g", "k"); left <- err }()
		go func() { _, _, err := d.Reads().Get(background, "g", "k"); answered <- err }()
		synctest.Wait()
		require.Empty(t, left)
		require.Empty(t, answered)
		cancel()
		require.ErrorIs(t, <-left, context.Canceled)
		require.Empty(t, answered)
		end()
		require.NoError(t, <-answered)
		require.LessOrEqual(t, p.mu.connections, n)
		requireNothingHeld(t, d)
		require.NoError(t, d.Close())
	})
}

// However many come and give up, each connection is with one of them at a time.
func TestConnectionsAreWithOneAtATime(t *testing.T) {
	d := openWith(t, Config{NoPages: true, Path: temporary(t), Readers: 3})
	require.NoError(t, write(d, row("g", "k", "v")))
	p := d.reads.(*fileReads).pool
	var users sync.Map // of *reader to *atomic.Bool
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(background)
			defer cancel()
			if i%4 == 0 {
				cancel()
			}
			for range 200 {
				err := p.with(ctx, func(r *reader) error {
					used, _ := users.LoadOrStore(r, new(atomic.Bool))
					if used.(*atomic.Bool).Swap(true) {
						t.Error("two have one connection")
					}
					_, found, err := r.getRow("g", "k")
					assert.True(t, found)
					used.(*atomic.Bool).Store(false)
					return err
				})
				if i%4 == 0 {
					assert.ErrorIs(t, err, context.Canceled)
				} else {
					assert.NoError(t, err)
				}
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, p.mu.connections, 3)
	requireNothingHeld(t, d)
}

// Close tells all callers that wait, and waits for those that are at work.
func TestCloseBesideWaiters(t *testing.T) {
	path := temporary(t)
	synctest.Test(t, func(t *testing.T) {
		d, err := Open(Config{NoPages: true, Path: path, Readers: 1})
		require.NoError(t, err)
		require.NoError(t, write(d, row("g", "k", "v")))
		end := busyReads(t, d.reads.(*fileReads).pool, 1)
		const n = 8
		failures := make(chan error, n)
		for range n {
			go func() { _, _, err := d.Reads().Get(background, "g", "k"); failures <- err }()
		}
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- d.Close() }()
		for range n {
			require.ErrorIs(t, <-failures, kv.ClosedError)
		}
		synctest.Wait()
		require.Empty(t, closed)
		end()
		require.NoError(t, <-closed)
	})
}

// What a read sees is of one moment, and the next one sees what is committed then.
func TestAReadSeesOneMoment(t *testing.T) {
	d := openWith(t, Config{NoPages: true, Path: temporary(t), Readers: 1})
	require.NoError(t, write(d, row("g", "k", "1")))
	require.NoError(t, d.reads.(*fileReads).pool.with(background, func(r *reader) error {
		for range 2 {
			got, _, err := r.getRow("g", "k")
			require.NoError(t, err)
			require.Equal(t, "1", got.Value)
			require.NoError(t, write(d, row("g", "k", "2")))
		}
		return nil
	}))
	requireValue(t, d, "g", "k", "2")
}

// Reads that are over keep no checkpoint from emptying the WAL.
func TestReadsLeaveNothingInTheWALsWay(t *testing.T) {
	d := openWith(t, Config{NoPages: true, Path: temporary(t), Readers: 2})
	require.NoError(t, write(d, numbered("g", longGroup)...))
	for name, err := range everyRead(background, d) {
		require.NoError(t, err, name)
	}
	s, err := d.Snapshot(background)
	require.NoError(t, err)
	s.Close()
	w := fileOf(d)
	wal, err := w.checkpoints.attempt(w.conn, "RESTART", 0)
	require.NoError(t, err)
	require.False(t, wal.busy)
	require.Zero(t, wal.rest())
}

// A read that panics leaves room for others, and its connection to none.
func TestAReadThatPanics(t *testing.T) {
	d := openWith(t, Config{NoPages: true, Path: temporary(t), Readers: 1})
	require.NoError(t, write(d, numbered("g", 10)...))
	p := d.reads.(*fileReads).pool
	var half *reader
	require.Panics(t, func() {
		_ = p.with(background, func(r *reader) error {
			half = r
			stmt, err := (&rowScan{query: storage.GroupQuery("g"), group: "g", single: true}).bind(r)
			require.NoError(t, err)
			found, err := stmt.Step()
			require.NoError(t, err)
			require.True(t, found)
			panic("half-way")
		})
	})
	require.NotContains(t, p.mu.idle, half)
	requireNothingHeld(t, d)
	requireValue(t, d, "g", "000001", "1")
	require.NoError(t, write(d, row("g", "k", "v")))
	w := fileOf(d)
	wal, err := w.checkpoints.attempt(w.conn, "RESTART", 0)
	require.NoError(t, err)
	require.False(t, wal.busy, "what it was at keeps the WAL")
}
