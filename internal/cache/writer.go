package cache

import (
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// manyChanges is how many changes of one commit are worth being looked at one by
// one. More make everything stale, which costs less.
const manyChanges = stripes

// keptChanges is the longest list of changes that is kept between transactions.
const keptChanges = 8 << 10

// Writer keeps the cache equal to what its database's writer commits. It notes
// what changes rows, and wraps COMMIT; all else it passes on.
type Writer struct {
	storage.Writer
	cache   *Cache
	changes []change // of the open transaction, in order
	mark    int      // their number at Savepoint
	marking bool     // marks may be set
	marked  int      // those of the changes from this one on are
}

// change is one key that was written or removed, or a group that was removed.
type change struct {
	row     kv.Row
	kind    kind
	refresh bool // the key was in the cache, and this is its last change
	read    bool // and was read there
}

type kind uint8

const (
	written kind = iota
	removed
	groupRemoved
)

// Writer wraps the database's writer. All writes must go through it, from
// the first write on.
func (c *Cache) Writer(w storage.Writer) *Writer { return &Writer{Writer: w, cache: c} }

func (w *Writer) Upsert(row kv.Row) error {
	return w.note(w.Writer.Upsert(row), change{row: row})
}

func (w *Writer) Insert(row kv.Row) error {
	return w.note(w.Writer.Insert(row), change{row: row})
}

func (w *Writer) Update(row kv.Row) (changed bool, err error) {
	if changed, err = w.Writer.Update(row); changed {
		err = w.note(err, change{row: row})
	}
	return changed, err
}

func (w *Writer) Delete(group, key string) (changed bool, err error) {
	if changed, err = w.Writer.Delete(group, key); changed {
		err = w.note(err, change{row: kv.Row{Group: group, Key: key}, kind: removed})
	}
	return changed, err
}

func (w *Writer) DeleteGroup(group string) (n int64, err error) {
	if n, err = w.Writer.DeleteGroup(group); n > 0 {
		err = w.note(err, change{row: kv.Row{Group: group}, kind: groupRemoved})
	}
	return n, err
}

// note adds a change. What failed has changed nothing, or is rolled back.
func (w *Writer) note(err error, c change) error {
	if err == nil {
		w.changes = append(w.changes, c)
	}
	return err
}

func (w *Writer) Savepoint() error {
	w.mark = len(w.changes)
	return w.Writer.Savepoint()
}

func (w *Writer) RollbackTo() error {
	err := w.Writer.RollbackTo()
	if err == nil {
		w.cut(w.mark)
	}
	return err
}

func (w *Writer) Begin() error {
	w.cut(0)
	return w.Writer.Begin()
}

func (w *Writer) Rollback() error {
	w.cut(0)
	return w.Writer.Rollback()
}

// Resynchronise also ends what a panic left half-way.
func (w *Writer) Resynchronise() error {
	w.settle(false)
	w.cut(0)
	return w.Writer.Resynchronise()
}

// Commit marks what changed, commits, and unmarks it.
func (w *Writer) Commit() error {
	committed := false
	defer func() {
		w.settle(committed)
		w.cut(0)
	}()
	w.announce()
	w.cache.fail.Hit("cache.commit")
	err := w.Writer.Commit()
	if storage.IsIndeterminate(err) {
		w.cache.forget() // whatever is on disk, what is read from now on says
	}
	committed = err == nil
	w.cache.fail.Hit("cache.committed")
	return err
}

// cut forgets the changes behind the first n, and lets go of their values.
func (w *Writer) cut(n int) {
	if n = min(n, len(w.changes)); n == 0 && cap(w.changes) > keptChanges {
		w.changes = nil
	}
	clear(w.changes[n:])
	w.changes, w.mark = w.changes[:n], min(w.mark, n)
}

// announce marks every change and takes its row out of the cache, last change
// first: the first that finds a row there decides what comes in its place.
func (w *Writer) announce() {
	w.marking, w.marked = true, len(w.changes)
	c := w.cache
	if len(w.changes) > manyChanges {
		c.forgetting()
		return
	}
	for w.marked > 0 {
		w.marked--
		ch := &w.changes[w.marked]
		p := c.place(ch.row.Group, ch.row.Key)
		if ch.kind == groupRemoved {
			begin(c.epoch(p))
			continue
		}
		c.mark(p).Add(1)
		present := false
		present, ch.read = c.shard(p).remove(p.key, ch.row.Group, ch.row.Key)
		// Behind a group's removal (before it in time) the row is no more.
		ch.refresh = present && c.epoch(p).Load()%2 == 0
	}
}

// settle ends what announce began. Changes that were committed come into the
// cache where their rows were.
func (w *Writer) settle(committed bool) {
	if !w.marking {
		return
	}
	w.marking = false
	c := w.cache
	if len(w.changes) > manyChanges {
		c.forgotten()
		return
	}
	marked := w.changes[w.marked:]
	for i := range marked {
		if marked[i].kind == groupRemoved {
			end(c.epoch(c.place(marked[i].row.Group, "")))
		}
	}
	for i := range marked {
		ch := &marked[i]
		if ch.kind == groupRemoved {
			continue
		}
		p := c.place(ch.row.Group, ch.row.Key)
		if committed && ch.refresh {
			c.replace(p, ch)
		}
		c.mark(p).Add(-1)
	}
}

// replace puts a committed change in the place of the row that it changed.
func (c *Cache) replace(p place, ch *change) {
	s := c.shard(p)
	if ch.kind != written {
		ch.row.Value, ch.row.Deadline = "", kv.NoDeadline // takes no place for them
	}
	size, fits := s.size(ch.row.Group, ch.row.Key, ch.row)
	if !fits {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(p.key, ch.row, ch.kind == written, c.epoch(p).Load(), size, ch.read)
}

// begin makes an epoch odd, end makes it even again, another than before. Both
// may be called again.
func begin(epoch *atomic.Uint64) {
	if epoch.Load()%2 == 0 {
		epoch.Add(1)
	}
}

func end(epoch *atomic.Uint64) {
	if epoch.Load()%2 != 0 {
		epoch.Add(1)
	}
}

func (c *Cache) forgetting() {
	for i := range c.epochs {
		begin(&c.epochs[i])
	}
}

func (c *Cache) forgotten() {
	for i := range c.epochs {
		end(&c.epochs[i])
	}
}
