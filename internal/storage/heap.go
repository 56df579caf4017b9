package storage

import (
	"math"

	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// A heapScan reads what is left of a group in the order of the table instead of
// its index's. A row found through the index costs a search of the table; one
// that lies behind the row before costs a step. Rows that were written together
// lie together, so it pays for groups that were loaded at once, or that have the
// file to themselves.
type heapScan struct {
	considered bool   // the choice was made, once: order can't change half-way
	chosen     bool   // the scan reads the table
	seen       string // keys up to this one were read in order before
	after, to  int64  // the rowids that are left
}

// sparse is how many rows of the table may be passed over for each that is
// wanted: to pass over one costs a quarter of what a search does.
const sparse = 2

// consider looks where the group's rows lie, and chooses. The first chunk was
// read by then: most groups are no larger, and the counting of large ones is not
// for the connections of point reads.
func (h *heapScan) consider(r *reader, s *rowScan) error {
	h.considered = true
	q := &s.query
	if !s.single || q.Reverse || q.Keys != AllKeys {
		return nil
	}
	if r.heap == nil {
		statements := []statement{{&r.extent, sqlGroupExtent}, {&r.heap, sqlHeapScan}}
		if prepareAll(r.conn, statements) != nil {
			return nil // a table of the original's time without rowids: it goes by the index
		}
	}
	r.extent.BindText(1, s.group)
	_, err := one(r.extent, func(stmt *sqlite.Stmt) error {
		least, rows := stmt.ColumnInt64(0), stmt.ColumnInt64(2)
		h.after, h.to = least-1, stmt.ColumnInt64(1)
		h.chosen = least > math.MinInt64 && uint64(h.to-h.after)/sparse <= uint64(rows)
		return nil
	})
	if err != nil {
		return rowsIterationError(err)
	}
	h.seen = q.After.Key
	return nil
}

func (h *heapScan) bind(r *reader, s *rowScan) *sqlite.Stmt {
	bindGroup(r.heap, s.group, s.now)
	r.heap.BindText(3, h.seen)
	r.heap.BindInt64(4, h.after)
	r.heap.BindInt64(5, h.to)
	return r.heap
}

// read reads a row's key and value, and goes behind it.
func (h *heapScan) read(stmt *sqlite.Stmt, row *kv.Row) error {
	both, err := text(stmt, 2)
	if err != nil {
		return err
	}
	n := stmt.ColumnInt(1)
	row.Key, row.Value = both[:n], both[n:]
	h.after = stmt.ColumnInt64(0)
	return nil
}
