package sqlite

import (
	"math"
	"strings"

	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// All SQL that runs while a store is open. What it relies on:
//
//   - The primary key's index (group_name, entry_key) serves lookups, ordered
//     scans and, being all that it needs, counting.
//   - A group range is ?1 <= group_name < ?2. Without an upper end ?2 is an
//     empty BLOB: every TEXT sorts before every BLOB, so that one statement
//     serves both. LIKE would fold ASCII case and stop at wildcards.
//   - "+group_name" hides the column from the planner, which must go by
//     expires_at there: a range of groups may hold millions of live rows. A
//     comparison with expires_at implies that it is not NULL, as the partial
//     index wants. INDEXED BY would say it better, but fails on files whose
//     index was lost.
//   - length() and its like stop at NUL bytes: none is used.
const (
	sqlGet = `SELECT entry_value, expires_at, revision FROM entries WHERE group_name = ?1 AND entry_key = ?2`
	// The record's header says how long the value is: it is not read.
	sqlHead = `SELECT octet_length(entry_value) AS entry_value, expires_at, revision FROM entries
		WHERE group_name = ?1 AND entry_key = ?2`

	sqlUpsert = sqlInsert + `
		ON CONFLICT (group_name, entry_key) DO UPDATE SET
			entry_value = excluded.entry_value, expires_at = excluded.expires_at, revision = excluded.revision`
	sqlUpdate = `UPDATE entries SET entry_value = ?3, expires_at = ?4, revision = ?5
		WHERE group_name = ?1 AND entry_key = ?2`
	sqlInsert = `INSERT INTO entries (group_name, entry_key, entry_value, expires_at, revision)
		VALUES (?1, ?2, ?3, ?4, ?5)`

	sqlDelete      = `DELETE FROM entries WHERE group_name = ?1 AND entry_key = ?2`
	sqlDeleteGroup = `DELETE FROM entries WHERE group_name = ?1`

	sqlHasGroup    = `SELECT 1 FROM entries WHERE group_name = ?1 LIMIT 1`
	sqlGroupIsLive = `SELECT 1 FROM entries WHERE group_name = ?1 AND ` + sqlLive + ` LIMIT 1`

	sqlFirstGroup = `SELECT group_name FROM entries WHERE group_name >= ?1 AND group_name < ?2
		ORDER BY group_name LIMIT 1`
	sqlNextGroup = `SELECT group_name FROM entries WHERE group_name > ?1 AND group_name < ?2
		ORDER BY group_name LIMIT 1`

	sqlExpiredRows = sqlRow + `
		WHERE +group_name >= ?1 AND +group_name < ?2 AND expires_at > ?3 AND expires_at <= ?4 AND ` + sqlIntact + `
		ORDER BY expires_at LIMIT ?5`
	// The same by the order of keys, from a place on: for ranges that hold less than
	// what has expired elsewhere.
	sqlDeadIn = sqlRow + `
		WHERE (group_name, entry_key) >= (?1, ?2) AND group_name < ?3
			AND +expires_at > ?4 AND +expires_at <= ?5 AND ` + sqlIntact + `
		ORDER BY group_name, entry_key LIMIT ?6`
	sqlCountDead = `SELECT count(*) FROM (SELECT 1 FROM entries WHERE expires_at > ?1 AND expires_at <= ?2 LIMIT ?3)`
	// All numbers sort before all text, and that before all BLOBs.
	sqlEarliest = `SELECT expires_at FROM entries WHERE expires_at < '' AND ` + sqlIntact + ` ORDER BY expires_at LIMIT 1`

	// A table that lost its NOT NULL, or that another program wrote to, may hold
	// rows that can't be read: they must not keep the others from expiring. Delete
	// and DeleteGroup remove them.
	sqlIntact = `typeof(expires_at) = 'integer' AND typeof(group_name) = 'text' AND typeof(entry_key) = 'text'
		AND entry_value IS NOT NULL`

	// Rows whose group no call can name, in the three places where they sort.
	sqlUnnamed = `SELECT (SELECT count(*) FROM entries WHERE group_name IS NULL AND ` + sqlLive + `) +
		(SELECT count(*) FROM entries WHERE group_name < '' AND ` + sqlLive + `) +
		(SELECT count(*) FROM entries WHERE group_name >= X'' AND ` + sqlLive + `)`

	sqlRow = `SELECT group_name, entry_key, entry_value, expires_at, revision FROM entries`
	// What is no integer is no deadline: such a row does not expire, and a
	// read of it is an error. (Text and BLOBs are greater than every number.)
	sqlLive = `(expires_at IS NULL OR expires_at > ?2 OR typeof(expires_at) = 'real')`
	sqlPage = sqlRow + ` WHERE group_name = ?1 AND ` + sqlLive + ` ORDER BY entry_key LIMIT ?3 OFFSET ?4`

	// Where nothing is dead the index alone finds a page's first key: to skip a row
	// costs a step then, not a search of the table.
	sqlAnyDead  = `SELECT 1 FROM entries WHERE expires_at <= ?1 AND typeof(expires_at) = 'integer' LIMIT 1`
	sqlManyDead = `SELECT 1 FROM entries WHERE expires_at <= ?1 LIMIT 1 OFFSET ?2`
	sqlKeyAt    = `SELECT entry_key FROM entries WHERE group_name = ?1 ORDER BY entry_key LIMIT 1 OFFSET ?2`
	sqlPageFrom = sqlRow + ` WHERE group_name = ?1 AND entry_key >= ?2 ORDER BY entry_key LIMIT ?3`

	// What is stored, less what is dead: the index alone answers the first,
	// and the dead are few.
	sqlStored = `(SELECT count(*) FROM entries WHERE group_name >= ?1 AND group_name < ?2)`
	sqlDead   = `(SELECT count(*) FROM entries
		WHERE +group_name >= ?1 AND +group_name < ?2 AND expires_at <= ?3 AND typeof(expires_at) = 'integer')`
	sqlCount = `SELECT ` + sqlStored + ` - ` + sqlDead

	// The same unless the rows of a group, or the dead ones, are more than ?4. (To
	// count the first so many, SQLite would gather them in a table.)
	sqlCountFew = `SELECT CASE WHEN EXISTS (SELECT 1 FROM entries WHERE group_name = ?1 LIMIT 1 OFFSET ?4)
			OR EXISTS (SELECT 1 FROM entries WHERE expires_at <= ?3 LIMIT 1 OFFSET ?4)
		THEN NULL ELSE ` + sqlStored + ` - ` + sqlDead + ` END`

	// Where more is dead than a range holds rows, its own are looked through.
	sqlCountStored = `SELECT count(*) FROM entries WHERE group_name >= ?1 AND group_name < ?2`
	sqlCountLive   = sqlCountStored + ` AND (+expires_at IS NULL OR +expires_at > ?3 OR typeof(expires_at) = 'real')`

	// Skip scan: one index lookup a group, however many rows it has.
	sqlDistinct = `WITH RECURSIVE distinct_groups (name) AS (
		SELECT min(group_name) FROM entries WHERE group_name >= ?1 AND group_name < ?2
		UNION ALL
		SELECT (SELECT min(group_name) FROM entries WHERE group_name > name AND group_name < ?2)
		FROM distinct_groups WHERE name IS NOT NULL)`
	// Where nothing is dead no group is, which saves a look at a row of each.
	sqlLiveGroups = ` FROM distinct_groups WHERE name IS NOT NULL AND (
		NOT EXISTS (SELECT 1 FROM entries WHERE expires_at <= ?3 AND typeof(expires_at) = 'integer')
		OR EXISTS (SELECT 1 FROM entries WHERE group_name = name
			AND (expires_at IS NULL OR expires_at > ?3 OR typeof(expires_at) = 'real')))`
	sqlGroups = sqlDistinct + ` SELECT name` + sqlLiveGroups
	sqlUsage  = sqlDistinct + ` SELECT ` + sqlStored + ` - ` + sqlDead + `, (SELECT count(*)` + sqlLiveGroups + `)`

	sqlExpired = `SELECT ` + sqlDead + `, (SELECT count(*) FROM (
			SELECT DISTINCT group_name AS name FROM entries
			WHERE +group_name >= ?1 AND +group_name < ?2 AND expires_at <= ?3 AND typeof(expires_at) = 'integer')
		WHERE NOT EXISTS (SELECT 1 FROM entries WHERE group_name = name
			AND (expires_at IS NULL OR expires_at > ?3 OR typeof(expires_at) = 'real')))`

	// One pass over the index, which is in the order of groups. (Beside another
	// aggregate, count(DISTINCT group_name) would gather the groups in a table.)
	sqlPhysicalUsage = `SELECT total(n), count(*) FROM (
		SELECT count(*) AS n FROM entries WHERE group_name >= ?1 AND group_name < ?2 GROUP BY group_name)`
)

// The log. Its rows are in the order of revisions, which are dense: what lies
// before the first row has been removed.
const (
	// The first read of a snapshot too: it begins here, not at BEGIN.
	sqlRevision = `SELECT coalesce(
		(SELECT last_revision FROM log ORDER BY last_revision DESC LIMIT 1),
		(SELECT base_revision FROM store_meta))`

	sqlAppendLog = `INSERT INTO log (last_revision, first_revision, committed_at, log_end, record)
		VALUES (?1, ?2, ?3, ?4, ?5)`
	sqlReadLog = `SELECT last_revision, first_revision, committed_at, record FROM log
		WHERE last_revision >= ?1 ORDER BY last_revision`
	sqlLogTail = `SELECT last_revision, first_revision, committed_at, record FROM log
		WHERE last_revision <= ?1 ORDER BY last_revision DESC`
	sqlTrimLog = `DELETE FROM log WHERE last_revision <= ?1`

	sqlOldestLog = `SELECT last_revision, first_revision, committed_at, octet_length(record) FROM log
		ORDER BY last_revision LIMIT ?1`

	// Both ends of the log at one moment, and whether their sizes can be believed.
	sqlLogExtent = `SELECT oldest.first_revision, newest.last_revision,
			oldest.log_end - octet_length(oldest.record), newest.log_end, oldest.committed_at,
			oldest.log_end >= octet_length(oldest.record) AND newest.log_end >= oldest.log_end
				AND newest.log_end < ` + sqlMostBytes + ` AND newest.log_end - oldest.log_end < page_count * page_size
				AND coalesce((SELECT log_end - octet_length(record) = oldest.log_end FROM log
					WHERE last_revision > oldest.last_revision ORDER BY last_revision LIMIT 1), 1)
				AND coalesce((SELECT log_end = newest.log_end - octet_length(newest.record) FROM log
					WHERE last_revision < newest.last_revision ORDER BY last_revision DESC LIMIT 1), 1)
		FROM log AS oldest, log AS newest, pragma_page_count, pragma_page_size
		WHERE oldest.last_revision = (SELECT min(last_revision) FROM log)
			AND newest.last_revision = (SELECT max(last_revision) FROM log)`

	// A thousand times what a log may hold by any option, and far from wrapping around.
	sqlMostBytes = `(1 << 60)`
	// The records' headers say how long they are: their own pages are not read.
	sqlLogBytes = `SELECT coalesce(sum(octet_length(record)), 0) FROM log`

	// What the migrations have made of it: a log whose pages are damaged is made
	// anew.
	sqlCreateLog = `CREATE TABLE log (last_revision INTEGER PRIMARY KEY, first_revision INTEGER NOT NULL,
		committed_at INTEGER NOT NULL, log_end INTEGER NOT NULL, record BLOB NOT NULL)`

	sqlDiscardLog = `UPDATE store_meta SET base_revision = max(base_revision,
		coalesce((SELECT last_revision FROM log ORDER BY last_revision DESC LIMIT 1), 0));
		DELETE FROM log`
)

// scanSQL is the statement of a scan: see the variants.
func scanSQL(v int) string {
	statement := sqlRow
	if v&scanKeysOnly != 0 {
		statement = strings.Replace(statement, "entry_value", "NULL", 1)
	}
	// ?1 is the group or the first one, ?5 the first one behind.
	switch forward := v&scanReverse == 0; {
	case v&scanSingle != 0:
		statement += ` WHERE group_name = ?1`
	case v&scanAfter == 0:
		statement += ` WHERE group_name >= ?1 AND group_name < ?5`
	case forward:
		statement += ` WHERE (group_name, entry_key) >= (?6, ?7) AND group_name < ?5 AND +group_name >= ?1`
	default:
		statement += ` WHERE (group_name, entry_key) < (?6, ?7) AND group_name >= ?1 AND +group_name < ?5`
	}
	statement += ` AND ` + sqlLive
	if v&scanFrom != 0 {
		statement += ` AND entry_key >= ?3`
	}
	if v&scanTo != 0 {
		statement += ` AND entry_key < ?4`
	}
	if v&scanReverse != 0 {
		return statement + ` ORDER BY group_name DESC, entry_key DESC`
	}
	return statement + ` ORDER BY group_name, entry_key`
}

// bindRange binds a range to ?1 and ?2.
func bindRange(stmt *sqlite.Stmt, r kv.Range) {
	stmt.BindText(1, r.From)
	bindEnd(stmt, 2, r)
}

// bindEnd binds a range's upper end.
func bindEnd(stmt *sqlite.Stmt, param int, r kv.Range) {
	if r.Unbounded {
		stmt.BindBytes(param, nil)
	} else {
		stmt.BindText(param, r.To)
	}
}

// bindRow binds a row to ?1 to ?5.
func bindRow(stmt *sqlite.Stmt, row kv.Row) {
	stmt.BindText(1, row.Group)
	stmt.BindText(2, row.Key)
	stmt.BindText(3, row.Value)
	if row.Deadline == kv.NoDeadline {
		stmt.BindNull(4)
	} else {
		stmt.BindInt64(4, row.Deadline)
	}
	stmt.BindInt64(5, int64(row.Revision))
}

// bindAfter binds a deadline that is to be passed; the least one passes all,
// itself included.
func bindAfter(stmt *sqlite.Stmt, param int, after int64) {
	if after == math.MinInt64 {
		stmt.BindFloat(param, math.Inf(-1))
	} else {
		stmt.BindInt64(param, after)
	}
}

// readRevision reads sqlRevision.
func readRevision(stmt *sqlite.Stmt) (revision uint64, err error) {
	_, err = one(stmt, func(stmt *sqlite.Stmt) error {
		revision = uint64(stmt.ColumnInt64(0))
		return nil
	})
	if err == nil && revision > maxRevision {
		err = impossible(revision, revision)
	}
	return revision, err
}

// readRow reads the columns of sqlRow.
func readRow(stmt *sqlite.Stmt) (row kv.Row, err error) {
	if row.Group, err = name(stmt, 0); err != nil {
		return row, err
	}
	if row.Key, err = name(stmt, 1); err != nil {
		return row, err
	}
	if row.Value, err = text(stmt, 2); err != nil {
		return row, err
	}
	return row, readMeta(stmt, 3, &row)
}
