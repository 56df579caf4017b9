package sqlite

import (
	"errors"
	"strings"

	"zombiezen.com/go/sqlite"
)

// shape is what has to be known of the tables to read them without SQLite.
type shape struct {
	pageSize     int
	cookie       uint32 // of the schema that it is of
	table, index uint32 // root pages of entries, and of its primary key's index
	columns      [entryColumns]int
	numbers      bool // a value may be a number, which SQLite alone makes text of

	deadlines uint32 // root page of the index of deadlines; 0: there is none
	log, meta uint32 // root pages of both tables; 0: SQLite alone reads the revision
	base      int    // the column base_revision of store_meta
	folded    int    // its column folded_revision; -1: it has none
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
	sqlShapeColumns = `SELECT name, cid, type FROM pragma_table_info('entries')`
	sqlShapeIndexes = `SELECT i.rootpage, (SELECT group_concat(coalesce(name, '') || ' ' || desc || ' ' || coll, ',')
				FROM pragma_index_xinfo(i.name)), l.origin = 'pk', l.partial, i.sql
		FROM pragma_index_list('entries') AS l JOIN sqlite_schema AS i ON i.type = 'index' AND i.name = l.name`
	keyIndex      = "group_name 0 binary,entry_key 0 binary, 0 binary"
	deadlineIndex = "expires_at 0 binary, 0 binary"

	// A primary key that has an index of its own is not the rowid.
	sqlShapeLog = `SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = 'log'
			AND (SELECT wr FROM pragma_table_list('log') WHERE schema = 'main') = 0
			AND (SELECT group_concat(name) FROM pragma_table_xinfo('log') WHERE pk > 0) = 'last_revision'
			AND NOT EXISTS (SELECT 1 FROM pragma_index_list('log') WHERE origin = 'pk')`
	sqlShapeMeta = `SELECT s.rootpage, c.cid FROM sqlite_schema AS s, pragma_table_info('store_meta') AS c
		WHERE s.type = 'table' AND s.name = 'store_meta' AND c.name = 'base_revision' AND c.dflt_value = '0'
			AND (SELECT wr FROM pragma_table_list('store_meta') WHERE schema = 'main') = 0
			AND NOT EXISTS (SELECT 1 FROM pragma_table_xinfo('store_meta') WHERE hidden <> 0)`
	sqlShapeFolded = `SELECT cid FROM pragma_table_info('store_meta') WHERE name = 'folded_revision'`
)

// readShape looks the tables up, in the transaction that is open. It is nil if entries
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
				s.numbers = s.numbers || i == columnValue && !isText(stmt.ColumnText(2))
				missing--
			}
		}
	}); err != nil || missing != 0 {
		return nil, err
	}
	if err := each(sqlShapeIndexes, func(stmt *sqlite.Stmt) {
		root, partial := uint32(stmt.ColumnInt64(0)), stmt.ColumnBool(3)
		switch strings.ToLower(stmt.ColumnText(1)) {
		case keyIndex:
			if stmt.ColumnBool(2) && !partial {
				s.index = root
			}
		case deadlineIndex:
			if !partial || hasDeadlines(stmt.ColumnText(4)) {
				s.deadlines = root
			}
		}
	}); err != nil || s.index == 0 {
		return nil, err
	}
	if err := each(sqlShapeLog, func(stmt *sqlite.Stmt) { s.log = uint32(stmt.ColumnInt64(0)) }); err != nil {
		return nil, err
	}
	if err := each(sqlShapeMeta, func(stmt *sqlite.Stmt) {
		s.meta, s.base = uint32(stmt.ColumnInt64(0)), stmt.ColumnInt(1)
	}); err != nil {
		return nil, err
	}
	s.folded = -1
	if err := each(sqlShapeFolded, func(stmt *sqlite.Stmt) { s.folded = stmt.ColumnInt(0) }); err != nil {
		return nil, err
	}
	size, err := queryInt(conn, "PRAGMA page_size")
	s.pageSize = int(size)
	return s, err
}

// hasDeadlines reports whether a partial index, by the SQL that made it, is of all rows
// that have a deadline.
func hasDeadlines(sql string) bool {
	c := cursor{tokens(sql)}
	for len(c.rest) > 0 && !c.rest[0].is("WHERE") {
		c.rest = c.rest[1:]
	}
	if !c.take("WHERE") {
		return false
	}
	column, ok := c.name()
	if !ok || !strings.EqualFold(column, columnNames[columnDeadline]) {
		return false
	}
	if !c.take("IS", "NOT", "NULL") && !c.take("NOTNULL") && !c.take("NOT", "NULL") {
		return false
	}
	return len(c.rest) == 0 || c.take(";")
}

// isText reports whether numbers become text in a column of a type
// (https://www.sqlite.org/datatype3.html#determination_of_column_affinity).
func isText(column string) bool {
	column = strings.ToUpper(column)
	has := func(part string) bool { return strings.Contains(column, part) }
	return !has("INT") && (has("CHAR") || has("CLOB") || has("TEXT"))
}
