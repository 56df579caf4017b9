package storage

import (
	"errors"
	"fmt"

	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// skippedRevisions is how far revisions go on behind the last one that is known when
// the log's end can't be read: none may be given twice. More commits than so many
// can't have been in the pages that are damaged.
const skippedRevisions = 1_000_000

// discardLog begins the log anew, in the open transaction. What of it can't be read
// is left behind without being looked at: its pages are no longer part of any table,
// and the next Compact gives their space back.
func (d *Database) discardLog(conn *sqlite.Conn, config Config) error {
	last, err := lastRevision(conn)
	if err == nil {
		err = sqlitex.ExecuteScript(conn, sqlDiscardLog, nil)
	}
	if err == nil {
		config.Logger.Warn("the log of changes was discarded", "path", d.path, "last_revision", last)
		return nil
	}
	if code(err) != sqlite.ResultCorrupt {
		return err
	}
	config.Logger.Warn("the log of changes is damaged, and discarded unread", "path", d.path, "error", err)
	if last, err = d.lastKnown(conn); err != nil {
		return err
	}
	last += skippedRevisions
	err = errors.Join(
		execute(conn, "PRAGMA writable_schema = ON"),
		execute(conn, "DELETE FROM sqlite_schema WHERE tbl_name = 'log' COLLATE NOCASE"),
		execute(conn, "PRAGMA writable_schema = RESET"),
	)
	if err != nil {
		return err
	}
	if err := execute(conn, sqlCreateLog); err != nil {
		return err
	}
	config.Logger.Warn("revisions go on behind those that may have been in the log", "path", d.path, "base_revision", last)
	return sqlitex.ExecuteTransient(conn, "UPDATE store_meta SET base_revision = ?1", &sqlitex.ExecOptions{Args: []any{int64(last)}})
}

// lastKnown is the largest revision that can be read anywhere.
func (d *Database) lastKnown(conn *sqlite.Conn) (last uint64, err error) {
	for _, sql := range []string{
		"SELECT base_revision FROM store_meta",
		"SELECT coalesce(max(revision), 0) FROM entries",
	} {
		n, err := queryInt(conn, sql)
		if err != nil {
			return 0, err
		}
		last = max(last, uint64(max(n, 0)))
	}
	if acknowledged, known := lastAcknowledged(d.path); known {
		last = max(last, acknowledged)
	}
	return max(last, lastReadable(conn)), nil
}

// lastReadable looks for the last row of a damaged log that can be reached, by ever
// smaller steps: a row is found by its number alone, through the pages on the way.
func lastReadable(conn *sqlite.Conn) (last uint64) {
	for step := uint64(1) << 62; step > 0; step /= 2 {
		n, err := queryInt(conn, "SELECT last_revision FROM log WHERE last_revision >= ?1 LIMIT 1", int64(last+step))
		if err == nil && n > 0 {
			last = uint64(n)
		}
	}
	return last
}

// damagedLog turns the damage that SQLite met in the log into an error that names the
// way out.
func damagedLog(err error) error {
	if code(err) != sqlite.ResultCorrupt {
		return err
	}
	return fmt.Errorf("%w: %w", &kv.CorruptLogError{Reason: "a page of it is damaged"}, err)
}
