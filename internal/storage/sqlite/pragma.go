package sqlite

import (
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// busyTimeout bounds how long anything waits for a foreign program's lock.
// Within the store no connection waits for locks: one writer, and WAL readers. Only
// tests change it.
var busyTimeout = 5 * time.Second

const (
	filePageSize = 4096 // the disk's and the page cache's unit

	// Page caches are the bulk of SQLite's memory, outside the Go heap.
	writerCacheKiB = 32 << 10
	readerCacheKiB = 2 << 10
	pooledCacheKiB = 512 // of one of hundreds
)

// role is what a connection is for.
type role int

const (
	writing role = iota
	reading
	checkpointing
)

// pragmas are the settings of a connection to a file, with so large a page cache.
// They are per connection, so each one gets them, and those of distrust
// before. Deliberately left alone: locking_mode=EXCLUSIVE (it would shut out
// read-only openers), heap limits (they have no effect here).
func pragmas(r role, durability kv.Durability, cacheKiB int) []string {
	p := []string{
		// We checkpoint ourselves, off the commit path: SQLite's own happens
		// inside an unlucky COMMIT. On every connection: any could trigger it.
		"PRAGMA wal_autocheckpoint = 0",
		// The journal of a statement stays in memory: nothing of the data goes
		// to a temporary folder, and a full one can't fail a commit.
		"PRAGMA temp_store = MEMORY",
	}
	p = append(p, syncing(durability)...)
	if r == writing {
		// A WAL that had to grow gives its space back when it starts anew.
		p = append(p, fmt.Sprintf("PRAGMA journal_size_limit = %d", walLimit))
	} else {
		// Readers physically can't write. A checkpoint is no write in this
		// sense: it moves what is committed.
		p = append(p, "PRAGMA query_only = ON")
	}
	return append(p, fmt.Sprintf("PRAGMA cache_size = -%d", cacheKiB))
}

// syncing is the settings that say what is synced when.
//
// FULL syncs the WAL at each commit. NORMAL syncs it only before a checkpoint: power loss
// may take the last commits, never consistency. Both sync the database before the WAL is
// used anew.
func syncing(durability kv.Durability) []string {
	level, full := "FULL", "OFF"
	switch {
	case durability == kv.DurabilityBuffered:
		level = "NORMAL"
	case runtime.GOOS == "darwin":
		full = "ON" // fsync on macOS leaves the data in the drive's cache
	}
	return []string{"PRAGMA synchronous = " + level, "PRAGMA fullfsync = " + full, "PRAGMA checkpoint_fullfsync = " + full}
}

// openConnection opens a connection with its settings. A reader's or
// checkpointer's running statement is interrupted when done is closed; a
// writer's must not be: an interrupt would roll its transaction back.
func openConnection(path string, flags sqlite.OpenFlags, settings []string, done <-chan struct{}) (_ *sqlite.Conn, err error) {
	// Without OpenWAL, which would write before anything was verified.
	conn, err := sqlite.OpenConn(path, flags)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	conn.SetBusyTimeout(busyTimeout) // the library's own default waits for ever
	if err := harden(conn); err != nil {
		return nil, err
	}
	for _, setting := range append(slices.Clone(distrust), settings...) {
		if err := execute(conn, setting); err != nil {
			return nil, fmt.Errorf("%s: %w", setting, err)
		}
	}
	if done != nil {
		conn.SetInterrupt(done)
	}
	return conn, nil
}

// execute runs one statement and ignores its rows.
func execute(conn *sqlite.Conn, sql string) error {
	return sqlitex.ExecuteTransient(conn, sql, nil)
}

// databaseURI names a file for SQLite with a parameter, escaping what would be
// taken for one.
func databaseURI(path, query string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/… on Windows
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query}).String()
}
