package storage

import (
	"math"
	"math/bits"
	"slices"
	"unsafe"

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

const (
	// sparse is how many rows of the table may be passed over for each that is
	// wanted: to pass over one costs a quarter of what a search does.
	sparse = 2
	// A group that has all but strangers of so many probes of the table is most of
	// it. Then the whole table is read, which saves the counting of the group.
	probes, strangers = 16, 4
)

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
		statements := []statement{{&r.table, sqlTableExtent}, {&r.probe, sqlProbe}, {&r.extent, sqlGroupExtent}, {&r.heap, sqlHeapScan}}
		if prepareAll(r.conn, statements) != nil {
			return nil // a table of the original's time without rowids: it goes by the index
		}
	}
	if err := h.choose(r, s.group); err != nil {
		return rowsIterationError(err)
	}
	h.seen = q.After.Key
	return nil
}

func (h *heapScan) choose(r *reader, group string) error {
	told := false
	_, err := one(r.table, func(stmt *sqlite.Stmt) error {
		told = h.within(stmt)
		return nil
	})
	if err == nil && told {
		h.chosen, err = h.prevails(r, group)
	}
	if h.chosen || err != nil {
		return err
	}
	r.extent.BindText(1, group)
	_, err = one(r.extent, func(stmt *sqlite.Stmt) error {
		h.chosen = h.within(stmt) && uint64(h.to-h.after)/sparse <= uint64(stmt.ColumnInt64(2))
		return nil
	})
	return err
}

// within sets the rowids that are left, and reports whether they can be told from
// those that are done.
func (h *heapScan) within(extent *sqlite.Stmt) bool {
	least := extent.ColumnInt64(0)
	h.after, h.to = least-1, extent.ColumnInt64(1)
	return least > math.MinInt64
}

// prevails reports whether the table's rows are the group's, but for few. A row that
// is met again stands before a gap: where rows are few it says nothing of them.
func (h *heapScan) prevails(r *reader, group string) (bool, error) {
	length, others := h.to-h.after, 0
	if length < probes {
		return false, nil // or beyond counting
	}
	met := make([]int64, 0, probes)
	for i := range uint64(probes) {
		// By multiples of the golden ratio, which lie far apart, and in step with
		// nothing that groups could be interleaved by.
		along, _ := bits.Mul64(i*0x9e3779b97f4a7c15, uint64(length))
		r.probe.BindText(1, group)
		r.probe.BindInt64(2, h.after+1+int64(along))
		if _, err := one(r.probe, func(stmt *sqlite.Stmt) error {
			rowid := stmt.ColumnInt64(0)
			if !stmt.ColumnBool(1) || slices.Contains(met, rowid) {
				others++
			}
			met = append(met, rowid)
			return nil
		}); err != nil {
			return false, err
		}
		if others > strangers {
			return false, nil
		}
	}
	return true, nil
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
	if err := isName(stmt, 1); err != nil {
		return err
	}
	if err := notNull(stmt, 2); err != nil {
		return err
	}
	n := stmt.ColumnLen(1)
	both := make([]byte, n+stmt.ColumnLen(2))
	stmt.ColumnBytes(1, both[:n])
	stmt.ColumnBytes(2, both[n:])
	// Nobody else has the bytes. (Two ColumnText are two allocations.)
	all := unsafe.String(unsafe.SliceData(both), len(both))
	row.Key, row.Value = all[:n], all[n:]
	h.after = stmt.ColumnInt64(0)
	return readDeadline(stmt, 3, row)
}
