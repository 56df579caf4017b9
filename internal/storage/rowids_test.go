package storage

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// What is remembered of rows that are gone, whose rowids others have, misleads
// nobody: every read is what a map says.
func TestRowidsOfRowsThatMoved(t *testing.T) {
	d := openWith(t, Config{Path: temporary(t), Readers: 2, Durability: kv.DurabilityBuffered})
	random := rand.New(rand.NewPCG(1, 2))
	key := func() (group, key string) { return fmt.Sprint("g", random.IntN(3)), fmt.Sprint(random.IntN(40)) }
	want := make(map[[2]string]string)
	w := d.Writer()
	for n := range 2_000 {
		group, one := key()
		require.NoError(t, w.Begin())
		switch random.IntN(8) {
		case 0:
			_, err := w.Delete(group, one)
			require.NoError(t, err)
			delete(want, [2]string{group, one})
		case 1:
			_, err := w.DeleteGroup(group) // so that rowids are given again
			require.NoError(t, err)
			for at := range want {
				if at[0] == group {
					delete(want, at)
				}
			}
		default:
			value := fmt.Sprint(n)
			require.NoError(t, w.Upsert(row(group, one, value)))
			want[[2]string{group, one}] = value
		}
		require.NoError(t, w.Commit())
		for range 5 {
			group, one := key()
			got, found, err := d.Reads().Get(background, group, one)
			require.NoError(t, err)
			value, there := want[[2]string{group, one}]
			require.Equal(t, there, found)
			require.Equal(t, value, got.Value)
		}
	}
	snapshot, err := d.Snapshot(background)
	require.NoError(t, err)
	defer snapshot.Close()
	program(t, d.path, "DELETE FROM entries", "INSERT INTO entries (group_name, entry_key, entry_value) VALUES ('g0', 'new', 'v')")
	for at, value := range want {
		got, found, err := snapshot.Get(background, at[0], at[1])
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, value, got.Value)
	}
}

// A row that is known is read without the index.
func TestKnownRowsAreReadAtTheirRowids(t *testing.T) {
	d := openWith(t, Config{NoPages: true, Path: temporary(t), Readers: 1})
	require.NoError(t, write(d, numbered("g", 100)...))
	requireValue(t, d, "g", "000007", "7")
	reads := d.reads.(*fileReads)
	one := reads.pool.places.try()
	index := one.keys.get
	one.keys.get = nil // whoever goes by the index panics
	reads.pool.places.put(one)
	requireValue(t, d, "g", "000007", "7")
	require.Panics(t, func() { requireValue(t, d, "g", "000008", "8") })
	one = reads.pool.places.try()
	require.NotNil(t, one, "whoever panics leaves the place to others")
	one.keys.get = index
	reads.pool.places.put(one)
	requireValue(t, d, "g", "000008", "8")
}

func TestRowids(t *testing.T) {
	known := func(r *rowids, n int) (right int) {
		for i := range n {
			rowid, ok := r.find(r.hash("g", fmt.Sprint(i)))
			if ok && rowid == int64(i+1) {
				right++
			}
		}
		return right
	}
	r := newRowids()
	learn := func(n int) {
		for i := range n {
			r.note(r.hash("g", fmt.Sprint(i)), int64(i+1))
		}
	}
	require.Zero(t, known(r, leastRowids))
	for range 50 {
		learn(leastRowids / 8)
	}
	require.Greater(t, known(r, leastRowids/8), leastRowids/8*9/10)
	require.Len(t, *r.table.Load(), leastRowids, "few rows need no more")

	for range 3 {
		learn(100_000)
	}
	require.Greater(t, known(r, 100_000), 85_000, "it has grown")
	require.Len(t, *r.table.Load(), mostRowids)
	learn(mostRowids)
	require.Len(t, *r.table.Load(), mostRowids, "and no further")

	hash := r.hash("g", "k")
	r.note(hash, 5)
	for _, rowid := range []int64{0, -1, 1 << rowidBits} {
		r.note(hash, rowid)
		at, ok := r.find(hash)
		require.True(t, ok)
		require.Equal(t, int64(5), at, "%d can't be told", rowid)
	}
}

func TestRowidsByMany(t *testing.T) {
	r := newRowids()
	var all sync.WaitGroup
	var wrong atomic.Int32
	for range 4 {
		all.Go(func() {
			for i := range 50_000 {
				hash := r.hash("g", fmt.Sprint(i))
				r.note(hash, int64(i+1))
				if at, ok := r.find(hash); ok && at != int64(i+1) {
					wrong.Add(1)
				}
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, int(wrong.Load()), 40, "two hashes seldom agree in so many bits")
}
