package storage

import (
	"context"
	"math"
	"strings"

	"forge.lthn.ai/core/go-store/kv"
)

// memoryWriter changes a ":memory:" database. The trees that it works on are
// its own; COMMIT publishes a copy, which shares every node that is not changed
// later, and what is rolled back is undone change by change.
type memoryWriter struct {
	memory  *memory
	working forest
	changes []undo // of the open transaction, oldest first
	mark    int    // length of changes at Savepoint
	open    bool   // a transaction is
	logged  bool   // working.log differs from what is published
	expiry  bool   // working.expiring differs from what is published
}

// undo is one change: what stands at a key now, and what stood there before.
type undo struct{ now, before *kv.Row }

func newMemoryWriter(m *memory) *memoryWriter {
	w := &memoryWriter{memory: m, working: newForest(), expiry: true}
	m.committed.Store(new(forest))
	w.publish()
	return w
}

// publish shows readers what the writer has made.
func (w *memoryWriter) publish() {
	next := &forest{rows: w.working.rows.Copy(), expiring: w.memory.committed.Load().expiring, log: w.working.log}
	if w.expiry {
		next.expiring, w.expiry = w.working.expiring.Copy(), false
	}
	w.memory.committed.Store(next)
}

// check refuses work on a closed database, and writes outside a transaction.
func (w *memoryWriter) check(writing bool) error {
	if err := w.memory.check(context.Background()); err != nil {
		return err
	}
	if writing && !w.open {
		return errRolledBack
	}
	return nil
}

func (w *memoryWriter) Begin() error {
	if err := w.check(false); err != nil {
		return err
	}
	w.open = true
	return nil
}

func (w *memoryWriter) Commit() error {
	if err := w.check(true); err != nil {
		return err
	}
	if len(w.changes) > 0 || w.logged {
		_ = w.memory.changes.moving(func() error { // publish can't fail
			w.publish()
			return nil
		})
	}
	w.forget()
	return nil
}

func (w *memoryWriter) Probe() error { return w.check(false) }

func (w *memoryWriter) Rollback() error {
	w.undo(0)
	w.working.log = w.memory.committed.Load().log
	w.forget()
	return nil
}

// keptChanges is the longest list of changes that is kept between transactions.
const keptChanges = 8 << 10

// forget ends the transaction. It lets go of the rows: the capacity is worth
// keeping, unless it is large, they are not.
func (w *memoryWriter) forget() {
	if cap(w.changes) > keptChanges {
		w.changes = nil
	}
	clear(w.changes)
	w.changes, w.mark, w.open, w.logged = w.changes[:0], 0, false, false
}

func (w *memoryWriter) undo(keep int) {
	for i := len(w.changes) - 1; i >= keep; i-- {
		if c := w.changes[i]; c.before != nil {
			w.working.put(c.before)
		} else {
			w.working.remove(c.now)
		}
	}
	clear(w.changes[keep:])
	w.changes = w.changes[:keep]
}

func (w *memoryWriter) InTransaction() bool { return w.open }

func (w *memoryWriter) Savepoint() error {
	w.mark = len(w.changes)
	return w.check(true)
}

func (w *memoryWriter) Release() error { return w.check(true) }

func (w *memoryWriter) RollbackTo() error {
	if err := w.check(true); err != nil {
		return err
	}
	w.undo(w.mark)
	return nil
}

func (w *memoryWriter) Resynchronise() error {
	if err := w.check(false); err != nil {
		return err
	}
	return w.Rollback()
}

func (w *memoryWriter) Snapshot() (*Snapshot, error) {
	return w.memory.snapshot(context.Background())
}

func (w *memoryWriter) Get(group, key string) (row kv.Row, found bool, err error) {
	if err := w.check(false); err != nil {
		return row, false, err
	}
	stored, found := w.working.rows.Get(&kv.Row{Group: group, Key: key})
	if found {
		row = *stored
	}
	return row, found, nil
}

func (w *memoryWriter) Upsert(row kv.Row) error {
	if err := w.check(true); err != nil {
		return err
	}
	now := ownRow(&row)
	before := w.working.put(now)
	w.changed(now, before)
	return nil
}

func (w *memoryWriter) Insert(row kv.Row) error { return w.Upsert(row) }

func (w *memoryWriter) Update(row kv.Row) (changed bool, err error) {
	if _, found, err := w.Get(row.Group, row.Key); err != nil || !found {
		return false, err
	}
	return true, w.Upsert(row)
}

func (w *memoryWriter) Delete(group, key string) (changed bool, err error) {
	if err := w.check(true); err != nil {
		return false, err
	}
	before := w.working.remove(&kv.Row{Group: group, Key: key})
	if before == nil {
		return false, nil
	}
	w.changed(nil, before)
	return true, nil
}

func (w *memoryWriter) DeleteGroup(group string) (removed int64, err error) {
	if err := w.check(true); err != nil {
		return 0, err
	}
	var rows []*kv.Row
	ascend(w.working.rows, kv.GroupRange(group), func(row *kv.Row) bool {
		rows = append(rows, row)
		return true
	})
	for _, row := range rows {
		w.changed(nil, w.working.remove(row))
	}
	return int64(len(rows)), nil
}

func (w *memoryWriter) changed(now, before *kv.Row) {
	w.changes = append(w.changes, undo{now, before})
	w.expiry = w.expiry || now != nil && now.Deadline != kv.NoDeadline ||
		before != nil && before.Deadline != kv.NoDeadline
}

func (w *memoryWriter) HasGroup(group string) (bool, error) {
	return w.has(kv.GroupRange(group), func(*kv.Row) bool { return true })
}

func (w *memoryWriter) HasLiveRow(group string, now int64) (bool, error) {
	return w.has(kv.GroupRange(group), func(row *kv.Row) bool { return row.Live(now) })
}

func (w *memoryWriter) has(r kv.Range, passes func(*kv.Row) bool) (bool, error) {
	if err := w.check(false); err != nil {
		return false, err
	}
	return w.working.first(r, passes) != nil, nil
}

func (w *memoryWriter) NextGroup(r kv.Range, after string, started bool) (group string, found bool, err error) {
	if err := w.check(false); err != nil {
		return "", false, err
	}
	if started && after >= r.From {
		r.From = kv.GroupRange(after).To
	}
	if row := w.working.first(r, func(*kv.Row) bool { return true }); row != nil {
		return row.Group, true, nil
	}
	return "", false, nil
}

func (w *memoryWriter) Expired(r kv.Range, after, now int64, limit int) (rows []kv.Row, err error) {
	if err := w.check(false); err != nil {
		return nil, err
	}
	size := 0
	w.working.expiring.Ascend(&kv.Row{Deadline: after}, func(row *kv.Row) bool {
		if len(rows) >= limit || size >= expiredBytes || row.Live(now) {
			return false
		}
		if (row.Deadline > after || after == math.MinInt64) && r.Contains(row.Group) {
			rows = append(rows, *row)
			size += rowSize(row)
		}
		return true
	})
	return rows, nil
}

func (w *memoryWriter) DeadIn(r kv.Range, from *Position, after, now int64, limit int) (rows []kv.Row, err error) {
	if err := w.check(false); err != nil {
		return nil, err
	}
	start := &kv.Row{Group: r.From}
	if from != nil && from.Group >= r.From {
		start.Group, start.Key = from.Group, from.Key
	}
	size := 0
	w.working.rows.Ascend(start, func(row *kv.Row) bool {
		if !r.Contains(row.Group) || len(rows) >= limit || size >= expiredBytes {
			return false
		}
		if !row.Live(now) && (row.Deadline > after || after == math.MinInt64) {
			rows = append(rows, *row)
			size += rowSize(row)
		}
		return true
	})
	return rows, nil
}

func (w *memoryWriter) CountDead(after, now int64, limit int) (n int, err error) {
	if err := w.check(false); err != nil {
		return 0, err
	}
	w.working.expiring.Ascend(&kv.Row{Deadline: after}, func(row *kv.Row) bool {
		if n >= limit || row.Live(now) {
			return false
		}
		if row.Deadline > after || after == math.MinInt64 {
			n++
		}
		return true
	})
	return n, nil
}

func (w *memoryWriter) Earliest() (int64, error) {
	if err := w.check(false); err != nil {
		return 0, err
	}
	if row, found := w.working.expiring.Min(); found {
		return row.Deadline, nil
	}
	return kv.NoDeadline, nil
}

// sharedValue is the largest value that shares memory with its key: who keeps a key
// that a scan or an event has brought keeps no more than that beside it.
const sharedValue = 512

// ownRow copies a row's strings into one of their own: those of the caller may
// be small parts of something large. A large value has its own.
func ownRow(row *kv.Row) *kv.Row {
	own := &kv.Row{Deadline: row.Deadline, Revision: row.Revision}
	g, k := len(row.Group), len(row.Group)+len(row.Key)
	if len(row.Value) > sharedValue {
		names := row.Group + row.Key
		own.Group, own.Key, own.Value = names[:g], names[g:], strings.Clone(row.Value)
		return own
	}
	all := row.Group + row.Key + row.Value
	own.Group, own.Key, own.Value = all[:g], all[g:k], all[k:]
	return own
}
