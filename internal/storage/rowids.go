package storage

import (
	"hash/maphash"
	"sync/atomic"
)

// rowids remembers where rows lie in the table, so that one that is looked up again
// is found without a search of the index, and the index's pages leave room for
// others in the page cache. It may be wrong: rows go, and others take their rowids.
// Whoever reads at a rowid asks for the group and key as well; if the row is another
// one he goes by the index. As group and key are unique, what he finds is right.
//
// It is a table of numbers by hash, in which later ones replace earlier ones. It
// begins small, and grows when it is half full.
type rowids struct {
	seed  maphash.Seed
	table atomic.Pointer[[]atomic.Uint64] // its length is a power of two
	used  atomic.Int64                    // places of it
}

const (
	rowidBits   = 40        // of a number; what is left is of the hash
	leastRowids = 4 << 10   // 32 KiB
	mostRowids  = 512 << 10 // 4 MiB
	// In large steps, as what was known is lost at each.
	rowidGrowth = 16
)

func newRowids() *rowids {
	t := &rowids{seed: maphash.MakeSeed()}
	table := make([]atomic.Uint64, leastRowids)
	t.table.Store(&table)
	return t
}

func (t *rowids) hash(group, key string) uint64 {
	_, ofKey := hashes(t.seed, group, key)
	return ofKey
}

// find is where a row may be.
func (t *rowids) find(hash uint64) (rowid int64, ok bool) {
	table := *t.table.Load()
	n := table[hash%uint64(len(table))].Load()
	return int64(n & (1<<rowidBits - 1)), n != 0 && n>>rowidBits == hash>>rowidBits
}

// note says where a row is.
func (t *rowids) note(hash uint64, rowid int64) {
	if rowid <= 0 || rowid >= 1<<rowidBits {
		return
	}
	table := t.table.Load()
	n := len(*table)
	old := (*table)[hash%uint64(n)].Swap(hash>>rowidBits<<rowidBits | uint64(rowid))
	if old != 0 || t.used.Add(1) <= int64(n/2) || n >= mostRowids {
		return
	}
	larger := make([]atomic.Uint64, min(n*rowidGrowth, mostRowids)) // what was there comes again
	if t.table.CompareAndSwap(table, &larger) {
		t.used.Store(0)
	}
}
