package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// smallBounds makes a WAL's bounds such as a test can reach.
func smallBounds(t *testing.T) {
	soft, hard, wait := softPages, hardPages, gateWait
	t.Cleanup(func() { softPages, hardPages, gateWait = soft, hard, wait })
	softPages, hardPages, gateWait = 2500, 5000, 300*time.Millisecond
}

// pinning has callers at work beside a writer, and returns how large the WAL became.
func pinning(t *testing.T, d *Database, callers, batches int, call func() error) (largest int64) {
	t.Helper()
	var all sync.WaitGroup
	var ended atomic.Bool
	for i := range callers {
		all.Go(func() {
			time.Sleep(time.Duration(i) * 3 * time.Millisecond) // so that they overlap
			for !ended.Load() {
				if !assert.NoError(t, call()) {
					return
				}
			}
		})
	}
	largest = churn(t, d, batches)
	ended.Store(true)
	all.Wait()
	requireNothingHeld(t, d)
	return largest
}

// Snapshots that overlap, so that there is always one, and none is old: the WAL is
// bounded, and none is ended.
func TestOverlappingSnapshotsDontPinTheWAL(t *testing.T) {
	smallBounds(t)
	d := openWith(t, Config{Path: temporary(t), Durability: kv.DurabilityBuffered})
	snapshot := func() error {
		s, err := d.Snapshot(background)
		if err != nil {
			return err
		}
		defer s.Close()
		time.Sleep(10 * time.Millisecond)
		_, _, err = s.Get(background, "g", "k")
		return err
	}
	largest := pinning(t, d, 4, 900, snapshot) // some 17,000 pages
	assert.LessOrEqual(t, largest, int64(hardPages*3/2)*frameSize)
}

// The same with transactions, as it were, and with loops: short ones in all gaps.
func TestShortSnapshotsDontPinTheWAL(t *testing.T) {
	smallBounds(t)
	d := openWith(t, Config{Path: temporary(t), Durability: kv.DurabilityBuffered})
	largest := pinning(t, d, 16, 150, func() error {
		s, err := d.Snapshot(background)
		if err != nil {
			return err
		}
		defer s.Close()
		for range 20 {
			if _, _, err := s.Get(background, "g", "000001"); err != nil {
				return err
			}
			runtime.Gosched()
		}
		return nil
	})
	assert.LessOrEqual(t, largest, int64(hardPages*3/2)*frameSize)
	largest = pinning(t, d, 8, 150, func() error {
		for _, err := range d.Reads().Scan(background, storage.GroupQuery("g"), 0) {
			if err != nil {
				return err
			}
		}
		return nil
	})
	assert.LessOrEqual(t, largest, int64(hardPages*3/2)*frameSize)
}

// Snapshots and loops that never end are ended once the WAL is at its hard bound,
// young as they are; short readers beside them are not. So on one processor too, which
// the writer would keep.
func TestForgottenSnapshotsEndAtTheBound(t *testing.T) {
	for _, processors := range []int{1, runtime.GOMAXPROCS(0)} {
		t.Run(fmt.Sprint(processors), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
			testForgottenSnapshotsEndAtTheBound(t)
		})
	}
}

func testForgottenSnapshotsEndAtTheBound(t *testing.T) {
	smallBounds(t)
	d := openWith(t, Config{Path: temporary(t), Durability: kv.DurabilityBuffered})
	forgotten, err := d.Snapshot(background)
	require.NoError(t, err)
	largest := pinning(t, d, 2, 400, func() error {
		s, err := d.Snapshot(background)
		if err == nil {
			s.Close()
		}
		return err
	})
	assert.LessOrEqual(t, largest, int64(2*hardPages)*frameSize)
	_, _, err = forgotten.Get(background, "g", "k")
	require.ErrorIs(t, err, kv.SnapshotExpiredError)
	forgotten.Close()
}

// The gate holds up snapshots, long loops and what goes aside, but neither point reads
// nor short scans, until the WAL has started anew.
func TestTheGate(t *testing.T) {
	path := temporary(t)
	synctest.Test(t, func(t *testing.T) {
		d, err := Open(Config{Path: path})
		require.NoError(t, err)
		require.NoError(t, write(d, numbered("g", longGroup)...))
		require.NoError(t, write(d, numbered("short", 10)...))
		for i := range 2 * fewRows { // which a count goes through
			require.NoError(t, write(d, mortal("dead", fmt.Sprint(i), 5)))
		}
		gate := &d.reads.(*fileReads).pool.gate
		calls := map[string]func(ctx context.Context) error{
			"Snapshot": func(ctx context.Context) error {
				s, err := d.Snapshot(ctx)
				if err == nil {
					s.Close()
				}
				return err
			},
			"Scan": func(ctx context.Context) (last error) {
				n := 0
				for _, err := range d.Reads().Scan(ctx, storage.GroupQuery("g"), 0) {
					last = err
					n++
				}
				if last == nil {
					assert.Equal(t, longGroup, n)
				}
				return last
			},
			"Count": func(ctx context.Context) error { _, err := d.Reads().Count(ctx, everything, 10); return err },
		}
		for name, call := range calls {
			answer := make(chan error, 1)
			begin := func(ctx context.Context) {
				go func() { answer <- call(ctx) }()
				synctest.Wait()
				require.Empty(t, answer, name)
			}
			gate.close()
			begin(background)
			requireValue(t, d, "g", "000001", "1")
			rows, err := rowsOf(d, "short", 0)
			require.NoError(t, err)
			require.Len(t, rows, 10)
			require.NoError(t, fileOf(d).Checkpoint()) // starts it anew
			require.NoError(t, <-answer, name)

			gate.close()
			ctx, cancel := context.WithCancel(background)
			begin(ctx)
			cancel()
			require.ErrorIs(t, <-answer, context.Canceled, name)

			shut := time.Now() // by gateWait after it was shut
			begin(background)
			require.NoError(t, <-answer, name)
			require.LessOrEqual(t, time.Since(shut), gateWait)
			require.NoError(t, call(background), "it is open for all then")
			synctest.Wait() // as long as that the store was idle, too, and its WAL was emptied
		}
		gate.close()
		answers := make(chan error, len(calls))
		for _, call := range calls {
			go func() { answers <- call(background) }()
		}
		synctest.Wait()
		require.NoError(t, d.Close())
		for range calls {
			require.ErrorIs(t, <-answers, kv.ClosedError)
		}
	})
}

// A reader that waits at the gate goes on when the last that it waits for has ended, though
// the writer rests.
func TestTheGateOpensWhenTheLastHasGone(t *testing.T) {
	path := temporary(t)
	synctest.Test(t, func(t *testing.T) {
		d, err := Open(Config{Path: path})
		require.NoError(t, err)
		old, err := d.Snapshot(background)
		require.NoError(t, err)
		require.NoError(t, write(d, numbered("g", 5000)...))
		d.reads.(*fileReads).pool.gate.close()
		shut := time.Now()
		answer := make(chan error, 1)
		go func() {
			s, err := d.Snapshot(background)
			if err == nil {
				s.Close()
			}
			answer <- err
		}()
		synctest.Wait()
		require.Empty(t, answer)
		old.Close()
		require.NoError(t, <-answer)
		require.Zero(t, time.Since(shut))
		require.NoError(t, write(d, row("g", "k", "v")))
		wal, err := checkpoint(fileOf(d).conn, "NOOP")
		require.NoError(t, err)
		require.Less(t, wal.pages, 10, "the WAL began anew")
		require.NoError(t, d.Close())
	})
}

// A read that is at work when it is to be ended is ended when it rests.
func TestACallAtWorkIsEndedLater(t *testing.T) {
	d := openWith(t, Config{Path: temporary(t), NoPages: true})
	require.NoError(t, write(d, row("g", "k", "v")))
	s, err := d.Snapshot(background)
	require.NoError(t, err)
	pool := d.reads.(*fileReads).pool
	err = s.(sqlMoment).hold.use(func(r *reader) error {
		require.Equal(t, 1, pool.expire(-1))
		_, found, err := r.getRow("g", "k")
		require.True(t, found)
		return err
	})
	require.NoError(t, err)
	requireNothingHeld(t, d)
	_, _, err = s.Get(background, "g", "k")
	require.ErrorIs(t, err, kv.SnapshotExpiredError)
	s.Close()
}

// A read that looks at pages when its snapshot is ended, or closed, goes on looking: its own
// pin keeps them.
func TestAReadOfPagesGoesOn(t *testing.T) {
	d := open(t, temporary(t))
	require.NoError(t, write(d, row("g", "k", "v")))
	views := viewsOf(t, d)
	for reason, end := range map[error]func(s storage.Snapshot){
		kv.SnapshotExpiredError: func(storage.Snapshot) { d.reads.(*fileReads).pool.expire(-1) },
		kv.SnapshotClosedError:  (storage.Snapshot).Close,
	} {
		s, err := d.Snapshot(background)
		require.NoError(t, err)
		err = s.(pageMoment).hold.look(func(v *view) error {
			require.NoError(t, write(d, row("g", "k", "later")))
			end(s)
			requireNothingHeld(t, d)
			_, _, err := s.Get(background, "g", "k")
			require.ErrorIs(t, err, reason)
			views.step(0)
			require.NotEmpty(t, views.retired, "its anchor stays")
			was, found, err := v.get("g", "k")
			require.True(t, found)
			require.Equal(t, "v", was.Value)
			return err
		})
		require.NoError(t, err)
		views.drain(0)
		require.Empty(t, views.retired)
		s.Close()
		require.NoError(t, write(d, row("g", "k", "v")))
	}
}

// A count that takes long is held like a snapshot: once it has taken long the writer does not
// wait for it, and it goes on though it is past its age.
func TestTheWriterDoesNotWaitForLongReads(t *testing.T) {
	eachAccess(t, func(t *testing.T, access Config) {
		d := openWith(t, access.buffered().at(temporary(t)))
		require.NoError(t, write(d, numbered("g", 10)...))
		f := d.reads.(*fileReads)
		w := fileOf(d)
		reading, goOn := make(chan struct{}), make(chan struct{})
		proceed := sync.OnceFunc(func() { close(goOn) })
		defer proceed() // or Close would wait
		counted := make(chan error, 1)
		go func() {
			counted <- f.look(background, func(v *view, p *pace) error {
				if p.check == nil {
					return errLong // as one that comes to many rows
				}
				close(reading)
				<-goOn
				n, err := v.count(everything, 0, p)
				if n != 10 {
					err = errors.Join(err, fmt.Errorf("%d rows", n))
				}
				return err
			})
		}()
		<-reading
		require.Equal(t, 1, f.pool.holding())
		c := w.checkpoints
		age(f.pool, -time.Hour)
		require.Equal(t, tailWait, c.wait(true), "it has only begun")
		require.NoError(t, write(d, row("g", "later", "v")))
		age(f.pool, time.Hour+tailWait)
		require.Zero(t, c.wait(true))
		c.force.Store(true)
		require.NoError(t, w.Checkpoint())
		require.Equal(t, 1, f.pool.expire(-1))
		require.Zero(t, f.pool.holding())
		proceed()
		require.NoError(t, <-counted)
		requireNothingHeld(t, d)
		requireUnpinned(t, viewsOf(t, d))
	})
}

// age makes what is held so much older.
func age(p *pool, by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for h := range p.mu.held {
		h.since = h.since.Add(-by)
	}
}

// TestAScanPutsTheCheckpointOff: what the writer has to do of it is not tried beside a scan
// that takes long, and made up for when that has ended.
func TestAScanPutsTheCheckpointOff(t *testing.T) {
	d := openWith(t, Config{}.buffered().at(temporary(t)))
	require.NoError(t, write(d, numbered("g", 10)...))
	p, c := d.reads.(*fileReads).pool, fileOf(d).checkpoints
	hold := func() *hold {
		t.Helper()
		h, err := p.holdNow()
		require.NoError(t, err)
		return h
	}
	long, short := hold(), hold()
	p.mu.Lock()
	long.since = long.since.Add(-time.Hour)
	short.since = short.since.Add(time.Hour) // however long the test takes
	p.mu.Unlock()
	c.tail.Store(true)
	require.False(t, c.due())
	require.False(t, c.tail.Load(), "it is not asked for before each commit")
	require.NoError(t, write(d, row("g", "later", "v")))
	long.release(kv.SnapshotClosedError)
	testkit.Until(t, "it is made up for", func() bool { return c.tail.Load() })
	require.True(t, c.due())
	short.release(kv.SnapshotClosedError)
	require.False(t, c.putOff.Load())
	require.NoError(t, fileOf(d).Checkpoint())
	wal, err := checkpoint(fileOf(d).conn, "NOOP")
	require.NoError(t, err)
	require.Zero(t, wal.rest())
}

// TestWhatWasPutOffIsMovedFirst: not by the writer, if it has become much.
func TestWhatWasPutOffIsMovedFirst(t *testing.T) {
	d := openWith(t, Config{}.buffered().at(temporary(t)))
	require.NoError(t, write(d, numbered("g", 10)...))
	p, c := d.reads.(*fileReads).pool, fileOf(d).checkpoints
	long, err := p.holdNow()
	require.NoError(t, err)
	age(p, time.Hour)
	c.tail.Store(true)
	require.False(t, c.due())
	value := strings.Repeat("v", filePageSize)
	for i := range tailPages + tailPages/4 { // not as many as have step 1 begin by themselves
		require.NoError(t, write(d, row("g", fmt.Sprint("much ", i), value)))
	}
	long.release(kv.SnapshotClosedError)
	testkit.Until(t, "it is made up for", func() bool { return c.tail.Load() })
	wal, err := checkpoint(fileOf(d).conn, "NOOP")
	require.NoError(t, err)
	require.Less(t, wal.rest(), tailPages)
}

// TestMuchIsNotForTheWriterToMove: it asks the goroutine, which may be at it already, and waits
// for it neither.
func TestMuchIsNotForTheWriterToMove(t *testing.T) {
	d := openWith(t, Config{}.buffered().at(temporary(t)))
	require.NoError(t, write(d, numbered("g", 10)...))
	p, c := d.reads.(*fileReads).pool, fileOf(d).checkpoints
	long, err := p.holdNow()
	require.NoError(t, err)
	age(p, tailWait)
	c.moving.Lock() // the goroutine's work does not get on
	proceed := sync.OnceFunc(c.moving.Unlock)
	defer proceed() // or Close would wait
	value := strings.Repeat("v", filePageSize)
	much := make([]kv.Row, 2*forcePages)
	for i := range much {
		much[i] = row("g", fmt.Sprint("much ", i), value)
	}
	require.NoError(t, write(d, much...))
	long.release(kv.SnapshotClosedError)
	within(t, time.Minute, func() {
		for i := range 2 * forceStep {
			if !assert.NoError(t, write(d, row("g", fmt.Sprint("more ", i), value))) {
				return
			}
		}
	})
	proceed()
	testkit.Until(t, "it is moved", func() bool {
		wal, err := checkpoint(fileOf(d).conn, "NOOP")
		return err == nil && wal.rest() < tailPages
	})
}
