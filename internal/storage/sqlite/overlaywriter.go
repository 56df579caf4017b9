package sqlite

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/moment"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// With an overlay a commit writes its row of the log and nothing else. What it did to keys
// is in the overlay, which every read asks before it asks the table, and comes into the
// table later. The transaction is the overlay's then; SQLite's begins with what the log is
// given, once all of the batch has been applied, and savepoints are the overlay's too.
//
// What has to be known of a key is asked of the overlay's working state, and, where that
// says nothing, of the table, which nobody but this writer changes: of the pages of the
// last view, or of SQLite where there is none.
//
// See docs/adr/0062-writes-at-the-speed-of-the-log.md.

// laid is what a writer has beside the table. Without an overlay the zero value is all
// there is, and everything is written to the table at once.
type laid struct {
	over  *overlay.Overlay
	loose bool // transactions without a row of the log go into it too, and are lost with the process: for tests

	open      bool // the overlay's transaction is
	begun     bool // and so SQLite's, for it
	savepoint int
	pruned    bool   // what the last commit has replaced
	doubt     bool   // a COMMIT has come as far as nobody knows
	unknown   uint64 // the log's last revision if it has succeeded
	limbo     *limbo
	bound     int64     // bytes that may lie in the overlay
	behind    bool      // the file says that the table lacks something
	folded    uint64    // behind this revision, then
	frozenTo  uint64    // the last revision of the frozen run
	folding             // the pace at which that comes into the table
	first     firstRows // of groups

	step func(name string) // of the fold, for tests; nil: nobody asks

	// So far along the table's deadlines the overlay decides every row: the purge that
	// removed them need not pass over them again. sought is what it was at the savepoint.
	from, sought deadlinePlace
}

// limbo is why nobody knows what the log ends with; nil: it is known. Reads by SQLite
// answer it.
type limbo struct{ reason atomic.Pointer[error] }

func (l *limbo) err() error {
	if reason := l.reason.Load(); reason != nil {
		return fmt.Errorf("a commit's outcome can't be read: %w", *reason)
	}
	return nil
}

// deadlinePlace is a row's place in the index of deadlines.
type deadlinePlace struct{ deadline, rowid int64 }

var firstDeadline = deadlinePlace{math.MinInt64, math.MinInt64}

// comesTo tells of a step of the fold.
func (l *laid) comesTo(step string) {
	if l.step != nil {
		l.step(step)
	}
}

// overlay has commits go into an overlay, where the pages are read.
func (d *Database) overlay(w *fileWriter, config Config) error {
	w.step = config.FoldStep
	if config.Overlay <= 0 || w.views == nil || w.views.current.Load() == nil {
		return w.foldTail()
	}
	over := w.tail
	if w.behind = over != nil; !w.behind {
		last, err := readRevision(w.revision)
		if err != nil {
			return err
		}
		over = overlay.New(last)
	} else if folded, err := queryInt(w.conn, sqlFolded); err != nil {
		return err
	} else {
		w.folded = uint64(folded)
		if !over.Empty() {
			w.comesTo("load")
		}
	}
	w.tail, w.loose, w.bound, w.changed = nil, config.loose, config.Overlay, config.HealthChanged
	d.overlaid(w, over)
	return nil
}

// overlaid has commits go into an overlay from now on, which has what the table lacks.
func (d *Database) overlaid(w *fileWriter, over *overlay.Overlay) {
	w.over, w.limbo, w.from = over, new(limbo), firstDeadline
	d.over, d.limbo = over, w.limbo
	w.views.sighted(w.shown)
}

// shown is what the overlay shows of what is committed.
func (w *fileWriter) shown() (*overlay.State, overlay.Cursor) {
	return w.over.Published(), w.over.Progress()
}

// beginOver begins the overlay's transaction.
func (w *fileWriter) beginOver() error {
	if err := w.findOut(); err != nil {
		return err
	}
	w.prune()
	if err := w.makeRoom(); err != nil {
		return err
	}
	w.open, w.begun, w.wrote, w.restamp = true, false, false, false
	return nil
}

// beginLogged begins SQLite's transaction for what is written to the log.
func (w *fileWriter) beginLogged() error {
	if !w.begun {
		if err := w.beginSQL(); err != nil {
			return err
		}
		w.begun = true
	}
	w.effort.begin()
	w.wrote = true
	return w.foldedTo()
}

// commitOver commits the row of the log, and publishes what the overlay has of it.
func (w *fileWriter) commitOver() error {
	if !w.InTransaction() {
		return storage.ErrRolledBack
	}
	revision := w.last
	if revision == 0 {
		if w.over.Mark() > 0 && !w.loose {
			return errors.New("storage: a commit without a row of the log")
		}
		revision = w.over.Published().Revision()
	}
	if !w.begun {
		if w.over.Mark() > 0 {
			_ = w.changes.Moving(func() error { return w.views.publishing(func() error { return nil }, w.commits(revision)) })
		}
		w.ended()
		return nil
	}
	w.doubt, w.unknown = true, revision
	if err := w.commitSQL(w.commits(revision)); err != nil {
		known := w.sqlOpen() || !storage.IsIndeterminate(err)
		if undone := w.rollbackSQL(); undone != nil {
			err = errors.Join(err, undone)
		}
		if known && !w.sqlOpen() {
			w.doubt = false
			w.undoOver()
			w.views.sighted(w.shown)
			return err
		}
		if lost := w.findOut(); lost != nil {
			w.logger.Error("nobody knows what the log ends with: it is tried again", "error", lost)
		}
		return err
	}
	w.ended()
	return nil
}

// commits publishes the overlay's transaction, once COMMIT has succeeded.
func (w *fileWriter) commits(revision uint64) func() (*overlay.State, overlay.Cursor) {
	return func() (*overlay.State, overlay.Cursor) {
		w.over.Commit(revision)
		w.doubt, w.pruned = false, false
		return w.shown()
	}
}

// ended ends the transaction that was published.
func (w *fileWriter) ended() {
	w.open, w.begun, w.behind = false, false, w.behind || w.begun
	w.prune()
}

// prune lets go of what nobody sees any more, since the last commit was published.
func (w *fileWriter) prune() {
	if !w.pruned {
		w.over.Prune()
		w.pruned = true
	}
}

// undoOver gives the overlay's transaction up, unless nobody knows whether it was
// committed.
func (w *fileWriter) undoOver() {
	if w.over == nil || w.doubt {
		return
	}
	w.prune()
	if w.over.Mark() > 0 {
		w.undoTo(0)
		w.from = firstDeadline
	}
	w.open, w.begun = false, false
}

// findOut makes what is shown what the log has, after a COMMIT whose outcome is unknown:
// its row is there or not, and other processes may have seen it.
func (w *fileWriter) findOut() (err error) {
	if !w.doubt {
		return nil
	}
	defer func() {
		if err != nil {
			w.limbo.reason.Store(&err)
		} else {
			w.limbo.reason.Store(nil)
		}
	}()
	if err := w.rollbackSQL(); err != nil {
		return err
	}
	last, err := readRevision(w.revision)
	if err != nil {
		return err
	}
	shown := w.shown
	switch last {
	case w.unknown:
		shown = w.commits(w.unknown)
	case w.over.Published().Revision():
		w.doubt = false
		w.undoOver()
	default:
		return fmt.Errorf("the log ends with revision %d, neither %d nor %d", last, w.over.Published().Revision(), w.unknown)
	}
	w.views.sighted(shown)
	w.ended()
	return nil
}

// resynchroniseOver is Resynchronise after whatever has ended the writer's owner.
func (w *fileWriter) resynchroniseOver() error {
	if w.doubt {
		return w.findOut()
	}
	return w.Rollback()
}

// changing is writable for what the overlay alone is to have.
func (w *fileWriter) changing() error {
	if w.conn == nil {
		return kv.ClosedError
	}
	if !w.InTransaction() {
		return storage.ErrRolledBack
	}
	return nil
}

func (w *fileWriter) getOver(group, key string) (row kv.Row, found bool, err error) {
	row, verdict := w.over.Working().Get(group, key)
	if verdict != overlay.Below {
		return row, verdict == overlay.Present, nil
	}
	err = w.below(func(v *view) (err error) {
		row, found, err = v.stored(group, key)
		return err
	})
	if errors.Is(err, errUnread) {
		w.effort.begin()
		return getRow(w.get, group, key)
	}
	return row, found, err
}

// below has f read the table's pages. errUnread says that SQLite is to be asked.
func (w *fileWriter) below(f func(*view) error) (err error) {
	if w.views == nil {
		return errUnread
	}
	defer moment.OnFault(debug.SetPanicOnFault(true), &err)
	p, ok := w.views.lookBy((*view).pinPages)
	if !ok {
		return errUnread
	}
	defer p.release()
	return left(f(p.view))
}

// belowHas reports whether the table has a row, which has the deadline.
func (w *fileWriter) belowHas(group, key string) (deadline int64, found bool, err error) {
	err = w.below(func(v *view) (err error) {
		deadline, found, err = v.deadline(group, key)
		return err
	})
	if !errors.Is(err, errUnread) {
		return deadline, found, err
	}
	w.effort.begin()
	row, found, err := getRow(w.get, group, key)
	if storage.IsDamagedRow(err) {
		err = nil
	}
	return row.Deadline, found, err
}

// has reports whether a key has a row; below says that the table has been asked, where it
// has the deadline.
func (w *fileWriter) has(group, key string) (found, below bool, deadline int64, err error) {
	if _, verdict := w.over.Working().Get(group, key); verdict != overlay.Below {
		return verdict == overlay.Present, false, 0, nil
	}
	deadline, found, err = w.belowHas(group, key)
	return found, true, deadline, err
}

func (w *fileWriter) setOver(row kv.Row) error {
	if err := w.changing(); err != nil {
		return err
	}
	w.changes.Touch(row.Group, row.Key)
	w.over.Set(row)
	w.first.comes(row.Group, row.Key)
	return nil
}

func (w *fileWriter) updateOver(row kv.Row) (changed bool, err error) {
	if err := w.changing(); err != nil {
		return false, err
	}
	changed, below, deadline, err := w.has(row.Group, row.Key)
	if err != nil || !changed {
		return false, err
	}
	err = w.setOver(row)
	if below {
		w.over.Knows(row.Group, row.Key, deadline, true)
	}
	return true, err
}

func (w *fileWriter) deleteOver(group, key string) (changed bool, err error) {
	if err := w.changing(); err != nil {
		return false, err
	}
	changed, below, deadline, err := w.has(group, key)
	if err != nil || !changed {
		return false, err
	}
	w.changes.Touch(group, key)
	w.over.Delete(group, key, 0)
	if below {
		w.over.Knows(group, key, deadline, true)
	}
	return true, nil
}

func (w *fileWriter) deleteGroupOver(group string) (removed int64, err error) {
	if err := w.changing(); err != nil {
		return 0, err
	}
	if removed, err = w.countRows(group); err != nil || removed == 0 {
		return 0, err
	}
	w.changes.TouchGroup(group)
	w.over.DeleteGroup(group, 0)
	return removed, nil
}

// countRows is how many rows a group has, dead ones too.
func (w *fileWriter) countRows(group string) (n int64, err error) {
	working, hidden := w.over.Working(), false
	if hidden = working.Hides(group); !hidden {
		if n, err = w.belowCount(group); err != nil {
			return 0, err
		}
	}
	left := n > 0 // of the table's rows there may be some that the overlay decides
	walk := working.Iterate(overlay.GroupBounds(kv.GroupRange(group)), false)
	for e, ok := walk.Next(); ok; e, ok = walk.Next() {
		if !e.Gone {
			n++
		}
		if !left {
			continue
		}
		_, found, err := w.belowHas(group, e.Row.Key)
		if err != nil {
			return 0, err
		}
		if found {
			n--
		}
	}
	return n, nil
}

// belowCount is how many rows of a group the table has.
func (w *fileWriter) belowCount(group string) (n int64, err error) {
	err = w.below(func(v *view) error {
		p := boundless()
		rows, err := v.countStored(kv.GroupRange(group), &p)
		n = int64(rows)
		return err
	})
	if errors.Is(err, errUnread) {
		return queryInt(w.conn, "SELECT count(*) FROM entries WHERE group_name = ?1", group)
	}
	return n, err
}

// sqlEachOf is the keys of a group; what is no text comes as a number.
const sqlEachOf = `SELECT entry_key, expires_at, typeof(entry_key) = 'text', typeof(expires_at) = 'integer' FROM entries WHERE group_name = ?1 ORDER BY entry_key`

// sqlEachOfFrom is sqlEachOf from a key on.
const sqlEachOfFrom = `SELECT entry_key, expires_at, typeof(entry_key) = 'text', typeof(expires_at) = 'integer' FROM entries WHERE group_name = ?1 AND entry_key >= ?2 ORDER BY entry_key`

// belowEach is view.eachOf by SQLite.
func (w *fileWriter) belowEach(group, from string, judge func(key string, deadline int64) (more bool)) error {
	w.effort.begin()
	sql := sqlEachOf
	if from != "" {
		sql = sqlEachOfFrom
	}
	stmt, err := w.conn.Prepare(sql)
	if err != nil {
		return err
	}
	stmt.BindText(1, group)
	if from != "" {
		stmt.BindText(2, from)
	}
	for {
		found, err := stmt.Step()
		if err != nil || !found {
			return errors.Join(err, stmt.Reset())
		}
		deadline := kv.NoDeadline
		if stmt.ColumnBool(3) {
			deadline = stmt.ColumnInt64(1)
		}
		key := ""
		if stmt.ColumnBool(2) {
			key = stmt.ColumnText(0)
		}
		if !judge(key, deadline) {
			return stmt.Reset()
		}
	}
}

func (w *fileWriter) nextGroupOver(r kv.Range, after string, started bool) (group string, found bool, err error) {
	from := r.From
	if started && after >= r.From {
		from = after + "\x00"
	}
	for {
		below, hasBelow, err := w.belowNextGroup(from, r)
		if err != nil {
			return "", false, err
		}
		group, touched := w.over.Working().NextGroup(from, r)
		switch {
		case !touched && !hasBelow:
			return "", false, nil
		case !touched || hasBelow && below < group:
			return below, true, nil
		}
		if found, err = w.hasRow(group, math.MinInt64); err != nil || found {
			return group, found, err
		}
		from = group + "\x00"
	}
}

// belowNextGroup is the table's first group from a name on.
func (w *fileWriter) belowNextGroup(from string, r kv.Range) (group string, found bool, err error) {
	err = w.below(func(v *view) (err error) {
		group, found, err = v.nextGroup(from, r)
		return err
	})
	if !errors.Is(err, errUnread) {
		return group, found, err
	}
	w.effort.begin()
	w.firstGroup.BindText(1, from)
	bindEnd(w.firstGroup, 2, r)
	found, err = one(w.firstGroup, func(stmt *sqlite.Stmt) (err error) {
		group, err = name(stmt, 0)
		return err
	})
	return group, found, err
}

// sqlDeadFrom is sqlExpiredRows from a place on.
const sqlDeadFrom = `SELECT group_name, entry_key, entry_value, expires_at, revision, rowid FROM entries
	WHERE expires_at >= ?1 AND (expires_at > ?1 OR rowid > ?2) AND expires_at <= ?3 AND ` + sqlIntact + `
	ORDER BY expires_at, rowid`

// belowDead calls judge with rows of the table that the overlay does not decide, by their
// deadlines, from where the table's rows may be left on.
func (w *fileWriter) belowDead(after, now int64, judge func(*kv.Row) (more bool)) error {
	w.effort.begin()
	stmt, err := w.conn.Prepare(sqlDeadFrom)
	if err != nil {
		return err
	}
	from, all := w.from, true
	if after > from.deadline {
		from, all = deadlinePlace{after, math.MaxInt64}, false // of those that are not looked at nothing is known
	}
	stmt.BindInt64(1, from.deadline)
	stmt.BindInt64(2, from.rowid)
	stmt.BindInt64(3, now)
	for {
		found, err := stmt.Step()
		if err != nil || !found {
			return errors.Join(err, stmt.Reset())
		}
		row, err := readRow(stmt)
		if err != nil {
			return errors.Join(scanRowError(err), stmt.Reset())
		}
		if _, verdict := w.over.Working().Get(row.Group, row.Key); verdict != overlay.Below {
			if all {
				w.from = deadlinePlace{row.Deadline, stmt.ColumnInt64(5)}
			}
			continue
		}
		all = false
		if !judge(&row) {
			return stmt.Reset()
		}
	}
}

func (w *fileWriter) expiredOver(r kv.Range, after, now int64, limit int) (rows []kv.Row, err error) {
	if limit <= 0 {
		return nil, nil
	}
	size, cut := 0, int64(math.MaxInt64)
	err = w.belowDead(after, now, func(row *kv.Row) (more bool) {
		if !r.Contains(row.Group) || row.Deadline <= after && after != math.MinInt64 {
			return true
		}
		rows = append(rows, *row)
		size += storage.RowSize(row)
		if size >= storage.ExpiredBytes {
			cut = row.Deadline // there may be others behind it
		}
		return len(rows) < limit && size < storage.ExpiredBytes
	})
	if err != nil {
		return nil, err
	}
	laid := w.over.Expired(r, after, now, limit, storage.ExpiredBytes)
	if n := len(laid); n > 0 && n < limit && weight(laid) >= storage.ExpiredBytes {
		cut = min(cut, laid[n-1].Deadline)
	}
	rows = append(rows, laid...)
	slices.SortStableFunc(rows, func(a, b kv.Row) int { return cmp.Compare(a.Deadline, b.Deadline) })
	for i := range rows {
		if i == limit || rows[i].Deadline > cut {
			return rows[:i], nil
		}
	}
	return rows, nil
}

func weight(rows []kv.Row) (n int) {
	for i := range rows {
		n += storage.RowSize(&rows[i])
	}
	return n
}

// belowDeadIn gives the table's dead rows of a range by their groups and keys.
type belowDeadIn struct {
	w          *fileWriter
	rng        kv.Range
	from       kv.Key
	after, now int64
	rows       []kv.Row
	ended      bool
}

func (s *belowDeadIn) Next() (row kv.Row, ok bool, err error) {
	if len(s.rows) == 0 && !s.ended {
		const some = 256
		stmt := s.w.deadIn
		stmt.BindText(1, s.from.Group)
		stmt.BindText(2, s.from.Key)
		bindEnd(stmt, 3, s.rng)
		bindAfter(stmt, 4, s.after)
		stmt.BindInt64(5, s.now)
		stmt.BindInt64(6, some)
		s.w.effort.begin()
		if s.rows, err = readSome(stmt); err != nil {
			return row, false, err
		}
		if n := len(s.rows); n > 0 {
			s.from = kv.Key{Group: s.rows[n-1].Group, Key: s.rows[n-1].Key + "\x00"}
		} else {
			s.ended = true
		}
	}
	if len(s.rows) == 0 {
		return row, false, nil
	}
	row, s.rows = s.rows[0], s.rows[1:]
	return row, true, nil
}

func (s *belowDeadIn) Pass(group string) {
	for len(s.rows) > 0 && s.rows[0].Group == group {
		s.rows = s.rows[1:]
	}
	if len(s.rows) == 0 && s.from.Group == group {
		s.from = kv.Key{Group: group + "\x00"}
	}
}

func (w *fileWriter) deadInOver(r kv.Range, from *kv.Key, after, now int64, limit int) (rows []kv.Row, err error) {
	if from == nil || from.Group < r.From {
		from = &kv.Key{Group: r.From}
	}
	bounds := overlay.GroupBounds(r)
	bounds.From = *from
	merged := w.over.Working().Merge(&belowDeadIn{w: w, rng: r, from: *from, after: after, now: now}, bounds, false)
	for size := 0; len(rows) < limit && size < storage.ExpiredBytes; {
		row, ok, err := merged.Next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if row.Deadline <= now && (row.Deadline > after || after == math.MinInt64) {
			rows = append(rows, row)
			size += storage.RowSize(&row)
		}
	}
	return rows, nil
}

// countDeadOver may count rows of the table that the overlay has removed: what it is asked
// for is which way to look for them is the shorter.
func (w *fileWriter) countDeadOver(after, now int64, limit int) (n int, err error) {
	if n = w.over.CountDead(after, now, limit); n >= limit {
		return n, nil
	}
	if w.from != firstDeadline && after < w.from.deadline-1 {
		after = w.from.deadline - 1
	}
	below, err := w.countDeadSQL(after, now, limit-n)
	return n + below, err
}

func (w *fileWriter) earliestOver() (earliest int64, err error) {
	earliest = w.over.Earliest()
	err = w.belowDead(math.MinInt64, math.MaxInt64, func(row *kv.Row) (more bool) {
		earliest = min(earliest, row.Deadline)
		return false
	})
	return earliest, err
}

// foldedTo says in the open transaction, which is the first to write to the log, how much of
// that the table has from now on.
func (w *fileWriter) foldedTo() error {
	if w.behind {
		return nil
	}
	w.folded = w.over.Published().Revision()
	return setFolded(w.conn, false, w.folded)
}

// freeze makes the active run the frozen one, which has all that is committed.
func (w *fileWriter) freeze() {
	w.frozenTo, w.logged = w.over.Published().Revision(), 0
	w.over.Freeze()
	w.views.sighted(w.shown)
	w.over.Prune()
	w.comesTo("freeze")
}

// foldSlice moves the next changes of the frozen run, which is arranged, into the table.
func (w *fileWriter) foldSlice(a *applier, changes, bytes int) error {
	begun, marks := w.over.Progress(), w.over.LeftMarks() > 0
	var end overlay.Cursor
	last := false
	shown := func() (*overlay.State, overlay.Cursor) {
		w.doubt = false
		w.over.Folded(end)
		if last {
			w.over.Retire()
			w.from = firstDeadline
			w.first.forget()
		}
		return w.shown()
	}
	err := w.transactSlice(a, func() (err error) {
		if end, err = a.makeSlice(w.over, changes, bytes); err != nil {
			return err
		}
		if last = end.Run > begun.Run; !last {
			return nil
		}
		w.comesTo("last slice")
		return setFolded(w.conn, w.over.Gathered() == 0, w.frozenTo)
	}, shown)
	if err != nil {
		return err
	}
	if marks {
		w.comesTo("mark")
	} else if !last {
		w.comesTo("slice")
	}
	if last {
		w.comesTo("retire")
		w.folded = w.frozenTo
		w.behind = w.over.Gathered() > 0
		w.over.Prune()
		w.boundHeld()
	}
	return nil
}

// transactSlice runs f in a transaction of SQLite's own, between those of the overlay's.
func (w *fileWriter) transactSlice(a *applier, f func() error, shown func() (*overlay.State, overlay.Cursor)) (err error) {
	if err := w.beginSQL(); err != nil {
		return err
	}
	w.wrote = true
	// What it loses by a power cut the log has. But what is first in a WAL has the stamp that
	// tells whose that is, and the WAL's header with it.
	w.unsyncedSlice = !w.restamp
	defer func() { w.unsyncedSlice = false }()
	committing := false
	if err = f(); err == nil {
		w.checkpoints.wrote(a.rows, a.bytes)
		committing = true
		err = w.commitSQL(shown)
	}
	a.rows, a.bytes = 0, 0
	if err == nil {
		return nil
	}
	err = errors.Join(err, w.rollbackSQL())
	if committing && !storage.IsIndeterminate(err) {
		w.views.sighted(w.shown)
	}
	// Of one whose outcome is unknown there is no view until it was made again: what the
	// cursor says of the pages may be wrong, and by SQLite nothing is counted by it.
	return err
}

// foldOver moves all that the overlay has into the table.
func (w *fileWriter) foldOver() error {
	if err := w.findOut(); err != nil {
		return err
	}
	w.prune()
	for !w.over.Empty() {
		if err := w.foldRun(); err != nil {
			return fmt.Errorf("move what the log has into the table: %w", err)
		}
	}
	if !w.behind {
		return nil
	}
	a, err := w.foldBy()
	if err == nil {
		err = w.transactSlice(a, func() error { return setFolded(w.conn, true, 0) }, w.shown)
	}
	if err != nil {
		return fmt.Errorf("move what the log has into the table: %w", err)
	}
	w.behind = false
	return nil
}
