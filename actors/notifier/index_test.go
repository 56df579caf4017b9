package notifier

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// matches is the definition of a match, in the plainest form.
func (p Pattern) matches(group, key string) bool {
	groupFits := p.Group == group
	if p.Group == Wildcard {
		groupFits = p.Namespace == "" || strings.HasPrefix(group, p.Namespace+":")
	}
	return groupFits && (p.Key == Wildcard || p.Key == key)
}

// found are the watchers that the index names for an event; none twice.
func (x *index) found(t *testing.T, group, key string) map[*Watcher]bool {
	all := make(map[*Watcher]bool)
	require.True(t, x.each(group, key, func(watchers []*Watcher) bool {
		for _, w := range watchers {
			require.False(t, all[w], "%+v is named twice for %q/%q", w.pattern, group, key)
			all[w] = true
		}
		return true
	}))
	return all
}

func TestIndexAgreesWithTheNaiveMatcher(t *testing.T) {
	groups := []string{"", "a", "b", "ns:a", "ns:b", "ns:", "other:a", "n:s:a", ":a", "*", "ns:*", "*:a", "\xff", "a\x00b"}
	keys := []string{"", "k", "l", "*", "**", "\xff", "ns:a"}
	namespaces := []string{"ns", "other", "n", "absent"}
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		pick := func(from []string) string { return from[random.IntN(len(from))] }
		x, live := newIndex(), map[*Watcher]bool{}
		for range 400 {
			if random.IntN(3) > 0 || len(live) == 0 {
				p := Pattern{Group: pick(groups), Key: pick(keys)}
				if random.IntN(3) == 0 {
					p = Pattern{Namespace: pick(namespaces), Group: Wildcard, Key: pick(keys)}
				}
				w := newWatcher(p, 0)
				x.add(w)
				live[w] = true
			} else {
				for w := range live {
					x.remove(w)
					delete(live, w)
					break
				}
			}
			group, key := pick(groups), pick(keys)
			want := make(map[*Watcher]bool)
			for w := range live {
				if w.pattern.matches(group, key) {
					want[w] = true
				}
			}
			got := x.found(t, group, key)
			require.Len(t, got, len(want), "seed %d, %q/%q", seed, group, key)
			for w := range want {
				require.True(t, got[w], "seed %d: %+v is missed for %q/%q", seed, w.pattern, group, key)
			}
			require.Equal(t, len(want) > 0, x.watched([]kv.Event{set(group, key, "")}))
			require.Equal(t, len(live) == 0, x.empty())
		}
		for w := range live {
			x.remove(w)
		}
		require.True(t, x.empty())
		for i := range x.shards {
			if m := x.shards[i].Load(); m != nil {
				require.Empty(t, *m, "a pattern without watchers stays behind")
			}
		}
	}
}

// TestWildcardsInNames: a group or key that is called "*" is matched by those
// who watch everything, once, and a watcher can't ask for it alone.
func TestWildcardsInNames(t *testing.T) {
	x := newIndex()
	everything := newWatcher(Pattern{Group: "*", Key: "*"}, 0)
	anyGroup := newWatcher(Pattern{Group: "*", Key: "k"}, 0)
	anyKey := newWatcher(Pattern{Group: "g", Key: "*"}, 0)
	one := newWatcher(Pattern{Group: "g", Key: "k"}, 0)
	for _, w := range []*Watcher{everything, anyGroup, anyKey, one} {
		x.add(w)
	}
	require.Equal(t, map[*Watcher]bool{everything: true}, x.found(t, "*", "*"))
	require.Equal(t, map[*Watcher]bool{everything: true, anyGroup: true}, x.found(t, "*", "k"))
	require.Equal(t, map[*Watcher]bool{everything: true, anyKey: true}, x.found(t, "g", "*"))
	require.Equal(t, map[*Watcher]bool{everything: true, anyGroup: true, anyKey: true, one: true}, x.found(t, "g", "k"))
	require.Equal(t, map[*Watcher]bool{everything: true, anyKey: true}, x.found(t, "g", ""), "the deletion of a group")
}

func TestIndexStopsWhenTold(t *testing.T) {
	x := newIndex()
	for _, p := range []Pattern{
		{Group: "ns:g", Key: "k"}, {Group: "ns:g", Key: "*"}, {Namespace: "ns", Group: "*", Key: "*"},
		{Namespace: "ns", Group: "*", Key: "k"}, {Group: "*", Key: "*"}, {Group: "*", Key: "k"},
	} {
		x.add(newWatcher(p, 0))
	}
	for limit := 1; limit <= 6; limit++ {
		calls := 0
		require.False(t, x.each("ns:g", "k", func([]*Watcher) bool {
			calls++
			return calls < limit
		}))
		require.Equal(t, limit, calls)
	}
	require.True(t, x.watched([]kv.Event{set("ns:g", "k", "v")}))
	require.False(t, newIndex().watched([]kv.Event{set("ns:g", "k", "v")}))
}

func TestTenThousandWatchers(t *testing.T) {
	const many = 10_000
	x, watchers := newIndex(), make([]*Watcher, many)
	for i := range watchers {
		watchers[i] = newWatcher(Pattern{Group: "g", Key: fmt.Sprint(i)}, 0)
		x.add(watchers[i])
	}
	for i := 0; i < many; i += 97 {
		require.Equal(t, map[*Watcher]bool{watchers[i]: true}, x.found(t, "g", fmt.Sprint(i)))
	}
	require.Empty(t, x.found(t, "g", "nobody's"))
	for i, w := range watchers {
		x.remove(w)
		if i%1000 == 0 {
			require.Empty(t, x.found(t, "g", fmt.Sprint(i)))
			require.Len(t, x.found(t, "g", fmt.Sprint(many-1)), 1)
		}
	}
	require.True(t, x.empty())

	for i := range watchers[:1000] { // all on one key
		watchers[i] = newWatcher(Pattern{Group: "g", Key: "k"}, 0)
		x.add(watchers[i])
	}
	require.Len(t, x.found(t, "g", "k"), 1000)
	for _, w := range watchers[:1000] {
		x.remove(w)
	}
	require.True(t, x.empty())
}

// TestIndexIsReadWhileItChanges: the writer looks into it at any time. What it
// finds is some state between the calls that overlap its look.
func TestIndexIsReadWhileItChanges(t *testing.T) {
	x := newIndex()
	stays := newWatcher(Pattern{Group: "g", Key: "k"}, 0)
	x.add(stays)
	stop, reading := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(reading)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if !x.watched([]kv.Event{set("g", "k", "v")}) {
				t.Error("a watcher that was there all the time is missed")
				return
			}
		}
	}()
	for i := range 3000 {
		w := newWatcher(Pattern{Group: "g", Key: []string{"k", "*", "other"}[i%3]}, 0)
		x.add(w)
		x.remove(w)
	}
	close(stop)
	<-reading
}
