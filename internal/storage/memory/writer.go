package memory

import (
	"context"
	"maps"
	"math"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// Writer changes a ":memory:" database. The trees that it works on are
// its own; COMMIT publishes a copy, which shares every node that is not changed
// later, and what is rolled back is undone change by change.
type Writer struct {
	memory  *Store
	working forest
	changes []undo           // of the open transaction, oldest first
	mark    int              // length of changes at Savepoint
	open    bool             // a transaction is
	logged  bool             // working.log differs from what is published
	keys    bool             // working.rows has other keys than what is published
	cells   map[kv.Key]*cell // those of working.rows, for the writer alone: a search of the tree costs ten times as much
	most    int              // of them since cells was made
	kept    []*version       // whose before a reader may have pinned
	swept   int              // how many there were after the last sweep
	expiry  bool             // working.expiring differs from what is published
	records records          // of the log
}

// undo is one change: what stands at a key now, and what stood there before; nil for
// nothing.
type undo struct {
	cell        *cell
	now, before *version
}

func newWriter(m *Store) *Writer {
	w := &Writer{memory: m, working: newForest(), cells: make(map[kv.Key]*cell), expiry: true, keys: true}
	m.committed.Store(new(forest))
	w.publish()
	return w
}

// publish shows readers what the writer has made.
func (w *Writer) publish() {
	last := w.memory.committed.Load()
	next := &forest{number: last.number + 1, rows: last.rows, expiring: last.expiring, log: w.working.log}
	if w.keys {
		next.rows.tree, w.keys = w.working.rows.tree.Copy(), false
	}
	next.rows.at = next.number
	if w.expiry {
		next.expiring, w.expiry = w.working.expiring.Copy(), false
	}
	w.memory.committed.Store(next)
}

// check refuses work on a closed database, and writes outside a transaction.
func (w *Writer) check(writing bool) error {
	if err := w.memory.check(context.Background()); err != nil {
		return err
	}
	if writing && !w.open {
		return storage.ErrRolledBack
	}
	return nil
}

func (w *Writer) Begin() error {
	if err := w.check(false); err != nil {
		return err
	}
	w.open = true
	return nil
}

func (w *Writer) Commit() error {
	if err := w.check(true); err != nil {
		return err
	}
	if len(w.changes) > 0 || w.logged {
		_ = w.memory.changes.Moving(func() error { // publish can't fail
			w.publish()
			return nil
		})
		w.prune()
	}
	w.forget()
	return nil
}

// prune lets go of the versions that the commit has replaced, as far as they are not pinned.
// Versions that no pin can see, between two pins too, go at once: a long read keeps its own
// snapshot, and not all that was written meanwhile.
func (w *Writer) prune() {
	oldest, newest := w.memory.pins.bounds(w.memory.committed.Load().number)
	for i := range w.changes {
		v, b := w.changes[i].now, w.changes[i].before
		if v == nil || b == nil {
			continue
		}
		if b.commit > newest { // it is seen by no pin
			v.before.Store(b.before.Load())
			if v.place, b.place = b.place, 0; v.place > 0 {
				w.kept[v.place-1] = v
			}
			continue
		}
		w.kept = append(w.kept, v)
		v.place = len(w.kept)
	}
	if len(w.kept) > 0 && (len(w.kept) <= fewKept || len(w.kept) >= 2*w.swept || newest == 0) {
		w.sweep(oldest)
	}
}

// fewKept is how many versions are looked through after every commit.
const fewKept = 64

// sweep takes away what the versions replaced that every reader sees.
func (w *Writer) sweep(oldest uint64) {
	left := w.kept[:0]
	for _, v := range w.kept {
		if v.commit <= oldest {
			v.before.Store(nil)
			v.place = 0
			continue
		}
		left = append(left, v)
		v.place = len(left)
	}
	clear(w.kept[len(left):])
	w.kept, w.swept = left, len(left)
	if len(left) == 0 && cap(left) > keptChanges {
		w.kept = nil
	}
}

func (w *Writer) Probe() error { return w.check(false) }

func (w *Writer) Rollback() error {
	w.undo(0)
	w.working.log = w.memory.committed.Load().log
	w.forget()
	return nil
}

// keptChanges is the longest list of changes that is kept between transactions.
const keptChanges = 8 << 10

// forget ends the transaction. It lets go of the rows: the capacity is worth
// keeping, unless it is large, they are not.
func (w *Writer) forget() {
	if cap(w.changes) > keptChanges {
		w.changes = nil
	}
	clear(w.changes)
	w.changes, w.mark, w.open, w.logged = w.changes[:0], 0, false, false
}

func (w *Writer) undo(keep int) {
	for i := len(w.changes) - 1; i >= keep; i-- {
		c := w.changes[i]
		switch {
		case c.now == nil:
			w.enter(c.cell)
		case c.before == nil:
			w.leave(c.cell)
		default:
			c.cell.newest.Store(c.before)
		}
		w.expires(c.now, c.before)
	}
	clear(w.changes[keep:])
	w.changes = w.changes[:keep]
}

// expires takes a version out of the tree of those with a deadline, and puts another in.
func (w *Writer) expires(out, in *version) {
	if out != nil && out.Deadline != kv.NoDeadline {
		w.working.expiring.Delete(&out.Row)
		w.expiry = true
	}
	if in != nil && in.Deadline != kv.NoDeadline {
		w.working.expiring.Set(&in.Row)
		w.expiry = true
	}
}

// IsWriteFault is never so: there is no disk.
func (w *Writer) IsWriteFault(error) bool { return false }

// IsDamage is never so.
func (w *Writer) IsDamage(error) bool { return false }

func (w *Writer) InTransaction() bool { return w.open }

func (w *Writer) Savepoint() error {
	w.mark = len(w.changes)
	return w.check(true)
}

func (w *Writer) Release() error { return w.check(true) }

func (w *Writer) RollbackTo() error {
	if err := w.check(true); err != nil {
		return err
	}
	w.undo(w.mark)
	return nil
}

func (w *Writer) Resynchronise() error {
	if err := w.check(false); err != nil {
		return err
	}
	return w.Rollback()
}

func (w *Writer) Snapshot() (storage.Snapshot, error) {
	return w.memory.Snapshot(context.Background())
}

func (w *Writer) Get(group, key string) (row kv.Row, found bool, err error) {
	if err := w.check(false); err != nil {
		return row, false, err
	}
	if c := w.find(group, key); c != nil {
		return c.newest.Load().Row, true, nil
	}
	return row, false, nil
}

func (w *Writer) Head(group, key string) (row kv.Row, size int, found bool, err error) {
	row, found, err = w.Get(group, key)
	size, row.Value = len(row.Value), ""
	return row, size, found, err
}

func (w *Writer) Upsert(row kv.Row) error {
	if err := w.check(true); err != nil {
		return err
	}
	c, before := w.find(row.Group, row.Key), (*version)(nil)
	if c != nil {
		before = c.newest.Load()
	} else { // the caller's strings may be small parts of something large
		names := strings.Clone(row.Group + row.Key) // the sum may be one of the two
		c = &cell{group: names[:len(row.Group)], key: names[len(row.Group):]}
	}
	now := &version{Row: row, commit: w.memory.committed.Load().number + 1}
	now.Group, now.Key, now.Value = c.group, c.key, strings.Clone(row.Value)
	now.before.Store(before)
	c.newest.Store(now)
	if before == nil {
		w.enter(c)
	}
	w.changed(undo{c, now, before})
	return nil
}

// find is a key's cell, or nil.
func (w *Writer) find(group, key string) *cell { return w.cells[kv.Key{Group: group, Key: key}] }

// enter and leave are for keys that come and go.
func (w *Writer) enter(c *cell) {
	w.working.rows.tree.Set(c)
	w.cells[kv.Key{Group: c.group, Key: c.key}] = c
	w.most = max(w.most, len(w.cells))
	w.keys = true
}

func (w *Writer) leave(c *cell) {
	w.working.rows.tree.Delete(c)
	delete(w.cells, kv.Key{Group: c.group, Key: c.key})
	w.keys = true
	if n := len(w.cells); n < w.most/4 && w.most > fewCells { // a map keeps its memory
		cells := make(map[kv.Key]*cell, n)
		maps.Copy(cells, w.cells)
		w.cells, w.most = cells, n
	}
}

// fewCells are not worth another map.
const fewCells = 1 << 12

func (w *Writer) Insert(row kv.Row) error { return w.Upsert(row) }

func (w *Writer) Update(row kv.Row) (changed bool, err error) {
	if _, found, err := w.Get(row.Group, row.Key); err != nil || !found {
		return false, err
	}
	return true, w.Upsert(row)
}

func (w *Writer) Delete(group, key string) (changed bool, err error) {
	if err := w.check(true); err != nil {
		return false, err
	}
	c := w.find(group, key)
	if c == nil {
		return false, nil
	}
	w.remove(c)
	return true, nil
}

func (w *Writer) remove(c *cell) {
	w.leave(c)
	w.changed(undo{c, nil, c.newest.Load()})
}

func (w *Writer) DeleteGroup(group string) (removed int64, err error) {
	if err := w.check(true); err != nil {
		return 0, err
	}
	var cells []*cell
	w.working.rows.tree.Ascend(&cell{group: group}, func(c *cell) bool {
		if c.group != group {
			return false
		}
		cells = append(cells, c)
		return true
	})
	for _, c := range cells {
		w.remove(c)
	}
	return int64(len(cells)), nil
}

func (w *Writer) changed(u undo) {
	w.changes = append(w.changes, u)
	w.expires(u.before, u.now)
}

func (w *Writer) HasGroup(group string) (bool, error) {
	return w.has(kv.GroupRange(group), func(*kv.Row) bool { return true })
}

func (w *Writer) HasLiveRow(group string, now int64) (bool, error) {
	return w.has(kv.GroupRange(group), func(row *kv.Row) bool { return row.Live(now) })
}

func (w *Writer) has(r kv.Range, passes func(*kv.Row) bool) (bool, error) {
	if err := w.check(false); err != nil {
		return false, err
	}
	return w.working.first(r, passes) != nil, nil
}

func (w *Writer) NextGroup(r kv.Range, after string, started bool) (group string, found bool, err error) {
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

func (w *Writer) Expired(r kv.Range, after, now int64, limit int) (rows []kv.Row, err error) {
	if err := w.check(false); err != nil {
		return nil, err
	}
	size := 0
	w.working.expiring.Ascend(&kv.Row{Deadline: after}, func(row *kv.Row) bool {
		if len(rows) >= limit || size >= storage.ExpiredBytes || row.Live(now) {
			return false
		}
		if (row.Deadline > after || after == math.MinInt64) && r.Contains(row.Group) {
			rows = append(rows, *row)
			size += storage.RowSize(row)
		}
		return true
	})
	return rows, nil
}

func (w *Writer) DeadIn(r kv.Range, from *kv.Key, after, now int64, limit int) (rows []kv.Row, err error) {
	if err := w.check(false); err != nil {
		return nil, err
	}
	start := &kv.Row{Group: r.From}
	if from != nil && from.Group >= r.From {
		start.Group, start.Key = from.Group, from.Key
	}
	size := 0
	w.working.rows.Ascend(start, func(row *kv.Row) bool {
		if !r.Contains(row.Group) || len(rows) >= limit || size >= storage.ExpiredBytes {
			return false
		}
		if !row.Live(now) && (row.Deadline > after || after == math.MinInt64) {
			rows = append(rows, *row)
			size += storage.RowSize(row)
		}
		return true
	})
	return rows, nil
}

func (w *Writer) CountDead(after, now int64, limit int) (n int, err error) {
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

// Fold has nothing to do: what is committed is where it stays.
func (w *Writer) Fold(bool) (again time.Duration) { return 0 }

// Folded is beyond every revision.
func (w *Writer) Folded() uint64 { return math.MaxUint64 }

func (w *Writer) Earliest() (int64, error) {
	if err := w.check(false); err != nil {
		return 0, err
	}
	if row, found := w.working.expiring.Min(); found {
		return row.Deadline, nil
	}
	return kv.NoDeadline, nil
}
