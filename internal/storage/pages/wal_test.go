package pages

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

func openWAL(t testing.TB, size int) (run func(string), read func() (data, wal []byte)) {
	path := filepath.Join(t.TempDir(), "test.db")
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	run = func(sql string) {
		t.Helper()
		require.NoError(t, sqlitex.ExecuteTransient(conn, sql, nil), sql)
	}
	run(fmt.Sprintf("PRAGMA page_size=%d", size))
	run("PRAGMA journal_mode=WAL")
	run("PRAGMA wal_autocheckpoint=0")
	run("CREATE TABLE t (x)")
	return run, func() (data, wal []byte) {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		wal, err = os.ReadFile(path + "-wal")
		require.NoError(t, err)
		return data, wal
	}
}

// walk goes on through a log, and has the pages that it meets be as they are there.
func walk(w *WAL, wal []byte, pages map[uint32][]byte) (count uint32) {
	for {
		at := w.Offset(w.Frames + 1)
		if at > int64(len(wal)) {
			return count
		}
		page, commit, ok := w.Next(wal[at:])
		if !ok {
			return count
		}
		pages[page] = wal[at+FrameHeaderSize:][:w.Size]
		if commit != 0 {
			count = commit
		}
	}
}

func TestAWALsFramesAreWhatACheckpointWrites(t *testing.T) {
	for _, size := range []int{512, 4096, 65536} {
		run, read := openWAL(t, size)
		_, wal := read()
		w, ok := NewWAL(wal)
		require.True(t, ok)
		require.Equal(t, size, w.Size)
		pages := make(map[uint32][]byte)
		require.NotZero(t, walk(&w, wal, pages))
		for i := range 20 { // one commit after the other
			run(fmt.Sprintf("INSERT INTO t VALUES (randomblob(%d))", i*300))
			_, wal = read()
			before := w.Frames
			count := walk(&w, wal, pages)
			require.NotZero(t, count)
			require.Greater(t, w.Frames, before)
			require.EqualValues(t, len(wal), w.Offset(w.Frames+1))
		}
		run("PRAGMA wal_checkpoint(PASSIVE)")
		data, _ := read()
		for n, page := range pages {
			require.Equal(t, page, data[int(n-1)*size:int(n)*size], "page %d", n)
		}
		// The log begins anew, over what is left of the old one.
		run("INSERT INTO t VALUES (1)")
		_, wal = read()
		old := w
		w, ok = NewWAL(wal)
		require.True(t, ok)
		require.NotEqual(t, old.Salts, w.Salts)
		walk(&w, wal, pages)
		require.Less(t, w.Frames, old.Frames)
		require.Greater(t, len(wal), int(w.Offset(w.Frames+1)))
		_, _, ok = old.Next(wal[w.Offset(1):])
		require.False(t, ok, "a frame of another log")
	}
}

func TestAFrameThatIsNotWholeEndsAWAL(t *testing.T) {
	run, read := openWAL(t, 512)
	for range 5 {
		run("INSERT INTO t VALUES (randomblob(700))")
	}
	_, wal := read()
	whole, ok := NewWAL(wal)
	require.True(t, ok)
	walk(&whole, wal, make(map[uint32][]byte))
	for at := range wal {
		if at >= WALHeaderSize && (at-WALHeaderSize)%5 != 0 && (at-WALHeaderSize)%(512+FrameHeaderSize) >= FrameHeaderSize {
			continue // all of the headers, and some of the pages
		}
		bad := append([]byte(nil), wal...)
		bad[at] ^= 4
		w, ok := NewWAL(bad)
		if at < WALHeaderSize {
			require.False(t, ok, "byte %d", at)
			continue
		}
		walk(&w, bad, make(map[uint32][]byte))
		require.EqualValues(t, (at-WALHeaderSize)/(512+FrameHeaderSize), w.Frames, "byte %d", at)
	}
	w, ok := NewWAL(wal)
	require.True(t, ok)
	cut := wal[:w.Offset(3)+100]
	walk(&w, cut, make(map[uint32][]byte))
	require.EqualValues(t, 2, w.Frames)
	walk(&w, wal, make(map[uint32][]byte)) // the rest has come
	require.Equal(t, whole, w)
	_, ok = NewWAL(wal[:31])
	require.False(t, ok)
}

func FuzzWAL(f *testing.F) {
	run, read := openWAL(f, 512)
	run("INSERT INTO t VALUES (randomblob(700))")
	_, wal := read()
	f.Add(wal)
	f.Fuzz(func(t *testing.T, wal []byte) {
		w, ok := NewWAL(wal)
		if !ok {
			return
		}
		pages := make(map[uint32][]byte)
		walk(&w, wal, pages)
		if most := (len(wal) - WALHeaderSize) / (w.Size + FrameHeaderSize); int(w.Frames) > most || len(pages) > int(w.Frames) {
			t.Fatalf("%d frames in %d bytes", w.Frames, len(wal))
		}
		if pages[0] != nil {
			t.Fatal("a page 0")
		}
	})
}
