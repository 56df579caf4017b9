package sqlite

import (
	"errors"
	"fmt"

	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// Folding moves what an overlay has into entries, in slices of so many changes and bytes:
// each is a transaction, and the last of a run says in store_meta how far entries have come.
const (
	foldRows  = 1024
	foldBytes = 1 << 20
	// foldMarked is how many rows of deleted groups a slice removes, about: a group is removed
	// by as many as it takes, so that no commit waits for all of a large one.
	foldMarked = 512
)

// A row whose place is known is found without a search of the index; the names keep a place
// that is another row's by now from being taken for its own.
const (
	sqlPlace      = `SELECT rowid, expires_at FROM entries WHERE group_name = ?1 AND entry_key = ?2`
	sqlUpdateAt   = sqlUpdate + ` AND rowid = ?6`
	sqlDeleteAt   = sqlDelete + ` AND rowid = ?3`
	sqlDeleteSome = `DELETE FROM entries WHERE group_name = ?1 AND entry_key <=
		(SELECT entry_key FROM entries WHERE group_name = ?1 ORDER BY entry_key LIMIT 1 OFFSET ?2)`
)

// applier makes an overlay's changes in entries, in the transaction that is open on its
// connection.
type applier struct {
	conn                *sqlite.Conn
	effort              *effort      // nil: it has no bound
	place, updateAt     *sqlite.Stmt // nil: rows have no places
	removeAt            *sqlite.Stmt
	upsert              *sqlite.Stmt // nil: the table has lost its primary key
	update, insert      *sqlite.Stmt
	remove, some, whole *sqlite.Stmt
	rows                int64 // that were changed since they were asked for
	bytes               int
}

func newApplier(conn *sqlite.Conn, effort *effort) (*applier, error) {
	a := &applier{conn: conn, effort: effort}
	err := prepareAll(conn, []statement{{&a.update, sqlUpdate}, {&a.insert, sqlInsert}, {&a.remove, sqlDelete}, {&a.some, sqlDeleteSome}, {&a.whole, sqlDeleteGroup}})
	if err != nil {
		return nil, err
	}
	// What can't be prepared is what the table is not made for.
	for _, s := range []statement{{&a.upsert, sqlUpsert}, {&a.place, sqlPlace}, {&a.updateAt, sqlUpdateAt}, {&a.removeAt, sqlDeleteAt}} {
		if stmt, err := conn.Prepare(s.sql); err == nil {
			*s.into = stmt
		} else if code(err) != sqlite.ResultError {
			return nil, err
		}
	}
	if a.updateAt == nil || a.removeAt == nil {
		a.place = nil
	}
	return a, nil
}

// locate is where a row lies, for an arrangement.
func (a *applier) locate(group, key string) (p overlay.Place, err error) {
	a.begin()
	a.place.BindText(1, group)
	a.place.BindText(2, key)
	p.Found, err = one(a.place, func(stmt *sqlite.Stmt) error {
		p.At, p.Deadline = stmt.ColumnInt64(0), kv.NoDeadline
		if stmt.ColumnType(1) == sqlite.TypeInteger {
			p.Deadline = stmt.ColumnInt64(1)
		}
		return nil
	})
	return p, err
}

// arrange puts a frozen run in an order that suits the table.
func (a *applier) arrange(f *overlay.Frozen) (*overlay.Arrangement, error) {
	if a.place == nil {
		return f.Arrange(nil)
	}
	return f.Arrange(a.locate)
}

func (a *applier) begin() {
	if a.effort != nil {
		a.effort.begin()
	}
}

// make makes a change. more: it is to be made again, in a transaction of its own, as it was
// made in part.
func (a *applier) make(c *overlay.Change) (more bool, err error) {
	a.begin()
	switch c.Kind {
	case overlay.Put:
		return false, a.put(c)
	case overlay.Remove:
		return false, a.take(c)
	case overlay.RemoveGroup:
		return a.takeSome(c.Row.Group)
	default:
		panic(fmt.Sprintf("storage: change of unknown kind %d", c.Kind))
	}
}

func (a *applier) put(c *overlay.Change) error {
	if planted.FoldStale && c.Found {
		return nil
	}
	a.bytes += storage.RowSize(&c.Row)
	try := func(stmt *sqlite.Stmt) (bool, error) {
		bindRow(stmt, c.Row)
		return a.changes(stmt)
	}
	if c.Found && a.updateAt != nil {
		a.updateAt.BindInt64(6, c.At)
		if done, err := try(a.updateAt); done || err != nil {
			return err
		}
	}
	if a.upsert != nil {
		_, err := try(a.upsert)
		return err
	}
	if done, err := try(a.update); done || err != nil {
		return err
	}
	_, err := try(a.insert)
	return err
}

func (a *applier) take(c *overlay.Change) error {
	if c.Found && a.removeAt != nil {
		a.removeAt.BindInt64(3, c.At)
		if done, err := a.names(a.removeAt, c.Row.Group, c.Row.Key); done || err != nil {
			return err
		}
	}
	_, err := a.names(a.remove, c.Row.Group, c.Row.Key)
	return err
}

// takeSome removes a part of a group.
func (a *applier) takeSome(group string) (more bool, err error) {
	a.some.BindText(1, group)
	a.some.BindInt64(2, foldMarked-1)
	if more, err = a.changes(a.some); more || err != nil {
		return more, err
	}
	a.whole.BindText(1, group)
	_, err = a.changes(a.whole) // the last ones, and what has no key
	return false, err
}

func (a *applier) names(stmt *sqlite.Stmt, group, key string) (bool, error) {
	stmt.BindText(1, group)
	stmt.BindText(2, key)
	return a.changes(stmt)
}

// changes runs a statement, and reports whether it has changed anything.
func (a *applier) changes(stmt *sqlite.Stmt) (bool, error) {
	if err := run(stmt); err != nil {
		return false, err
	}
	n := a.conn.Changes()
	a.rows += int64(n)
	return n > 0, nil
}

// foldAll moves all that an overlay has into entries. transact runs its function in a
// transaction that is committed, or rolled back if there is an error. The last one says that
// entries have all of the log. It may be called again after an error.
func foldAll(o *overlay.Overlay, a *applier, transact func(func() error) error) error {
	for !o.Empty() {
		if !o.Frozen() {
			o.Freeze()
		}
		if run := o.Unarranged(); run != nil {
			arrangement, err := a.arrange(run)
			if err != nil {
				return err
			}
			o.Arranged(arrangement)
		}
		for begun := o.Progress(); o.Progress().Run == begun.Run; {
			var end overlay.Cursor
			if err := transact(func() (err error) {
				end, err = a.makeSlice(o, foldRows, foldBytes)
				return err
			}); err != nil {
				return err
			}
			o.Folded(end)
		}
		o.Retire()
		o.Prune()
	}
	return transact(func() error { return setFolded(a.conn, true, 0) })
}

// makeSlice makes an overlay's next changes, within a transaction: a slice of so many, at most,
// but of groups that are removed as many as have foldMarked rows, and of the next one a part. end
// is the cursor behind those that are made whole.
func (a *applier) makeSlice(o *overlay.Overlay, changes, bytes int) (end overlay.Cursor, err error) {
	begun, before := o.Progress(), a.rows
	slice, end := o.Slice(begun, changes, bytes)
	for i := range slice {
		more := slice[i].Kind == overlay.RemoveGroup && a.rows-before >= foldMarked
		if !more {
			if more, err = a.make(&slice[i]); err != nil {
				return begun, err
			}
		}
		if more { // only groups are left for the next slice
			begun.Marks += i
			return begun, nil
		}
	}
	return end, nil
}

// transact runs f in a transaction of the writer's own.
func (w *fileWriter) transact(f func() error) (err error) {
	if err := w.Begin(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Rollback())
		}
	}()
	w.wrote = true
	if err := f(); err != nil {
		return err
	}
	return w.Commit()
}

// foldTail moves what the file's log has into entries, if there is anything, while no reader
// reads them.
func (w *fileWriter) foldTail() error {
	if w.over != nil {
		return w.foldOver()
	}
	if w.tail == nil {
		return nil
	}
	if w.checkpoints == nil {
		return errors.New("the log is ahead of the table, and the store was not opened whole")
	}
	if !w.tail.Empty() {
		w.comesTo("direct")
	}
	a, err := newApplier(w.conn, w.effort)
	if err != nil {
		return err
	}
	err = foldAll(w.tail, a, func(f func() error) error {
		return w.transact(func() error {
			err := f()
			w.checkpoints.wrote(a.rows, a.bytes)
			a.rows, a.bytes = 0, 0
			return err
		})
	})
	if err != nil {
		return tailError(err)
	}
	w.tail = nil
	return nil
}

// foldCopy moves what the log of a copy has into its table, in one transaction: no other
// program knows of the copy yet.
func foldCopy(conn *sqlite.Conn, events func(kv.LogRow) ([]kv.Event, error)) error {
	t, err := newTail(conn, events)
	if err != nil {
		return err
	}
	o, _, err := t.load()
	if err != nil || o == nil {
		return err
	}
	a, err := newApplier(conn, nil)
	if err != nil {
		return err
	}
	if err := execute(conn, "BEGIN"); err != nil {
		return err
	}
	if err := foldAll(o, a, func(f func() error) error { return f() }); err != nil {
		return err // closing the connection gives the copy up
	}
	return execute(conn, "COMMIT")
}
