package sequence

import (
	"hash/maphash"
	"sync/atomic"
)

// Sequence tells whether what was read of a key may be put into a cache. The writer makes
// it odd before COMMIT and even after it, and before COMMIT leaves the odd number that is
// to come with each key that it changes. A reader remembers an even number from
// before its read. If the sequence has not moved since, or no later
// number was left with the key, no COMMIT that changes the key had begun to show itself.
//
// Comparing revisions would not do. COMMIT makes a change visible before its revision is
// published: in between one reader sees the change, and another would put back what was
// there before.
type Sequence struct {
	n      atomic.Uint64
	seed   maphash.Seed
	keys   []atomic.Uint64 // by hash: the latest number left there; nil: none are left
	groups []atomic.Uint64 // the same, of groups that were removed whole
}

// Keys share numbers by hash, which makes some look changed that are not.
const (
	keyStripes   = 16 << 10
	groupStripes = 1 << 10
)

// Track makes room for the numbers of keys. The writer must call Touch and
// TouchGroup from then on.
func (s *Sequence) Track() {
	s.seed = maphash.MakeSeed()
	s.keys, s.groups = make([]atomic.Uint64, keyStripes), make([]atomic.Uint64, groupStripes)
}

// Moving calls commit while the sequence is odd.
func (s *Sequence) Moving(commit func() error) error {
	s.n.Add(1)
	defer s.n.Add(1) // however commit ends: odd for good would be slow for good
	return commit()
}

// Before is a number that is not later than any commit which may be under way.
func (s *Sequence) Before() uint64 { return s.n.Load() &^ 1 }

// After is the number when the commit that has just ended is over.
func (s *Sequence) After() uint64 { return (s.n.Load() + 1) &^ 1 }

// Settled reports whether n is the present number, and no commit is under way.
func (s *Sequence) Settled(n uint64) bool { return n%2 == 0 && s.n.Load() == n }

// Touch notes that the open transaction changes a key. The writer calls it
// Before COMMIT; that the transaction may yet be rolled back does no harm.
func (s *Sequence) Touch(group, key string) {
	ofKey, _ := s.stripes(group, key)
	ofKey.Store(s.n.Load() + 1)
}

// TouchGroup notes that it removes a group.
func (s *Sequence) TouchGroup(group string) {
	_, ofGroup := s.stripes(group, "")
	ofGroup.Store(s.n.Load() + 1)
}

// Unchanged reports whether what was read of a key at n is what the key is now.
func (s *Sequence) Unchanged(n uint64, group, key string) bool {
	if n%2 != 0 || s.keys == nil {
		return false
	}
	ofKey, ofGroup := s.stripes(group, key)
	return ofKey.Load() <= n && ofGroup.Load() <= n
}

// stripes are where the numbers of a key and of its group are.
func (s *Sequence) stripes(group, key string) (ofKey, ofGroup *atomic.Uint64) {
	g := maphash.String(s.seed, group)
	k := g*31 + maphash.String(s.seed, key)
	return &s.keys[k%keyStripes], &s.groups[g%groupStripes]
}

// Now is the present number, odd while a commit is under way.
func (s *Sequence) Now() uint64 { return s.n.Load() }

// Unsettle makes it odd for good, for a process that does not know what is being committed.
func (s *Sequence) Unsettle() { s.n.Store(1) }
