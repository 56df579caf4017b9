package overlay

import (
	"sync/atomic"

	"forge.lthn.ai/core/go-store/kv"
)

// Verdict is what an overlay says of a key.
type Verdict uint8

const (
	Below   Verdict = iota // nothing: what lies below is to be asked
	Present                // it has a row, dead or alive
	Absent                 // it has none, whatever lies below
)

// State is the overlay as it was when a commit was published. What it shows never changes.
// It must be released, once.
type State struct {
	active, frozen *run // frozen may be nil
	revision       uint64
	number         uint64 // what is shown: versions up to it
	pins           atomic.Int32
}

// Revision is the last one that the state shows.
func (s *State) Revision() uint64 { return s.revision }

// Retain pins a state that was come to by something else that is published, and that leads
// to this state still when it is looked at after the call. If it does not, the state is to be
// released, and not to be read.
func (s *State) Retain() { s.pins.Add(1) }

// Release lets go of a state that was pinned.
func (s *State) Release() { s.pins.Add(-1) }

// Get is what the state says of a key.
func (s *State) Get(group, key string) (row kv.Row, verdict Verdict) {
	row, verdict, _ = s.get(group, key)
	return row, verdict
}

// Try is Get of a state that is not pinned. Not sure: what it should have shown may have
// been taken away, which is not done before a later state can be found.
func (s *State) Try(group, key string) (row kv.Row, verdict Verdict, sure bool) {
	row, verdict, spoiled := s.get(group, key)
	return row, verdict, !spoiled
}

func (s *State) get(group, key string) (row kv.Row, verdict Verdict, spoiled bool) {
	row, verdict, spoiled = s.active.get(group, key, s.number)
	if verdict != Below || s.frozen == nil {
		return row, verdict, spoiled
	}
	row, verdict, later := s.frozen.get(group, key, s.number)
	return row, verdict, spoiled || later
}

// NextMark is the first group of which nothing is left that the base has, or the first behind
// a name, and the revision that removed it.
func (s *State) NextMark(from string, behind bool) (group string, revision uint64, found bool) {
	if behind {
		from += "\x00"
	}
	for _, r := range []*run{s.active, s.frozen} {
		if r == nil {
			continue
		}
		c := r.marks.seek(from, "")
		for c != nil && !r.hides(c.group, s.number) {
			c = c.follows()
		}
		if c != nil && (!found || c.group < group) {
			group, revision, found = c.group, c.at(s.number).revision, true
		}
	}
	return group, revision, found
}

// Hides reports whether nothing that the base has of a group is left.
func (s *State) Hides(group string) bool {
	return s.active.hides(group, s.number) || s.frozen != nil && s.frozen.hides(group, s.number)
}

// Pin is what is committed now. What it shows stays until it is released.
//
// Publishing a later state is followed by a look for pins, and pinning by a look whether the
// state is still the published one: so either sees the other.
func (o *Overlay) Pin() *State {
	for {
		s := o.published.Load()
		if o.loaded != nil {
			o.loaded()
		}
		s.pins.Add(1)
		if o.published.Load() == s {
			return s
		}
		s.pins.Add(-1)
	}
}

// Published is what is committed now. It is not pinned: see State.Retain.
func (o *Overlay) Published() *State { return o.published.Load() }

// Overtaken reports whether the run that a state takes for the active one has been frozen,
// so that a snapshot of the base that was taken before this call may show what the state
// does not.
func (o *Overlay) Overtaken(s *State) bool { return o.published.Load().active != s.active }

// Get is what is committed now of a key.
func (o *Overlay) Get(group, key string) (row kv.Row, verdict Verdict) {
	for {
		s := o.published.Load()
		if o.loaded != nil {
			o.loaded()
		}
		row, verdict, spoiled := s.get(group, key)
		// What a state that is not pinned should have seen may have been taken away, but
		// not before a later one was published.
		if !spoiled || o.published.Load() == s {
			return row, verdict
		}
	}
}
