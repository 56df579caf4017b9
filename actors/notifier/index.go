package notifier

import (
	"hash/maphash"
	"maps"
	"math/bits"
	"slices"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/kv"
)

// index finds the listeners of an event: those whose filter fits its group and
// key. The notifier alone changes it; anybody may read it at any time without
// waiting, since what it holds is immutable and replaced whole. It is split
// into shards, so that adding one of n listeners copies n/shards map entries.
type index[T comparable] struct {
	seed   maphash.Seed
	shards [shards]atomic.Pointer[map[kv.Filter][]T]
	kinds  [kv.MatchKinds * kv.MatchKinds]int // filters of each kind, of group and of key; the notifier's own
	used   atomic.Uint32                      // has the bit of each kind that there is: an event looks for no other

	// The lengths of prefixes in use: an event looks for its own prefixes of
	// these lengths, however many filters there are.
	groups, keys lengths

	// bloom has a bit set for the hash of every filter in the shards: 8 KiB
	// that stay in the processor's cache tell most events that nobody wants
	// them, where looking into a map would be a miss or two.
	bloom  [bloomBits / 64]atomic.Uint64
	behind map[uint64]int // filters behind each bit; the notifier's own
}

const (
	shards    = 512
	bloomBits = 1 << 16
)

func newIndex[T comparable]() *index[T] {
	return &index[T]{seed: maphash.MakeSeed(), behind: make(map[uint64]int)}
}

// hash mixes the hashes of the two names: maphash.Comparable of the whole filter
// takes ten times as long.
func (x *index[T]) hash(f kv.Filter) uint64 {
	const odd = 0x9E3779B97F4A7C15
	h := (maphash.String(x.seed, f.Group.Text()) + uint64(f.Group.Kind())) * odd
	h = (bits.RotateLeft64(h, 29) ^ maphash.String(x.seed, f.Key.Text())) + uint64(f.Key.Kind())
	h *= odd
	return h ^ h>>31
}

func (x *index[T]) shard(hash uint64) *atomic.Pointer[map[kv.Filter][]T] {
	return &x.shards[hash%shards]
}

func (x *index[T]) at(f kv.Filter) []T {
	hash := x.hash(f)
	if word, bit := bloomBit(hash); x.bloom[word].Load()&bit == 0 {
		return nil
	}
	if m := x.shard(hash).Load(); m != nil {
		return (*m)[f]
	}
	return nil
}

func bloomBit(hash uint64) (word int, bit uint64) {
	n := hash >> 32 % bloomBits // other bits than the shard's
	return int(n / 64), 1 << (n % 64)
}

// add is for the notifier only. The lengths and the bit are there before the
// filter is, and its kind after it: who sees the kind finds the filter.
func (x *index[T]) add(f kv.Filter, listener T) {
	x.groups.add(f.Group)
	x.keys.add(f.Key)
	x.replace(f, append(slices.Clip(x.at(f)), listener))
	x.count(f, 1)
}

// remove is for the notifier only.
func (x *index[T]) remove(f kv.Filter, listener T) {
	old := x.at(f)
	left := make([]T, 0, len(old))
	for _, other := range old {
		if other != listener {
			left = append(left, other)
		}
	}
	x.count(f, -1)
	x.replace(f, left)
	x.groups.remove(f.Group)
	x.keys.remove(f.Key)
}

func (x *index[T]) count(f kv.Filter, by int) {
	kind := int(f.Group.Kind())*kv.MatchKinds + int(f.Key.Kind())
	if x.kinds[kind] += by; x.kinds[kind] > 0 {
		x.used.Or(1 << kind)
	} else {
		x.used.And(^uint32(1 << kind))
	}
}

// replace publishes the listeners of a filter. The bit is set before the shard
// has the filter and cleared after it has it no more.
func (x *index[T]) replace(f kv.Filter, listeners []T) {
	hash := x.hash(f)
	shard := x.shard(hash)
	var next map[kv.Filter][]T
	if m := shard.Load(); m != nil {
		next = maps.Clone(*m)
	} else {
		next = make(map[kv.Filter][]T, 1)
	}
	_, had := next[f]
	word, bit := bloomBit(hash)
	behind := hash >> 32 % bloomBits
	if len(listeners) == 0 {
		delete(next, f)
		shard.Store(&next)
		if had {
			if x.behind[behind]--; x.behind[behind] == 0 {
				delete(x.behind, behind)
				x.bloom[word].And(^bit)
			}
		}
		return
	}
	next[f] = listeners
	if !had {
		x.behind[behind]++
		x.bloom[word].Or(bit)
	}
	shard.Store(&next)
}

// empty reports whether there is no listener at all.
func (x *index[T]) empty() bool { return x.used.Load() == 0 }

// each calls yield with the listeners of every filter that fits, each filter
// once, until yield returns false. It reports whether it did not.
func (x *index[T]) each(group, key string, yield func([]T) bool) bool {
	for used := x.used.Load(); used != 0; used &= used - 1 {
		kind := bits.TrailingZeros32(used)
		fits := x.groups.eachMatch(kv.MatchKind(kind/kv.MatchKinds), group, func(group kv.Match) bool {
			return x.keys.eachMatch(kv.MatchKind(kind%kv.MatchKinds), key, func(key kv.Match) bool {
				listeners := x.at(kv.Filter{Group: group, Key: key})
				return len(listeners) == 0 || yield(listeners)
			})
		})
		if !fits {
			return false
		}
	}
	return true
}

// has reports whether anybody's filter fits.
func (x *index[T]) has(group, key string) bool {
	return !x.each(group, key, func([]T) bool { return false })
}

// all calls visit with every listener, once for each of its filters. It is for
// the notifier only; visit may remove the listener.
func (x *index[T]) all(visit func(T)) {
	for i := range x.shards {
		if m := x.shards[i].Load(); m != nil {
			for _, listeners := range *m {
				for _, listener := range listeners {
					visit(listener)
				}
			}
		}
	}
}

// lengths are those of the prefixes in use, ascending.
type lengths struct {
	used  atomic.Pointer[[]int] // immutable; replaced whole
	count map[int]int           // the notifier's own
}

func (l *lengths) add(m kv.Match) { l.change(m, 1) }

func (l *lengths) remove(m kv.Match) { l.change(m, -1) }

func (l *lengths) change(m kv.Match, by int) {
	if m.Kind() != kv.MatchPrefix {
		return
	}
	if l.count == nil {
		l.count = make(map[int]int)
	}
	length := len(m.Text())
	before := l.count[length]
	if l.count[length] += by; l.count[length] == 0 {
		delete(l.count, length)
	}
	if before == 0 || l.count[length] == 0 {
		used := slices.Sorted(maps.Keys(l.count))
		l.used.Store(&used)
	}
}

// eachMatch calls yield with every match of a kind that a name fits, and that
// may be in use, until yield returns false. It reports whether it did not.
func (l *lengths) eachMatch(kind kv.MatchKind, name string, yield func(kv.Match) bool) bool {
	switch kind {
	case kv.MatchAny:
		return yield(kv.Match{})
	case kv.MatchExactly:
		return yield(kv.Exactly(name))
	}
	used := l.used.Load()
	if used == nil {
		return true
	}
	for _, length := range *used {
		if length > len(name) {
			break
		}
		if !yield(kv.Prefix(name[:length])) {
			return false
		}
	}
	return true
}
