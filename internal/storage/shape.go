package storage

import (
	"errors"
	"strings"

	"zombiezen.com/go/sqlite"
)

// shape is what has to be known of the table to read it without SQLite.
type shape struct {
	pageSize     int
	cookie       uint32 // of the schema that it is of
	table, index uint32 // root pages of entries, and of its primary key's index
	columns      [entryColumns]int
}

// The columns, by what is asked for: where a record has them.
const (
	columnGroup = iota
	columnKey
	columnValue
	columnDeadline
	columnRevision
	entryColumns
)

var columnNames = [entryColumns]string{"group_name", "entry_key", "entry_value", "expires_at", "revision"}

const (
	sqlShape = `SELECT rootpage, (SELECT wr FROM pragma_table_list('entries') WHERE schema = 'main'),
			(SELECT count(*) FROM pragma_table_xinfo('entries') WHERE hidden <> 0)
		FROM sqlite_schema WHERE type = 'table' AND name = 'entries'`
	sqlShapeColumns = `SELECT name, cid FROM pragma_table_info('entries')`
	sqlShapeIndex   = `SELECT i.rootpage, (SELECT group_concat(coalesce(name, '') || ' ' || desc || ' ' || coll, ',')
				FROM pragma_index_xinfo(i.name))
		FROM pragma_index_list('entries') AS l JOIN sqlite_schema AS i ON i.type = 'index' AND i.name = l.name
		WHERE l.origin = 'pk' AND NOT l.partial`
	keyIndex = "group_name 0 binary,entry_key 0 binary, 0 binary"
)

// readShape looks the table up, in the transaction that is open. It is nil if the table
// is one that SQLite alone can read: without rowids, without its primary key, with
// columns that are computed, or by another order than that of bytes.
func readShape(conn *sqlite.Conn, cookie uint32) (s *shape, err error) {
	s = &shape{cookie: cookie}
	readable, missing := false, entryColumns
	each := func(sql string, read func(stmt *sqlite.Stmt)) error {
		stmt, _, err := conn.PrepareTransient(sql)
		if err != nil {
			return err
		}
		for {
			found, err := stmt.Step()
			if err != nil || !found {
				return errors.Join(err, stmt.Finalize())
			}
			read(stmt)
		}
	}
	if err := each(sqlShape, func(stmt *sqlite.Stmt) {
		s.table = uint32(stmt.ColumnInt64(0))
		readable = stmt.ColumnInt(1) == 0 && stmt.ColumnInt(2) == 0
	}); err != nil || !readable {
		return nil, err
	}
	if err := each(sqlShapeColumns, func(stmt *sqlite.Stmt) {
		for i, name := range columnNames {
			if strings.EqualFold(stmt.ColumnText(0), name) {
				s.columns[i] = stmt.ColumnInt(1)
				missing--
			}
		}
	}); err != nil || missing != 0 {
		return nil, err
	}
	if err := each(sqlShapeIndex, func(stmt *sqlite.Stmt) {
		if strings.ToLower(stmt.ColumnText(1)) == keyIndex {
			s.index = uint32(stmt.ColumnInt64(0))
		}
	}); err != nil || s.index == 0 {
		return nil, err
	}
	size, err := queryInt(conn, "PRAGMA page_size")
	s.pageSize = int(size)
	return s, err
}
