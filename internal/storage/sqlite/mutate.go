package sqlite

import (
	"errors"
	"math"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// Get is the stored row, dead or alive, as the open transaction sees it.
func (w *fileWriter) Get(group, key string) (row kv.Row, found bool, err error) {
	if w.conn == nil {
		return row, false, kv.ClosedError
	}
	if w.over != nil {
		return w.getOver(group, key)
	}
	w.effort.begin() // a request may look any number of keys up
	return getRow(w.get, group, key)
}

// Head is Get without the value, whose size it returns.
func (w *fileWriter) Head(group, key string) (row kv.Row, size int, found bool, err error) {
	if w.conn == nil {
		return row, 0, false, kv.ClosedError
	}
	if w.over != nil {
		return w.headOver(group, key)
	}
	w.effort.begin()
	return w.headSQL(group, key)
}

func (w *fileWriter) headSQL(group, key string) (row kv.Row, size int, found bool, err error) {
	row, found, err = readFound(w.head, group, key, func(stmt *sqlite.Stmt, _ *kv.Row) error {
		size = stmt.ColumnInt(0)
		return notNull(stmt, 0)
	})
	return row, size, found, err
}

// getRow steps a statement that begins with the columns of sqlGet. A row that is damaged
// is found, with an error and whatever of it can be read.
func getRow(stmt *sqlite.Stmt, group, key string) (row kv.Row, found bool, err error) {
	return readFound(stmt, group, key, func(stmt *sqlite.Stmt, row *kv.Row) (err error) {
		row.Value, err = text(stmt, 0)
		return err
	})
}

// readFound is getRow where value reads the first column.
func readFound(stmt *sqlite.Stmt, group, key string, value func(*sqlite.Stmt, *kv.Row) error) (row kv.Row, found bool, err error) {
	stmt.BindText(1, group)
	stmt.BindText(2, key)
	found, err = stmt.Step()
	if err != nil || !found {
		return row, false, errors.Join(err, stmt.Reset())
	}
	row = kv.Row{Group: group, Key: key}
	err = readMeta(stmt, 1, &row)
	if err == nil {
		err = value(stmt, &row)
	}
	if err != nil {
		err = scanRowError(err)
	}
	if reset := stmt.Reset(); reset != nil {
		return row, true, errors.Join(err, reset)
	}
	return row, true, err
}

// Upsert writes the row, whether its key exists or not.
func (w *fileWriter) Upsert(row kv.Row) error {
	if w.conn == nil {
		return kv.ClosedError
	}
	if w.over != nil {
		return w.setOver(row)
	}
	if w.upsert == nil {
		stmt, err := w.conn.Prepare(sqlUpsert)
		if err != nil {
			return err
		}
		w.upsert = stmt
	}
	_, err := w.write(w.upsert, row)
	return err
}

// Insert writes a row whose key must not exist.
func (w *fileWriter) Insert(row kv.Row) error {
	if w.over != nil {
		return w.setOver(row)
	}
	_, err := w.write(w.insert, row)
	return err
}

// Update writes a row if its key exists.
func (w *fileWriter) Update(row kv.Row) (changed bool, err error) {
	if w.over != nil {
		return w.updateOver(row)
	}
	return w.write(w.update, row)
}

func (w *fileWriter) write(stmt *sqlite.Stmt, row kv.Row) (changed bool, err error) {
	if err := w.writable(); err != nil {
		return false, err
	}
	w.changes.Touch(row.Group, row.Key)
	bindRow(stmt, row)
	if err := run(stmt); err != nil {
		return false, err
	}
	changed = w.conn.Changes() > 0
	if changed {
		w.checkpoints.wrote(1, storage.RowSize(&row))
	}
	return changed, nil
}

// Delete removes a row, dead or alive.
func (w *fileWriter) Delete(group, key string) (changed bool, err error) {
	if w.over != nil {
		return w.deleteOver(group, key)
	}
	if err := w.writable(); err != nil {
		return false, err
	}
	w.changes.Touch(group, key)
	w.remove.BindText(1, group)
	w.remove.BindText(2, key)
	if err := run(w.remove); err != nil {
		return false, err
	}
	changed = w.conn.Changes() > 0
	if changed {
		w.checkpoints.wrote(1, 0)
	}
	return changed, nil
}

// DeleteGroup removes every row of a group, dead or alive.
func (w *fileWriter) DeleteGroup(group string) (removed int64, err error) {
	if w.over != nil {
		return w.deleteGroupOver(group)
	}
	if err := w.writable(); err != nil {
		return 0, err
	}
	w.changes.TouchGroup(group)
	w.removeGroup.BindText(1, group)
	if err := run(w.removeGroup); err != nil {
		return 0, err
	}
	removed = int64(w.conn.Changes())
	if removed > 0 {
		w.checkpoints.wrote(removed, 0)
	}
	return removed, nil
}

// writable refuses writes outside a transaction: each would be one of its own.
func (w *fileWriter) writable() error {
	if w.conn == nil {
		return kv.ClosedError
	}
	if !w.InTransaction() {
		return storage.ErrRolledBack
	}
	if w.over != nil {
		return w.beginLogged()
	}
	w.effort.begin() // the file does not grow before COMMIT by what a large batch writes
	w.wrote = true
	return nil
}

// HasGroup reports whether the group has a row, dead or alive.
func (w *fileWriter) HasGroup(group string) (bool, error) {
	if w.conn == nil {
		return false, kv.ClosedError
	}
	if w.over != nil {
		return w.hasRow(group, math.MinInt64)
	}
	w.hasGroup.BindText(1, group)
	return exists(w.hasGroup)
}

// HasLiveRow reports whether the group has a live row.
func (w *fileWriter) HasLiveRow(group string, now int64) (bool, error) {
	if w.conn == nil {
		return false, kv.ClosedError
	}
	if w.over != nil {
		return w.hasRow(group, now)
	}
	w.isLive.BindText(1, group)
	w.isLive.BindInt64(2, now)
	return exists(w.isLive)
}

func exists(stmt *sqlite.Stmt) (bool, error) {
	return one(stmt, func(*sqlite.Stmt) error { return nil })
}

// NextGroup is the first group of r that has a row, dead or alive; with
// started, the first one after after.
func (w *fileWriter) NextGroup(r kv.Range, after string, started bool) (group string, found bool, err error) {
	if w.conn == nil {
		return "", false, kv.ClosedError
	}
	if w.over != nil {
		return w.nextGroupOver(r, after, started)
	}
	stmt := w.firstGroup
	stmt.BindText(1, r.From)
	if started && after >= r.From {
		stmt = w.nextGroup
		stmt.BindText(1, after)
	}
	bindEnd(stmt, 2, r)
	found, err = one(stmt, func(stmt *sqlite.Stmt) (err error) {
		group, err = name(stmt, 0)
		return err
	})
	return group, found, err
}

// Expired is rows of r with after < deadline <= now, by deadline ascending, at
// most limit and some megabytes, but one if there is one. math.MinInt64 as after means all. Rows that share the last one's
// deadline may have been cut off: to meet them go on from that deadline less
// one, having removed what came before.
func (w *fileWriter) Expired(r kv.Range, after, now int64, limit int) (rows []kv.Row, err error) {
	if w.conn == nil {
		return nil, kv.ClosedError
	}
	if w.over != nil {
		return w.expiredOver(r, after, now, limit)
	}
	stmt := w.expired
	bindRange(stmt, r)
	bindAfter(stmt, 3, after)
	stmt.BindInt64(4, now)
	stmt.BindInt64(5, int64(max(limit, 0))) // negative would mean all
	return readSome(stmt)
}

// DeadIn is rows of r from a position on with after < deadline <= now, in the order
// of groups and keys, and bounded as Expired's.
func (w *fileWriter) DeadIn(r kv.Range, from *kv.Key, after, now int64, limit int) (rows []kv.Row, err error) {
	if w.conn == nil {
		return nil, kv.ClosedError
	}
	if w.over != nil {
		return w.deadInOver(r, from, after, now, limit)
	}
	stmt := w.deadIn
	if from == nil || from.Group < r.From {
		from = &kv.Key{Group: r.From}
	}
	stmt.BindText(1, from.Group)
	stmt.BindText(2, from.Key)
	bindEnd(stmt, 3, r)
	bindAfter(stmt, 4, after)
	stmt.BindInt64(5, now)
	stmt.BindInt64(6, int64(max(limit, 0)))
	return readSome(stmt)
}

// CountDead is how many rows of all groups have after < deadline <= now, at most
// limit: so many entries of an index are looked at.
func (w *fileWriter) CountDead(after, now int64, limit int) (n int, err error) {
	if w.conn == nil {
		return 0, kv.ClosedError
	}
	if w.over != nil {
		return w.countDeadOver(after, now, limit)
	}
	return w.countDeadSQL(after, now, limit)
}

func (w *fileWriter) countDeadSQL(after, now int64, limit int) (n int, err error) {
	bindAfter(w.countDead, 1, after)
	w.countDead.BindInt64(2, now)
	w.countDead.BindInt64(3, int64(max(limit, 0)))
	_, err = one(w.countDead, func(stmt *sqlite.Stmt) error {
		n = stmt.ColumnInt(0)
		return nil
	})
	return n, err
}

// readSome reads rows of sqlRow until they weigh expiredBytes.
func readSome(stmt *sqlite.Stmt) (rows []kv.Row, err error) {
	size := 0
	for {
		found, err := stmt.Step()
		if err != nil {
			return nil, err
		}
		if !found {
			return rows, stmt.Reset()
		}
		row, err := readRow(stmt)
		if err != nil {
			return nil, errors.Join(scanRowError(err), stmt.Reset())
		}
		rows = append(rows, row)
		if size += storage.RowSize(&row); size >= storage.ExpiredBytes {
			return rows, stmt.Reset()
		}
	}
}

// Earliest is the earliest deadline stored, kv.NoDeadline if there is none.
func (w *fileWriter) Earliest() (earliest int64, err error) {
	if w.conn == nil {
		return 0, kv.ClosedError
	}
	if w.over != nil {
		return w.earliestOver()
	}
	earliest = kv.NoDeadline
	_, err = one(w.earliest, func(stmt *sqlite.Stmt) error {
		earliest = stmt.ColumnInt64(0)
		return nil
	})
	return earliest, err
}
