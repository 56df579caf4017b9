package persistence_test

import (
	"errors"
	"fmt"
	"iter"
	"testing"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/persistence"

	"github.com/stretchr/testify/require"
)

const group = "actors/a"

func eventKey(i int) string    { return fmt.Sprintf("e%016x", i) }
func snapshotKey(i int) string { return fmt.Sprintf("s%016x", i) }

// Whatever byte of a row differs, and wherever it is cut, no caller is given anything.
func TestDamagedRows(t *testing.T) {
	store := newStore(t)
	state := newProvider(t, store).GetState()
	persist(state, "a", 0, 6)
	state.PersistSnapshot("a", 4, message("abcd"))
	state.DeleteEvents("a", 1)
	for key, read := range map[string]func(){
		eventKey(5):    func() { eventsOf(state, "a", 4, 0) },
		snapshotKey(4): func() { state.GetSnapshot("a") },
		"d":            func() { eventsOf(state, "a", 0, 0) }, // it says whether the first ones were deleted
	} {
		whole, err := store.Get(group, key)
		require.NoError(t, err)
		var damaged []string
		for i := range len(whole) {
			for _, bit := range []byte{1, 0x80} {
				bytes := []byte(whole)
				bytes[i] ^= bit
				damaged = append(damaged, string(bytes))
			}
			damaged = append(damaged, whole[:i])
		}
		for _, value := range append(damaged, whole+"x", whole+whole) {
			require.NoError(t, store.Set(group, key, value))
			err := failure(t, read)
			require.True(t, errors.Is(err, persistence.DamagedRowError) || errors.Is(err, persistence.NewerFormatError), "%q: %v", value, err)
			require.Equal(t, "a", err.Actor)
		}
		require.NoError(t, store.Set(group, key, whole))
		require.NoError(t, caught(read))
	}
}

// A row that is whole but stands where another should.
func TestMovedRows(t *testing.T) {
	store := newStore(t)
	state := newProvider(t, store).GetState()
	persist(state, "a", 0, 3)
	persist(state, "b", 0, 3)
	state.PersistSnapshot("a", 1, message("a"))
	get := func(group, key string) string {
		value, err := store.Get(group, key)
		require.NoError(t, err)
		return value
	}
	whole := get(group, eventKey(1))
	for name, other := range map[string]string{
		"another index": get(group, eventKey(2)),
		"another actor": get("actors/b", eventKey(1)),
		"a snapshot":    get(group, snapshotKey(1)),
	} {
		require.NoError(t, store.Set(group, eventKey(1), other))
		err := failure(t, func() { eventsOf(state, "a", 0, 0) })
		require.ErrorIs(t, err, persistence.DamagedRowError, name)
		require.Equal(t, 1, err.Index)
	}
	require.NoError(t, store.Set(group, eventKey(1), whole))
	require.Equal(t, letters(0, 3), eventsOf(state, "a", 0, 0))
}

func TestNewerFormat(t *testing.T) {
	store := newStore(t)
	state := newProvider(t, store).GetState()
	persist(state, "a", 0, 1)
	value, err := store.Get(group, eventKey(0))
	require.NoError(t, err)
	for _, version := range []byte{2, 3, 255} {
		require.NoError(t, store.Set(group, eventKey(0), string([]byte{version})+value[1:]))
		require.ErrorIs(t, failure(t, func() { eventsOf(state, "a", 0, 0) }), persistence.NewerFormatError)
	}
}

// Keys in an actor's group that the provider did not make.
func TestForeignKeys(t *testing.T) {
	for _, key := range []string{"e", "e1", "e000000000000000A", "e00000000000000010", "e8000000000000000", "effffffffffffffff", "exxxxxxxxxxxxxxxx", "e\xff", "ezzz"} {
		store := newStore(t)
		state := newProvider(t, store).GetState()
		persist(state, "a", 0, 2)
		require.NoError(t, store.Set(group, key, "foreign"))
		err := caught(func() { eventsOf(state, "a", 0, 0) })
		if key < eventKey(0) { // before all events, as no read looks there
			require.NoError(t, err, "%q", key)
			continue
		}
		require.ErrorIs(t, err, persistence.DamagedRowError, "%q", key)
	}
	store := newStore(t)
	state := newProvider(t, store).GetState()
	require.NoError(t, store.Set(group, "snapshot", "foreign"))
	require.ErrorIs(t, failure(t, func() { state.GetSnapshot("a") }), persistence.DamagedRowError)
	require.NoError(t, store.Set(group, "z", "foreign")) // beyond all that is ours
	require.ErrorIs(t, failure(t, func() { state.PersistSnapshot("a", 0, message("x")) }), persistence.DamagedRowError)
}

// Every set of missing events is found, as far as anything behind them is there.
func TestGaps(t *testing.T) {
	const n = 5
	for missing := range 1 << n {
		store := newStore(t)
		provider := newProvider(t, store, persistence.WithPage(2))
		state := provider.GetState()
		persist(state, "a", 0, n)
		last, first, through := -1, -1, -1 // of what is there; of the first gap
		for i := n - 1; i >= 0; i-- {
			if missing&(1<<i) != 0 {
				require.NoError(t, store.Delete(group, eventKey(i)))
			} else {
				last = max(last, i)
			}
		}
		for i := range last + 1 {
			if missing&(1<<i) == 0 {
				if first >= 0 {
					break
				}
				continue
			}
			if first < 0 {
				first = i
			}
			through = i
		}
		for _, to := range []int{0, n, n + 3, last + 1} {
			var delivered []string
			err := caught(func() { state.GetEvents("a", 0, to, func(e any) { delivered = append(delivered, textOf(e)) }) })
			if first < 0 {
				require.NoError(t, err)
				require.Equal(t, letters(0, last+1), delivered)
				continue
			}
			var gap *persistence.GapError
			require.ErrorAs(t, err, &gap, "missing %b", missing)
			require.Equal(t, persistence.GapError{From: first, To: through}, *gap, "missing %b", missing)
			require.Equal(t, letters(0, first), delivered)
		}
	}
}

// A gap lies within the range that was asked for: then it counts; or it lies behind.
func TestGapsOfRanges(t *testing.T) {
	store := newStore(t)
	state := newProvider(t, store).GetState()
	persist(state, "a", 0, 9)
	for _, i := range []int{4, 5} {
		require.NoError(t, store.Delete(group, eventKey(i)))
	}
	for from := range 9 {
		for to := max(from, 1); to <= 9; to++ {
			err := caught(func() { eventsOf(state, "a", from, to) })
			if from <= 5 && to > 4 && from < to {
				var gap *persistence.GapError
				require.ErrorAs(t, err, &gap, "%d to %d", from, to)
				require.Equal(t, max(from, 4), gap.From)
			} else {
				require.NoError(t, err, "%d to %d", from, to)
			}
		}
	}
}

// What was deleted is no gap, but an actor does not recover without it.
func TestDeletedWithoutASnapshot(t *testing.T) {
	store := newStore(t)
	provider := newProvider(t, store)
	live, _, _ := begin(t, provider, "a")
	persist(live, "a", 0, 6)
	tool := provider.GetState()
	tool.DeleteEvents("a", 2)
	require.Equal(t, letters(3, 6), eventsOf(tool, "a", 0, 0))
	require.Equal(t, letters(3, 5), eventsOf(tool, "a", 1, 5))
	recoverIt := func() error { return caught(func() { begin(t, provider, "a") }) }
	var gap *persistence.GapError
	require.ErrorAs(t, recoverIt(), &gap)
	require.Equal(t, persistence.GapError{From: 0, To: 2, Deleted: true}, *gap)

	// A snapshot of before them does not help, one of behind them does.
	require.ErrorAs(t, failure(t, func() { live.PersistSnapshot("a", 2, message("ab")) }), &gap)
	live.PersistSnapshot("a", 6, message("abcdef"))
	_, snapshot, events := begin(t, provider, "a")
	require.Equal(t, "abcdef", snapshot)
	require.Empty(t, events)

	// An event is never acknowledged that the next incarnation would not be given.
	persist(live, "a", 6, 7)
	tool.DeleteEvents("a", 6)
	err := failure(t, func() { persist(live, "a", 7, 8) })
	require.ErrorAs(t, err, &gap)
	require.Equal(t, persistence.GapError{From: 6, To: 6, Deleted: true}, *gap)
	live.PersistSnapshot("a", 7, message("abcdefg"))
	persist(live, "a", 7, 8)
	_, snapshot, events = begin(t, provider, "a")
	require.Equal(t, "abcdefg", snapshot)
	require.Equal(t, letters(7, 8), events)

	// All of it: the actor goes back to its snapshot, and on from there.
	tool.DeleteEvents("a", 100)
	again, snapshot, events := begin(t, provider, "a")
	require.Equal(t, "abcdefg", snapshot)
	require.Empty(t, events)
	require.Error(t, caught(func() { persist(live, "a", 8, 9) }))
	persist(again, "a", 7, 9)
	require.ErrorIs(t, failure(t, func() { persist(live, "a", 8, 9) }), persistence.FencedError)
	_, _, events = begin(t, provider, "a")
	require.Equal(t, letters(7, 9), events)
}

func TestTrim(t *testing.T) {
	store := newStore(t)
	provider := newProvider(t, store)
	require.NoError(t, provider.Trim("nobody"))
	state, _, _ := begin(t, provider, "a")
	persist(state, "a", 0, 4)
	require.NoError(t, provider.Trim("a")) // no snapshot stands for anything
	require.Equal(t, letters(0, 4), eventsOf(state, "a", 0, 0))
	for _, index := range []int{0, 2, 3, 4} {
		state.PersistSnapshot("a", index, message(fmt.Sprint(index)))
		require.NoError(t, provider.Trim("a"))
		require.Equal(t, letters(index, 4), eventsOf(state, "a", 0, 0))
		_, snapshot, events := begin(t, provider, "a")
		require.Equal(t, fmt.Sprint(index), snapshot)
		require.Equal(t, letters(index, 4), events)
	}
	persist(state, "a", 4, 6) // its predecessor was deleted
	count, err := store.Count(group)
	require.NoError(t, err)
	require.Equal(t, 4, count, "two events, a snapshot, and what was deleted")
}

func TestErase(t *testing.T) {
	store := newStore(t)
	provider := newProvider(t, store)
	live, _, _ := begin(t, provider, "a")
	persist(live, "a", 0, 4)
	live.PersistSnapshot("a", 3, message("abc"))
	live.DeleteEvents("a", 2)
	persist(provider.GetState(), "b", 0, 2)
	require.NoError(t, provider.Erase("a"))
	exists, err := store.GroupExists(group)
	require.NoError(t, err)
	require.False(t, exists)
	for name, f := range map[string]func(){
		"event":     func() { persist(live, "a", 4, 5) },
		"snapshot":  func() { live.PersistSnapshot("a", 4, message("abcd")) },
		"deleting":  func() { live.DeleteEvents("a", 3) },
		"snapshots": func() { live.DeleteSnapshots("a", 3) },
	} {
		require.ErrorIs(t, failure(t, f), persistence.FencedError, name)
	}
	again, snapshot, events := begin(t, provider, "a")
	require.Empty(t, snapshot)
	require.Empty(t, events)
	persist(again, "a", 0, 4)
	require.ErrorIs(t, failure(t, func() { persist(live, "a", 4, 5) }), persistence.FencedError, "the indexes fit, the history is another")
	require.Equal(t, letters(0, 2), eventsOf(again, "b", 0, 0))
}

// An actor can come from elsewhere as a snapshot alone.
func TestSnapshotOfAnActorFromElsewhere(t *testing.T) {
	provider := newProvider(t, newStore(t))
	fresh, _, _ := begin(t, provider, "a")
	provider.GetState().PersistSnapshot("a", 5, message("abcde"))
	require.Error(t, caught(func() { persist(fresh, "a", 0, 1) }), "nothing would replay it")
	state, snapshot, _ := begin(t, provider, "a")
	require.Equal(t, "abcde", snapshot)
	persist(state, "a", 5, 7)
	_, _, events := begin(t, provider, "a")
	require.Equal(t, letters(5, 7), events)
	var gap *persistence.GapError
	require.ErrorAs(t, failure(t, func() { provider.GetState().PersistSnapshot("a", 9, message("?")) }), &gap)
	require.Equal(t, persistence.GapError{From: 7, To: 8}, *gap)
}

// Providers with different groups, and a namespace, keep to themselves.
func TestGroups(t *testing.T) {
	store := newStore(t)
	scope, err := api.NewScoped(store, "actors")
	require.NoError(t, err)
	for i, provider := range []*persistence.Provider{newProvider(t, store), newProvider(t, store, persistence.WithGroup("others")),
		newProvider(t, store, persistence.WithGroup("")), newProvider(t, scope), newProvider(t, store, persistence.WithGroup("\x00hidden"))} {
		state, _, events := begin(t, provider, "a")
		require.Empty(t, events)
		state.PersistEvent("a", 0, message(fmt.Sprint(i)))
		require.Equal(t, []string{fmt.Sprint(i)}, eventsOf(state, "a", 0, 0))
	}
	groups, err := store.Groups("")
	require.NoError(t, err)
	require.Equal(t, []string{"", "\x00hidden", "\x00hidden/a", "/a", "actors", "actors/a", "actors:actors", "actors:actors/a", "others", "others/a"}, groups)
}

// A quota refuses what it would anywhere.
func TestQuota(t *testing.T) {
	scope, err := api.NewScopedWithQuota(newStore(t), "tenant", api.QuotaConfig{MaxKeys: 3})
	require.NoError(t, err)
	state := newProvider(t, scope).GetState()
	persist(state, "a", 0, 2) // and what type they are
	require.ErrorIs(t, failure(t, func() { persist(state, "a", 2, 3) }), api.QuotaExceededError)
	require.Equal(t, letters(0, 2), eventsOf(state, "a", 0, 0))
	// At the limit there is still a way to make room: what says so takes the place of what goes.
	state.DeleteEvents("a", 1)
	persist(state, "a", 2, 3)
	require.Equal(t, letters(2, 3), eventsOf(state, "a", 0, 0))
}

// Nothing of the store is held while an actor takes events: no scan is open, and pages
// end by their number of events and by their size.
func TestReplayInPages(t *testing.T) {
	store := &between{Store: newStore(t)}
	provider := newProvider(t, store, persistence.WithPage(4))
	state := provider.GetState()
	persist(state, "a", 0, 10)
	for i := range 4 {
		state.PersistEvent("b", i, message(string(make([]byte, 700<<10))))
	}
	open, pages := 0, 0
	store.scan = func(options api.ScanOptions) iter.Seq2[api.ScanEntry, error] {
		return func(yield func(api.ScanEntry, error) bool) {
			open++
			pages++
			defer func() { open-- }()
			for entry, err := range store.Store.Scan(options) {
				if !yield(entry, err) {
					return
				}
			}
		}
	}
	read := func(name string) (n int) {
		pages = 0
		state.GetEvents(name, 0, 0, func(any) {
			require.Zero(t, open)
			n++
		})
		return n
	}
	require.Equal(t, 10, read("a"))
	require.Equal(t, 4, pages, "three pages, and one that is empty")
	require.Equal(t, 4, read("b"))
	require.Equal(t, 3, pages, "two events are more than a megabyte")
}
