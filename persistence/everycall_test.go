package persistence_test

import (
	"fmt"
	"iter"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/persistence"

	library "github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/require"
)

// failing is a store of which one call fails: the one that comes when left is 1.
type failing struct {
	*api.Store
	left      int
	committed bool // a write that fails is carried out all the same
}

func (f *failing) fails() bool {
	f.left--
	return f.left == 0
}

func (f *failing) Batch(batch *api.Batch) (uint64, error) {
	if !f.fails() {
		return f.Store.Batch(batch)
	}
	if !f.committed {
		return 0, api.RolledBackError
	}
	if revision, err := f.Store.Batch(batch); err != nil {
		return revision, err
	}
	return 0, api.UnknownOutcomeError
}

func (f *failing) Entry(group, key string) (api.Entry, error) {
	if f.fails() {
		return api.Entry{}, api.DegradedError
	}
	return f.Store.Entry(group, key)
}

func (f *failing) Scan(options api.ScanOptions) iter.Seq2[api.ScanEntry, error] {
	if f.fails() {
		return func(yield func(api.ScanEntry, error) bool) { yield(api.ScanEntry{}, api.DegradedError) }
	}
	return f.Store.Scan(options)
}

// TestEveryCallFails: of all calls that a life makes of its store, each fails once. The
// incarnation after it has what was acknowledged, and at most what was not known; it does
// again what was not done, and all comes to the same.
func TestEveryCallFails(t *testing.T) {
	for _, committed := range []bool{false, true} {
		calls := 0
		for failed := true; failed; calls++ {
			store := &failing{Store: newStore(t), committed: committed}
			provider := newProvider(t, store, persistence.WithPage(2))
			persistence.SetDeletes(provider, 1) // each delete is several commits
			store.left = calls + 1
			faultyLife(t, provider, store.Store, fmt.Sprintf("call %d, committed %v", calls+1, committed))
			failed = store.left <= 0
		}
		require.Greater(t, calls, 50)
	}
}

func faultyLife(t *testing.T, provider *persistence.Provider, store *api.Store, what string) {
	const name = "a"
	has := 0 // how many events
	var state library.ProviderState
	attempt := func(wanted int, step func()) { // what is no event may be done twice
		event := wanted > has
		err := caught(step)
		for tries := 0; err != nil; tries++ {
			require.Less(t, tries, 2, "%s: %v", what, err)
			err = caught(func() {
				var snapshot string
				var events []string
				state, snapshot, events = begin(t, provider, name)
				text := snapshot + strings.Join(events, "")
				require.Equal(t, strings.Join(letters(0, len(text)), ""), text, what)
				require.True(t, len(text) == has || len(text) == wanted, "%s: %q, had %d events", what, text, has)
				if has = len(text); has < wanted || !event {
					step()
				}
			})
		}
		has = wanted
	}
	attempt(0, func() { state, _, _ = begin(t, provider, name) })
	for i := range 9 {
		attempt(i+1, func() { persist(state, name, i, i+1) })
		if i%3 == 2 {
			snapshot := message(strings.Join(letters(0, i+1), ""))
			attempt(i+1, func() { state.PersistSnapshot(name, i+1, snapshot) })
			attempt(i+1, func() { state.DeleteSnapshots(name, i) })
			attempt(i+1, func() { state.DeleteEvents(name, i-1) })
		}
		if i == 6 {
			attempt(i+1, func() {
				if err := provider.Trim(name); err != nil {
					panic(err)
				}
			})
		}
	}
	state, snapshot, events := begin(t, newProvider(t, store), name)
	require.Equal(t, strings.Join(letters(0, 9), ""), snapshot+strings.Join(events, ""), what)
	persist(state, name, 9, 10)
}
