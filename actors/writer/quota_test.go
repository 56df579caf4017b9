package writer

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// eachStorage runs a test in memory, on a file, and on one with an overlay.
func eachStorage(t *testing.T, test func(t *testing.T, path string)) {
	eachTable(t, test)
	t.Run("overlay", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), overlaid)) })
}

// eachTable runs a test where the log may be cut to its bounds at once: an overlay keeps
// what the table lacks.
func eachTable(t *testing.T, test func(t *testing.T, path string)) {
	t.Run("memory", func(t *testing.T) { test(t, ":memory:") })
	t.Run("file", func(t *testing.T) { test(t, file(t)) })
}

func items(group string, keys ...string) (all []kv.Operation) {
	for _, key := range keys {
		all = append(all, kv.Operation{Group: group, Key: key, Value: "v"})
	}
	return all
}

func TestReclaimStopsAtAFreeSlot(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		b, quota := start(t, options{path: path}), kv.QuotaConfig{MaxKeys: 3}
		for i, key := range []string{"oldest", "middle", "newest"} {
			require.NoError(t, b.apply(ttl(within(set("n:g", key), "n", quota), time.Duration(i+1)*time.Second)).err)
		}
		b.source.Advance(time.Minute)
		got := b.apply(within(set("n:g", "fresh"), "n", quota))
		require.NoError(t, got.err)
		require.Equal(t, []string{"expire n:g/oldest", "set n:g/fresh"}, kinds(got.Events))
		require.Equal(t, kv.Usage{Keys: 3, Groups: 1}, b.stored("n"))
		got = b.apply(within(set("n:g", "oldest"), "n", quota))
		require.Equal(t, []string{"expire n:g/middle", "set n:g/oldest"}, kinds(got.Events))
		got = b.apply(within(set("n:g", "newest"), "n", quota)) // its own dead row makes the room
		require.Equal(t, []string{"expire n:g/newest", "set n:g/newest"}, kinds(got.Events))
		require.ErrorIs(t, b.apply(within(set("n:g", "middle"), "n", quota)).err, kv.QuotaExceededError)
		require.NoError(t, b.apply(within(set("n:g", "fresh"), "n", quota)).err, "an update never counts")
		usage, _ := b.told("n")
		require.Equal(t, b.stored("n"), usage)
	})
}

func TestReclaimAtMaxGroups(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		b, quota := start(t, options{path: path}), kv.QuotaConfig{MaxGroups: 2}
		for i, key := range []string{"a1", "a2", "b1", "b2"} {
			require.NoError(t, b.apply(ttl(within(set("n:"+key[:1], key), "n", quota), time.Duration(i+1)*time.Second)).err)
		}
		require.ErrorIs(t, b.apply(within(set("n:c", "k"), "n", quota)).err, kv.QuotaExceededError)
		b.source.Advance(time.Minute)
		got := b.apply(within(set("n:c", "k"), "n", quota))
		require.NoError(t, got.err)
		require.Equal(t, []string{"expire n:a/a1", "expire n:a/a2", "set n:c/k"}, kinds(got.Events),
			"both rows of the oldest group, and none of the next")
		require.Equal(t, kv.Usage{Keys: 3, Groups: 2}, b.stored("n"))

		// The dead group b comes to life again in the slot that it takes.
		got = b.apply(within(set("n:b", "k"), "n", quota))
		require.NoError(t, got.err)
		require.Equal(t, []string{"set n:b/k"}, kinds(got.Events))
		require.ErrorIs(t, b.apply(within(set("n:d", "k"), "n", quota)).err, kv.QuotaExceededError)
		usage, _ := b.told("n")
		require.Equal(t, b.stored("n"), usage)
	})
}

// TestRevivalNeedsRoom: a dead group may live again only if the living ones
// leave room, which unscoped writes may have taken.
func TestRevivalNeedsRoom(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		b, quota := start(t, options{path: path}), kv.QuotaConfig{MaxGroups: 1}
		require.NoError(t, b.apply(ttl(within(set("n:dead", "k"), "n", quota), time.Second)).err)
		b.source.Advance(time.Minute)
		require.NoError(t, b.apply(set("n:live", "k")).err, "an unscoped write counts and is never refused")
		require.ErrorIs(t, b.apply(within(set("n:dead", "l"), "n", quota)).err, kv.QuotaExceededError)
		require.Equal(t, kv.Usage{Keys: 2, Groups: 2}, b.stored("n"), "what was reclaimed for nothing is back")
		require.NoError(t, b.apply(kv.Mutation{Kind: kv.DeleteGroup, Group: "n:live"}).err)
		require.NoError(t, b.apply(within(set("n:dead", "l"), "n", quota)).err)
		usage, _ := b.told("n")
		require.Equal(t, b.stored("n"), usage)
	})
}

// TestRefusedBatchUndoesItsReclaim: SetAll frees rows for its first items and
// is refused at a later one. Everything it did is undone: rows, events,
// figures, and the knowledge of how far the namespace has been searched.
func TestRefusedBatchUndoesItsReclaim(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		b, quota := start(t, options{path: path}), kv.QuotaConfig{MaxKeys: 2}
		require.NoError(t, b.apply(ttl(within(set("n:g", "a"), "n", quota), time.Second)).err)
		require.NoError(t, b.apply(ttl(within(set("n:g", "b"), "n", quota), 2*time.Second)).err)
		b.source.Advance(time.Minute)
		batch := func(keys ...string) result {
			return b.apply(within(kv.Mutation{Kind: kv.Batch, Operations: items("n:g", keys...)}, "n", quota))
		}
		refused := batch("x", "y", "z")
		require.ErrorIs(t, refused.err, kv.QuotaExceededError)
		require.Empty(t, refused.Events)
		require.Equal(t, kv.Usage{Keys: 2, Groups: 1}, b.stored("n"))
		usage, _ := b.told("n")
		require.Equal(t, kv.Usage{Keys: 2, Groups: 1}, usage)

		got := batch("x", "y")
		require.NoError(t, got.err, "there are two expired rows to make room")
		require.Equal(t, []string{"expire n:g/a", "set n:g/x", "expire n:g/b", "set n:g/y"}, kinds(got.Events))
		usage, _ = b.told("n")
		require.Equal(t, b.stored("n"), usage)
	})
}

// TestRefusedBatchHarmsNoNeighbour: the same within one commit, where what the
// refused one has undone is there for the next.
func TestRefusedBatchHarmsNoNeighbour(t *testing.T) {
	pause := newFlushGate()
	b := start(t, options{hook: pause.hook})
	quota := kv.QuotaConfig{MaxKeys: 2}
	require.NoError(t, b.apply(ttl(within(set("n:g", "a"), "n", quota), time.Second)).err)
	require.NoError(t, b.apply(ttl(within(set("n:g", "b"), "n", quota), 2*time.Second)).err)
	b.source.Advance(time.Minute)
	results := pause.together(b,
		within(kv.Mutation{Kind: kv.Batch, Operations: items("n:g", "x", "y", "z")}, "n", quota),
		within(set("n:g", "p"), "n", quota),
		kv.Mutation{Kind: kv.Delete, Group: "n:g", Key: "b"},
		within(set("n:g", "q"), "n", quota),
	)
	require.ErrorIs(t, results[0].err, kv.QuotaExceededError)
	require.Equal(t, []string{"expire n:g/a", "set n:g/p"}, kinds(results[1].Events))
	require.Equal(t, []string{"expire n:g/b"}, kinds(results[2].Events), "a delete of a dead row expires it, no more")
	require.NoError(t, results[3].err)
	usage, _ := b.told("n")
	require.Equal(t, kv.Usage{Keys: 2, Groups: 1}, usage)
	require.Equal(t, usage, b.stored("n"))
}

func TestSetAllIsAllOrNothing(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		b, quota := start(t, options{path: path}), kv.QuotaConfig{MaxKeys: 3, MaxGroups: 2}
		for name, bad := range map[string][]kv.Operation{
			"keys":   items("n:g", "1", "2", "3", "4"),
			"groups": append(append(items("n:a", "1"), items("n:b", "1")...), items("n:c", "1")...),
		} {
			got := b.apply(within(kv.Mutation{Kind: kv.Batch, Operations: bad}, "n", quota))
			require.ErrorIs(t, got.err, kv.QuotaExceededError, name)
			require.Empty(t, got.Events, name)
			require.Zero(t, b.stored("n"), name)
		}
		// The same key twice takes one slot.
		got := b.apply(within(kv.Mutation{Kind: kv.Batch, Operations: items("n:g", "1", "2", "1", "3", "2")}, "n", quota))
		require.NoError(t, got.err)
		require.Len(t, got.Events, 5)
		usage, _ := b.told("n")
		require.Equal(t, kv.Usage{Keys: 3, Groups: 1}, usage)
		require.Equal(t, usage, b.stored("n"))
		require.NoError(t, b.apply(kv.Mutation{Kind: kv.Batch}).err, "no items are no change")
	})
}

// TestSweptKnowsOfNewDeadlines: rows that expire after the namespace was
// searched are found, whichever way they were written.
func TestSweptKnowsOfNewDeadlines(t *testing.T) {
	b, quota := start(t, options{}), kv.QuotaConfig{MaxKeys: 2}
	for round := range 5 {
		first, second := fmt.Sprint("a", round), fmt.Sprint("b", round)
		require.NoError(t, b.apply(ttl(within(set("n:g", first), "n", quota), time.Second)).err)
		require.NoError(t, b.apply(ttl(set("n:g", second), -time.Hour)).err, "expired before the search of before")
		require.NoError(t, b.apply(within(set("n:g", "c"), "n", quota)).err, "in the place of the one that never lived")
		require.ErrorIs(t, b.apply(within(set("n:g", "d"), "n", quota)).err, kv.QuotaExceededError)
		b.source.Advance(time.Second)
		require.NoError(t, b.apply(within(set("n:g", "d"), "n", quota)).err)
		require.NoError(t, b.apply(kv.Mutation{Kind: kv.DeleteGroup, Group: "n:g"}).err)
		require.Zero(t, b.stored("n"))
	}
}
