package sqlite

import (
	"fmt"
	"log/slog"

	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// skippedRevisions is how far revisions go on behind the last one that is known when
// the log's end can't be read: none may be given twice. More commits than so many
// can't have been in the pages that are damaged.
const skippedRevisions = 1_000_000

// survey is what is known of a log that is to be discarded. It is made before the
// transaction that does so: once SQLite has met damage in a transaction, it writes
// nothing more in it.
type survey struct {
	last   uint64 // the revision that new ones go on behind
	damage string // empty: the log can be removed like any rows

	tail *overlay.Overlay // what entries have not, as far as it can be read; nil: nothing
	lost []lostRevisions  // what can't
}

// surveyLog looks whether a log can be removed row by row.
func (d *Database) surveyLog(conn *sqlite.Conn) (s survey, err error) {
	there, err := columns(conn, "log")
	if err != nil || len(there) == 0 {
		return s, err
	}
	t, err := newTail(conn, d.events)
	if err == nil {
		s.tail, s.lost, err = t.rescue()
	}
	if err != nil {
		return s, err
	}
	err = sqlitex.ExecuteTransient(conn, "PRAGMA integrity_check('log')", &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
		if text := stmt.ColumnText(0); text != "ok" && s.damage == "" {
			s.damage = text
		}
		return nil
	}})
	if code(err) == sqlite.ResultCorrupt {
		s.damage, err = err.Error(), nil
	}
	if err == nil && s.damage == "" {
		s.damage, err = impossibleRevisions(conn)
	}
	if err != nil || s.damage == "" {
		return s, err
	}
	s.last, err = d.lastKnown(conn)
	s.last += skippedRevisions
	return s, err
}

// impossibleRevisions says which revisions there can't be that the log would go on
// behind, if it did so.
func impossibleRevisions(conn *sqlite.Conn) (string, error) {
	for _, sql := range []string{"SELECT base_revision FROM store_meta", "SELECT min(last_revision) FROM log", "SELECT max(last_revision) FROM log"} {
		n, err := queryInt(conn, sql)
		if err != nil {
			return "", err
		}
		if uint64(n) > maxRevision {
			return fmt.Sprintf("it says revision %d", n), nil
		}
	}
	return "", nil
}

// discardLog begins the log anew, in the open transaction. A log that is damaged is left
// behind without being looked at: its pages are no longer part of any table, and the
// next Compact gives their space back.
//
// What it had and entries had not they get first.
func (d *Database) discardLog(conn *sqlite.Conn, s survey, logger *slog.Logger) error {
	if s.tail != nil {
		a, err := newApplier(conn, nil)
		if err == nil {
			err = foldAll(s.tail, a, func(f func() error) error { return f() })
		}
		if err != nil {
			return err
		}
	}
	if len(s.lost) > 0 {
		logger.Error("revisions are lost: their part of the log can't be read, and the table had not got what they did",
			"path", d.path, "revisions", fmt.Sprint(s.lost))
	}
	if s.damage == "" {
		last, err := lastRevision(conn)
		if err == nil {
			err = sqlitex.ExecuteScript(conn, sqlDiscardLog, nil)
		}
		if err == nil {
			logger.Warn("the log of changes was discarded", "path", d.path, "last_revision", last)
		}
		return err
	}
	if err := defensive(conn, false); err != nil {
		return err
	}
	for _, sql := range []string{
		"PRAGMA writable_schema = ON",
		"DELETE FROM sqlite_schema WHERE tbl_name = 'log' COLLATE NOCASE",
		"PRAGMA writable_schema = RESET",
		sqlCreateLog,
	} {
		if err := execute(conn, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	if err := defensive(conn, true); err != nil {
		return err
	}
	logger.Warn("the log of changes was damaged and is discarded unread: subscriptions can't resume from before; "+
		"compact the store to have its space back", "path", d.path, "damage", s.damage, "revisions_go_on_after", s.last)
	return sqlitex.ExecuteTransient(conn, "UPDATE store_meta SET base_revision = ?1", &sqlitex.ExecOptions{Args: []any{int64(s.last)}})
}

// lastKnown is the largest revision that can be read anywhere.
func (d *Database) lastKnown(conn *sqlite.Conn) (last uint64, err error) {
	for _, sql := range []string{
		"SELECT base_revision FROM store_meta",
		fmt.Sprintf("SELECT coalesce(max(revision), 0) FROM entries WHERE revision <= %d", uint64(maxRevision)),
	} {
		n, err := queryInt(conn, sql)
		if err != nil {
			return 0, err
		}
		if uint64(n) <= maxRevision {
			last = max(last, uint64(n))
		}
	}
	if acknowledged, known := ownership.LastAcknowledged(d.path); known && acknowledged <= maxRevision {
		last = max(last, acknowledged)
	}
	return max(last, lastReadable(conn)), nil
}

// lastReadable looks for the last row of a damaged log that can be reached, by ever
// smaller steps: a row is found by its number alone, through the pages on the way.
func lastReadable(conn *sqlite.Conn) (last uint64) {
	for step := uint64(maxRevision); step > 0; step /= 2 {
		n, err := queryInt(conn, "SELECT last_revision FROM log WHERE last_revision >= ?1 LIMIT 1", int64(last+step))
		if err == nil && n > 0 && n <= maxRevision {
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
