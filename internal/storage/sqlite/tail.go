package sqlite

import (
	"errors"
	"fmt"
	"math"

	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// The tail is what the log has and entries have not: the rows behind folded_revision. A
// record holds effects, so the tail, applied in order, gives what is committed, over entries
// that are of folded_revision as over ones that have some of it already.
//
// The log is data there: each record of the tail is verified, and follows the one before.
//
// See docs/adr/0062-writes-at-the-speed-of-the-log.md.

// sqlFolded is NULL too where the table has no such column: the name is that of the outer
// one then.
const (
	sqlFolded    = `SELECT (SELECT folded_revision FROM store_meta WHERE id = 1) FROM (SELECT NULL AS folded_revision)`
	sqlSetFolded = `UPDATE store_meta SET folded_revision = ?1 WHERE id = 1`
	// Behind a damaged page rows are found from the other end.
	sqlReadLogBackward = `SELECT last_revision, first_revision, committed_at, record FROM log
		WHERE last_revision > ?1 ORDER BY last_revision DESC`
)

// tailChunk is how much of the log is in memory as it is stored.
const tailChunk = 1 << 20

// tail reads the tail through a connection, whose transaction says of which moment.
type tail struct {
	conn                           *sqlite.Conn
	events                         func(kv.LogRow) ([]kv.Event, error)
	folded, log, backward, current *sqlite.Stmt
}

func newTail(conn *sqlite.Conn, events func(kv.LogRow) ([]kv.Event, error)) (*tail, error) {
	t := &tail{conn: conn, events: events}
	err := prepareAll(conn, []statement{{&t.folded, sqlFolded}, {&t.log, sqlReadLog}, {&t.backward, sqlReadLogBackward}, {&t.current, sqlRevision}})
	return t, err
}

// begin is the revision behind which the tail is. whole: entries have all that the log has,
// and there is none.
func (t *tail) begin() (through uint64, whole bool, err error) {
	var is int64
	kind := sqlite.TypeNull
	if _, err := one(t.folded, func(stmt *sqlite.Stmt) error {
		kind, is = stmt.ColumnType(0), stmt.ColumnInt64(0)
		return nil
	}); err != nil {
		return 0, false, err
	}
	switch {
	case kind == sqlite.TypeNull:
		return 0, true, nil
	case kind != sqlite.TypeInteger || is < 0 || is > maxRevision:
		return 0, false, &kv.CorruptLogError{Reason: "how much of it entries have can't be told", Unfolded: true}
	default:
		return uint64(is), false, nil
	}
}

// extent is the revisions of the tail: those after through, up to last.
func (t *tail) extent() (through, last uint64, whole bool, err error) {
	if through, whole, err = t.begin(); err != nil || whole {
		return through, 0, whole, err
	}
	last, err = readRevision(t.current)
	if err != nil {
		return 0, 0, false, unfolded(damagedLog(err))
	}
	if last < through {
		return 0, 0, false, lacking(last+1, through)
	}
	return through, last, false, nil
}

func lacking(first, last uint64) error {
	return &kv.CorruptLogError{First: first, Last: last, Reason: "it is missing", Unfolded: true}
}

// each calls apply with what each row behind a revision did, the oldest first, all of which
// must be there, and returns the last revision.
func (t *tail) each(through uint64, apply func(row kv.LogRow, events []kv.Event) error) (last uint64, err error) {
	for last = through; ; {
		rows, err := readLog(t.log, last+1, tailChunk)
		if err != nil {
			return last, unfolded(damagedLog(err))
		}
		if len(rows) == 0 {
			return last, nil
		}
		for _, row := range rows {
			if err := applyNext(t.events, last, row, apply); err != nil {
				return last, err
			}
			last = row.Last
		}
	}
}

// applyNext calls apply with what a row did that has to be the next one behind a revision.
func applyNext(read func(kv.LogRow) ([]kv.Event, error), last uint64, row kv.LogRow, apply func(kv.LogRow, []kv.Event) error) error {
	events, err := verified(read, last, row)
	if err != nil {
		return err
	}
	return apply(row, events)
}

// verified is what a row did that has to be the next one behind a revision.
func verified(read func(kv.LogRow) ([]kv.Event, error), last uint64, row kv.LogRow) ([]kv.Event, error) {
	switch {
	case row.First > last+1:
		return nil, lacking(last+1, row.First-1)
	case row.First <= last || row.Last < row.First:
		return nil, &kv.CorruptLogError{First: row.First, Last: row.Last, Reason: fmt.Sprintf("it can't follow revision %d", last), Unfolded: true}
	case read == nil:
		return nil, errors.New("the log has what entries have not, and nobody to read its records was given")
	}
	events, err := read(row)
	return events, unfolded(err)
}

// unfolded says of an error of the log's that it is one of the tail's.
func unfolded(err error) error {
	var corrupt *kv.CorruptLogError
	if errors.As(err, &corrupt) && !corrupt.Unfolded {
		is := *corrupt
		is.Unfolded = true
		if code(err) == sqlite.ResultCorrupt {
			return fmt.Errorf("%w: %w", &is, err)
		}
		return &is
	}
	return err
}

// load is the tail as an overlay, nil if entries are whole. through is the revision that
// those are of.
func (t *tail) load() (o *overlay.Overlay, through uint64, err error) {
	through, last, whole, err := t.extent()
	if err != nil || whole {
		return nil, 0, err
	}
	o = overlay.New(through)
	if through == last {
		return o, through, nil
	}
	_, err = t.add(o, through)
	return o, through, err
}

// add has an overlay, which is of a revision, have what was committed since.
func (t *tail) add(o *overlay.Overlay, since uint64) (last uint64, err error) {
	return t.each(since, func(row kv.LogRow, events []kv.Event) error {
		applyEvents(o, row.Last, events)
		return nil
	})
}

func applyEvents(o *overlay.Overlay, last uint64, events []kv.Event) {
	for i := range events {
		o.Apply(&events[i])
	}
	o.Commit(last)
	o.Prune()
}

// lostRevisions are those of a tail that can't be read. Last is maxRevision if it is not
// known how many there were.
type lostRevisions struct{ First, Last uint64 }

func (l lostRevisions) String() string {
	if l.Last == maxRevision {
		return fmt.Sprintf("%d and those behind it, if there were any", l.First)
	}
	return fmt.Sprintf("%d to %d", l.First, l.Last)
}

// rescue is load of what can be read, for a log that is to be discarded: what is damaged or
// missing is left out, and told.
func (t *tail) rescue() (o *overlay.Overlay, lost []lostRevisions, err error) {
	through, whole, err := t.begin()
	if corrupt := (*kv.CorruptLogError)(nil); errors.As(err, &corrupt) {
		through, err = 0, nil // then all that the log has: entries can't be ahead of its end
	}
	if err != nil || whole {
		return nil, nil, err
	}
	last, err := readRevision(t.current)
	if err != nil {
		last = maxRevision // it is not known
	}
	o = overlay.New(through)
	at := through
	apply := func(row kv.LogRow) {
		if row.Last <= at || row.Last < row.First || row.Last > maxRevision {
			return
		}
		events, err := t.readable(row)
		if err != nil {
			return // it is lost, as its successor shows
		}
		if row.First > at+1 && at > 0 {
			lost = append(lost, lostRevisions{at + 1, row.First - 1})
		}
		applyEvents(o, row.Last, events)
		at = row.Last
	}
	behind, whole, err := t.forward(at, apply)
	if err == nil && !whole {
		var rows []kv.LogRow // beyond the damage, the newest first
		rows, err = t.beyond(behind)
		for i := len(rows) - 1; i >= 0; i-- {
			apply(rows[i])
		}
	}
	if at < last {
		lost = append(lost, lostRevisions{at + 1, last})
	}
	return o, lost, err
}

// readable is what a row did, if that can be told.
func (t *tail) readable(row kv.LogRow) ([]kv.Event, error) {
	if t.events == nil {
		return nil, errors.New("nobody to read its records was given")
	}
	return t.events(row)
}

// forward calls each with the rows behind a revision, as far as SQLite can read them: whole
// says that this is to the end.
func (t *tail) forward(through uint64, each func(kv.LogRow)) (last uint64, whole bool, err error) {
	for last = through; ; {
		rows, err := readLog(t.log, last+1, 1) // row by row: of what comes with damage nothing is had
		if code(err) == sqlite.ResultCorrupt {
			_ = t.log.Reset() // repeats it
			return last, false, nil
		}
		if err != nil || len(rows) == 0 || rows[0].Last <= last || rows[0].Last > math.MaxInt64-1 {
			return last, true, err
		}
		last = rows[0].Last
		each(rows[0])
	}
}

// beyond is the rows behind a revision that can be reached from the log's end.
func (t *tail) beyond(through uint64) (rows []kv.LogRow, err error) {
	t.backward.BindInt64(1, int64(through))
	for {
		found, err := t.backward.Step()
		if code(err) == sqlite.ResultCorrupt {
			_ = t.backward.Reset()
			return rows, nil
		}
		if err != nil || !found {
			return rows, errors.Join(err, t.backward.Reset())
		}
		row := kv.LogRow{Last: uint64(t.backward.ColumnInt64(0)), First: uint64(t.backward.ColumnInt64(1)), At: t.backward.ColumnInt64(2),
			Record: make([]byte, t.backward.ColumnLen(3))}
		t.backward.ColumnBytes(3, row.Record)
		rows = append(rows, row)
	}
}

// setFolded notes how much of the log entries have, in the open transaction: all of it, or
// what it has up to a revision.
func setFolded(conn *sqlite.Conn, whole bool, through uint64) error {
	stmt, err := conn.Prepare(sqlSetFolded)
	if err != nil {
		return err
	}
	if whole {
		stmt.BindNull(1)
	} else {
		stmt.BindInt64(1, int64(through))
	}
	return run(stmt)
}
