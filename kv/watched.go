package kv

import (
	"sort"
	"sync/atomic"
)

// watchedGroups is how many changed groups a Watched keeps apart. Beyond that it knows
// of each of its ranges only when it was changed last.
const watchedGroups = 1024

// Watched is ranges of groups of which the writer notes what commits change. It is for
// a transaction that has to run again: what was committed since its snapshot is known
// then, whatever the log still holds. But for Ranges it is the writer's own.
type Watched struct {
	Ranges []Range // in order, and not overlapping; never changed

	changed []uint64          // the last revision that did something in each
	groups  map[string]uint64 // the same of each group, while there are few
	many    bool              // there were too many groups
	broken  atomic.Bool       // something may have been missed; the watching transaction is refused
}

// NewWatched watches ranges that are in order and don't overlap.
func NewWatched(ranges []Range) *Watched {
	return &Watched{Ranges: ranges, changed: make([]uint64, len(ranges)), groups: make(map[string]uint64)}
}

// Note is told of everything that is committed.
func (w *Watched) Note(events []Event) {
	for i := range events {
		e := &events[i]
		if i > 0 && e.Group == events[i-1].Group && e.Revision == events[i-1].Revision {
			continue
		}
		at := w.at(e.Group)
		if at < 0 {
			continue
		}
		w.changed[at] = e.Revision
		if w.many {
			continue
		}
		if w.groups[string([]byte(e.Group))] = e.Revision; len(w.groups) > watchedGroups {
			w.groups, w.many = nil, true
		}
	}
}

// Break says that something may have been missed.
func (w *Watched) Break() { w.broken.Store(true) }

// at is the index of the range that a group lies in, less than 0 if none.
func (w *Watched) at(group string) int {
	behind := sort.Search(len(w.Ranges), func(i int) bool { return w.Ranges[i].From > group })
	if behind == 0 || !w.Ranges[behind-1].Contains(group) {
		return -1
	}
	return behind - 1
}

// Covers reports whether all of a range is watched. None is by nil.
func (w *Watched) Covers(r Range) bool {
	if w == nil {
		return false
	}
	at := w.at(r.From)
	if at < 0 {
		return false
	}
	outer := &w.Ranges[at]
	return outer.Unbounded || !r.Unbounded && r.To <= outer.To
}

// Changed is a group of a covered range that was changed after the range's revision,
// as far as it can be named.
func (w *Watched) Changed(u *Unchanged) (group string, changed bool) {
	if w.broken.Load() {
		return u.Range.From, true
	}
	at := w.at(u.Range.From)
	if w.changed[at] <= u.Revision {
		return "", false
	}
	if w.many {
		return u.Range.From, true
	}
	for group, last := range w.groups {
		if last > u.Revision && u.Range.Contains(group) {
			return group, true
		}
	}
	return "", false
}
