package engine

import (
	"forge.lthn.ai/core/go-store/kv"

	"github.com/tidwall/btree"
)

// intervals is a set of groups, given as ranges: disjoint ones, in order. Ranges
// that meet become one, so that what a group or a range is asked for costs the
// same however many were added. The zero value is empty.
type intervals struct {
	tree *btree.BTreeG[kv.Range] // by From; nil: empty
}

// add puts a range in.
func (s *intervals) add(r kv.Range) {
	if !r.Unbounded && r.To <= r.From {
		return
	}
	if s.tree == nil {
		s.tree = btree.NewBTreeGOptions(func(a, b kv.Range) bool { return a.From < b.From }, btree.Options{NoLocks: true})
	}
	if before, found := s.at(r.From); found && reaches(before, r.From) {
		if reachesEnd(before, r) {
			return
		}
		r.From = before.From
	}
	var met []kv.Range
	s.tree.Ascend(kv.Range{From: r.From}, func(next kv.Range) bool {
		if !reaches(r, next.From) {
			return false
		}
		met = append(met, next)
		if reachesEnd(next, r) {
			r.To, r.Unbounded = next.To, next.Unbounded
		}
		return true
	})
	for _, old := range met {
		s.tree.Delete(old)
	}
	s.tree.Set(r)
}

// at is the last range that begins at or before a group.
func (s *intervals) at(group string) (r kv.Range, found bool) {
	if s.tree == nil {
		return r, false
	}
	s.tree.Descend(kv.Range{From: group}, func(below kv.Range) bool {
		r, found = below, true
		return false
	})
	return r, found
}

func (s *intervals) contains(group string) bool {
	r, found := s.at(group)
	return found && r.Contains(group)
}

// overlaps reports whether a group of the range is in the set.
func (s *intervals) overlaps(r kv.Range) bool {
	if s.tree == nil || !r.Unbounded && r.To <= r.From {
		return false
	}
	if s.contains(r.From) {
		return true
	}
	found := false
	s.tree.Ascend(kv.Range{From: r.From}, func(next kv.Range) bool {
		found = r.Unbounded || next.From < r.To
		return false
	})
	return found
}

// all calls visit for every range, in order.
func (s *intervals) all(visit func(kv.Range)) {
	if s.tree != nil {
		s.tree.Scan(func(r kv.Range) bool {
			visit(r)
			return true
		})
	}
}

// copy is the set as it is now. It costs the same whatever its size.
func (s *intervals) copy() intervals {
	if s.tree == nil {
		return intervals{}
	}
	return intervals{s.tree.Copy()}
}

// reaches reports whether the range ends at or behind a group.
func reaches(r kv.Range, group string) bool { return r.Unbounded || r.To >= group }

// reachesEnd reports whether a ends where b does, or behind.
func reachesEnd(a, b kv.Range) bool { return a.Unbounded || !b.Unbounded && a.To >= b.To }
