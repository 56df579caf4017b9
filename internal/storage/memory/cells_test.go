package memory

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/sequence"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func openMemoryWriter(t *testing.T) (*Store, *Writer) {
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	return New(done, new(sequence.Sequence))
}

func setInMemory(t *testing.T, w *Writer, key, value string) {
	t.Helper()
	require.NoError(t, w.Begin())
	require.NoError(t, w.Upsert(kv.Row{Group: "g", Key: key, Value: value, Deadline: kv.NoDeadline}))
	require.NoError(t, w.Commit())
}

// versions is how many rows are kept of a key.
func (w *Writer) versions(key string) (n int) {
	for v := w.find("g", key).newest.Load(); v != nil; v = v.before.Load() {
		n++
	}
	return n
}

// What was replaced is let go of at once if no reader is there, and else as the last that could
// see it is done.
func TestReplacedRowsAreKeptForTheirReaders(t *testing.T) {
	d, w := openMemoryWriter(t)
	for i := range 10 {
		setInMemory(t, w, "k", fmt.Sprint(i))
		require.Equal(t, 1, w.versions("k"))
	}
	var snapshots []storage.Snapshot
	for i := range 3 {
		s, err := d.Snapshot(context.Background())
		require.NoError(t, err)
		snapshots = append(snapshots, s)
		setInMemory(t, w, "k", fmt.Sprint("later ", i))
	}
	require.Equal(t, 4, w.versions("k"))
	for i, want := range []string{"9", "later 0", "later 1"} {
		row, found, err := snapshots[i].Get(context.Background(), "g", "k")
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, want, row.Value)
	}
	snapshots[0].Close()
	snapshots[0].Close()
	setInMemory(t, w, "other", "v")
	require.Equal(t, 3, w.versions("k"))
	snapshots[2].Close()
	setInMemory(t, w, "other", "w")
	require.Equal(t, 3, w.versions("k"), "the second sees the middle one")
	snapshots[1].Close()
	setInMemory(t, w, "other", "x")
	require.Equal(t, 1, w.versions("k"))
	require.Empty(t, w.memory.pins.mu.counts)
	require.Empty(t, w.kept)
}

// What no reader can see between the moment that one has pinned and the present is let go
// of at once, however much is written.
func TestAReaderKeepsNoMoreThanItSees(t *testing.T) {
	d, w := openMemoryWriter(t)
	keys := []string{"a", "b", "c"}
	for _, key := range keys {
		setInMemory(t, w, key, "first")
	}
	first, err := d.Snapshot(context.Background())
	require.NoError(t, err)
	for i := range 500 {
		setInMemory(t, w, keys[i%3], fmt.Sprint(i))
		require.LessOrEqual(t, w.versions(keys[i%3]), 2)
		require.LessOrEqual(t, len(w.kept), 3)
	}
	second, err := d.Snapshot(context.Background())
	require.NoError(t, err)
	for i := range 500 {
		setInMemory(t, w, keys[i%3], fmt.Sprint("later ", i))
		require.LessOrEqual(t, w.versions(keys[i%3]), 3)
		require.LessOrEqual(t, len(w.kept), 6)
	}
	for i, key := range keys {
		row, _, err := first.Get(context.Background(), "g", key)
		require.NoError(t, err)
		require.Equal(t, "first", row.Value)
		row, _, err = second.Get(context.Background(), "g", key)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint([]int{498, 499, 497}[i]), row.Value)
	}
	first.Close()
	second.Close()
	setInMemory(t, w, "a", "last")
	require.Empty(t, w.kept)
	for _, key := range keys {
		require.Equal(t, 1, w.versions(key))
	}
}

// A Get that has loaded what is committed, and finds that it has been replaced, its row
// gone or between others, answers what is committed then.
func TestGetsInMemoryBesideCommits(t *testing.T) {
	for _, pinned := range []bool{false, true} {
		t.Run(fmt.Sprint("pinned=", pinned), func(t *testing.T) {
			d, w := openMemoryWriter(t)
			setInMemory(t, w, "k", "0")
			if pinned {
				s, err := d.Snapshot(context.Background())
				require.NoError(t, err)
				defer s.Close()
			}
			setInMemory(t, w, "k", "1")
			once := sync.OnceFunc(func() {
				setInMemory(t, w, "k", "2")
				setInMemory(t, w, "k", "3")
			})
			d.loaded = once
			row, found, err := d.Get(context.Background(), "g", "k")
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, "3", row.Value, "it is no older than the call, and whole")
		})
	}
}

// A loop that is left, by whatever way, pins nothing.
func TestScansThatEndPinNothing(t *testing.T) {
	d, w := openMemoryWriter(t)
	setInMemory(t, w, "a", "v")
	setInMemory(t, w, "b", "v")
	for range d.Scan(context.Background(), storage.Query{Groups: kv.GroupRange("g"), Keys: kv.Range{Unbounded: true}}, 0) {
		require.Len(t, w.memory.pins.mu.counts, 1)
		break
	}
	require.Empty(t, w.memory.pins.mu.counts)
	require.Panics(t, func() {
		for range d.Groups(context.Background(), kv.PrefixRange(""), 0) {
			panic("in the loop")
		}
	})
	require.Empty(t, w.memory.pins.mu.counts)
}

// Each commit sets all keys to its number, some are rolled back. Every read, of one key or
// of many, sees one commit whole, and none goes back.
func TestReadsInMemorySeeOneCommit(t *testing.T) {
	d, w := openMemoryWriter(t)
	const keys = 40
	commit := func(n int, good bool) {
		value := fmt.Sprintf("%08d", n)
		if !good {
			value = "undone" + value
		}
		assert.NoError(t, w.Begin())
		for i := range keys {
			if n%7 == 3 {
				_, err := w.Delete("g", fmt.Sprint(i))
				assert.NoError(t, err)
			}
			assert.NoError(t, w.Upsert(kv.Row{Group: "g", Key: fmt.Sprint(i), Value: value, Deadline: kv.NoDeadline}))
		}
		if good {
			assert.NoError(t, w.Commit())
		} else {
			assert.NoError(t, w.Rollback())
		}
	}
	commit(0, true)
	var done sync.WaitGroup
	stop := make(chan struct{})
	for i := range 4 {
		done.Go(func() {
			random, last := rand.New(rand.NewPCG(uint64(i), 1)), ""
			see := func(value string, same string) bool {
				return assert.False(t, strings.HasPrefix(value, "undone")) && assert.GreaterOrEqual(t, value, last) &&
					(same == "" || assert.Equal(t, same, value))
			}
			for {
				select {
				case <-stop:
					return
				default:
				}
				if random.IntN(3) > 0 {
					row, found, err := d.Get(context.Background(), "g", fmt.Sprint(random.IntN(keys)))
					if !assert.NoError(t, err) || !assert.True(t, found) || !see(row.Value, "") {
						return
					}
					last = row.Value
					continue
				}
				n, same := 0, ""
				for row, err := range d.Scan(context.Background(), storage.Query{Groups: kv.GroupRange("g"), Keys: kv.Range{Unbounded: true}}, 0) {
					if !assert.NoError(t, err) || !see(row.Value, same) {
						return
					}
					same, n = row.Value, n+1
				}
				if !assert.Equal(t, keys, n) {
					return
				}
				last = same
			}
		})
	}
	for n := range 2000 {
		commit(n+1, n%5 != 4)
	}
	close(stop)
	done.Wait()
	require.Empty(t, w.memory.pins.mu.counts)
}

// The writer finds a key's cell by itself: it is what the tree has, whatever came, went or was
// rolled back, and its memory goes with the keys.
func TestTheWriterFindsWhatTheTreeHas(t *testing.T) {
	_, w := openMemoryWriter(t)
	same := func() {
		t.Helper()
		require.Equal(t, w.working.rows.tree.Len(), len(w.cells))
		w.working.rows.tree.Scan(func(c *cell) bool { return assert.Same(t, c, w.find(c.group, c.key)) })
	}
	random := rand.New(rand.NewPCG(5, 6))
	for range 400 {
		require.NoError(t, w.Begin())
		for range random.IntN(10) {
			require.NoError(t, w.Savepoint())
			group, key := fmt.Sprint(random.IntN(3)), fmt.Sprint(random.IntN(30))
			switch random.IntN(8) {
			case 0:
				_, err := w.DeleteGroup(group)
				require.NoError(t, err)
			case 1, 2:
				_, err := w.Delete(group, key)
				require.NoError(t, err)
			default:
				require.NoError(t, w.Upsert(kv.Row{Group: group, Key: key, Deadline: kv.NoDeadline}))
			}
			if random.IntN(4) == 0 {
				require.NoError(t, w.RollbackTo())
			}
			same()
		}
		if random.IntN(3) == 0 {
			require.NoError(t, w.Rollback())
		} else {
			require.NoError(t, w.Commit())
		}
		same()
	}
	require.NoError(t, w.Begin())
	for i := range 10 * fewCells {
		require.NoError(t, w.Upsert(kv.Row{Group: "many", Key: fmt.Sprint(i), Deadline: kv.NoDeadline}))
	}
	require.GreaterOrEqual(t, w.most, 10*fewCells)
	_, err := w.DeleteGroup("many")
	require.NoError(t, err)
	require.LessOrEqual(t, w.most, fewCells)
	same()
	require.NoError(t, w.Rollback())
	same()
}
