package overlay

import (
	"math"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/tidwall/btree"
)

// Expired is the rows that the writer sees in the overlay in a range of groups with
// after < deadline <= now, by their deadlines: at most so many, and no more once they
// weigh so many bytes, but one if there is one. What the base has beside them is good
// where Working().Get says Below.
func (o *Overlay) Expired(r kv.Range, after, now int64, rows, bytes int) (expired []kv.Row) {
	o.walkDying(after, func(c *cell) bool {
		v := c.newest.Load()
		if v.deadline > now || len(expired) >= rows || bytes <= 0 {
			return false
		}
		if later(v.deadline, after) && r.Contains(c.group) {
			expired = append(expired, c.row(v))
			bytes -= len(c.group) + len(c.key) + len(v.value)
		}
		return true
	})
	return expired
}

// later reports whether a deadline lies behind a moment; behind the least one all do.
func later(deadline, after int64) bool { return deadline > after || after == math.MinInt64 }

// CountDead is how many rows that the writer sees in the overlay have
// after < deadline <= now, at most limit.
func (o *Overlay) CountDead(after, now int64, limit int) (n int) {
	o.walkDying(after, func(c *cell) bool {
		d := c.newest.Load().deadline
		if d > now || n >= limit {
			return false
		}
		if later(d, after) {
			n++
		}
		return true
	})
	return n
}

// Earliest is the earliest deadline of a row that the writer sees in the overlay,
// kv.NoDeadline if there is none.
func (o *Overlay) Earliest() int64 {
	earliest := kv.NoDeadline
	for _, r := range []*run{o.working.active, o.working.frozen} {
		if r == nil {
			continue
		}
		if d, ok := r.dying.Min(); ok {
			earliest = min(earliest, d.deadline)
		}
	}
	return earliest
}

// walkDying visits the cells of both runs whose newest version has a deadline, and that no
// later one has replaced, by their deadlines.
func (o *Overlay) walkDying(from int64, visit func(*cell) bool) {
	var walks [2]btree.IterG[*dying]
	var at [2]*dying
	step := func(i int, ok bool) {
		if at[i] = nil; ok {
			at[i] = walks[i].Item()
		}
	}
	for i, r := range []*run{o.working.active, o.working.frozen} {
		if r != nil {
			walks[i] = r.dying.Iter()
			defer walks[i].Release()
			step(i, walks[i].Seek(&dying{deadline: from}))
		}
	}
	for {
		first := 0
		if at[0] == nil || at[1] != nil && sooner(at[1], at[0]) {
			first = 1
		}
		if at[first] == nil || !visit(at[first].cell) {
			return
		}
		step(first, walks[first].Next())
	}
}
