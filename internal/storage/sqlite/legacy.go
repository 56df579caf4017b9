package sqlite

import (
	"fmt"
	"slices"
	"strings"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// legacy is what a database holds of the original's layouts.
//
//	kv(grp, key, value [, expires_at])                           up to its phase 5
//	entries(group_name, entry_key, entry_value [, expires_at])   since its phase 6
//
// Both at once is what phase 6 leaves when it is interrupted, or an older
// program makes of a newer file; entries then holds the fresher rows.
type legacy struct {
	kv             bool     // there is such a table; other tables of that name are not ours
	kvColumns      []string // in lower case
	entriesColumns []string // empty: no such table
}

func findLegacy(conn *sqlite.Conn) (found legacy, err error) {
	if found.kvColumns, err = columns(conn, "kv"); err != nil {
		return found, err
	}
	found.kv = containsAll(found.kvColumns, "grp", "key", "value")
	found.entriesColumns, err = columns(conn, "entries")
	return found, err
}

// unrevised reports whether there is an entries table whose rows have no
// revisions.
func (l *legacy) unrevised() bool {
	return len(l.entriesColumns) > 0 && !slices.Contains(l.entriesColumns, "revision")
}

// columns lists the columns of a table, none if there is no table of that name
// (a view is no table).
func columns(conn *sqlite.Conn, table string) (names []string, err error) {
	err = sqlitex.ExecuteTransient(conn, `SELECT lower(c.name)
		FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
		WHERE t.type = 'table' AND lower(t.name) = ?1 ORDER BY c.cid`,
		&sqlitex.ExecOptions{Args: []any{table}, ResultFunc: func(stmt *sqlite.Stmt) error {
			names = append(names, stmt.ColumnText(0))
			return nil
		}})
	return names, err
}

// adoptEntries makes a table that the original wrote fit for the migrations.
func adoptEntries(conn *sqlite.Conn, found legacy) error {
	if len(found.entriesColumns) == 0 {
		return nil
	}
	if !containsAll(found.entriesColumns, "group_name", "entry_key", "entry_value") {
		return fmt.Errorf("table entries is not go-store's: its columns are %s", strings.Join(found.entriesColumns, ", "))
	}
	if !slices.Contains(found.entriesColumns, "expires_at") {
		if err := execute(conn, "ALTER TABLE entries ADD COLUMN expires_at INTEGER"); err != nil {
			return err
		}
	}
	return retypeKeys(conn)
}

// retypeKeys turns keys that were bound as BLOB into the TEXT that every
// statement of ours looks for. Their bytes stay the same.
func retypeKeys(conn *sqlite.Conn) error {
	const blobs = "WHERE (typeof(group_name) = 'blob' OR typeof(entry_key) = 'blob')"
	const whole = blobs + " AND group_name IS NOT NULL AND entry_key IS NOT NULL"
	clashes, err := queryInt(conn, `SELECT (SELECT count(*) FROM entries `+whole+`) - (
		SELECT count(*) FROM (
			SELECT DISTINCT CAST(group_name AS TEXT) AS g, CAST(entry_key AS TEXT) AS k FROM entries `+whole+`
		) WHERE NOT EXISTS (SELECT 1 FROM entries WHERE group_name = g AND entry_key = k))`)
	if err != nil {
		return err
	}
	if clashes > 0 {
		return fmt.Errorf("%d rows of table entries can't be carried over: "+
			"as text, their group and key are those of another row", clashes)
	}
	return execute(conn, `UPDATE entries SET
		group_name = CAST(group_name AS TEXT), entry_key = CAST(entry_key AS TEXT) `+blobs)
}

// carryOver moves the rows of kv into entries and drops kv. Where both have a
// row, that of entries stands. If any row can't come along nothing is done:
// the error says how many and why.
func carryOver(conn *sqlite.Conn, found legacy) error {
	hasExpiry := slices.Contains(found.kvColumns, "expires_at")
	for _, column := range found.kvColumns {
		if !slices.Contains([]string{"grp", "key", "value", "expires_at"}, column) {
			return fmt.Errorf("table kv has a column %s, which would be lost", column)
		}
	}
	expiry, badExpiry := "NULL", "0"
	if hasExpiry {
		expiry, badExpiry = "expires_at", "typeof(expires_at) NOT IN ('null', 'integer')"
	}
	const null = "grp IS NULL OR key IS NULL OR value IS NULL"
	var total, unfit, nulls, present int64
	err := sqlitex.ExecuteTransient(conn, `SELECT count(*), total(`+null+` OR `+badExpiry+`), total(`+null+`),
			total(EXISTS (SELECT 1 FROM entries WHERE
				group_name = CAST(grp AS TEXT) AND entry_key = CAST(key AS TEXT)))
		FROM kv`,
		&sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
			total, unfit = stmt.ColumnInt64(0), stmt.ColumnInt64(1)
			nulls, present = stmt.ColumnInt64(2), stmt.ColumnInt64(3)
			return nil
		}})
	if err != nil {
		return err
	}
	if unfit > 0 {
		return fmt.Errorf("%d of %d rows of table kv can't be carried over: "+
			"the group, key or value of %d is NULL, the expiry of %d is no integer", unfit, total, nulls, unfit-nulls)
	}
	// WHERE true keeps the parser from taking ON CONFLICT for a join's ON.
	err = execute(conn, `INSERT INTO entries (group_name, entry_key, entry_value, expires_at)
		SELECT CAST(grp AS TEXT), CAST(key AS TEXT), CAST(value AS TEXT), `+expiry+` FROM kv WHERE true
		ON CONFLICT (group_name, entry_key) DO NOTHING`)
	if err != nil {
		return err
	}
	if lost := total - present - int64(conn.Changes()); lost > 0 {
		return fmt.Errorf("%d of %d rows of table kv can't be carried over: "+
			"as text, their group and key are those of another row", lost, total)
	}
	return execute(conn, "DROP TABLE kv")
}

func containsAll(have []string, want ...string) bool {
	for _, name := range want {
		if !slices.Contains(have, name) {
			return false
		}
	}
	return true
}
