package notifier

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// found are the watchers that the index names for an event; none twice.
func found(t *testing.T, x *index[*Watcher], group, key string) map[*Watcher]bool {
	all := make(map[*Watcher]bool)
	require.True(t, x.each(group, key, func(watchers []*Watcher) bool {
		for _, w := range watchers {
			require.False(t, all[w], "%+v is named twice for %q/%q", w.filter, group, key)
			all[w] = true
		}
		return true
	}))
	return all
}

func TestIndexAgreesWithTheNaiveMatcher(t *testing.T) {
	groups := []string{"", "a", "ab", "abc", "b", "ns:a", "ns:b", "ns:", "other:a", "n:s:a", ":a", "*", "ns:*", "*:a", "\xff", "a\x00b"}
	keys := []string{"", "k", "l", "*", "**", "\xff", "ns:a"}
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		pick := func(from []string) string { return from[random.IntN(len(from))] }
		match := func(name string) kv.Match {
			return []kv.Match{{}, kv.Exactly(name), kv.Prefix(name[:random.IntN(len(name)+1)])}[random.IntN(3)]
		}
		x, live := newIndex[*Watcher](), map[*Watcher]bool{}
		for range 400 {
			if random.IntN(3) > 0 || len(live) == 0 {
				w := newWatcher(kv.Filter{Group: match(pick(groups)), Key: match(pick(keys))}, 0)
				x.add(w.filter, w)
				live[w] = true
			} else {
				for w := range live {
					x.remove(w.filter, w)
					delete(live, w)
					break
				}
			}
			group, key := pick(groups), pick(keys)
			want := make(map[*Watcher]bool)
			for w := range live {
				if w.filter.Group.Matches(group) && w.filter.Key.Matches(key) {
					want[w] = true
				}
			}
			got := found(t, x, group, key)
			require.Len(t, got, len(want), "seed %d, %q/%q", seed, group, key)
			for w := range want {
				require.True(t, got[w], "seed %d: %+v is missed for %q/%q", seed, w.filter, group, key)
			}
			require.Equal(t, len(want) > 0, x.has(group, key))
			require.Equal(t, len(live) == 0, x.empty())
		}
		for w := range live {
			x.remove(w.filter, w)
		}
		require.True(t, x.empty())
		for i := range x.shards {
			if m := x.shards[i].Load(); m != nil {
				require.Empty(t, *m, "a pattern without watchers stays behind")
			}
		}
	}
}

// TestWildcardsInNames: a group or key that is called "*" is matched by the
// watchers of everything, once, and a watcher can't ask for it alone.
func TestWildcardsInNames(t *testing.T) {
	x := newIndex[*Watcher]()
	everything := newWatcher(WatchFilter("", "*", "*"), 0)
	anyGroup := newWatcher(WatchFilter("", "*", "k"), 0)
	anyKey := newWatcher(WatchFilter("", "g", "*"), 0)
	single := newWatcher(WatchFilter("", "g", "k"), 0)
	for _, w := range []*Watcher{everything, anyGroup, anyKey, single} {
		x.add(w.filter, w)
	}
	require.Equal(t, map[*Watcher]bool{everything: true}, found(t, x, "*", "*"))
	require.Equal(t, map[*Watcher]bool{everything: true, anyGroup: true}, found(t, x, "*", "k"))
	require.Equal(t, map[*Watcher]bool{everything: true, anyKey: true}, found(t, x, "g", "*"))
	require.Equal(t, map[*Watcher]bool{everything: true, anyGroup: true, anyKey: true, single: true}, found(t, x, "g", "k"))
	require.Equal(t, map[*Watcher]bool{everything: true, anyKey: true}, found(t, x, "g", ""), "the deletion of a group")
}

func TestIndexStopsWhenTold(t *testing.T) {
	x := newIndex[*Watcher]()
	for _, p := range []kv.Filter{
		WatchFilter("", "ns:g", "k"), WatchFilter("", "ns:g", "*"), WatchFilter("ns", "*", "*"),
		WatchFilter("ns", "*", "k"), WatchFilter("", "*", "*"), WatchFilter("", "*", "k"),
	} {
		x.add(p, newWatcher(p, 0))
	}
	for limit := 1; limit <= 6; limit++ {
		calls := 0
		require.False(t, x.each("ns:g", "k", func([]*Watcher) bool {
			calls++
			return calls < limit
		}))
		require.Equal(t, limit, calls)
	}
	require.True(t, x.has("ns:g", "k"))
	require.False(t, newIndex[*Watcher]().has("ns:g", "k"))
}

func TestTenThousandWatchers(t *testing.T) {
	const many = 10_000
	x, watchers := newIndex[*Watcher](), make([]*Watcher, many)
	for i := range watchers {
		watchers[i] = newWatcher(WatchFilter("", "g", fmt.Sprint(i)), 0)
		x.add(watchers[i].filter, watchers[i])
	}
	for i := 0; i < many; i += 97 {
		require.Equal(t, map[*Watcher]bool{watchers[i]: true}, found(t, x, "g", fmt.Sprint(i)))
	}
	require.Empty(t, found(t, x, "g", "nobody's"))
	for i, w := range watchers {
		x.remove(w.filter, w)
		if i%1000 == 0 {
			require.Empty(t, found(t, x, "g", fmt.Sprint(i)))
			require.Len(t, found(t, x, "g", fmt.Sprint(many-1)), 1)
		}
	}
	require.True(t, x.empty())

	for i := range watchers[:1000] { // all on one key
		watchers[i] = newWatcher(WatchFilter("", "g", "k"), 0)
		x.add(watchers[i].filter, watchers[i])
	}
	require.Len(t, found(t, x, "g", "k"), 1000)
	for _, w := range watchers[:1000] {
		x.remove(w.filter, w)
	}
	require.True(t, x.empty())
}

// TestIndexIsReadWhileItChanges: the writer looks into it at any time. What it
// finds is some state between the calls that overlap its look.
func TestIndexIsReadWhileItChanges(t *testing.T) {
	x := newIndex[*Watcher]()
	stays := newWatcher(WatchFilter("", "g", "k"), 0)
	x.add(stays.filter, stays)
	stop, reading := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(reading)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if !x.has("g", "k") {
				t.Error("a watcher that was there all the time is missed")
				return
			}
		}
	}()
	for i := range 3000 {
		w := newWatcher(WatchFilter("", "g", []string{"k", "*", "other"}[i%3]), 0)
		x.add(w.filter, w)
		x.remove(w.filter, w)
	}
	close(stop)
	<-reading
}

// An event costs what its audience costs: filters that don't fit cost nothing, however
// many there are and however they are made.
func TestFiltersThatDoNotFitCostNothing(t *testing.T) {
	long := strings.Repeat("x", 200)
	for name, filter := range map[string]func(i int) kv.Filter{
		"groups": func(i int) kv.Filter { return kv.Filter{Group: kv.Prefix(long[:i] + "y")} },
		"keys":   func(i int) kv.Filter { return kv.Filter{Key: kv.Prefix(long[:i] + "y")} },
		"both": func(i int) kv.Filter {
			return kv.Filter{Group: kv.Prefix(long[:i] + "y"), Key: kv.Prefix(long[:i] + "y")}
		},
		"one group's keys": func(i int) kv.Filter { return kv.Filter{Group: kv.Exactly(long), Key: kv.Prefix(long[:i] + "y")} },
		"groups that fit, keys that don't": func(i int) kv.Filter {
			return kv.Filter{Group: kv.Prefix(long[:i%7+1]), Key: kv.Prefix(long[:i] + "y")}
		},
		"a group's key": func(i int) kv.Filter { return kv.Filter{Group: kv.Prefix(long[:i] + "y"), Key: kv.Exactly(long)} },
	} {
		t.Run(name, func(t *testing.T) {
			cost := func(filters int) time.Duration {
				x := newIndex[*Watcher]()
				for i := range filters {
					x.add(filter(i+1), newWatcher(filter(i+1), 0))
				}
				const looks = 2000
				best := time.Hour
				for range 5 {
					began := time.Now()
					for range looks {
						if x.has(long, long) {
							t.Fatal("no filter fits")
						}
					}
					best = min(best, time.Since(began)/looks)
				}
				return best
			}
			one, many := cost(1), cost(150)
			t.Logf("1 filter: %v, 150: %v", one, many)
			// Along one path of 200 bytes, not for each length of the one times the other's.
			require.Less(t, many, 1000*one)
		})
	}
}
