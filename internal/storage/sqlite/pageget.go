package sqlite

import (
	"runtime"
	"runtime/debug"
	"unsafe"

	"forge.lthn.ai/core/go-store/internal/storage/btree"
	"forge.lthn.ai/core/go-store/internal/storage/moment"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
	"forge.lthn.ai/core/go-store/kv"
)

// get is one row as it is committed now, and the sequence that it was read at. Its error
// is errUnread.
func (s *views) get(group, key string) (row kv.Row, found bool, sequence uint64, err error) {
	defer moment.OnFault(debug.SetPanicOnFault(true), &err)
	p, ok := s.lookBy((*view).pinPages)
	if !ok {
		return row, false, 0, errUnread
	}
	defer func() { s.leave(p) }() // which may be another by then
	if p.view.over == nil {
		row, found, err = p.view.stored(group, key)
		return row, found, p.view.sequence, err
	}
	row, verdict, sure := p.view.over.Try(group, key)
	if !sure && s.current.Load() != p.view { // what it should have shown may be gone
		again, ok := s.look()
		if !ok {
			return row, false, 0, errUnread
		}
		p.release()
		p = again
		row, verdict = p.view.over.Get(group, key)
	}
	if verdict != overlay.Below {
		return named(row, verdict, group, key), verdict == overlay.Present, p.view.sequence, nil
	}
	row, found, err = p.view.stored(group, key)
	return row, found, p.view.sequence, err
}

// getMany is the rows of those keys that are there.
func (v *view) getMany(group string, keys []string, p *pace) (rows []kv.Row, err error) {
	for _, key := range keys {
		if err := p.step(1); err != nil {
			return nil, err
		}
		row, found, err := v.get(group, key)
		if err != nil {
			return nil, err
		}
		if found {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// read calls f with a view of what is committed now. Its error is errUnread, or f's own.
func (s *views) read(f func(*view) error) (err error) {
	defer moment.OnFault(debug.SetPanicOnFault(true), &err)
	p, ok := s.look()
	if !ok {
		return errUnread
	}
	defer s.leave(p)
	return left(f(p.view))
}

// leave releases a pin, and has the writer have its turn: see writing.
func (s *views) leave(p pin) {
	p.release()
	if s.writing.Load() {
		runtime.Gosched()
	}
}

// stored is a row that the pages have.
func (v *view) stored(group, key string) (row kv.Row, found bool, err error) {
	var record btree.Record
	if row, found, err = v.find(group, key, &record); err != nil || !found {
		return row, false, err
	}
	if serial, value, ok := record.Near(v.shape.columns[columnValue]); ok && serial >= blobTypes {
		row.Value = string(value)
		return row, true, nil
	}
	kind, n, err := record.Measure(v.shape.columns[columnValue])
	if err != nil || kind != pages.Text && kind != pages.Blob {
		return row, false, faulty(err)
	}
	if n > 0 {
		value, err := record.AppendColumn(make([]byte, 0, n), v.shape.columns[columnValue])
		if err != nil {
			return row, false, faulty(err)
		}
		row.Value = owned(value)
	}
	return row, true, nil
}

// find is a row that the pages have, but for its value, and its record.
func (v *view) find(group, key string, record *btree.Record) (row kv.Row, found bool, err error) {
	rowid, found, err := v.index.Find(group, key)
	if err != nil || !found {
		return row, false, unread(err)
	}
	if found, err = v.table.Get(rowid, record); err != nil || !found {
		return row, false, faulty(err) // the index has it
	}
	row.Group, row.Key = group, key
	err = v.readMeta(record, &row)
	return row, true, err
}

// head is find for callers that want to know how long the value is.
func (v *view) head(group, key string) (row kv.Row, size int, found bool, err error) {
	var record btree.Record
	if row, found, err = v.find(group, key, &record); err != nil || !found {
		return row, 0, false, err
	}
	kind, size, err := record.Measure(v.shape.columns[columnValue])
	if err != nil || kind != pages.Text && kind != pages.Blob {
		return row, 0, false, faulty(err)
	}
	return row, size, true, nil
}

// readMeta reads the deadline and the revision. Of what neither may be SQLite has the words.
func (v *view) readMeta(record *btree.Record, row *kv.Row) error {
	n, kind, err := integer(record, v.shape.columns[columnDeadline])
	switch {
	case err != nil:
		return err
	case kind == pages.Integer:
		row.Deadline = n
	case kind == pages.Null || kind == pages.Missing:
		row.Deadline = kv.NoDeadline
	default:
		return errUnread
	}
	n, kind, err = integer(record, v.shape.columns[columnRevision])
	if err != nil || kind != pages.Integer && kind != pages.Missing {
		return faulty(err)
	}
	row.Revision = uint64(max(n, 1))
	return nil
}

// integer is a column's, if it is of that kind.
func integer(record *btree.Record, column int) (n int64, kind pages.Kind, err error) {
	if serial, b, ok := record.Near(column); ok && serial < blobTypes {
		if serial == 0 {
			return 0, pages.Null, nil
		}
		if n, size := pages.ParseInteger(byte(serial), b); size >= 0 {
			return n, pages.Integer, nil
		}
	}
	value, err := record.Column(column)
	return value.Int, value.Kind, unread(err)
}

// owned is a string of bytes that no other code has.
func owned(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
