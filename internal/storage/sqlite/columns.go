package sqlite

import (
	"errors"
	"fmt"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// How a row's columns are read. The table may hold what we have not written: other
// programs may write to the file while no store has it open, and SQLite takes any
// type in any column. Every read goes by these few functions, so that all agree:
//
//   - a group or key is text, and anything else an error;
//   - a value is the bytes of whatever stands there, but not NULL;
//   - a deadline is an integer or NULL, and anything else an error: such a key
//     neither lives for ever nor has expired, and no reader may guess;
//   - a revision that can't be one is that of a row older than revisions, 1. (It is
//     never 0: that is the revision of a key that is not there.)

var errNull = errors.New("unexpected NULL")

// text reads a column that must not be NULL.
func text(stmt *sqlite.Stmt, column int) (string, error) {
	if err := notNull(stmt, column); err != nil {
		return "", err
	}
	return stmt.ColumnText(column), nil
}

func notNull(stmt *sqlite.Stmt, column int) error {
	if stmt.ColumnIsNull(column) {
		return storage.DamagedRow(fmt.Errorf("column %s: %w", stmt.ColumnName(column), errNull))
	}
	return nil
}

// name reads a group or a key.
func name(stmt *sqlite.Stmt, column int) (string, error) {
	if err := isName(stmt, column); err != nil {
		return "", err
	}
	return stmt.ColumnText(column), nil
}

func isName(stmt *sqlite.Stmt, column int) error {
	if stmt.ColumnType(column) == sqlite.TypeText {
		return nil
	}
	if err := notNull(stmt, column); err != nil {
		return err
	}
	return storage.DamagedRow(fmt.Errorf("column %s is %s, must be text: delete its group, "+
		"or have another program mend it while the store is closed", stmt.ColumnName(column), typeName(stmt, column)))
}

// readMeta reads expires_at and the revision behind it into a row whose group and
// key are known.
func readMeta(stmt *sqlite.Stmt, column int, row *kv.Row) error {
	row.Revision = revision(stmt, column+1)
	return readDeadline(stmt, column, row)
}

func readDeadline(stmt *sqlite.Stmt, column int, row *kv.Row) error {
	switch stmt.ColumnType(column) {
	case sqlite.TypeInteger:
		row.Deadline = stmt.ColumnInt64(column)
		return nil
	case sqlite.TypeNull:
		row.Deadline = kv.NoDeadline
		return nil
	}
	row.Deadline = kv.NoDeadline
	return storage.DamagedRow(fmt.Errorf("%s/%s: expires_at is %s, must be integer milliseconds or NULL: set the key anew, or delete it",
		row.Group, row.Key, typeName(stmt, column)))
}

func revision(stmt *sqlite.Stmt, column int) uint64 { return uint64(max(stmt.ColumnInt64(column), 1)) }

func typeName(stmt *sqlite.Stmt, column int) string {
	switch stmt.ColumnType(column) {
	case sqlite.TypeInteger:
		return "an integer"
	case sqlite.TypeFloat:
		return "a real number"
	case sqlite.TypeText:
		return "text"
	case sqlite.TypeBlob:
		return "a BLOB"
	default:
		return "NULL"
	}
}

// unnamed is how many live rows have a group that no call can name: NULL, or no
// text. They belong to no group and to no prefix but the empty one.
func (r *reader) unnamedRows(now int64) (n int, err error) {
	r.unnamed.BindInt64(2, now)
	_, err = one(r.unnamed, func(stmt *sqlite.Stmt) error {
		n = stmt.ColumnInt(0)
		return nil
	})
	return n, err
}

// checkNamed is what a walk through everything ends with: an error, if there was
// something that it could not show.
func (r *reader) checkNamed(now int64) error {
	n, err := r.unnamedRows(now)
	if err != nil {
		return rowsIterationError(err)
	}
	if n > 0 {
		return scanRowError(storage.DamagedRow(fmt.Errorf("the group of %d rows is NULL or no text, so that nothing can name them: "+
			"have another program mend or delete them while the store is closed (WHERE typeof(group_name) <> 'text')", n)))
	}
	return nil
}

// isEverything reports whether a range holds every group.
func isEverything(r kv.Range) bool { return r.From == "" && r.Unbounded }
