package persistence_test

import (
	"fmt"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/persistence"

	library "github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/require"
)

// Between what an incarnation has read and its commit another one gets ahead: the
// conditions of the commit find it, whatever it was.
func TestOvertakenBeforeTheCommit(t *testing.T) {
	for name, step := range map[string]func(state library.ProviderState){
		"an event":                     func(state library.ProviderState) { persist(state, "a", 4, 5) },
		"a snapshot":                   func(state library.ProviderState) { state.PersistSnapshot("a", 4, message("abcd")) },
		"deleting events":              func(state library.ProviderState) { state.DeleteEvents("a", 1) },
		"deleting all events":          func(state library.ProviderState) { state.DeleteEvents("a", 3) },
		"deleting snapshots":           func(state library.ProviderState) { state.DeleteSnapshots("a", 3) },
		"an event, its predecessor is": nil,
	} {
		for others, ahead := range map[string]func(provider *persistence.Provider, state library.ProviderState){
			"event":       func(_ *persistence.Provider, state library.ProviderState) { persist(state, "a", 4, 5) },
			"its erasure": func(provider *persistence.Provider, _ library.ProviderState) { require.NoError(t, provider.Erase("a")) },
			"all that": func(provider *persistence.Provider, state library.ProviderState) {
				persist(state, "a", 4, 6)
				state.PersistSnapshot("a", 6, message("abcdef"))
				state.DeleteEvents("a", 5)
			},
		} {
			t.Run(fmt.Sprint(name, " after ", others), func(t *testing.T) {
				store := &between{Store: newStore(t)}
				undisturbed := newProvider(t, store.Store)
				first, _, _ := begin(t, undisturbed, "a")
				persist(first, "a", 0, 4)
				first.PersistSnapshot("a", 3, message("abc"))
				if step == nil { // the next event is written by what insists
					first.PersistSnapshot("a", 4, message("abcd"))
					first.DeleteEvents("a", 3)
				}
				old, _, _ := begin(t, newProvider(t, store), "a")
				young, _, _ := begin(t, undisturbed, "a")
				batches, last := 0, 1
				if step == nil {
					last = 2 // the first one fails since there is no predecessor
				}
				store.batch = func(batch *api.Batch) (uint64, error) {
					if batches++; batches == last {
						ahead(undisturbed, young)
					}
					return store.Store.Batch(batch)
				}
				err := failure(t, func() {
					if step == nil {
						persist(old, "a", 4, 5)
					} else {
						step(old)
					}
				})
				require.ErrorIs(t, err, persistence.FencedError)
				require.GreaterOrEqual(t, batches, last)
				_, snapshot, events := begin(t, undisturbed, "a")
				want := map[string]string{"event": "abcde", "its erasure": "", "all that": "abcdef"}[others]
				require.Equal(t, want, snapshot+strings.Join(events, ""))
			})
		}
	}
}

// A trim beside an actor that writes disturbs it in nothing.
func TestTrimBesideTheActor(t *testing.T) {
	store := &between{Store: newStore(t)}
	undisturbed := newProvider(t, store.Store)
	state, _, _ := begin(t, newProvider(t, store), "a")
	trimming := false
	store.batch = func(batch *api.Batch) (uint64, error) {
		if !trimming {
			trimming = true
			require.NoError(t, undisturbed.Trim("a"))
			trimming = false
		}
		return store.Store.Batch(batch)
	}
	text := ""
	for i := range 20 {
		persist(state, "a", i, i+1)
		text += letter(i)
		if i%3 == 0 {
			state.PersistSnapshot("a", i+1-i%2, message(text[:i+1-i%2]))
		}
		_, snapshot, events := begin(t, undisturbed, "a")
		require.Equal(t, text, snapshot+strings.Join(events, ""))
	}
}
