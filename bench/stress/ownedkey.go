package stress

import (
	"fmt"
	"sync/atomic"
)

// ownedKey is what is known of one key, or of one group that is written as a
// whole. One caller writes it; any may read it and judge what they find. Its
// writes are numbered from 1, and what write n does follows from n alone, so
// that no reader has to keep a history.
type ownedKey struct {
	group, key string
	// deletes reports whether write n takes the value away.
	deletes func(n uint64) bool

	issued atomic.Uint64 // the number of the last write that began
	acked  atomic.Uint64 // the last write known to have taken place: its number doubled, plus one if it left a value
	ended  atomic.Uint64 // the tick at which the call of acked returned, or a later one

	touches atomic.Uint64 // the number of the last write that was touched

	checked uint64 // the last number that its owner has read; owned by the owner
	// What acked left, as its owner knows it.
	started  uint64 // the tick in the value
	revision uint64 // 0: not known
	expires  bool   // some time or other
}

// newOwnedKey is a key of which one write in so many is a deletion.
func newOwnedKey(group, key string, oneIn uint64) *ownedKey {
	id := hash(group, key)
	return &ownedKey{group: group, key: key, deletes: func(n uint64) bool {
		return n > 1 && mix(id, n)%oneIn == 0
	}}
}

func (k *ownedKey) String() string { return k.group + "/" + k.key }

func (k *ownedKey) present() bool  { return k.acked.Load()&1 == 1 }
func (k *ownedKey) number() uint64 { return k.acked.Load() >> 1 }

// acknowledge notes that write n, begun at started, took place. It is called
// by the owner, ended being a tick from after the call returned.
func (k *ownedKey) acknowledge(n, started, ended uint64) {
	state := n << 1
	if !k.deletes(n) {
		state |= 1
	}
	k.started = started
	// A reader that sees the new end with the old number takes the old write
	// for longer than it was, which excuses more and accuses no target.
	k.ended.Store(ended)
	k.acked.Store(state)
}

// expire notes that write n took place and that its value is over.
func (k *ownedKey) expire(n, ended uint64) {
	k.ended.Store(ended)
	k.acked.Store(n << 1)
	k.checked = n
}

// endOf is when the call of write n had returned. It is not known once a later
// one was acknowledged.
func (k *ownedKey) endOf(n uint64) (tick uint64, known bool) {
	if k.number() != n {
		return 0, false
	}
	tick = k.ended.Load()
	return tick, k.number() == n
}

// judge says what is wrong with a read, nothing if detail is empty. before is
// acked from before the read began, issued the number issued when it had ended.
func (k *ownedKey) judge(value string, found bool, before, issued uint64) (Violation, string) {
	acknowledged, there := before>>1, before&1 == 1
	if !found {
		if !there {
			return "", ""
		}
		for n := acknowledged + 1; n <= issued; n++ {
			if k.deletes(n) {
				return "", ""
			}
		}
		return LostWrite, fmt.Sprintf("%v: not found, though write %d was acknowledged and none of up to %d deletes it", k, acknowledged, issued)
	}
	n, _, ok := parse(k.group, k.key, value)
	switch {
	case !ok || n > issued || k.deletes(n):
		return PhantomWrite, fmt.Sprintf("%v: found %s, which nobody wrote; the last write is %d", k, brief(value, found), issued)
	case n < acknowledged:
		return StaleRead, fmt.Sprintf("%v: found write %d after write %d was acknowledged", k, n, acknowledged)
	}
	return "", ""
}

// touch notes that the caller is about to change when the key expires. From
// then on events tell of its present write more than once, and later than its
// call returned.
func (k *ownedKey) touch() {
	k.ended.Store(underWay)
	k.touches.Store(k.number())
}

// touched reports whether there may be several events of write n. It does not
// know of all writes before the last one that was touched.
func (k *ownedKey) touched(n uint64) bool { return n <= k.touches.Load() }

// nextDelete is the first write after n that deletes; none after last.
func (k *ownedKey) nextDelete(n, last uint64) (number uint64, ok bool) {
	for n++; n <= last; n++ {
		if k.deletes(n) {
			return n, true
		}
	}
	return 0, false
}
