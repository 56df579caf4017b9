package sqlite

import (
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// longReads are reads of a group "long" of many rows, beside one of ten, "short".
func longReads(d *Database, s storage.Snapshot) map[string]func(group string) (n int, err error) {
	reads := d.Reads()
	return map[string]func(group string) (int, error){
		"Count": func(group string) (int, error) { return reads.Count(background, kv.GroupRange(group), 10) },
		"a page far behind": func(group string) (int, error) {
			page, err := reads.Page(background, group, 2*fewRows, 5, 10)
			return len(page), err
		},
		"a large page": func(group string) (int, error) {
			page, err := reads.Page(background, group, 0, 1<<30, 10)
			return len(page), err
		},
		"keys of all groups": func(group string) (n int, err error) {
			q := storage.Query{Groups: everything, Keys: kv.PrefixRange("9")}
			if group == "short" {
				q.Groups = kv.GroupRange(group)
			}
			for _, err := range reads.Scan(background, q, 10) {
				if err != nil {
					return n, err
				}
				n++
			}
			return n, nil
		},
		"Snapshot.Count": func(group string) (int, error) { return s.Count(background, kv.GroupRange(group), 10) },
		"Snapshot.Page": func(group string) (int, error) {
			page, err := s.Page(background, group, 2*fewRows, 5, 10)
			return len(page), err
		},
	}
}

// Reads that take long wait for a turn, with no room among the others taken:
// neither point reads nor short ones of the same kind wait with them.
func TestLongReadsTakeNobodysPlace(t *testing.T) {
	for name, of := range map[string]struct {
		noPages bool
		dead    int
	}{
		"SQLite":            {noPages: true},
		"SQLite, with dead": {noPages: true, dead: 1},
		"pages":             {dead: 2 * fewRows}, // or the index alone would say
	} {
		noPages, dead := of.noPages, of.dead
		t.Log(name)
		path := temporary(t)
		synctest.Test(t, func(t *testing.T) {
			d, err := Open(Config{Path: path, Readers: 1, NoPages: noPages})
			require.NoError(t, err)
			require.NoError(t, write(d, numbered("long", 3*fewRows)...))
			require.NoError(t, write(d, numbered("short", 10)...))
			want := map[string][2]int{"Count": {3 * fewRows, 10}, "a page far behind": {5, 0}, "a large page": {3 * fewRows, 10},
				"keys of all groups": {0, 0}, "Snapshot.Count": {3 * fewRows, 10}, "Snapshot.Page": {5, 0}}
			if dead > 0 {
				require.NoError(t, write(d, mortal("short", "0", 5)))
			}
			for i := range dead {
				require.NoError(t, write(d, mortal("long", fmt.Sprint("dead", i), 5)))
			}
			s, err := d.Snapshot(background)
			require.NoError(t, err)
			pool := d.reads.(*fileReads).pool
			for name, read := range longReads(d, s) {
				for range cap(pool.turns) {
					pool.turns <- struct{}{}
				}
				type answer struct {
					n   int
					err error
				}
				answered := make(chan answer, 1)
				go func() {
					n, err := read("long")
					answered <- answer{n, err}
				}()
				synctest.Wait()
				select {
				case <-answered:
					t.Errorf("%s did not wait for a turn", name)
				default:
				}
				requireValue(t, d, "short", "000001", "1")
				n, err := read("short")
				require.NoError(t, err, name)
				require.Equal(t, want[name][1], n, name)
				for range cap(pool.turns) {
					<-pool.turns
				}
				got := <-answered
				require.NoError(t, got.err, name)
				require.Equal(t, want[name][0], got.n, name)
			}
			s.Close()
			require.NoError(t, d.Close())
		})
	}
}

// The writer's snapshot waits for no reader: be all that can run at work, be the WAL at
// its bound, be as many connections lent, or views held, as may be.
func TestTheWritersSnapshotWaitsForNoReader(t *testing.T) {
	for _, noPages := range []bool{true, false} {
		t.Run(fmt.Sprint("by SQLite=", noPages), func(t *testing.T) { writersSnapshot(t, noPages) })
	}
}

func writersSnapshot(t *testing.T, noPages bool) {
	defer func(before int) { maxLent = before }(maxLent)
	maxLent = maxIdle + 4
	path := temporary(t)
	synctest.Test(t, func(t *testing.T) {
		d, err := Open(Config{Path: path, Readers: 1, NoPages: noPages})
		require.NoError(t, err)
		require.NoError(t, write(d, numbered("g", 10)...))
		pool := d.reads.(*fileReads).pool
		var all []storage.Snapshot
		for range maxLent {
			s, err := d.Snapshot(background)
			require.NoError(t, err)
			all = append(all, s)
		}
		_, err = d.Snapshot(background)
		require.ErrorIs(t, err, kv.TooManySnapshotsError)
		for range cap(pool.running) {
			pool.running <- struct{}{}
		}
		for range cap(pool.turns) {
			pool.turns <- struct{}{}
		}
		pool.gate.close()
		counted := make(chan kv.Usage, 1)
		go func() {
			s, err := d.Writer().Snapshot()
			if assert.NoError(t, err) {
				usage, err := s.Usage(everything)
				assert.NoError(t, err)
				s.Close()
				counted <- usage
			}
		}()
		synctest.Wait()
		select {
		case usage := <-counted:
			require.Equal(t, kv.Usage{Keys: 10, Groups: 1}, usage)
		default:
			t.Fatal("it waits")
		}
		for range cap(pool.running) {
			<-pool.running
		}
		for _, s := range all {
			s.Close()
		}
		require.NoError(t, d.Close())
	})
}

// However many loops are open, each costs its chunk; too many of them are told so.
func TestOpenLoopsCostTheirChunks(t *testing.T) {
	const rows = 8_000 // of a kilobyte
	d := openWith(t, Config{Path: temporary(t), Durability: kv.DurabilityBuffered})
	value := strings.Repeat("v", 1000)
	for from := 0; from < rows; from += 1000 {
		var batch []kv.Row
		for i := range 1000 {
			batch = append(batch, row("g", fmt.Sprintf("%06d", from+i), value))
		}
		require.NoError(t, write(d, batch...))
	}
	for _, n := range []int{manyLoops + 1, 40, 600} {
		before := heap()
		var loops []func() (kv.Row, error, bool)
		var stops []func()
		for i := range n {
			next, stop := iter.Pull2(d.Reads().Scan(background, storage.GroupQuery("g"), 0))
			_, err, ok := next()
			require.True(t, ok)
			if i >= maxLent {
				require.ErrorIs(t, err, kv.TooManySnapshotsError)
				stop()
				continue
			}
			require.NoError(t, err)
			loops, stops = append(loops, next), append(stops, stop)
		}
		assert.Less(t, heap()-before, int64(len(loops)+8)*2*firstChunkBytes, n)
		for i := 0; i < len(loops); i += max(1, n/3) {
			seen := 1
			for {
				row, err, ok := loops[i]()
				if !ok {
					break
				}
				if want := fmt.Sprintf("%06d", seen); err != nil || row.Key != want {
					require.NoError(t, err)
					require.Equal(t, want, row.Key)
				}
				seen++
			}
			require.Equal(t, rows, seen)
		}
		for _, stop := range stops {
			stop()
		}
		requireNothingHeld(t, d)
	}
}

// heap is what is in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Loops within loops of one caller, more than may be open, end with an error.
func TestLoopsNestUntilTooMany(t *testing.T) {
	for _, noPages := range []bool{true, false} {
		t.Run(fmt.Sprint("by SQLite=", noPages), func(t *testing.T) { nestUntilTooMany(t, noPages) })
	}
}

func nestUntilTooMany(t *testing.T, noPages bool) {
	defer func(before int) { maxLent = before }(maxLent)
	maxLent = manyLoops + 30
	d := openWith(t, Config{NoPages: noPages, Path: temporary(t), Readers: 1})
	require.NoError(t, write(d, numbered("g", longGroup)...))
	depth := 0
	var nest func() error
	nest = func() error {
		for _, err := range d.Reads().Scan(background, storage.GroupQuery("g"), 0) {
			if err != nil {
				return err
			}
			depth++
			return nest()
		}
		return errors.New("no row")
	}
	require.ErrorIs(t, nest(), kv.TooManySnapshotsError)
	require.Equal(t, maxLent, depth)
	requireNothingHeld(t, d)
	rows, err := rowsOf(d, "g", 0)
	require.NoError(t, err)
	require.Len(t, rows, longGroup)
}
