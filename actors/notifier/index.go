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
// key. The notifier alone changes it; any goroutine may read it at any time without
// waiting, since what it holds is immutable and replaced whole.
//
// What names a group and a key, or leaves one open, is split into shards, so that
// adding one of n listeners copies n/shards map entries: an event looks for four
// filters at most. What names the beginning of either stands in trees, in which an
// event finds what its names begin with along one path each, whatever others want.
type index[T comparable] struct {
	seed   maphash.Seed
	shards [shards]atomic.Pointer[map[kv.Filter][]T]
	kinds  [kv.MatchKinds * kv.MatchKinds]int // filters of each kind, of group and of key; the notifier's own
	used   atomic.Uint32                      // has the bit of each kind in the shards that there is: an event looks for no other

	prefixes atomic.Pointer[prefixes[T]] // nil: none

	// bloom has a bit set for the hash of every filter in the shards: 8 KiB
	// that stay in the processor's cache tell most events that no listener wants
	// them, where looking into a map would be a miss or two.
	bloom  [bloomBits / 64]atomic.Uint64
	behind map[uint64]int // filters behind each bit; the notifier's own
}

// prefixes are the filters that name the beginning of a group or of a key.
type prefixes[T comparable] struct {
	groups *radix[keys[T]] // by the beginning of the group
	exact  *radix[keys[T]] // by the group: those that name the beginning of a key
	any    *radix[[]T]     // of any group, by the beginning of the key
}

// keys are the listeners of some groups.
type keys[T comparable] struct {
	all    []T         // to every key
	exact  *radix[[]T] // to one
	prefix *radix[[]T] // by its beginning
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

// add is for the notifier only. The bit is there before the filter is, and its kind
// after it: a reader that sees the kind finds the filter.
func (x *index[T]) add(f kv.Filter, listener T) {
	if byPrefix(f) {
		x.change(f, func(old []T) []T { return append(slices.Clip(old), listener) })
		return
	}
	x.replace(f, append(slices.Clip(x.at(f)), listener))
	x.count(f, 1)
}

// remove is for the notifier only.
func (x *index[T]) remove(f kv.Filter, listener T) {
	without := func(old []T) []T {
		left := make([]T, 0, len(old))
		for _, other := range old {
			if other != listener {
				left = append(left, other)
			}
		}
		return left
	}
	if byPrefix(f) {
		x.change(f, without)
		return
	}
	x.count(f, -1)
	x.replace(f, without(x.at(f)))
}

func byPrefix(f kv.Filter) bool {
	return f.Group.Kind() == kv.MatchPrefix || f.Key.Kind() == kv.MatchPrefix
}

// change publishes other listeners of a filter that names a beginning.
func (x *index[T]) change(f kv.Filter, change func([]T) []T) {
	var next prefixes[T]
	if old := x.prefixes.Load(); old != nil {
		next = *old
	}
	of := func(old keys[T]) (keys[T], bool) {
		changed := old.changed(f.Key, change)
		return changed, !changed.empty()
	}
	switch f.Group.Kind() {
	case kv.MatchPrefix:
		next.groups = next.groups.with(f.Group.Text(), of)
	case kv.MatchExactly:
		next.exact = next.exact.with(f.Group.Text(), of)
	default:
		next.any = next.any.with(f.Key.Text(), some(change))
	}
	if next == (prefixes[T]{}) {
		x.prefixes.Store(nil)
	} else {
		x.prefixes.Store(&next)
	}
}

func (k keys[T]) changed(key kv.Match, change func([]T) []T) keys[T] {
	switch key.Kind() {
	case kv.MatchPrefix:
		k.prefix = k.prefix.with(key.Text(), some(change))
	case kv.MatchExactly:
		k.exact = k.exact.with(key.Text(), some(change))
	default:
		k.all = change(k.all)
	}
	return k
}

func (k keys[T]) empty() bool { return len(k.all) == 0 && k.exact == nil && k.prefix == nil }

// some is a change of listeners that keeps a text for as long as it has any.
func some[T any](change func([]T) []T) func([]T) ([]T, bool) {
	return func(old []T) ([]T, bool) {
		listeners := change(old)
		return listeners, len(listeners) > 0
	}
}

// each calls yield with the listeners to a key.
func (k keys[T]) each(key string, yield func([]T) bool) bool {
	if len(k.all) > 0 && !yield(k.all) {
		return false
	}
	if listeners, found := k.exact.get(key); found && !yield(listeners) {
		return false
	}
	return k.prefix.eachPrefix(key, yield)
}

func (k keys[T]) visit(visit func([]T)) {
	visit(k.all)
	k.exact.each(visit)
	k.prefix.each(visit)
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
func (x *index[T]) empty() bool { return x.used.Load() == 0 && x.prefixes.Load() == nil }

// each calls yield with the listeners of every filter that fits, each filter
// once, until yield returns false. It reports whether it did not.
func (x *index[T]) each(group, key string, yield func([]T) bool) bool {
	for used := x.used.Load(); used != 0; used &= used - 1 {
		kind := bits.TrailingZeros32(used)
		var f kv.Filter
		if kv.MatchKind(kind/kv.MatchKinds) == kv.MatchExactly {
			f.Group = kv.Exactly(group)
		}
		if kv.MatchKind(kind%kv.MatchKinds) == kv.MatchExactly {
			f.Key = kv.Exactly(key)
		}
		if listeners := x.at(f); len(listeners) > 0 && !yield(listeners) {
			return false
		}
	}
	p := x.prefixes.Load()
	if p == nil {
		return true
	}
	if exact, found := p.exact.get(group); found && !exact.each(key, yield) {
		return false
	}
	return p.any.eachPrefix(key, yield) &&
		p.groups.eachPrefix(group, func(k keys[T]) bool { return k.each(key, yield) })
}

// has reports whether any listener's filter fits.
func (x *index[T]) has(group, key string) bool {
	return !x.each(group, key, func([]T) bool { return false })
}

// all calls visit with every listener, once for each of its filters. That may remove the
// listener.
func (x *index[T]) all(visit func(T)) {
	x.visit(func(listener T) bool {
		visit(listener)
		return true
	})
}

// visit is all until visit returns false. Any goroutine may call it; of listeners that come or go
// meanwhile it may miss some.
func (x *index[T]) visit(visit func(T) bool) {
	going := true
	each := func(listeners []T) {
		for _, listener := range listeners {
			if going = going && visit(listener); !going {
				return
			}
		}
	}
	for i := range x.shards {
		if m := x.shards[i].Load(); m != nil {
			for _, listeners := range *m {
				if each(listeners); !going {
					return
				}
			}
		}
	}
	if p := x.prefixes.Load(); p != nil {
		p.groups.each(func(k keys[T]) { k.visit(each) })
		p.exact.each(func(k keys[T]) { k.visit(each) })
		p.any.each(each)
	}
}
