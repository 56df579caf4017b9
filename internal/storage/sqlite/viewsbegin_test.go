package sqlite

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// A reader makes a view of several reads of the WAL's index, between which the owner goes
// on. In these tests it does something before any one of them.

// manyOf is a hundred rows of large values.
func manyOf(value string) (rows []kv.Row) {
	for i := range 100 {
		rows = append(rows, row("g", fmt.Sprintf("%06d", i), strings.Repeat(value, 3000)))
	}
	return rows
}

func requireManyOf(t *testing.T, from answers, value string) {
	t.Helper()
	n := 0
	for row, err := range from.Scan(background, storage.GroupQuery("g"), 0) {
		require.NoError(t, err)
		require.Equal(t, value, row.Value[:1])
		n++
	}
	require.Equal(t, 100, n)
}

// beside is a reader that has no view, and makes one when it is asked for something.
func beside(t *testing.T, access Config, owner *Database) *Database {
	t.Helper()
	d := openWith(t, access.readOnly().at(owner.Path()))
	s := viewsOf(t, d)
	s.tick()
	s.tick()
	require.Nil(t, s.current.Load())
	return d
}

// snapshotAtRead takes a reader's snapshot and calls f before the n-th call of the system
// that this takes. called says whether there were as many. synced is called before each of a
// WAL, from then on until the test ends.
func snapshotAtRead(t *testing.T, d *Database, n int, f, synced func()) (s storage.Snapshot, called bool) {
	t.Helper()
	var reads atomic.Int64
	var made atomic.Bool
	faultfs.Inject(t, func(o faultfs.Operation) error {
		switch {
		case o.Call == "disk.read" && !made.Load():
			if reads.Add(1) == int64(n) {
				f()
			}
		case o.Call == "sync" && o.Kind == "wal" && reads.Load() >= int64(n):
			synced()
		}
		return nil
	})
	s, err := d.Snapshot(background)
	made.Store(true)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s, reads.Load() >= int64(n)
}

// eachRead runs a test of the reads that a snapshot takes, until there are no more.
func eachRead(t *testing.T, test func(t *testing.T, n int) (called bool)) {
	n := 1
	for ; test(t, n); n++ {
		require.Less(t, n, 100)
	}
	require.Greater(t, n, 5, "the index was read")
}

// The owner begins a WAL anew that is all in the database: a view that is made meanwhile
// shows nothing that is not committed, and a snapshot stays what it is.
func TestTheWALBeginsAnewAsAViewIsMade(t *testing.T) { eachRead(t, testTheWALBeginsAnewAsAViewIsMade) }

func testTheWALBeginsAnewAsAViewIsMade(t *testing.T, n int) bool {
	owner := openWith(t, Config{Path: temporary(t)})
	require.NoError(t, write(owner, manyOf("a")...))
	movePassively(t, owner)
	require.NoError(t, write(owner, manyOf("b")...)) // from the beginning of the WAL
	d := beside(t, Config{NoMmap: true, readIndex: true}, owner)
	movePassively(t, owner)
	var syncs atomic.Int64
	synced, stopped, written := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	goOn := sync.OnceFunc(func() { close(stopped) })
	t.Cleanup(goOn)
	snapshot, called := snapshotAtRead(t, d, n, func() {
		go func() { written <- write(owner, manyOf("c")...) }()
		select {
		case <-synced:
		case err := <-written:
			written <- err
		}
	}, func() {
		if syncs.Add(1) == 2 { // the first is the header's
			close(synced)
			<-stopped
		}
	})
	requireManyOf(t, snapshot, "b")
	requireManyOf(t, d.Reads(), "b")
	goOn()
	if called {
		require.NoError(t, <-written)
		requireManyOf(t, d.Reads(), "c")
	}
	requireManyOf(t, snapshot, "b")
	return called
}

// The owner moves all of the WAL into the database, which becomes longer by it.
func TestTheDatabaseGrowsAsAViewIsMade(t *testing.T) {
	for name, access := range map[string]Config{"mapped": {readIndex: true}, "read": {NoMmap: true, readIndex: true}} {
		t.Run(name, func(t *testing.T) {
			eachRead(t, func(t *testing.T, n int) bool {
				owner := openWith(t, Config{}.buffered().at(temporary(t)))
				require.NoError(t, write(owner, row("g", "000000", "a")))
				movePassively(t, owner)
				d := beside(t, access, owner)
				require.NoError(t, write(owner, manyOf("b")...))
				snapshot, called := snapshotAtRead(t, d, n, func() { movePassively(t, owner) }, func() {})
				for range 2 {
					requireManyOf(t, snapshot, "b")
					requireManyOf(t, d.Reads(), "b")
				}
				return called
			})
		})
	}
}
