package notifier

import (
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/kv"
)

// Wildcard stands for every group, or every key.
const Wildcard = "*"

// Pattern says which events a watcher wants.
type Pattern struct {
	Namespace string // with Group a wildcard: only groups of this namespace, unless empty
	Group     string
	Key       string
}

// index finds the watchers of an event. The notifier alone changes it;
// anybody may read it at any time without waiting, since what it holds is
// immutable and replaced whole. It is split into shards, so that adding one of
// n watchers copies n/shards map entries.
type index struct {
	seed   maphash.Seed
	shards [shards]atomic.Pointer[map[Pattern][]*Watcher]
	kinds  [kinds]atomic.Int64 // watchers of each kind: an event looks only for kinds that there are

	// filter has a bit set for the hash of every pattern in the shards: 8 KiB
	// that stay in the processor's cache tell most events that nobody wants
	// them, where looking into a map would be a miss or two.
	filter   [filterBits / 64]atomic.Uint64
	patterns map[uint64]int // patterns behind each bit; the notifier's own
}

const (
	shards     = 512
	filterBits = 1 << 16
)

// kinds are the ways of being matched.
const (
	byKey       = iota // group and key
	byGroup            // every key of a group
	byNamespace        // a key, or every key, of every group of a namespace
	byAll              // a key, or every key, of every group
	kinds
)

func newIndex() *index {
	return &index{seed: maphash.MakeSeed(), patterns: make(map[uint64]int)}
}

func (p Pattern) kind() int {
	switch {
	case p.Group == Wildcard && p.Namespace != "":
		return byNamespace
	case p.Group == Wildcard:
		return byAll
	case p.Key == Wildcard:
		return byGroup
	default:
		return byKey
	}
}

func (x *index) hash(p Pattern) uint64 { return maphash.Comparable(x.seed, p) }

func (x *index) shard(hash uint64) *atomic.Pointer[map[Pattern][]*Watcher] {
	return &x.shards[hash%shards]
}

func (x *index) at(p Pattern) []*Watcher {
	hash := x.hash(p)
	if word, bit := filterBit(hash); x.filter[word].Load()&bit == 0 {
		return nil
	}
	if m := x.shard(hash).Load(); m != nil {
		return (*m)[p]
	}
	return nil
}

func filterBit(hash uint64) (word int, bit uint64) {
	n := hash >> 32 % filterBits // other bits than the shard's
	return int(n / 64), 1 << (n % 64)
}

// add is for the notifier only.
func (x *index) add(w *Watcher) {
	x.replace(w.pattern, append(slices.Clip(x.at(w.pattern)), w))
	x.kinds[w.pattern.kind()].Add(1)
}

// remove is for the notifier only.
func (x *index) remove(w *Watcher) {
	old := x.at(w.pattern)
	left := make([]*Watcher, 0, len(old))
	for _, other := range old {
		if other != w {
			left = append(left, other)
		}
	}
	x.replace(w.pattern, left)
	x.kinds[w.pattern.kind()].Add(-1)
}

// replace publishes the watchers of a pattern. The filter's bit is set before
// the shard has the pattern and cleared after it has it no more.
func (x *index) replace(p Pattern, watchers []*Watcher) {
	hash := x.hash(p)
	shard := x.shard(hash)
	var next map[Pattern][]*Watcher
	if m := shard.Load(); m != nil {
		next = maps.Clone(*m)
	} else {
		next = make(map[Pattern][]*Watcher, 1)
	}
	_, had := next[p]
	word, bit := filterBit(hash)
	behind := hash >> 32 % filterBits
	if len(watchers) == 0 {
		delete(next, p)
		shard.Store(&next)
		if had {
			if x.patterns[behind]--; x.patterns[behind] == 0 {
				delete(x.patterns, behind)
				x.filter[word].And(^bit)
			}
		}
		return
	}
	next[p] = watchers
	if !had {
		x.patterns[behind]++
		x.filter[word].Or(bit)
	}
	shard.Store(&next)
}

// empty reports whether there is no watcher at all.
func (x *index) empty() bool {
	for i := range x.kinds {
		if x.kinds[i].Load() > 0 {
			return false
		}
	}
	return true
}

// each calls yield with the watchers of every pattern that matches the event,
// each watcher once, until yield returns false. It reports whether it did not.
func (x *index) each(group, key string, yield func([]*Watcher) bool) bool {
	if x.kinds[byKey].Load() > 0 && group != Wildcard && key != Wildcard &&
		!offer(x.at(Pattern{Group: group, Key: key}), yield) {
		return false
	}
	if x.kinds[byGroup].Load() > 0 && group != Wildcard &&
		!offer(x.at(Pattern{Group: group, Key: Wildcard}), yield) {
		return false
	}
	if x.kinds[byNamespace].Load() > 0 {
		if namespace, _, ok := strings.Cut(group, kv.NamespaceSeparator); ok && namespace != "" &&
			!x.eachKey(Pattern{Namespace: namespace, Group: Wildcard}, key, yield) {
			return false
		}
	}
	return x.kinds[byAll].Load() == 0 || x.eachKey(Pattern{Group: Wildcard}, key, yield)
}

func (x *index) eachKey(p Pattern, key string, yield func([]*Watcher) bool) bool {
	p.Key = Wildcard
	if !offer(x.at(p), yield) {
		return false
	}
	if p.Key = key; key == Wildcard {
		return true
	}
	return offer(x.at(p), yield)
}

func offer(watchers []*Watcher, yield func([]*Watcher) bool) bool {
	return len(watchers) == 0 || yield(watchers)
}

// watched reports whether any watcher wants any of the events.
func (x *index) watched(events []kv.Event) bool {
	if x.empty() {
		return false
	}
	for i := range events {
		if !x.each(events[i].Group, events[i].Key, func([]*Watcher) bool { return false }) {
			return true
		}
	}
	return false
}
