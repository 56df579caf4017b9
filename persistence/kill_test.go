package persistence_test

import (
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/persistence"
	"forge.lthn.ai/core/go-store/storetest"

	"github.com/stretchr/testify/require"
)

// TestKilledWithinADelete: what takes several commits is killed between any two steps of any
// of them. The actor is what it was, whatever is left of it; what was acknowledged is gone
// for good; and to do it once more is all that it takes.
func TestKilledWithinADelete(t *testing.T) {
	const events, name = 10, "a"
	whole := strings.Join(letters(0, events), "")
	newPaged := func(t testing.TB, s *api.Store) *persistence.Provider {
		provider := newProvider(t, s)
		persistence.SetDeletes(provider, 3)
		return provider
	}
	prepare := func(s *storetest.Store) {
		state, _, _ := begin(t, newPaged(t, s.Store), name)
		for i := range events {
			persist(state, name, i, i+1)
			if i%2 == 0 && i < events-1 {
				state.PersistSnapshot(name, i+1, message(strings.Join(letters(0, i+1), "")))
			}
		}
	}
	for what, each := range map[string]struct {
		do   func(provider *persistence.Provider) error
		rows int    // that are left of it, with the one that says what was deleted
		text string // that the actor has
	}{
		"Trim": {func(p *persistence.Provider) error { return p.Trim(name) }, 3, whole},
		"DeleteEvents": {func(p *persistence.Provider) error {
			return caught(func() {
				state, _, _ := begin(t, p, name) // of an incarnation, which knows how far it has come
				state.DeleteEvents(name, events-3)
			})
		}, 2 + 1 + 5, whole},
		"Erase": {func(p *persistence.Provider) error { return p.Erase(name) }, 0, ""},
	} {
		t.Run(what, func(t *testing.T) {
			storetest.EachCrash(t, prepare, func(t *testing.T, s *storetest.Store) {
				err := each.do(newPaged(t, s.Store))
				s.Kill()
				check := func() (provider *persistence.Provider) {
					provider = newPaged(t, s.Store)
					text := textOfActor(t, provider)
					require.True(t, text == each.text || err != nil && text == whole, text)
					return provider
				}
				provider := check()
				left := func() int {
					rows, err := s.Count(persistence.DefaultGroup + "/" + name)
					require.NoError(t, err)
					return rows
				}
				if err == nil {
					require.Equal(t, each.rows, left())
				}
				require.GreaterOrEqual(t, left(), each.rows)

				require.NoError(t, each.do(provider))
				err = nil
				require.Equal(t, each.rows, left())
				provider = check()
				state, snapshot, replayed := begin(t, provider, name)
				next := len(snapshot) + len(replayed)
				persist(state, name, next, next+1)
				require.Equal(t, each.text+letter(next), textOfActor(t, provider))
			})
		})
	}
}
