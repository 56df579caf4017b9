package engine

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// times is a fault that hits so often.
func times(n int64, code int32) func() int32 {
	var left atomic.Int64
	left.Store(n)
	return func() int32 {
		if left.Add(-1) < 0 {
			return lib.SQLITE_OK
		}
		return code
	}
}

// failDisk has the WAL's writes or syncs fail until heal.
func failDisk(t *testing.T, write, sync func() int32) (heal func()) {
	t.Helper()
	return faultfs.Inject(t, func(o faultfs.Operation) error {
		fails := map[string]func() int32{"write": write, "sync": sync}[o.Call]
		if o.Kind != "wal" || fails == nil {
			return nil
		}
		if code := fails(); code != lib.SQLITE_OK {
			return faultfs.Code(code)
		}
		return nil
	})
}

// TestFullDisk is a definite answer: nothing of the write is there, reads go
// on, and writing resumes when there is space.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	e := open(t, Config{Path: path})
	must(t, e, within(set("n:g", "before", "v"), "n", quotas[roomy]))
	w := e.Watch("", "*", "*")
	heal := failDisk(t, times(1<<30, lib.SQLITE_FULL), nil)
	for range 3 {
		_, err := apply(t, e, set("n:g", "k", "v"))
		require.ErrorIs(t, err, kv.DegradedError)
		require.NotErrorIs(t, err, kv.UnknownOutcomeError)
		require.Equal(t, testkit.Absent, value(t, e, "n:g", "k"))
		require.Equal(t, testkit.Present("v"), value(t, e, "n:g", "before"))
	}
	counted(t, e, "n")
	require.Zero(t, len(w.Events)+int(w.Dropped()))
	heal()
	recovers(t, e)
	must(t, e, set("n:g", "k", "v"))
	counted(t, e, "n")
	require.Len(t, w.Events, 1)
	closeNow(t, e)
	require.Equal(t, testkit.Present("v"), value(t, open(t, Config{Path: path}), "n:g", "k"))
}

// TestCommitOfUnknownOutcome: the log can't be synced. The caller is told that
// the outcome is unknown, the watcher that it may have missed something, and figures are
// counted anew.
func TestCommitOfUnknownOutcome(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	e := open(t, Config{Path: path})
	must(t, e, within(set("n:g", "before", "v"), "n", quotas[roomy]))
	counted(t, e, "n")
	w, other := e.Watch("", "n:g", "*"), e.Watch("", "other", "*")
	failDisk(t, nil, times(1, lib.SQLITE_IOERR_FSYNC))
	_, err := apply(t, e, set("n:g", "k", "v"))
	require.ErrorIs(t, err, kv.UnknownOutcomeError)
	testkit.Until(t, "the watcher's news", func() bool { return len(w.Events)+int(w.Dropped()) == 1 })
	require.Zero(t, other.Dropped())
	counted(t, e, "n")
	require.Equal(t, testkit.Present("v"), value(t, e, "n:g", "before"))
	seen := value(t, e, "n:g", "k")
	must(t, e, within(set("n:g", "after", "v"), "n", quotas[roomy]))
	counted(t, e, "n")
	require.Equal(t, seen, value(t, e, "n:g", "k"), "what was read once stays")
	closeNow(t, e)
	again := open(t, Config{Path: path})
	require.Equal(t, seen, value(t, again, "n:g", "k"))
	require.Equal(t, testkit.Present("v"), value(t, again, "n:g", "after"))
}

// TestUnknownOutcomeDuringACount: a namespace is being counted, writes wait for
// it, and a commit in between has an unknown outcome. The count is of
// no use then; a new one answers the callers that wait.
func TestUnknownOutcomeDuringACount(t *testing.T) {
	pause := testkit.NewPause("quota.count")
	e := open(t, Config{Path: filepath.Join(t.TempDir(), "store.db"), Failpoint: pause.Hook})
	parked := send(t.Context(), e, within(set("n:g", "parked", "v"), "n", quotas[roomy]))
	testkit.Await(t, "the count", pause.Reached)
	usage := make(chan result, 1)
	go func() { usage <- result{err: second(e.Usage(context.Background(), "n"))} }()
	failDisk(t, nil, times(1, lib.SQLITE_IOERR_FSYNC))
	_, err := apply(t, e, set("n:g", "k", "v"))
	require.ErrorIs(t, err, kv.UnknownOutcomeError)
	close(pause.Resume)
	require.NoError(t, testkit.Await(t, "the write that waited", parked).err)
	require.NoError(t, testkit.Await(t, "the caller of Usage", usage).err)
	require.Equal(t, testkit.Present("v"), value(t, e, "n:g", "parked"))
	counted(t, e, "n")
}

// TestFailingDiskUnderLoad: writes and syncs of the log fail now and then. What
// was acknowledged is there, what was refused is not, and the rest is as it was
// first read.
func TestFailingDiskUnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	e := open(t, Config{Path: path, PurgeInterval: time.Millisecond, WatchBuffer: 1 << 14})
	l := startLoad(t, e, 16, 5)
	for _, w := range l.workers {
		w.lenient.Store(true)
	}
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(5, 5))
	sometimes := func(code int32) func() int32 {
		return func() int32 {
			mu.Lock()
			defer mu.Unlock()
			if random.IntN(60) == 0 { // of some twenty writes that a commit makes
				return code
			}
			return lib.SQLITE_OK
		}
	}
	failDisk(t, sometimes(lib.SQLITE_FULL), sometimes(lib.SQLITE_IOERR_FSYNC))
	l.more(600)
	heal := failDisk(t, sometimes(lib.SQLITE_IOERR_WRITE), nil)
	l.more(300)
	heal()
	recovers(t, e)
	l.more(50)
	l.settle(e)
	expires(t, e, "afterwards")
	closeNow(t, e)
	l.verifyEvents()
	l.verify(open(t, Config{Path: path}))
}

// TestSnapshotThatFails: the file has gone elsewhere, so that no connection can
// be opened for counting. A caller that waits for the count is told.
func TestSnapshotThatFails(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file can't be moved")
	}
	path := filepath.Join(t.TempDir(), "store.db")
	conn, err := sqlite.OpenConn(path) // a table that SQLite alone can read
	require.NoError(t, err)
	require.NoError(t, sqlitex.ExecuteTransient(conn, "CREATE TABLE entries (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, "+
		"entry_value TEXT NOT NULL, expires_at INTEGER, PRIMARY KEY (group_name, entry_key)) WITHOUT ROWID", nil))
	require.NoError(t, conn.Close())
	e := open(t, Config{Path: path})
	must(t, e, set("n:g", "k", "v"))
	for range 2 { // what is open is in use
		s, err := e.Snapshot(context.Background())
		require.NoError(t, err)
		defer s.Close()
	}
	require.NoError(t, os.Rename(path, path+".away"))
	testkit.Within(t, "Usage", func() {
		if err := second(e.Usage(context.Background(), "n")); err == nil {
			t.Error("a namespace was counted in a file that is not there")
		}
	})
	require.NoError(t, os.Rename(path+".away", path))
	must(t, e, within(set("n:g", "l", "v"), "n", quotas[roomy]))
	counted(t, e, "n")
}
