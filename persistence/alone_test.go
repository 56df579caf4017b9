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

// live is a life of an actor of five events. trim: nothing but its snapshot is left of it.
func live(t *testing.T, provider *persistence.Provider, what string, snapshot, trim bool) {
	t.Helper()
	state, _, _ := begin(t, provider, "a")
	for i := range 5 {
		state.PersistEvent("a", i, message(what))
	}
	if snapshot {
		state.PersistSnapshot("a", 5, message(strings.Repeat(what, 5)))
	}
	if trim {
		require.NoError(t, provider.Trim("a"))
	}
}

func textOfActor(t *testing.T, provider *persistence.Provider) string {
	t.Helper()
	_, snapshot, events := begin(t, provider, "a")
	return snapshot + strings.Join(events, "")
}

// An incarnation that was replayed nothing over its snapshot is refused in a life that the
// actor has begun since, and that is just as long.
func TestSnapshotAloneAfterErase(t *testing.T) {
	for _, trim := range []bool{false, true} {
		for name, step := range map[string]func(old library.ProviderState){
			"event":     func(old library.ProviderState) { old.PersistEvent("a", 5, message("o")) },
			"snapshot":  func(old library.ProviderState) { old.PersistSnapshot("a", 5, message("o")) },
			"events":    func(old library.ProviderState) { old.DeleteEvents("a", 4) },
			"snapshots": func(old library.ProviderState) { old.DeleteSnapshots("a", 5) },
		} {
			t.Run(fmt.Sprint(name, " trim ", trim), func(t *testing.T) {
				provider := newProvider(t, newStore(t))
				live(t, provider, "o", true, trim)
				old, _, _ := begin(t, provider, "a")
				require.NoError(t, provider.Erase("a"))
				live(t, provider, "n", trim, trim)
				require.ErrorIs(t, failure(t, func() { step(old) }), persistence.FencedError)
				require.Equal(t, "nnnnn", textOfActor(t, provider))
			})
		}
	}
}

// A snapshot from before the first event is all that a life may have.
func TestSnapshotBeforeTheFirstEvent(t *testing.T) {
	provider := newProvider(t, newStore(t))
	first, _, _ := begin(t, provider, "a")
	first.PersistSnapshot("a", 0, message("first"))
	first.DeleteSnapshots("a", 0)
	first.PersistSnapshot("a", 0, message("again"))
	old, _, _ := begin(t, provider, "a")
	require.NoError(t, provider.Erase("a"))
	fresh, _, _ := begin(t, provider, "a")
	young, _, _ := begin(t, provider, "a")
	young.PersistSnapshot("a", 0, message("young"))
	for _, state := range []library.ProviderState{first, old, fresh} {
		require.ErrorIs(t, failure(t, func() { state.PersistEvent("a", 0, message("x")) }), persistence.FencedError)
		require.ErrorIs(t, failure(t, func() { state.PersistSnapshot("a", 0, message("x")) }), persistence.FencedError)
	}
	persist(young, "a", 0, 2)
	require.Equal(t, "youngab", textOfActor(t, provider))
}

// An incarnation goes on from where it is, and from nowhere else.
func TestAnIncarnationWritesItsNextEvent(t *testing.T) {
	provider := newProvider(t, newStore(t))
	live(t, provider, "o", true, true)
	state, _, _ := begin(t, provider, "a")
	for _, index := range []int{0, 4} {
		require.ErrorIs(t, failure(t, func() { state.PersistEvent("a", index, message("x")) }), persistence.DuplicateIndexError)
	}
	provider.GetState().PersistEvent("a", 5, message("n"))
	var gap *persistence.GapError
	require.ErrorAs(t, failure(t, func() { state.PersistEvent("a", 6, message("x")) }), &gap)
	require.Equal(t, persistence.GapError{From: 5, To: 5}, *gap)
	require.Equal(t, "ooooon", textOfActor(t, provider))
}

// The actor begins another life before one of the reads of a recovery, whichever. The
// incarnation has recovered from one of the two, or it is refused.
func TestRecoveryOfTwoLives(t *testing.T) {
	for _, snapshots := range []bool{false, true} {
		for _, trim := range []bool{false, true} {
			refused, last := 0, 0
			for read := 1; last >= read-1; read++ {
				store := &reading{Store: newStore(t)}
				undisturbed, provider := newProvider(t, store.Store), newProvider(t, store, persistence.WithPage(2))
				live(t, undisturbed, "o", snapshots, trim)
				store.before = func(n int) {
					if last = n; n == read {
						require.NoError(t, undisturbed.Erase("a"))
						live(t, undisturbed, "n", trim, trim)
					}
				}
				err := caught(func() {
					state, snapshot, events := begin(t, provider, "a")
					store.before = func(int) {}
					text := snapshot + strings.Join(events, "")
					state.PersistEvent("a", len(text), message("!"))
					require.Contains(t, []string{"ooooo", "nnnnn"}, text, "before read %d", read)
					if last >= read { // it has taken place
						require.Equal(t, "nnnnn", text, "before read %d", read)
					}
				})
				if err != nil {
					refused++
					require.Equal(t, "nnnnn", textOfActor(t, undisturbed), "before read %d", read)
				}
				if last < read {
					require.NoError(t, err, "undisturbed")
				}
			}
			require.Greater(t, last, 2)
			require.Positive(t, refused)
		}
	}
}

// reading is a store that tells of each read before it.
type reading struct {
	*api.Store
	reads  int
	before func(n int)
}

func (r *reading) tell() {
	if r.before != nil {
		r.reads++
		r.before(r.reads)
	}
}

func (r *reading) Entry(group, key string) (api.Entry, error) {
	r.tell()
	return r.Store.Entry(group, key)
}

func (r *reading) Scan(options api.ScanOptions) iter.Seq2[api.ScanEntry, error] {
	r.tell()
	return r.Store.Scan(options)
}
