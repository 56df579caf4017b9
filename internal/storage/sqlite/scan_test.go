package sqlite

import (
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// manyLoops is a number of them that are open at a time.
const manyLoops = 8

// longGroup has more rows than a first chunk.
const longGroup = 3 * firstChunkRows

func TestScansOfEveryLength(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		for _, n := range []int{0, 1, firstChunkRows - 1, firstChunkRows, firstChunkRows + 1, firstChunkRows + chunkRows, 10_000} {
			group := fmt.Sprint(n)
			require.NoError(t, write(d, numbered(group, n)...))
			rows, err := rowsOf(d, group, 0)
			require.NoError(t, err)
			require.Len(t, rows, n)
			for i, want := range numbered(group, n) {
				require.Equal(t, kv.KeyValue{Key: want.Key, Value: want.Value}, rows[i])
			}
		}
		requireNothingHeld(t, d)
	})
}

func TestChunksEndByBytesToo(t *testing.T) {
	d := open(t, temporary(t))
	value := strings.Repeat("v", firstChunkBytes/2)
	for i := range 9 {
		require.NoError(t, write(d, row("g", fmt.Sprint(i), value)))
	}
	next, stop := iter.Pull2(d.Reads().Scan(background, storage.GroupQuery("g"), 0))
	_, _, ok := next()
	require.True(t, ok)
	pool := d.reads.(*fileReads).pool
	assert.Len(t, pool.mu.held, 1)
	stop()
	requireNothingHeld(t, d)
}

func requireNothingHeld(t *testing.T, d *Database) {
	t.Helper()
	f, ok := d.reads.(*fileReads)
	if !ok {
		return
	}
	f.pool.mu.Lock()
	defer f.pool.mu.Unlock()
	require.Empty(t, f.pool.mu.held)
	require.LessOrEqual(t, len(f.pool.mu.idle), max(maxIdle, cap(f.pool.reading)))
	require.Zero(t, f.pool.mu.lent)
	require.Empty(t, f.pool.reading)
	for _, r := range f.pool.mu.idle {
		require.True(t, r.conn.AutocommitEnabled(), "an idle connection holds a transaction")
	}
}

// The loop's body may write to what it loops over, and sees the moment at
// which the loop began.
func TestWritesInsideALoop(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		require.NoError(t, write(d, numbered("g", longGroup)...))
		seen := 0
		for r, err := range d.Reads().Scan(background, storage.GroupQuery("g"), 0) {
			require.NoError(t, err)
			require.NoError(t, write(d, row("g", r.Key, "changed"), row("g", r.Key+"x", "new")))
			require.NotEqual(t, "changed", r.Value)
			require.NotEqual(t, "new", r.Value)
			seen++
		}
		assert.Equal(t, longGroup, seen)
		n, err := d.Reads().Count(background, kv.GroupRange("g"), 0)
		require.NoError(t, err)
		assert.Equal(t, 2*longGroup, n)
		groups := 0
		for range 600 {
			require.NoError(t, write(d, row(fmt.Sprintf("group %d", groups), "k", "v")))
			groups++
		}
		seen = 0
		for group, err := range d.Reads().Groups(background, kv.PrefixRange("group"), 0) {
			require.NoError(t, err)
			require.NoError(t, write(d, row(group+"x", "k", "v")))
			seen++
		}
		assert.Equal(t, groups, seen)
		requireNothingHeld(t, d)
	})
}

// Loops nest deeper than there are connections, in one goroutine and in many.
func TestLoopsNestDeeperThanConnections(t *testing.T) {
	d := openWith(t, Config{Path: temporary(t), Readers: 2})
	require.NoError(t, write(d, numbered("g", longGroup)...))
	var nest func(depth int) int
	nest = func(depth int) (deepest int) {
		seen := 0
		for _, err := range d.Reads().Scan(background, storage.GroupQuery("g"), 0) {
			require.NoError(t, err)
			if seen == 0 && depth < manyLoops+20 {
				deepest = nest(depth + 1)
			}
			seen++
		}
		require.Equal(t, longGroup, seen)
		return max(depth, deepest)
	}
	assert.Equal(t, manyLoops+20, nest(0))
	requireNothingHeld(t, d)

	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			for range d.Reads().Scan(background, storage.GroupQuery("g"), 0) {
				rows, err := rowsOf(d, "g", 0)
				assert.NoError(t, err)
				assert.Len(t, rows, longGroup)
				break
			}
		})
	}
	group.Wait()
	requireNothingHeld(t, d)
}

// A loop that is left gives everything back at once.
func TestLoopsThatAreLeft(t *testing.T) {
	d := open(t, temporary(t))
	require.NoError(t, write(d, numbered("g", longGroup)...))
	for stopAt := range 3 {
		seen := 0
		for range d.Reads().Scan(background, storage.GroupQuery("g"), 0) {
			if seen++; seen > stopAt*firstChunkRows {
				break
			}
		}
		requireNothingHeld(t, d)
	}
	assert.Panics(t, func() {
		for range d.Reads().Scan(background, storage.GroupQuery("g"), 0) {
			panic("in the loop's body")
		}
	})
	requireNothingHeld(t, d)
}

// A sequence can be looped over again; each loop is a scan of its own.
func TestSequencesCanBeUsedAgain(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		require.NoError(t, write(d, row("g", "a", "1")))
		scan := d.Reads().Scan(background, storage.GroupQuery("g"), 0)
		for want := 1; want <= 3; want++ {
			n := 0
			for range scan {
				n++
			}
			assert.Equal(t, want, n)
			require.NoError(t, write(d, row("g", fmt.Sprint(want), "v")))
		}
	})
}

// Close takes the connections of loops that stand still, and their next step
// says so.
func TestCloseDuringLoops(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		require.NoError(t, write(d, numbered("g", longGroup)...))
		var groups []kv.Row
		for i := range longGroup {
			groups = append(groups, row(fmt.Sprintf("h%04d", i), "k", "v"))
		}
		require.NoError(t, write(d, groups...))
		snapshot, err := d.Writer().Snapshot()
		require.NoError(t, err)
		var steps []func() error
		for range manyLoops + 5 {
			next, stop := iter.Pull2(d.Reads().Scan(background, storage.GroupQuery("g"), 0))
			defer stop()
			_, err, ok := next()
			require.True(t, ok)
			require.NoError(t, err)
			steps = append(steps, func() error { return drain(next) })
		}
		nextGroup, stopGroup := iter.Pull2(d.Reads().Groups(background, everything, 0))
		defer stopGroup()
		_, err, _ = nextGroup()
		require.NoError(t, err)
		steps = append(steps, func() error { return drain(nextGroup) })

		require.NoError(t, d.Close())
		closed := 0
		for _, step := range steps {
			if err := step(); err != nil {
				require.ErrorIs(t, err, kv.ClosedError)
				closed++
			}
		}
		assert.GreaterOrEqual(t, closed, manyLoops-1, "only what was read whole may end well")
		_, err = snapshot.Usage(everything)
		require.ErrorIs(t, err, kv.ClosedError)
		snapshot.Close()
	})
}

// drain goes on to the end.
func drain[T any](next func() (T, error, bool)) error {
	for {
		_, err, ok := next()
		if !ok || err != nil {
			return err
		}
	}
}

// Reads of all kinds that run while Close does end, well or as closed.
func TestCloseDuringReads(t *testing.T) {
	for _, path := range []string{storage.MemoryPath, "file"} {
		for round := range 10 {
			if path != storage.MemoryPath {
				path = temporary(t)
			}
			d := open(t, path)
			require.NoError(t, write(d, numbered("g", longGroup)...))
			var group, started sync.WaitGroup
			for range 16 {
				started.Add(1)
				group.Go(func() {
					started.Done()
					for {
						for name, err := range everyRead(background, d) {
							if err != nil {
								assert.ErrorIs(t, err, kv.ClosedError, name)
								return
							}
						}
					}
				})
			}
			started.Wait()
			if round%2 == 0 {
				_, _, _ = d.Reads().Get(background, "g", "k")
			}
			require.NoError(t, d.Close())
			group.Wait()
		}
	}
}

// A long count is interrupted, not waited for.
func TestCloseInterruptsWhatRuns(t *testing.T) {
	d := open(t, temporary(t))
	reads := d.reads.(*fileReads)
	running, ended := make(chan struct{}), make(chan error)
	go func() {
		ended <- reads.pool.with(background, func(r *reader) error {
			close(running)
			return execute(r.conn, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
		})
	}()
	<-running
	require.NoError(t, d.Close())
	require.ErrorIs(t, <-ended, kv.ClosedError)
}
