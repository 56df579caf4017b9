package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/btree"
	"forge.lthn.ai/core/go-store/internal/storage/bulk"
	"forge.lthn.ai/core/go-store/internal/storage/pages"

	"zombiezen.com/go/sqlite"
)

// The rows of a compaction are read from a view's pages, by the order of the primary key's
// index, and written as they are stored, page after page, behind those of a new database
// that VACUUM has made without them. SQLite's statements, which take ten times as long,
// see no row; but SQLite checks what was made before it is used.

// vacuumByPages is vacuumInOrder for tables whose rows and indexes we know how to copy.
// errUnread says that they are not such, or that something is wrong with them: the file,
// if there is one, is not whole then. No statement of SQLite's runs while a view is looked
// at: of a fault it would leave its locks behind.
func (d *Database) vacuumByPages(ctx context.Context, from *sqlite.Conn, o *ordered, path string, progress storage.Progress) error {
	w, ok := d.writer.(*fileWriter)
	if !ok || w.views == nil || !o.pages {
		return errUnread
	}
	lie := false
	err := w.views.read(func(v *view) (err error) {
		if lie, err = lieByPages(ctx, v); err != nil || lie {
			return err
		}
		o.rows, err = v.table.Count(each(ctx))
		return err
	})
	switch {
	case err != nil:
		return err
	case lie:
		return vacuumInto(from, path)
	}
	if err := vacuumRest(from, path); err != nil {
		return err
	}
	empty, err := copyShape(path)
	if err != nil {
		return err
	}
	if err := w.views.read(func(v *view) error { return fillByPages(ctx, v, empty, o.rows, path, progress) }); err != nil {
		return err
	}
	return w.sound(ctx, path)
}

// each looks at the context now and then.
func each(ctx context.Context) func() error {
	n := 0
	return func() error {
		if n++; n%firstChunkRows != 0 {
			return nil
		}
		return storage.ContextError(ctx)
	}
}

// lieByPages is ordered.lie.
func lieByPages(ctx context.Context, v *view) (bool, error) {
	least, most, ok, err := v.table.Span()
	if err != nil || !ok {
		return true, err
	}
	b := breaksOf(least, most)
	var c btree.IndexCursor
	c.Reset(&v.index)
	check := each(ctx)
	for ok, err = c.First(); ok && err == nil; ok, err = c.Next() {
		_, _, rowid, err := c.Pair()
		if err != nil {
			return false, err
		}
		if !b.add(rowid) {
			return false, nil
		}
		if err := check(); err != nil {
			return false, err
		}
	}
	return b.few(), err
}

// copyShape is where the tables lie in a new database.
func copyShape(path string) (s *shape, err error) {
	conn, err := openCopy(path, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if s, err = readShape(conn, 0); err == nil && s == nil {
		err = errUnread
	}
	return s, err
}

// sound has SQLite look at the pages that it has not written, and at no others: what is
// another program's may have rows that its own constraints don't allow, or checks without
// end. Such rows of ours are for SQLite to copy.
func (w *fileWriter) sound(ctx context.Context, path string) (err error) {
	conn, err := openCopy(path, ctx.Done())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	findings, err := integrity(conn, "quick_check", "entries")
	if err == nil && len(findings) > 0 {
		w.logger.Warn("SQLite makes the compacted file, as it would not take the one that was made without it", "reason", findings[0].Text)
		err = errUnread
	}
	return err
}

// sliceBytes and sliceRows are how much is read of the index before its rows are.
const (
	sliceBytes = 256 << 10
	sliceRows  = 2048
)

// filler copies rows.
type filler struct {
	view    *view
	columns [entryColumns]int

	// Of the index: keys, one after the other, the ends of each two, and rowids.
	keys   []byte
	ends   [][2]int
	rowids []int64
	last   []byte // the key before
	parts  int    // of that, where its second text begins

	rows      btree.TableReader
	record    btree.Record
	entry     []byte
	copied    int64
	table     *bulk.Table
	index     *bulk.Index
	deadlines []deadlinePlace
}

// mostDeadlines bounds the memory that they take. Of more rows SQLite makes the index.
var mostDeadlines = 4 << 20

// fillByPages writes the rows of a view into a new database whose tables are empty.
func fillByPages(ctx context.Context, v *view, empty *shape, rows int64, path string, progress storage.Progress) (err error) {
	file, err := bulk.Open(path)
	if err != nil {
		return refused(err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	f := &filler{view: v, columns: v.shape.columns, table: file.Table(empty.table), index: file.Index(empty.index)}
	f.rows.Reset(&v.table)
	var c btree.IndexCursor
	c.Reset(&v.index)
	ok, err := c.First()
	for ok && err == nil {
		if ok, err = f.slice(&c); err != nil {
			return err
		}
		if err = f.read(); err != nil {
			return err
		}
		if err = storage.ContextError(ctx); err == nil {
			progress.Report(f.copied, max(rows, f.copied))
		}
	}
	if err != nil {
		return err
	}
	if f.copied != rows { // the table has rows that are not in the index
		return errUnread
	}
	if err := errors.Join(f.table.Close(), f.index.Close()); err != nil {
		return refused(err)
	}
	if err := f.writeDeadlines(file, empty.deadlines); err != nil {
		return refused(err)
	}
	return file.Finish()
}

func refused(err error) error {
	if errors.Is(err, bulk.RefusedError) {
		return errors.Join(errUnread, err)
	}
	return err
}

// slice reads some of the index. What it says is not believed: keys that are not in order
// would not be found again.
func (f *filler) slice(c *btree.IndexCursor) (ok bool, err error) {
	f.keys, f.ends, f.rowids = f.keys[:0], f.ends[:0], f.rowids[:0]
	for ok = true; ok && err == nil && len(f.rowids) < sliceRows && len(f.keys) < sliceBytes; ok, err = c.Next() {
		group, key, rowid, err := c.Pair()
		if err != nil {
			return false, err
		}
		if f.copied+int64(len(f.rowids)) > 0 && cmp.Or(bytes.Compare(f.last[:f.parts], group), bytes.Compare(f.last[f.parts:], key)) >= 0 {
			return false, errUnread
		}
		f.last, f.parts = append(append(f.last[:0], group...), key...), len(group)
		f.keys = append(f.keys, f.last...)
		f.ends = append(f.ends, [2]int{len(f.keys) - len(key), len(f.keys)})
		f.rowids = append(f.rowids, rowid)
	}
	return ok, err
}

// read copies the rows of that, all of which must be there.
func (f *filler) read() error {
	next, from := 0, 0
	err := f.rows.Each(f.rowids, &f.record, func(i int) error {
		if i != next {
			return errUnread
		}
		next++
		ends := f.ends[i]
		group, key := f.keys[from:ends[0]:ends[0]], f.keys[ends[0]:ends[1]:ends[1]]
		from = ends[1]
		return f.copy(group, key)
	})
	if err == nil && next != len(f.rowids) {
		err = errUnread
	}
	return err
}

// copy writes a row as it is stored, and what it is in the indexes.
func (f *filler) copy(group, key []byte) error {
	for i, want := range [...][]byte{columnGroup: group, columnKey: key} {
		got, err := f.record.Column(f.columns[i])
		if err != nil {
			return err
		}
		if got.Kind != pages.Text || !bytes.Equal(got.Bytes, want) {
			return errUnread
		}
	}
	deadline, err := f.record.Column(f.columns[columnDeadline])
	if err != nil {
		return err
	}
	f.copied++
	switch deadline.Kind {
	case pages.Null, pages.Missing:
	case pages.Integer:
		if len(f.deadlines) == mostDeadlines {
			return fmt.Errorf("more than %d rows have a deadline: %w", mostDeadlines, errUnread)
		}
		f.deadlines = append(f.deadlines, deadlinePlace{deadline.Int, f.copied})
	default:
		return errUnread
	}
	payload, err := f.record.Payload()
	if err != nil {
		return err
	}
	if err := f.table.Add(f.copied, payload); err != nil {
		return err
	}
	f.entry = bulk.AppendRecord(f.entry[:0], pages.Value{Kind: pages.Text, Bytes: group}, pages.Value{Kind: pages.Text, Bytes: key},
		btree.Integer(f.copied))
	return f.index.Add(f.entry)
}

// writeDeadlines writes the index of them, if there is one.
func (f *filler) writeDeadlines(file *bulk.File, root uint32) error {
	if root == 0 {
		return nil
	}
	slices.SortFunc(f.deadlines, func(a, b deadlinePlace) int {
		return cmp.Or(cmp.Compare(a.deadline, b.deadline), cmp.Compare(a.rowid, b.rowid))
	})
	index := file.Index(root)
	for i := range f.deadlines {
		d := &f.deadlines[i]
		f.entry = bulk.AppendRecord(f.entry[:0], btree.Integer(d.deadline), btree.Integer(d.rowid))
		if err := index.Add(f.entry); err != nil {
			return err
		}
	}
	return index.Close()
}
