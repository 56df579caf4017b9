package cache

import (
	"strings"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/kv"
)

// ready is a small table of the rows of a shard that are read most, with their values
// as strings: a Get of one of them copies nothing and looks no further. It holds only
// rows that the index held when they came here, is changed under the shard's lock alone,
// and loses a row whenever the shard does because it is changed; so all that is said of
// the index holds here. Which rows come in is left to the lot: those stand here longest
// that are read most.
type ready struct {
	rows []atomic.Pointer[readyRow] // by hash, a power of two; none: a shard too small for it
	room int                        // owned by the shard's lock: bytes that are left
}

type readyRow struct {
	row   kv.Row
	found bool
	epoch uint64
}

const (
	readyShare   = 16  // of the cache
	readyEach    = 256 // bytes of that share a row, on the average
	mostReady    = 512 // of a shard
	largestReady = 16 << 10
	readyCost    = 128 // bytes beside names and value
)

func (t *ready) open(bytes int) {
	n := 1
	for n < mostReady && 2*n*readyEach <= bytes {
		n *= 2
	}
	if n > 1 {
		t.rows, t.room = make([]atomic.Pointer[readyRow], n), bytes
	}
}

func (t *ready) place(hash uint64) *atomic.Pointer[readyRow] {
	return &t.rows[hash>>8&uint64(len(t.rows)-1)]
}

// look is a key's row, or nil.
func (t *ready) look(hash uint64, group, key string) *readyRow {
	if len(t.rows) == 0 {
		return nil
	}
	if r := t.place(hash).Load(); r != nil && r.row.Key == key && r.row.Group == group {
		return r
	}
	return nil
}

// keep brings in a row of the index.
func (t *ready) keep(hash uint64, in *chunk, r row, group, key string) {
	if len(t.rows) == 0 || in.single || r.size() > largestReady {
		return
	}
	place, cost := t.place(hash), readyCost+r.size()
	old := place.Load()
	if old != nil {
		cost -= old.cost()
	}
	if cost > t.room && cost > 0 {
		return
	}
	t.room -= cost
	names := strings.Clone(group + key) // the caller's may be parts of something large
	place.Store(&readyRow{
		row: kv.Row{Group: names[:len(group)], Key: names[len(group):], Value: in.value(r),
			Deadline: r.deadline(), Revision: r.revision()},
		found: r.found(), epoch: r.epoch(),
	})
}

func (r *readyRow) cost() int {
	size, _ := sizeOf(r.row.Group, r.row.Key, r.row)
	return readyCost + size
}

func (t *ready) remove(hash uint64, group, key string) (present bool) {
	r := t.look(hash, group, key)
	if r == nil || planted.ReadyKept {
		return false
	}
	t.place(hash).Store(nil)
	t.room += r.cost()
	return true
}

func (t *ready) clear() {
	for i := range t.rows {
		if old := t.rows[i].Swap(nil); old != nil {
			t.room += old.cost()
		}
	}
}
