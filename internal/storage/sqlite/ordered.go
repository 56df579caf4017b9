package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/disk"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// A compacted file has its rows in the order of groups and keys: what a scan reads one
// after another lies on pages one after another. VACUUM leaves rows in the order of their
// rowids, which is that in which they were first written. So it makes the new database
// without the rows of entries, and they are put in afterwards by the order of the primary
// key's index. Everything else, whatever others keep in a file, stays VACUUM's
// business. See docs/adr/0060-rows-in-key-order.md.
//
// Of the tables that we make the rows are read and written by their pages (orderedpages.go).
// Others have SQLite copy them one by one, which takes several times as long as VACUUM, and
// writes wait for it. A table that is in order, or almost, is left to VACUUM.

// errUnordered says that a table's rows are for VACUUM to copy as they lie.
var errUnordered = errors.New("the rows can't be put in order")

// compactInto makes a new database of what is committed, without gaps, and with its rows
// in order if they can be.
func (d *Database) compactInto(ctx context.Context, path string, progress storage.Progress) (err error) {
	conn, closing, err := d.openAside(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closing()) }()
	// Nothing of the database is written by it: query_only would refuse it.
	if err := execute(conn, "PRAGMA query_only = OFF"); err != nil {
		return err
	}
	switch err := d.vacuumInOrder(ctx, conn, path, progress); {
	case err == nil:
		return nil
	case !errors.Is(err, errUnordered) && !isDamagedPage(err) && code(err) != sqlite.ResultConstraint:
		return err
	}
	return vacuumAnew(conn, path)
}

// vacuumAnew is vacuumInto in place of a file that is not whole.
func vacuumAnew(conn *sqlite.Conn, path string) error {
	if err := disk.RemoveAll(path); err != nil {
		return err
	}
	return vacuumInto(conn, path)
}

func vacuumInto(conn *sqlite.Conn, path string) error {
	return sqlitex.ExecuteTransient(conn, "VACUUM INTO ?1", &sqlitex.ExecOptions{Args: []any{path}})
}

// vacuumInOrder makes a new database with the rows of entries in order, of rowids without
// gaps. errUnordered, a constraint that fails and damage mean that VACUUM must copy them:
// by its way a table and its index may say different things, and go on to.
func (d *Database) vacuumInOrder(ctx context.Context, from *sqlite.Conn, path string, progress storage.Progress) error {
	o, err := orderedOf(from)
	if err != nil {
		return err
	}
	if err := d.vacuumByPages(ctx, from, &o, path, progress); !errors.Is(err, errUnread) {
		return err
	}
	if err := disk.RemoveAll(path); err != nil {
		return err
	}
	switch lie, err := o.lie(ctx, from); {
	case err != nil:
		return err
	case lie:
		return vacuumInto(from, path)
	}
	if o.rows, err = queryInt(from, sqlEntriesCount); err != nil {
		return err
	}
	if err := vacuumRest(from, path); err != nil {
		return err
	}
	return o.fill(ctx, from, path, progress)
}

// vacuumRest is VACUUM INTO without the rows of entries: of the statements that it
// prepares within, the one that would copy them is compiled to nothing.
func vacuumRest(conn *sqlite.Conn, path string) (err error) {
	err = conn.SetAuthorizer(sqlite.AuthorizeFunc(func(action sqlite.Action) sqlite.AuthResult {
		if action.Type() == sqlite.OpInsert && action.Database() != "main" && strings.EqualFold(action.Table(), "entries") {
			return sqlite.AuthResultIgnore
		}
		return sqlite.AuthResultOK
	}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.SetAuthorizer(nil)) }()
	return vacuumInto(conn, path)
}

// ordered are the statements that copy entries in order.
type ordered struct {
	columns     int
	names       [3]int // which columns are the group, the key and the value
	index       string
	read, write string
	pages       bool  // the rows can be read and written by their pages
	rows        int64 // once they were counted
}

const (
	sqlEntriesColumns = `SELECT name, dflt_value FROM pragma_table_info('entries')`
	sqlEntriesIndex   = `SELECT name FROM pragma_index_list('entries') WHERE origin = 'pk'`
	sqlEntriesIndexes = `SELECT count(*) || ' ' || coalesce(sum(partial), 0) FROM pragma_index_list('entries')`
	sqlEntriesCount   = `SELECT count(*) FROM entries NOT INDEXED` // not of an index, which may have another number
	sqlEntriesLeast   = `SELECT min(rowid) FROM entries NOT INDEXED`
	sqlEntriesMost    = `SELECT max(rowid) FROM entries NOT INDEXED`
)

// mostOrderedColumns is less than a statement may have parameters.
const mostOrderedColumns = 64

// orderedOf looks the table up.
func orderedOf(conn *sqlite.Conn) (o ordered, err error) {
	s, err := readShape(conn, 0)
	if err != nil {
		return o, err
	}
	if s == nil {
		return o, errUnordered
	}
	o.names = [3]int{s.columns[columnGroup], s.columns[columnKey], s.columns[columnValue]}
	o.pages = true
	var columns, values []string
	if err := sqlitex.ExecuteTransient(conn, sqlEntriesColumns, &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
		columns = append(columns, quoteName(stmt.ColumnText(0)))
		values = append(values, fmt.Sprintf("?%d", len(columns)))
		// Rows that have no such column have its default.
		o.pages = o.pages && (!strings.EqualFold(stmt.ColumnText(0), columnNames[columnDeadline]) || stmt.ColumnIsNull(1))
		return nil
	}}); err != nil {
		return o, err
	}
	hidesRowid := func(column string) bool { return strings.EqualFold(column, `"rowid"`) }
	if len(columns) > mostOrderedColumns || slices.ContainsFunc(columns, hidesRowid) {
		return o, errUnordered
	}
	index, err := queryText(conn, sqlEntriesIndex)
	if err != nil {
		return o, err
	}
	o.columns = len(columns)
	o.index = quoteName(index)
	// What is read is what the table says. Its rowid is NULL if the index says another thing.
	o.read = fmt.Sprintf(`SELECT t.%s, t.rowid FROM entries AS i INDEXED BY %s LEFT JOIN entries AS t NOT INDEXED
		ON t.rowid = i.rowid AND t.group_name IS i.group_name AND t.entry_key IS i.entry_key
		ORDER BY i.group_name, i.entry_key`, strings.Join(columns, ", t."), o.index)
	o.write = fmt.Sprintf("INSERT INTO entries (%s) VALUES (%s)", strings.Join(columns, ", "), strings.Join(values, ", "))
	// The primary key's, which is not partial, and that of deadlines.
	indexes, err := queryText(conn, sqlEntriesIndexes)
	o.pages = o.pages && (indexes == "1 0" && s.deadlines == 0 || indexes == "2 1" && s.deadlines != 0)
	return o, err
}

// rowsForABreak is how many rows in order are worth one that is not: a scan of so many
// reads one page more than it must.
const rowsForABreak = 128

// breaks are the places in the order of keys where rowids fall.
type breaks struct {
	n, seen, last int64
	most          int64 // more are too many, however many rows there are
}

// breaksOf is for rows whose rowids lie between the two: there are no more of them. To count
// them would be to go through all of them, where a hundredth of those in no order is enough.
func breaksOf(least, greatest int64) breaks {
	const all = math.MaxInt64
	return breaks{last: math.MinInt64, most: int64(min((uint64(greatest)-uint64(least))/rowsForABreak+1, all))}
}

// add takes the next rowid, and reports whether the rows may lie in order still.
func (b *breaks) add(rowid int64) bool {
	if rowid < b.last {
		b.n++
	}
	b.last = rowid
	b.seen++
	return b.n <= b.most
}

// few reports whether the rows lie in order, once all were seen.
func (b *breaks) few() bool { return b.n <= b.seen/rowsForABreak }

// lie reports whether the rows lie in order already, but for some. It ends as soon as it
// is known that they don't.
func (o *ordered) lie(ctx context.Context, conn *sqlite.Conn) (bool, error) {
	least, err := queryInt(conn, sqlEntriesLeast)
	if err != nil {
		return false, err
	}
	most, err := queryInt(conn, sqlEntriesMost)
	if err != nil {
		return false, err
	}
	stmt, _, err := conn.PrepareTransient(fmt.Sprintf("SELECT rowid FROM entries INDEXED BY %s ORDER BY group_name, entry_key", o.index))
	if err != nil {
		return false, err
	}
	defer func() { _ = stmt.Finalize() }()
	b := breaksOf(least, most)
	for {
		found, err := stmt.Step()
		if err != nil || !found {
			return err == nil && b.few(), err
		}
		if !b.add(stmt.ColumnInt64(0)) {
			return false, nil
		}
		if b.seen%firstChunkRows == 0 {
			if err := storage.ContextError(ctx); err != nil {
				return false, err
			}
		}
	}
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// fill copies the rows. All that is in memory of them is the page cache.
func (o *ordered) fill(ctx context.Context, from *sqlite.Conn, path string, progress storage.Progress) (err error) {
	to, err := openCopy(path, ctx.Done())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	// Rows that lie in no order are read from pages here and there, and indexes of other
	// orders than the key's are filled so.
	cache := fmt.Sprintf("PRAGMA cache_size = -%d", writerCacheKiB)
	if err := errors.Join(execute(from, cache), execute(to, cache), execute(to, "BEGIN IMMEDIATE")); err != nil {
		return err
	}
	read, _, err := from.PrepareTransient(o.read)
	if err != nil {
		return err
	}
	defer func() { _ = read.Finalize() }()
	write, _, err := to.PrepareTransient(o.write)
	if err != nil {
		return err
	}
	defer func() { _ = write.Finalize() }()
	var buffer []byte
	copied := int64(0)
	for {
		found, err := read.Step()
		if err != nil {
			return err
		}
		if !found {
			break
		}
		if buffer, err = o.copyRow(read, write, buffer); err != nil {
			return err
		}
		if copied++; copied%firstChunkRows == 0 {
			if err := storage.ContextError(ctx); err != nil {
				return err
			}
			progress.Report(copied, max(o.rows, copied))
		}
	}
	if copied != o.rows {
		return fmt.Errorf("%w: the primary key's index has %d of %d", errUnordered, copied, o.rows)
	}
	return execute(to, "COMMIT")
}

// copyRow writes the row that was read as it is.
func (o *ordered) copyRow(read, write *sqlite.Stmt, buffer []byte) ([]byte, error) {
	if read.ColumnIsNull(o.columns) {
		return buffer, fmt.Errorf("%w: the primary key's index has one that is not in the table", errUnordered)
	}
	for _, column := range o.names {
		// A column of texts would make one of it. The schema was changed.
		if kind := read.ColumnType(column); kind != sqlite.TypeText && kind != sqlite.TypeBlob {
			return buffer, fmt.Errorf("%w: a column %s is %s", errUnordered, read.ColumnName(column), typeName(read, column))
		}
	}
	for column := range o.columns {
		switch read.ColumnType(column) {
		case sqlite.TypeInteger:
			write.BindInt64(column+1, read.ColumnInt64(column))
		case sqlite.TypeFloat:
			write.BindFloat(column+1, read.ColumnFloat(column))
		case sqlite.TypeText:
			write.BindText(column+1, read.ColumnText(column))
		case sqlite.TypeBlob:
			n := read.ColumnLen(column)
			buffer = slices.Grow(buffer[:0], n)[:n]
			read.ColumnBytes(column, buffer)
			write.BindBytes(column+1, buffer)
		case sqlite.TypeNull:
			write.BindNull(column + 1)
		}
	}
	return buffer, run(write)
}
