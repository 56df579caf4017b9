package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// requireHealthy checks that a store reads and writes, and holds what it must.
func requireHealthy(t *testing.T, d *Database, rows int) {
	t.Helper()
	n, err := d.Reads().Count(background, kv.GroupRange("g"), 0)
	require.NoError(t, err)
	require.Equal(t, rows, n)
	require.NoError(t, write(d, row("healthy", "k", fmt.Sprint(rows))))
	require.NoError(t, d.Close())
	require.Equal(t, []string{"ok"}, query(t, d.Path(), "PRAGMA integrity_check"))
}

// A disk that fails while a commit is written or synced leaves its outcome
// open; the next one is fine.
func TestFaultsAtCommit(t *testing.T) {
	for _, c := range []struct {
		name          string
		fault         faultfs.Fault
		indeterminate bool
	}{
		{"write of the WAL", faultfs.Failing("write", "wal", faultfs.Code(sqlite.ResultIOErrWrite)), true},
		{"sync of the WAL", faultfs.Failing("sync", "wal", faultfs.Code(sqlite.ResultIOErrFsync)), true},
		{"full disk", faultfs.Failing("write", "wal", faultfs.Code(sqlite.ResultFull)), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t, temporary(t))
			require.NoError(t, write(d, numbered("g", 100)...))
			w := d.Writer()
			require.NoError(t, w.Begin())
			require.NoError(t, w.Upsert(row("g", "lost", "v")))
			heal := faultfs.Inject(t, c.fault)
			err := w.Commit()
			require.Error(t, err)
			assert.Equal(t, c.indeterminate, storage.IsIndeterminate(err))
			assert.Equal(t, c.indeterminate, storage.IsIndeterminate(fmt.Errorf("commit: %w", err)))
			assert.True(t, isStorageFault(err))
			require.NoError(t, w.Rollback())
			assert.False(t, w.InTransaction())

			rows, err := rowsOf(d, "g", 0)
			require.NoError(t, err, "reads go on")
			assert.Len(t, rows, 100)
			require.Error(t, write(d, row("g", "lost", "v")), "the disk is still bad")
			require.NoError(t, w.Rollback())
			heal()
			requireHealthy(t, d, 100)
		})
	}
}

// The disk is full at the last page of a commit, and the WAL has been used before: there
// lies the same page with the same content already. What was refused is not there when
// the store is opened after a kill.
func TestRefusedCommitOverAnOlderWAL(t *testing.T) {
	d := open(t, temporary(t))
	require.NoError(t, write(d, numbered("g", 500)...))
	require.NoError(t, write(d, row("g", "z", "before")))
	var last atomic.Int64 // where the last page lies in the WAL
	observe := func(o faultfs.Operation) error {
		if o.Call == "write" && o.Kind == "wal" && o.Size == filePageSize {
			last.Store(o.Offset)
		}
		return nil
	}
	valueIn := func(d *Database) string {
		found, _, err := d.Reads().Get(background, "g", "z")
		require.NoError(t, err)
		return found.Value
	}
	require.NoError(t, fileOf(d).Checkpoint()) // the WAL begins anew
	heal := faultfs.Inject(t, observe)
	require.NoError(t, write(d, row("g", "z", "after")))
	heal()
	require.NoError(t, write(d, row("g", "z", "before")))
	require.NoError(t, fileOf(d).Checkpoint()) // and again
	refused := 0
	heal = faultfs.Inject(t, func(o faultfs.Operation) error {
		if o.Call == "write" && o.Kind == "wal" && o.Offset == last.Load() {
			refused++
			return syscall.ENOSPC
		}
		return nil
	})
	err := write(d, row("g", "z", "after"))
	heal()
	require.Equal(t, 1, refused)
	require.Error(t, err)
	require.False(t, storage.IsIndeterminate(err))
	require.NoError(t, d.Writer().Rollback())
	require.Equal(t, "before", valueIn(open(t, killedCopy(t, d.Path()))))
	require.NoError(t, write(d, row("g", "z", "after")))
	require.Equal(t, "after", valueIn(open(t, killedCopy(t, d.Path()))))
}

// commitUnknown makes a commit whose sync fails.
func commitUnknown(t *testing.T, d *Database, rows ...kv.Row) {
	t.Helper()
	heal := faultfs.Inject(t, faultfs.Failing("sync", "wal", syscall.EIO))
	err := write(d, rows...)
	heal()
	require.True(t, storage.IsIndeterminate(err), err)
	require.NoError(t, d.Writer().Rollback())
}

// What a commit whose outcome is unknown has left in the WAL is gone once the store goes on
// without it: a process that is killed then is followed by one that shows the same.
func TestUnknownCommitThatIsNotThereStaysAway(t *testing.T) {
	for _, config := range []Config{{Overlay: direct}, {Overlay: 8 << 20, Events: decodeLog}} {
		config.Path = temporary(t)
		d := openWith(t, config)
		require.NoError(t, write(d, row("g", "k", "before")))
		commitUnknown(t, d, row("g", "k", "after"))
		w := d.Writer()
		require.NoError(t, w.Begin()) // for a request that changes nothing, as may be
		found, _, err := w.Get("g", "k")
		require.NoError(t, err)
		require.Equal(t, "before", found.Value)
		require.NoError(t, w.Rollback())
		again := openWith(t, Config{Path: killedCopy(t, d.Path()), Overlay: config.Overlay, Events: config.Events})
		found, _, err = again.Reads().Get(background, "g", "k")
		require.NoError(t, err)
		require.Equal(t, "before", found.Value)
		require.NoError(t, write(d, row("g", "k", "later")))
		require.NoError(t, d.Close())
	}
}

// What is cut off is what the failed commit has left, and nothing that another program has committed
// behind it meanwhile.
func TestWhatAnotherProgramHasCommittedIsNotCutOff(t *testing.T) {
	d := openWith(t, Config{Path: temporary(t), Overlay: direct})
	w := fileOf(d)
	require.NoError(t, write(d, row("g", "k", "v")))
	heal := faultfs.Inject(t, faultfs.Failing("write", "wal", syscall.EIO))
	err := write(d, row("g", "k", "w"))
	heal()
	require.Error(t, err)
	require.NoError(t, w.Rollback())
	w.leftover = true
	other, err := sqlite.OpenConn(d.Path(), sqlite.OpenReadWrite)
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Close()) }()
	for _, statement := range []string{"BEGIN IMMEDIATE", "CREATE TABLE theirs(a)", "INSERT INTO theirs VALUES (randomblob(20000))"} {
		require.NoError(t, execute(other, statement))
	}
	waits := make(chan struct{})
	var once sync.Once
	heal = faultfs.Inject(t, func(o faultfs.Operation) error {
		if o.Call == "shmlock" && o.Offset == 0 { // of the writer
			once.Do(func() { close(waits) })
		}
		return nil
	})
	begun := make(chan error, 1)
	go func() { begun <- w.Begin() }()
	testkit.Await(t, "the writer", waits)
	require.NoError(t, execute(other, "COMMIT"))
	require.NoError(t, testkit.Await(t, "the transaction", begun))
	heal()
	require.NoError(t, w.Rollback())
	theirs, err := queryInt(other, "SELECT count(*) FROM theirs")
	require.NoError(t, err)
	require.EqualValues(t, 1, theirs)
	require.NoError(t, write(d, row("g", "k", "x")))
	requireValue(t, d, "g", "k", "x")
}

// That what a failed commit has left can't be cut off is a fault of the disk's.
func TestALeftoverThatStaysIsAFaultOfTheDisk(t *testing.T) {
	d := openWith(t, Config{Path: temporary(t), Overlay: direct})
	w := fileOf(d)
	require.NoError(t, write(d, row("g", "k", "v")))
	commitUnknown(t, d, row("g", "k", "w"))
	heal := faultfs.Inject(t, faultfs.Failing("disk.truncate", "wal", syscall.EROFS))
	err := w.Begin()
	heal()
	require.Error(t, err)
	require.True(t, w.IsWriteFault(err), err)
	require.NoError(t, write(d, row("g", "k", "x")))
}

// A sync that fails in a checkpoint is the WAL's to mend, and nothing that is tried again and again.
func TestASyncThatFailsInACheckpointIsNoFaultOfTheDatabase(t *testing.T) {
	d := openWith(t, Config{Path: temporary(t), Overlay: direct})
	require.NoError(t, write(d, numbered("g", 100)...))
	heal := faultfs.Inject(t, faultfs.Failing("sync", "database", syscall.EIO))
	require.Error(t, fileOf(d).Checkpoint())
	heal()
	_, err := d.Health()
	require.NoError(t, err)
	require.NoError(t, write(d, row("g", "k", "x")))
}

func TestCommitThatIsRefusedIsDefinite(t *testing.T) {
	err := sqlite.ResultIOErr.ToError()
	assert.False(t, storage.IsIndeterminate(commitError(err, true)), "it can still be rolled back")
	assert.True(t, storage.IsIndeterminate(commitError(err, false)))
	assert.ErrorIs(t, commitError(fmt.Errorf("x: %w", errNull), false), errNull)
	assert.Equal(t, err.Error(), commitError(err, false).Error())
	for _, code := range []sqlite.ResultCode{sqlite.ResultFull, sqlite.ResultBusy, sqlite.ResultReadOnly, sqlite.ResultConstraintTrigger} {
		assert.False(t, storage.IsIndeterminate(commitError(code.ToError(), false)), code)
	}
	assert.False(t, storage.IsIndeterminate(nil))
	assert.False(t, isStorageFault(nil))
	assert.False(t, isStorageFault(errors.New("no fault of SQLite's")))
	assert.False(t, isStorageFault(sqlite.ResultConstraintUnique.ToError()))
	assert.False(t, isStorageFault(sqlite.ResultTooBig.ToError()))
	for _, code := range []sqlite.ResultCode{sqlite.ResultFull, sqlite.ResultIOErrShortRead, sqlite.ResultNoMem, sqlite.ResultCorruptVTab} {
		assert.True(t, isStorageFault(code.ToError()), code)
	}
}

// A full database fails in the middle of a transaction; it is given up whole,
// or its savepoint is, as SQLite decides.
func TestFullInsideATransaction(t *testing.T) {
	d := open(t, temporary(t))
	require.NoError(t, write(d, numbered("g", 100)...))
	w := fileOf(d)
	pages, err := queryInt(w.conn, "PRAGMA page_count")
	require.NoError(t, err)
	require.NoError(t, execute(w.conn, fmt.Sprintf("PRAGMA max_page_count = %d", pages+1)))
	require.NoError(t, w.Begin())
	require.NoError(t, w.Savepoint())
	require.NoError(t, w.Upsert(row("g", "small", "v")))
	require.NoError(t, w.Release())
	require.NoError(t, w.Savepoint())
	err = w.Upsert(row("g", "large", strings.Repeat("v", 100_000)))
	require.Error(t, err)
	assert.True(t, isStorageFault(err))
	assert.False(t, storage.IsIndeterminate(err))
	if w.InTransaction() {
		require.NoError(t, w.RollbackTo())
		require.NoError(t, w.Rollback())
	} else {
		require.ErrorIs(t, w.RollbackTo(), storage.ErrRolledBack)
	}
	require.NoError(t, execute(w.conn, "PRAGMA max_page_count = 1000000"))
	requireHealthy(t, d, 100)
}

// What SQLite rolled back by itself must not be rolled back to: ROLLBACK TO
// would fail, and a SAVEPOINT outside would begin a transaction of its own.
func TestTransactionThatIsGone(t *testing.T) {
	d := open(t, temporary(t))
	w := fileOf(d)
	require.NoError(t, w.Begin())
	require.NoError(t, w.Savepoint())
	require.NoError(t, execute(w.conn, "ROLLBACK"))
	require.ErrorIs(t, w.RollbackTo(), storage.ErrRolledBack)
	require.ErrorIs(t, w.Release(), storage.ErrRolledBack)
	require.ErrorIs(t, w.Savepoint(), storage.ErrRolledBack)
	require.ErrorIs(t, w.Upsert(row("g", "k", "v")), storage.ErrRolledBack)
	require.NoError(t, w.Rollback())
	require.NoError(t, write(d, row("g", "k", "v")))
}

// Every write and every read passes on what the disk says.
func TestFaultsOfEveryCall(t *testing.T) {
	path := temporary(t)
	d := openWith(t, Config{NoPages: true, Path: path})
	var rows []kv.Row
	for i, row := range numbered("g", 20_000) {
		row.Deadline = int64(i)
		rows = append(rows, row)
	}
	require.NoError(t, write(d, rows...))
	require.NoError(t, d.Close())
	d = openWith(t, Config{NoPages: true, Path: path, Readers: 2})
	w := fileOf(d)
	shrink := func(conn *sqlite.Conn) { // nothing of the table in the cache
		require.NoError(t, execute(conn, "PRAGMA shrink_memory"))
	}
	shrinkAll := func(p *pool) {
		for _, r := range p.mu.idle {
			shrink(r.conn)
		}
	}
	require.NoError(t, w.Begin())
	calls := map[string]func() error{
		"Get":         func() error { _, _, err := w.Get("g", "007777"); return err },
		"Upsert":      func() error { return w.Upsert(row("g", "007777", "v")) },
		"Delete":      func() error { _, err := w.Delete("g", "007777"); return err },
		"DeleteGroup": func() error { _, err := w.DeleteGroup("g"); return err },
		"HasGroup":    func() error { _, err := w.HasGroup("g"); return err },
		"NextGroup":   func() error { _, _, err := w.NextGroup(everything, "", false); return err },
		"Expired":     func() error { _, err := w.Expired(everything, -1, 1<<40, 10_000); return err },
		"Earliest":    func() error { _, err := w.Earliest(); return err },
	}
	for name, call := range calls {
		shrink(w.conn)
		heal := faultfs.Inject(t, faultfs.Failing("read", "", faultfs.Code(sqlite.ResultIOErrRead)))
		err := call()
		heal()
		require.Error(t, err, name)
		assert.True(t, isStorageFault(err), name)
		if !w.InTransaction() {
			require.NoError(t, w.Begin())
		}
	}
	require.NoError(t, w.Rollback())

	pool := d.reads.(*fileReads).pool
	for name := range everyRead(background, d) {
		shrinkAll(pool)
		heal := faultfs.Inject(t, faultfs.Failing("read", "", faultfs.Code(sqlite.ResultIOErrRead)))
		err := everyRead(background, d)[name]
		heal()
		assert.Error(t, err, name)
		assert.True(t, isStorageFault(err), name)
	}
	heal := faultfs.Inject(t, faultfs.Failing("read", "", faultfs.Code(sqlite.ResultIOErrRead)))
	_, err := w.Snapshot()
	require.Error(t, err)
	heal()
	for name, err := range everyRead(background, d) {
		assert.NoError(t, err, name)
	}
	requireNothingHeld(t, d)
}

// A scan that fails after its loop has begun says so, and gives its connection
// back.
func TestFaultInTheMiddleOfAScan(t *testing.T) {
	path := temporary(t)
	d := openWith(t, Config{NoPages: true, Path: path})
	require.NoError(t, write(d, numbered("g", 20_000)...))
	require.NoError(t, d.Close())
	d = openWith(t, Config{NoPages: true, Path: path})
	heal := func() {}
	seen := 0
	var last error
	for _, err := range d.Reads().Scan(background, storage.GroupQuery("g"), 0) {
		if last = err; err == nil {
			if seen++; seen == 1 {
				heal = faultfs.Inject(t, faultfs.Failing("read", "database", faultfs.Code(sqlite.ResultIOErrRead)))
			}
		}
	}
	heal()
	require.Error(t, last)
	assert.Regexp(t, "^rows iteration: ", last.Error())
	assert.GreaterOrEqual(t, seen, firstChunkRows)
	requireNothingHeld(t, d)
	rows, err := rowsOf(d, "g", 0)
	require.NoError(t, err)
	assert.Len(t, rows, 20_000)
}

// A connection that can't be opened fails its reader only, and another may begin.
func TestConnectionThatCannotBeOpened(t *testing.T) {
	d := openWith(t, Config{NoPages: true, Path: temporary(t), Readers: 2})
	require.NoError(t, write(d, numbered("g", longGroup)...))
	pool := d.reads.(*fileReads).pool
	loseIdle(pool)
	heal := faultfs.Inject(t, faultfs.Failing("open", "database", faultfs.Code(sqlite.ResultCantOpen)))
	_, err := d.Writer().Snapshot()
	require.Error(t, err)
	for range 5 {
		for name, err := range everyRead(background, d) {
			require.Error(t, err, name)
		}
	}
	heal()
	for name, err := range everyRead(background, d) {
		require.NoError(t, err, name)
	}
	requireNothingHeld(t, d)
}

// loseIdle closes the connections that are not in use.
func loseIdle(p *pool) {
	p.mu.Lock()
	idle := p.mu.idle
	p.mu.idle = nil
	p.mu.Unlock()
	for _, r := range idle {
		p.disconnect(r)
	}
}

func TestStatementsThatCannotBePrepared(t *testing.T) {
	d := open(t, temporary(t))
	_, err := openReader(&Database{path: d.Path()}, []string{"PRAGMA nonsense('"})
	require.Error(t, err)
	program(t, temporaryFile(t, d), "CREATE TABLE t (a)")
	_, err = openReader(&Database{path: temporaryFile(t, d)}, nil)
	require.ErrorContains(t, err, "no such table: entries")
}

// temporaryFile is another file beside a database.
func temporaryFile(t *testing.T, d *Database) string {
	t.Helper()
	return d.Path() + ".other"
}

// A store whose disk fails as it closes says where its data is, and nothing is
// lost.
func TestFaultWhileClosing(t *testing.T) {
	path := temporary(t)
	d := open(t, path)
	require.NoError(t, write(d, numbered("g", 100)...))
	heal := faultfs.Inject(t, faultfs.Failing("write", "database", faultfs.Code(sqlite.ResultFull)))
	err := d.Close()
	require.ErrorContains(t, err, "what was committed stays in the -wal file")
	require.Equal(t, err, d.Close(), "the same answer again")
	heal()
	requireHealthy(t, open(t, path), 100)
}

// logger gathers what a store logs, from the second line on one a line.
func logger() (*slog.Logger, *bytes.Buffer) {
	var log bytes.Buffer
	return slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), &log
}
