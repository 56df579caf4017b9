package persistence_test

import (
	"fmt"
	"testing"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/persistence"

	"github.com/stretchr/testify/require"
)

// Before each call that Trim makes of its store, whichever, the snapshot that it goes by is
// removed or becomes another life's: it takes nothing that no snapshot stands for.
func TestTrimBesideOthers(t *testing.T) {
	for name, others := range map[string]struct {
		do   func(t *testing.T, provider *persistence.Provider)
		want string
	}{
		"erased": {func(t *testing.T, provider *persistence.Provider) {
			require.NoError(t, provider.Erase("a"))
		}, ""},
		"another life": {func(t *testing.T, provider *persistence.Provider) {
			require.NoError(t, provider.Erase("a"))
			live(t, provider, "n", false, false)
		}, "nnnnn"},
		"another life with a snapshot": {func(t *testing.T, provider *persistence.Provider) {
			require.NoError(t, provider.Erase("a"))
			live(t, provider, "n", true, false)
		}, "nnnnn"},
		"a snapshot of fewer events": {func(t *testing.T, provider *persistence.Provider) {
			require.NoError(t, provider.Erase("a"))
			live(t, provider, "n", false, false)
			provider.GetState().PersistSnapshot("a", 2, message("nn"))
		}, "nnnnn"},
		"no snapshots": {func(_ *testing.T, provider *persistence.Provider) {
			provider.GetState().DeleteSnapshots("a", 5)
		}, "ooooo"},
		"not the newest snapshot": {func(_ *testing.T, provider *persistence.Provider) {
			provider.GetState().DeleteSnapshots("a", 1)
		}, "ooooo"},
		"the newest again": {func(_ *testing.T, provider *persistence.Provider) {
			provider.GetState().PersistSnapshot("a", 5, message("ooooo"))
		}, "ooooo"},
	} {
		t.Run(name, func(t *testing.T) {
			last := 0
			for call := 1; last >= call-1; call++ {
				what := fmt.Sprint("before call ", call)
				store := &calling{reading: reading{Store: newStore(t)}}
				undisturbed, provider := newProvider(t, store.Store), newProvider(t, store)
				first, _, _ := begin(t, undisturbed, "a")
				for i := range 5 {
					first.PersistEvent("a", i, message("o"))
				}
				first.PersistSnapshot("a", 1, message("o"))
				first.PersistSnapshot("a", 5, message("ooooo"))
				last = 0
				store.before = func(n int) {
					if last = n; n == call {
						others.do(t, undisturbed)
					}
				}
				require.NoError(t, provider.Trim("a"), what)
				if last >= call {
					require.Equal(t, others.want, textOfActor(t, undisturbed), what)
				}
			}
			require.Greater(t, last, 5)
		})
	}
}

// calling tells of writes too.
type calling struct{ reading }

func (c *calling) Batch(batch *api.Batch) (uint64, error) {
	c.tell()
	return c.Store.Batch(batch)
}
