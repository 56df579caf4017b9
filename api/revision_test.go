package api_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// A store knows its revision from the moment it is open, not only once its
// writer has started.
func TestRevisionRightAfterOpening(t *testing.T) {
	path := newPath(t)
	for opening := range uint64(8) {
		store, err := api.New(path)
		require.NoError(t, err)
		revision, err := store.Revision()
		require.NoError(t, err)
		require.NoError(t, store.Set("g", "k", "v"))
		require.NoError(t, store.Close())
		require.Equal(t, opening, revision)
	}
}

// A caller that has read a key of some revision finds that the store has reached it.
func TestRevisionIsNotBehindWhatWasRead(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		const writes = 100
		store := open()
		require.NoError(t, store.Set("g", "k", "v"))
		var left atomic.Int64
		left.Store(4)
		require.NoError(t, together(8, func(i int) error {
			if i < 4 {
				defer left.Add(-1)
				for range writes {
					if err := store.Set("g", "k", "v"); err != nil {
						return err
					}
				}
				return nil
			}
			for left.Load() > 0 {
				entry, err := store.Entry("g", "k")
				if err != nil {
					return err
				}
				revision, err := store.Revision()
				if err != nil {
					return err
				}
				if revision < entry.Revision {
					return fmt.Errorf("revision %d after an entry of revision %d", revision, entry.Revision)
				}
			}
			return nil
		}))
	})
}
