//go:build unix

package api_test

import (
	"context"
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit/report"
)

// What docs/OPERATIONS.md says of other programs and of a store's files, as far as
// no other test shows it. The owner is another process, since SQLite's locks are the
// process's; SQLite here is the other program's.

// backupTo copies a database as sqlite3's .backup does.
func backupTo(t *testing.T, from, to string) {
	t.Helper()
	database := openRaw(t, from)
	conn, err := database.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Raw(func(driver any) error {
		backup, err := driver.(interface {
			NewBackup(string) (*sqlite.Backup, error)
		}).NewBackup(to)
		if err != nil {
			return err
		}
		if _, err := backup.Step(-1); err != nil {
			return err
		}
		return backup.Finish()
	}))
	require.NoError(t, conn.Close())
	require.NoError(t, database.Close())
}

// checkpointOf is a checkpoint by another program: busy if the owner was at one.
func checkpointOf(t *testing.T, path, mode string) (busy bool) {
	t.Helper()
	database := openRaw(t, path)
	var pages, moved int
	require.NoError(t, database.QueryRow(`PRAGMA wal_checkpoint(`+mode+`)`).Scan(&busy, &pages, &moved))
	require.NoError(t, database.Close())
	return busy
}

// TestOperationsDoc_CopiesBySQLite of a store in use: VACUUM INTO makes one that
// opens; a copy page by page says that it was in use, and has to leave WAL mode.
func TestOperationsDoc_CopiesBySQLite(t *testing.T) {
	path := newPath(t)
	owner := startChild(t, taskServe, path)
	owner.sets(0, 20)
	vacuumed, backedUp, salvaged := newPath(t), newPath(t), newPath(t)
	execute(t, path, `VACUUM INTO '`+vacuumed+`'`)
	requireKeys(t, openStore(t, vacuumed), 0, 20)
	backupTo(t, path, backedUp)
	require.ErrorIs(t, requireRefused(t, filepath.Dir(backedUp), backedUp), api.MissingWALError)
	report, err := api.Salvage(t.Context(), backedUp, salvaged)
	require.NoError(t, err)
	require.EqualValues(t, 20, report.Entries)
	execute(t, backedUp, `PRAGMA journal_mode = DELETE`)
	requireKeys(t, openStore(t, backedUp), 0, 20)
	owner.sets(20, 40)
	require.Equal(t, "ok", owner.tell("close"))

	// Of one that is closed each of them opens.
	vacuumed, backedUp = newPath(t), newPath(t)
	execute(t, path, `VACUUM INTO '`+vacuumed+`'`)
	backupTo(t, path, backedUp)
	requireKeys(t, openStore(t, vacuumed), 0, 40)
	requireKeys(t, openStore(t, backedUp), 0, 40)
}

// TestOperationsDoc_CopyOfAnIdleStore without its -wal is refused, though all of it
// has been moved: nothing in the file says so.
func TestOperationsDoc_CopyOfAnIdleStore(t *testing.T) {
	path := newPath(t)
	owner := startChild(t, taskServe, path)
	owner.sets(0, 20)
	execute(t, path, `PRAGMA wal_checkpoint(PASSIVE)`)
	copied := newPath(t)
	copyFile(t, path, copied)
	require.ErrorIs(t, requireRefused(t, filepath.Dir(copied), copied), api.MissingWALError)
	require.Equal(t, "ok", owner.tell("close"))
}

// TestOperationsDoc_ReadingBeside: another program sees what is folded, and does no harm by
// coming and going.
func TestOperationsDoc_ReadingBeside(t *testing.T) {
	path := newPath(t)
	owner := startChild(t, taskServe, path)
	for i := range 5 {
		owner.sets(i, i+1)
		require.Equal(t, "ok", owner.tell("fold"))
		require.Equal(t, i+1, query[int](t, path, `SELECT count(*) FROM entries`))
	}
	execute(t, path, `PRAGMA wal_checkpoint(PASSIVE)`)
	owner.sets(5, 10)
	require.Equal(t, "ok", owner.tell("health"))
	owner.kill()
	requireKeys(t, openStore(t, path), 0, 10)
}

// TestOperationsDoc_RowsWrittenBeside are committed, and the store need not notice.
func TestOperationsDoc_RowsWrittenBeside(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path, api.WithOverlay(0)) // else the row is in the log alone
	require.NoError(t, store.Set("g", "k", "ours"))
	requireValue(t, store, "g", "k", "ours")
	requireValue(t, store, "g", "k", "ours") // by now it is in the cache
	execute(t, path, `UPDATE entries SET entry_value = 'theirs'`)
	requireValue(t, store, "g", "k", "ours")
	require.NoError(t, store.Close())
	requireValue(t, openStore(t, path), "g", "k", "theirs")
}

// TestOperationsDoc_TruncatedByACheckpoint of another program: the index says that
// nothing is in the WAL, so no program has cut it, and the store goes on.
func TestOperationsDoc_TruncatedByACheckpoint(t *testing.T) {
	path := newPath(t)
	owner := startChild(t, taskServe, path)
	rounds := report.Rounds(2, 3, 5)
	for round := range rounds {
		owner.sets(20*round, 20*round+20)
		for checkpointOf(t, path, "TRUNCATE") { // the owner is moving it
			runtime.Gosched()
		}
	}
	require.Equal(t, "ok", owner.tell("health"))
	owner.sets(20*rounds, 20*rounds+1)
	owner.kill()
	requireKeys(t, openStore(t, path), 0, 20*rounds+1)
}

// TestOperationsDoc_Replicator does to a store what Litestream does: a table of its
// own, a read transaction that is always open, and checkpoints in between, after
// which it begins the WAL anew.
func TestOperationsDoc_Replicator(t *testing.T) {
	path := newPath(t)
	owner := startChild(t, taskServe, path)
	owner.sets(0, 10)
	replicator, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer replicator.Close()
	read := func() *sql.Tx {
		transaction, err := replicator.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		var n int
		require.NoError(t, transaction.QueryRow(`SELECT count(*) FROM entries`).Scan(&n))
		return transaction
	}
	_, err = replicator.Exec(`CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)`)
	require.NoError(t, err)
	transaction := read()
	owner.sets(10, 20)
	require.NoError(t, transaction.Rollback())
	for _, statement := range []string{`PRAGMA wal_checkpoint(PASSIVE)`, `INSERT INTO _litestream_seq (id, seq) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET seq = seq + 1`} {
		_, err = replicator.Exec(statement)
		require.NoError(t, err)
	}
	transaction = read()
	owner.sets(20, 30)
	require.Equal(t, "ok", owner.tell("health"))
	require.Contains(t, owner.tell("close"), api.IncompleteFileError.Error(), "it stays connected, in a transaction from before the last commits")
	require.FileExists(t, path+"-wal")
	require.NoError(t, transaction.Rollback())
	require.NoError(t, replicator.Close())
	store := openStore(t, path)
	requireKeys(t, store, 0, 30)
	require.NoError(t, store.Close())
	require.NoFileExists(t, path+"-wal")
}

// TestOperationsDoc_WALBegunByOthers: wherever another program has had the WAL begin
// anew, and how often, a store that was killed is whole.
func TestOperationsDoc_WALBegunByOthers(t *testing.T) {
	rounds := report.Rounds(2, 4, 8)
	for _, theirs := range []bool{false, true} {
		path := newPath(t)
		owner := startChild(t, taskServe, path)
		owner.sets(0, 10)
		execute(t, path, `CREATE TABLE theirs (n)`)
		for i := range rounds {
			for checkpointOf(t, path, "RESTART") {
				runtime.Gosched()
			}
			if theirs {
				execute(t, path, `INSERT INTO theirs VALUES (1)`)
			}
			owner.sets(10+i, 11+i)
		}
		owner.kill()
		requireKeys(t, openStore(t, path), 0, 10+rounds)
	}
}

// TestOperationsDoc_Sidecars: which may be removed, and when.
func TestOperationsDoc_Sidecars(t *testing.T) {
	path := newPath(t)
	killed := func() {
		owner := startChild(t, taskServe, path)
		owner.sets(0, 10)
		owner.kill()
	}
	killed()
	require.NoError(t, os.Remove(path+"-shm"))
	store := openStore(t, path)
	requireKeys(t, store, 0, 10)
	require.NoError(t, store.Close())
	require.NoFileExists(t, path+"-shm")
	require.NoFileExists(t, path+"-wal")
	require.NoFileExists(t, path+"-journal")

	require.NoError(t, os.Remove(path+"-lock"))
	store = openStore(t, path)
	require.FileExists(t, path+"-lock")
	require.NoError(t, store.Close())

	killed()
	require.NoError(t, os.Remove(path+"-wal"))
	require.ErrorIs(t, requireRefused(t, filepath.Dir(path), path), api.MissingWALError)
}

// TestOperationsDoc_AfterACrash: the store that was killed is whole once it
// was opened for writing and closed; until then its -wal belongs to it.
func TestOperationsDoc_AfterACrash(t *testing.T) {
	path := newPath(t)
	owner := startChild(t, taskServe, path)
	owner.sets(0, 10)
	owner.kill()
	reader := openStore(t, path, api.WithReadOnly())
	requireKeys(t, reader, 0, 10)
	require.NoError(t, reader.Close())
	moved := newPath(t)
	copyFile(t, path, moved)
	copyFile(t, path+"-wal", moved+"-wal")
	store := openStore(t, moved)
	requireKeys(t, store, 0, 10)
	require.NoError(t, store.Close())
	require.NoFileExists(t, moved+"-wal")
}

// TestOperationsDoc_PartialCopies are what an operation that is killed leaves.
func TestOperationsDoc_PartialCopies(t *testing.T) {
	store := openStore(t, newPath(t))
	require.NoError(t, store.Set("g", "k", "v"))
	for i := range 32 { // enough to be looked at on the way: a progress function holds nothing up
		require.NoError(t, store.Set("large", strconv.Itoa(i), strings.Repeat("v", 1<<20)))
	}
	to := newPath(t)
	seen := false
	look := func(int64, int64) {
		partial, err := filepath.Glob(filepath.Join(filepath.Dir(to), ".store.db-*.partial"))
		seen = seen || err == nil && len(partial) == 1
	}
	require.NoError(t, store.Backup(context.Background(), to, api.WithProgress(look)))
	require.True(t, seen)
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(to), ".store.db-1.partial"), []byte("half"), 0o600))
	requireValue(t, openStore(t, to), "g", "k", "v")
}

// TestOperationsDoc_OldLayout is brought up to date by opening it for writing once.
func TestOperationsDoc_OldLayout(t *testing.T) {
	path := newPath(t)
	execute(t, path, seedSchema, `INSERT INTO entries (group_name, entry_key, entry_value) VALUES ('g', 'k', 'v')`)
	require.ErrorIs(t, requireRefused(t, filepath.Dir(path), path, api.WithReadOnly()), api.OlderSchemaError)
	require.NoError(t, openStore(t, path).Close())
	requireValue(t, openStore(t, path, api.WithReadOnly()), "g", "k", "v")
}

// TestSharedMemoryCutWhileOpen: the system ends the process (SIGBUS), as it does to
// any process that maps a file that is cut, or SQLite notices. Nothing more is acknowledged,
// and what was is there.
func TestSharedMemoryCutWhileOpen(t *testing.T) {
	path := newPath(t)
	owner := startChild(t, taskServe, path)
	owner.sets(0, 10)
	require.NoError(t, os.Truncate(path+"-shm", 0))
	_, err := owner.stdin.Write([]byte("set 10\n"))
	require.NoError(t, err)
	if owner.lines.Scan() {
		require.NotEqual(t, "ok", owner.lines.Text())
	}
	owner.kill()
	requireKeys(t, openStore(t, path), 0, 10)
}

// TestOperationsDoc_NamesItsTests: each paragraph of the page names the tests that try
// it, and they exist.
func TestOperationsDoc_NamesItsTests(t *testing.T) {
	page, err := os.ReadFile("../docs/OPERATIONS.md")
	require.NoError(t, err)
	var sources strings.Builder
	require.NoError(t, filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		sources.Write(source)
		return err
	}))
	named := regexp.MustCompile(`<!-- (advice|Test\w+(?:, Test\w+)*) -->`)
	code := false
	text := strings.ReplaceAll(string(page), "\n\n<!--", "\n<!--") // behind a table
	for _, paragraph := range strings.Split(text, "\n\n") {
		begins := strings.HasPrefix(paragraph, "```")
		if begins || code {
			code = !strings.HasSuffix(strings.TrimSpace(paragraph), "```")
			continue
		}
		if strings.HasPrefix(paragraph, "#") {
			continue
		}
		found := named.FindAllStringSubmatch(paragraph, -1)
		require.NotEmpty(t, found, paragraph)
		for _, names := range found {
			for _, name := range strings.Split(names[1], ", ") {
				require.True(t, name == "advice" || strings.Contains(sources.String(), "func "+name+"(t *testing.T)"), name)
			}
		}
	}
}
