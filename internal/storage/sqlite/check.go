package sqlite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/memory"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// mostFindings bounds what a check reports of one kind: a file that is damaged
// all over says no more by the thousandth.
const mostFindings = 100

// Check looks at everything that the database holds, at one moment, and writes
// nothing. verify judges a row of the log by itself. What is wrong is in the
// report; an error says that the check could not be made.
//
// Writers go on meanwhile; what they commit stays in the WAL until the end.
func (d *Database) Check(ctx context.Context, verify func(kv.LogRow) error, progress storage.Progress) (report kv.CheckReport, err error) {
	ctx, leave, err := d.Operation(ctx)
	if err != nil {
		return report, err
	}
	defer leave()
	if m, ok := d.reads.(*memory.Store); ok {
		return checkMemory(ctx, m, verify)
	}
	err = d.readAside(ctx, func(conn *sqlite.Conn) error {
		c := &checker{ctx: ctx, conn: conn, report: &report, verify: verify, events: d.events, progress: progress}
		return c.all()
	})
	return report, operationError(ctx, err)
}

// checker is one check under way.
type checker struct {
	ctx      context.Context
	conn     *sqlite.Conn
	report   *kv.CheckReport
	verify   func(kv.LogRow) error
	events   func(kv.LogRow) ([]kv.Event, error) // nil: entries are not compared with the log
	progress storage.Progress
	left     int64          // findings of the present kind that may still be reported
	tail     *overlay.State // what the log has and entries have not; nil: nothing
}

func (c *checker) found(kind, format string, arguments ...any) {
	if c.left--; c.left >= 0 {
		c.report.Findings = append(c.report.Findings, kv.Finding{Kind: kind, Text: fmt.Sprintf(format, arguments...)})
	}
	if c.left == -1 {
		c.report.Findings = append(c.report.Findings, kv.Finding{Kind: kind, Text: "and more of the kind"})
	}
}

// all runs every part. What a part can't read is a finding, and the next part
// may be whole.
func (c *checker) all() error {
	size, count, err := pageShape(c.conn)
	if err != nil && !isDamage(err) {
		return err
	}
	c.report.Pages = count
	parts := []func() error{c.schema, c.log, c.unfolded, c.rows, c.differing, c.counts, c.namespaces, c.structure}
	for i, part := range parts {
		c.left = mostFindings
		if err := part(); isDamage(err) {
			c.found(kv.FindingStructure, "%v", err)
		} else if isInterrupt(err) && c.ctx.Err() == nil {
			c.found(kv.FindingStructure, "a table or an index has no end: pages lead to each other")
			return nil // every part would meet it
		} else if err != nil {
			return err
		}
		if err := storage.ContextError(c.ctx); err != nil {
			return err
		}
		c.progress.Report(size*count*int64(i+1)/int64(len(parts)), size*count)
	}
	return nil
}

// isDamage reports whether an error says that the file is not as it should be,
// rather than that it could not be read.
func isDamage(err error) bool {
	switch code(err) {
	case sqlite.ResultCorrupt, sqlite.ResultNotADB, sqlite.ResultFormat,
		sqlite.ResultError: // a statement of ours that the schema does not fit
		return true
	}
	return false
}

// structure is SQLite's own check.
func (c *checker) structure() error {
	findings, err := integrity(c.conn, "integrity_check", mostFindings)
	for _, finding := range findings {
		c.found(finding.Kind, "%s", finding.Text)
	}
	return err
}

var unusedPage = regexp.MustCompile(`^Page \d+: never used$`)

// integrity runs one of SQLite's checks: of a table by its name, or of everything, with so
// many findings.
func integrity(conn *sqlite.Conn, pragma string, of any) (findings []kv.Finding, err error) {
	err = sqlitex.ExecuteTransient(conn, fmt.Sprintf("PRAGMA %s(%v)", pragma, of), &sqlitex.ExecOptions{
		ResultFunc: func(stmt *sqlite.Stmt) error {
			for _, line := range strings.Split(stmt.ColumnText(0), "\n") {
				// A heading of what follows.
				// Pages that nothing uses are what a log that was discarded unread
				// leaves: Compact gives them back.
				if line != "ok" && line != "" && !strings.HasPrefix(line, "*** in database") && !unusedPage.MatchString(line) {
					findings = append(findings, kv.Finding{Kind: kv.FindingStructure, Text: line})
				}
			}
			return nil
		}})
	if isDamage(err) {
		return append(findings, kv.Finding{Kind: kv.FindingStructure, Text: err.Error()}), nil
	}
	return findings, err
}

// schema compares what there is with what there should be.
func (c *checker) schema() error {
	want, columnsOf, err := pristine()
	if err != nil {
		return err
	}
	have, err := objects(c.conn)
	if err != nil {
		return err
	}
	rowless, err := queryInt(c.conn, "SELECT count(*) FROM pragma_table_list('entries') WHERE schema = 'main' AND wr")
	if err != nil {
		return err
	}
	for _, o := range want {
		if rowless > 0 && o.name == "sqlite_autoindex_entries_1" {
			continue // a table WITHOUT ROWID is its own index
		}
		if !slices.Contains(have, o) {
			c.found(kv.FindingSchema, "%s %s of %s is missing", o.kind, o.name, o.table)
		}
	}
	for _, o := range have {
		switch {
		case slices.Contains(want, o):
		case o.kind == "trigger" && ours[strings.ToLower(o.table)] != nil:
			c.found(kv.FindingTrigger, "trigger %s on %s changes what is written, or refuses it", o.name, o.table)
		default:
			c.report.Foreign = append(c.report.Foreign, o.kind+" "+o.name)
		}
	}
	for table, want := range columnsOf {
		have, err := columns(c.conn, table)
		if err != nil {
			return err
		}
		if len(have) > 0 && !containsAll(have, want...) {
			c.found(kv.FindingSchema, "table %s has the columns %s, and should have %s",
				table, strings.Join(have, ", "), strings.Join(want, ", "))
		}
	}
	version, err := queryInt(c.conn, "PRAGMA user_version")
	if err == nil && version != int64(schemaVersion) {
		c.found(kv.FindingSchema, "the schema's version is %d, and should be %d", version, schemaVersion)
	}
	return err
}

// objects lists the schema without what SQLite keeps for itself. The index of a
// primary key is not among that.
func objects(conn *sqlite.Conn) ([]object, error) {
	all, err := readSchema(conn)
	all = slices.DeleteFunc(all, func(o object) bool {
		return o.internal() && !strings.HasPrefix(o.name, "sqlite_autoindex_")
	})
	slices.SortFunc(all, func(a, b object) int { return strings.Compare(a.name, b.name) })
	return all, err
}

// pristine is the schema of a new database, and the columns of its tables.
func pristine() (all []object, columnsOf map[string][]string, err error) {
	conn, err := sqlite.OpenConn(storage.MemoryPath, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := ensureSchema(conn); err != nil {
		return nil, nil, err
	}
	if all, err = objects(conn); err != nil {
		return nil, nil, err
	}
	columnsOf = make(map[string][]string)
	for _, o := range all {
		if o.kind == "table" {
			if columnsOf[o.name], err = columns(conn, o.name); err != nil {
				return nil, nil, err
			}
		}
	}
	return all, columnsOf, nil
}

// log reads all of the log.
func (c *checker) log() error {
	base, err := queryInt(c.conn, "SELECT base_revision FROM store_meta")
	if err != nil {
		return err
	}
	c.report.Revision = uint64(base)
	if base < 0 {
		c.found(kv.FindingLog, "base_revision is %d", base)
	}
	walk := logWalk{c: c, base: uint64(base)}
	return sqlitex.ExecuteTransient(c.conn, `SELECT last_revision, first_revision, committed_at, log_end, record,
			typeof(first_revision) || ' ' || typeof(committed_at) || ' ' || typeof(log_end) || ' ' || typeof(record)
		FROM log ORDER BY last_revision`, &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
		row := kv.LogRow{Last: uint64(stmt.ColumnInt64(0)), First: uint64(stmt.ColumnInt64(1)), At: stmt.ColumnInt64(2),
			Record: make([]byte, stmt.ColumnLen(4))}
		stmt.ColumnBytes(4, row.Record)
		walk.next(row, stmt.ColumnInt64(3), stmt.ColumnText(5))
		return storage.ContextError(c.ctx)
	}})
}

// logWalk goes along the log, comparing each row with the one before it.
type logWalk struct {
	c         *checker
	base      uint64
	begun     bool
	last      uint64
	end, time int64
}

func (w *logWalk) next(row kv.LogRow, end int64, types string) {
	c := w.c
	c.report.LogRecords++
	c.report.Revision = row.Last
	if types != "integer integer integer blob" {
		c.found(kv.FindingLog, "the row of revision %d has columns of other types: %s", row.Last, types)
	}
	if err := c.verify(row); err != nil {
		c.found(kv.FindingLog, "%v", err)
	}
	if row.First > row.Last {
		c.found(kv.FindingLog, "a row holds the revisions %d to %d", row.First, row.Last)
	}
	size := int64(len(row.Record))
	switch {
	case !w.begun && row.First <= w.base:
		c.found(kv.FindingLog, "the log begins with revision %d, though what is not in it has revisions up to %d", row.First, w.base)
	case !w.begun && end < size:
		c.found(kv.FindingLog, "log_end of revision %d is %d, though its record alone has %d bytes", row.Last, end, size)
	case w.begun && row.First != w.last+1:
		c.found(kv.FindingLog, "revision %d is followed by %d", w.last, row.First)
	case w.begun && end != w.end+size:
		c.found(kv.FindingLog, "log_end of revision %d is %d, and should be %d: %d of the row before and a record of %d bytes",
			row.Last, end, w.end+size, w.end, size)
	}
	w.begun, w.last, w.end, w.time = true, row.Last, end, row.At
}

// unfolded reads what entries have not got yet: it counts like them.
func (c *checker) unfolded() error {
	t, err := newTail(c.conn, c.events)
	if err != nil {
		return err
	}
	o, _, err := t.load()
	if corrupt := (*kv.CorruptLogError)(nil); errors.As(err, &corrupt) {
		c.found(kv.FindingLog, "%v", err)
		return nil
	}
	if err == nil && o != nil {
		c.tail = o.Published()
	}
	return err
}

// rowFaults are what makes a row one that can't be read, found, or expired.
var rowFaults = []struct{ what, condition string }{
	{"a NULL as group, key or value", "group_name IS NULL OR entry_key IS NULL OR entry_value IS NULL"},
	{"a group or key that is no text, so that nothing finds them", "typeof(group_name) NOT IN ('text', 'null') OR typeof(entry_key) NOT IN ('text', 'null')"},
	{"an expiry that is no integer", "typeof(expires_at) NOT IN ('integer', 'null')"},
	{"a revision that is no integer, or less than 1", "typeof(revision) <> 'integer' OR revision < 1"},
	{"a revision that the store has not reached", "typeof(revision) = 'integer' AND revision > ?1"},
}

// rows judges every entry by itself, in one pass over the table.
func (c *checker) rows() error {
	statement := "SELECT count(*)"
	for _, fault := range rowFaults {
		statement += ", total(" + fault.condition + ")"
	}
	var numbers []int64
	err := sqlitex.ExecuteTransient(c.conn, statement+" FROM entries NOT INDEXED", &sqlitex.ExecOptions{
		Args: []any{int64(c.report.Revision)},
		ResultFunc: func(stmt *sqlite.Stmt) error {
			for i := range stmt.ColumnCount() {
				numbers = append(numbers, stmt.ColumnInt64(i))
			}
			return nil
		}})
	if err != nil {
		return err
	}
	c.report.Entries = numbers[0]
	if err := c.countTail(); err != nil {
		return err
	}
	for i, fault := range rowFaults {
		if n := numbers[i+1]; n > 0 {
			c.found(kv.FindingRow, "%d of %d entries have %s%s", n, c.report.Entries, fault.what, c.examples(fault.condition))
		}
	}
	return nil
}

// countTail has the report's number of entries be that of what is committed.
func (c *checker) countTail() (err error) {
	if c.tail == nil {
		return nil
	}
	has, _, err := c.conn.PrepareTransient("SELECT 1 FROM entries WHERE group_name = ?1 AND entry_key = ?2")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, has.Finalize()) }()
	for group, _, found := c.tail.NextMark("", false); found; group, _, found = c.tail.NextMark(group, true) {
		n, err := queryInt(c.conn, "SELECT count(*) FROM entries WHERE group_name = ?1", group)
		if err != nil {
			return err
		}
		c.report.Entries -= n
	}
	walk := c.tail.Iterate(overlay.Bounds{Unbounded: true}, false)
	for e, ok := walk.Next(); ok; e, ok = walk.Next() {
		if !e.Gone {
			c.report.Entries++
		}
		if c.tail.Hides(e.Row.Group) {
			continue
		}
		has.BindText(1, e.Row.Group)
		has.BindText(2, e.Row.Key)
		there, err := exists(has)
		if err != nil {
			return err
		}
		if there {
			c.report.Entries--
		}
	}
	return storage.ContextError(c.ctx)
}

// examples says which rows have a fault, as far as the table has rowids.
func (c *checker) examples(condition string) string {
	var ids []string
	err := sqlitex.ExecuteTransient(c.conn, "SELECT rowid FROM entries NOT INDEXED WHERE "+condition+" LIMIT 5", &sqlitex.ExecOptions{
		Args: []any{int64(c.report.Revision)}[:strings.Count(condition, "?1")],
		ResultFunc: func(stmt *sqlite.Stmt) error {
			ids = append(ids, stmt.ColumnText(0))
			return nil
		}})
	if err != nil || len(ids) == 0 {
		return ""
	}
	return ": rowid " + strings.Join(ids, ", ")
}

// differing compares the entries that the log tells of with what it says that their
// revision wrote: a lookup for each.
func (c *checker) differing() (err error) {
	if c.events == nil {
		return nil
	}
	get, _, err := c.conn.PrepareTransient(sqlGet)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, get.Finalize()) }()
	return sqlitex.ExecuteTransient(c.conn, "SELECT last_revision, first_revision, record FROM log ORDER BY last_revision",
		&sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
			row := kv.LogRow{Last: uint64(stmt.ColumnInt64(0)), First: uint64(stmt.ColumnInt64(1)), Record: make([]byte, stmt.ColumnLen(2))}
			stmt.ColumnBytes(2, row.Record)
			events, err := c.events(row)
			if err != nil {
				return storage.ContextError(c.ctx) // a finding of the log's
			}
			seen := make(map[kv.Key]bool, len(events)) // within a revision the last one stands
			for i := len(events) - 1; i >= 0; i-- {
				e := &events[i]
				at := kv.Key{Group: e.Group, Key: e.Key}
				if e.Type != kv.EventSet || seen[at] {
					continue
				}
				seen[at] = true
				is, found, err := c.get(get, e.Group, e.Key)
				if storage.IsDamagedRow(err) {
					continue // a finding of the rows'
				}
				if err != nil {
					return err
				}
				deadline := kv.NoDeadline
				if !e.ExpiresAt.IsZero() {
					deadline = e.ExpiresAt.UnixMilli()
				}
				if found && is.Revision == e.Revision && (is.Value != e.Value || is.Deadline != deadline) {
					c.report.Differing++
				}
			}
			return storage.ContextError(c.ctx)
		}})
}

// get is a row as it is committed.
func (c *checker) get(stmt *sqlite.Stmt, group, key string) (row kv.Row, found bool, err error) {
	if c.tail != nil {
		if row, verdict := c.tail.Get(group, key); verdict != overlay.Below {
			return row, verdict == overlay.Present, nil
		}
	}
	return getRow(stmt, group, key)
}

// counts counts in several ways what must come to the same.
func (c *checker) counts() error {
	for _, pair := range []struct{ what, index, table string }{
		{"entries", "SELECT count(*) FROM entries", "SELECT count(*) FROM entries NOT INDEXED"},
		{"entries that expire", "SELECT count(*) FROM entries WHERE expires_at IS NOT NULL",
			"SELECT count(*) FROM entries NOT INDEXED WHERE expires_at IS NOT NULL"},
	} {
		by, err := queryInt(c.conn, pair.index)
		if err != nil {
			return err
		}
		in, err := queryInt(c.conn, pair.table)
		if err != nil {
			return err
		}
		if by != in {
			c.found(kv.FindingCount, "%s: %d by the index, %d in the table", pair.what, by, in)
		}
	}
	twice, err := queryInt(c.conn, `SELECT count(*) FROM (SELECT 1 FROM entries
		WHERE group_name IS NOT NULL AND entry_key IS NOT NULL GROUP BY group_name, entry_key HAVING count(*) > 1)`)
	if err == nil && twice > 0 {
		c.found(kv.FindingCount, "%d keys are there more than once", twice)
	}
	return err
}

// namespaces compares how many keys each namespace has by the index, as quotas
// count it, with how many rows it has.
func (c *checker) namespaces() error {
	difference := make(map[string]int64)
	add := func(statement string, sign int64) error {
		return sqlitex.ExecuteTransient(c.conn, statement, &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
			if namespace, ok := kv.NamespaceOf(stmt.ColumnText(0)); ok {
				difference[namespace] += sign * stmt.ColumnInt64(1)
			}
			return nil
		}})
	}
	const text = " WHERE typeof(group_name) = 'text'"
	if err := add("SELECT group_name, count(*) FROM entries"+text+" GROUP BY group_name", 1); err != nil {
		return err
	}
	// One pass, and no sorting of all there is.
	if err := add("SELECT group_name, 1 FROM entries NOT INDEXED"+text, -1); err != nil {
		return err
	}
	for _, namespace := range slices.Sorted(maps.Keys(difference)) {
		if n := difference[namespace]; n != 0 {
			c.found(kv.FindingCount, "namespace %s has %d more keys by the index than in the table", namespace, n)
		}
	}
	return nil
}

// checkMemory is Check of a database in memory, whose trees and log can at most
// disagree.
func checkMemory(ctx context.Context, m *memory.Store, verify func(kv.LogRow) error) (report kv.CheckReport, err error) {
	contents, done, err := m.Contents(ctx)
	if err != nil {
		return report, err
	}
	defer done()
	c := &checker{ctx: ctx, report: &report, verify: verify, left: mostFindings}
	walk := logWalk{c: c}
	_ = contents.Log(func(row kv.LogRow, end int64) error {
		walk.next(row, end, "integer integer integer blob")
		return nil
	})
	report.Revision = contents.Last()
	expiring := int64(0)
	contents.Rows(func(row *kv.Row) bool {
		report.Entries++
		if row.Deadline != kv.NoDeadline {
			expiring++
		}
		if row.Revision > report.Revision {
			c.found(kv.FindingRow, "an entry has revision %d, the store %d", row.Revision, report.Revision)
		}
		if report.Entries%firstChunkRows == 0 {
			err = storage.ContextError(ctx)
		}
		return err == nil
	})
	if n := int64(contents.Expiring()); err == nil && n != expiring {
		c.found(kv.FindingCount, "entries that expire: %d by the index, %d in the tree", n, expiring)
	}
	return report, operationError(ctx, err)
}
