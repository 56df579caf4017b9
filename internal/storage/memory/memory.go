package memory

import (
	"math"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/sequence"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/tidwall/btree"
)

// Store is a ":memory:" database: cells of versions of rows in process memory, in
// copy-on-write B-trees. Readers load one pointer to what is committed and then wait for
// nothing, so a scan may last as long as it likes. ADR 0057 says how.
//
// There is no SQLite below it. A private SQLite database as the writer's, with
// these trees as a mirror for reads, holds everything twice and takes twice the
// time; connections that share one in memory starve each other. ADR 0008 has
// the figures.
type Store struct {
	done      <-chan struct{}        // closed when the store is
	changes   *sequence.Sequence     // moved by commits
	ended     *atomic.Pointer[error] // of a snapshot: why it is no more
	committed atomic.Pointer[forest] // never changed once published, but for what is newer than it
	pins      *pins
	loaded    func() // called between a Get's load of a forest and its look; nil but in tests
}

// New makes an empty store, and its only writing side. Once done is closed every method
// answers kv.ClosedError. changes tells which keys have changed, for caches.
func New(done <-chan struct{}, changes *sequence.Sequence) (*Store, *Writer) {
	m := &Store{done: done, changes: changes, pins: new(pins)}
	return m, newWriter(m)
}

// forest is the rows in both orders that are asked for. The same row stands in
// both trees; a row never changes.
type forest struct {
	number   uint64 // of the commit that made it
	rows     cells  // by group and key
	expiring *tree  // those with a deadline, by it
	log      changeLog
}

type tree = btree.BTreeG[*kv.Row]

// treeDegree is one that measures no worse than its double and its half.
const treeDegree = 16

func newForest() forest {
	options := btree.Options{Degree: treeDegree, NoLocks: true}
	return forest{
		rows:     cells{btree.NewBTreeGOptions(cellLess, options), math.MaxUint64},
		expiring: btree.NewBTreeGOptions(sooner, options),
	}
}

func rowLess(a, b *kv.Row) bool {
	if a.Group != b.Group {
		return a.Group < b.Group
	}
	return a.Key < b.Key
}

func sooner(a, b *kv.Row) bool {
	if a.Deadline != b.Deadline {
		return a.Deadline < b.Deadline
	}
	return rowLess(a, b)
}

// first is the first row of a range of groups that passes.
func (f *forest) first(r kv.Range, passes func(*kv.Row) bool) (found *kv.Row) {
	ascend(f.rows, r, func(row *kv.Row) bool {
		if passes(row) {
			found = row
		}
		return found == nil
	})
	return found
}

// ascend walks the rows of a range of groups.
func ascend(rows cells, r kv.Range, visit func(*kv.Row) bool) {
	rows.Ascend(&kv.Row{Group: r.From}, func(row *kv.Row) bool {
		return (r.Unbounded || row.Group < r.To) && visit(row)
	})
}

// scan walks what a query asks for, in its order. What its range of keys leaves
// out in the middle is for visit to judge.
func (f *forest) scan(q storage.Query, visit func(*kv.Row) bool) {
	group, single := q.Single()
	from, to := &kv.Row{Group: q.Groups.From}, &kv.Row{Group: q.Groups.To}
	if single { // straight to the keys
		from = &kv.Row{Group: group, Key: q.Keys.From}
		if !q.Keys.Unbounded {
			to = &kv.Row{Group: group, Key: q.Keys.To}
		}
	}
	unbounded := q.Groups.Unbounded
	if q.After != nil {
		after := &kv.Row{Group: q.After.Group, Key: q.After.Key}
		if q.Reverse && (unbounded || rowLess(after, to)) {
			to, unbounded = after, false
		} else if after.Key += "\x00"; !q.Reverse && rowLess(from, after) {
			from = after
		}
	}
	if !q.Reverse {
		f.rows.Ascend(from, func(row *kv.Row) bool {
			return (unbounded || rowLess(row, to)) && visit(row)
		})
		return
	}
	descend := func(row *kv.Row) bool {
		if !unbounded && !rowLess(row, to) {
			return true // to itself is excluded
		}
		return !rowLess(row, from) && visit(row)
	}
	if unbounded {
		f.rows.Reverse(descend)
	} else {
		f.rows.Descend(to, descend)
	}
}
