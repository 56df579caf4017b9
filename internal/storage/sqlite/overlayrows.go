package sqlite

import (
	"cmp"
	"errors"
	"math"
	"runtime/debug"
	"slices"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/moment"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// What has to be known of a key is asked of the overlay's working state, and, where that says
// nothing, of the table below it, which only this writer changes: of the pages of the last
// view, or of SQLite where there is none. Names that begin with below are of the table alone.

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
		why := err
		row, found, err = getRow(w.get, group, key)
		return row, found, naming(why, err)
	}
	return row, found, err
}

func (w *fileWriter) headOver(group, key string) (row kv.Row, size int, found bool, err error) {
	row, verdict := w.over.Working().Get(group, key)
	if verdict != overlay.Below {
		size, row.Value = len(row.Value), ""
		return row, size, verdict == overlay.Present, nil
	}
	err = w.below(func(v *view) (err error) {
		row, size, found, err = v.head(group, key)
		return err
	})
	if errors.Is(err, errUnread) {
		w.effort.begin()
		why := err
		row, size, found, err = w.headSQL(group, key)
		return row, size, found, naming(why, err)
	}
	return row, size, found, err
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
	why := err
	row, _, found, err := w.headSQL(group, key)
	if storage.IsDamagedRow(err) {
		err = nil
	}
	return row.Deadline, found, naming(why, err)
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
	return orSQLite(n, err, func() (int64, error) {
		return queryInt(w.conn, "SELECT count(*) FROM entries WHERE group_name = ?1", group)
	})
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
	why := err
	w.firstGroup.BindText(1, from)
	bindEnd(w.firstGroup, 2, r)
	found, err = one(w.firstGroup, func(stmt *sqlite.Stmt) (err error) {
		group, err = name(stmt, 0)
		return err
	})
	return group, found, naming(why, err)
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
