package writer

import (
	"context"
	"runtime"
	"testing"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Work between two batches comes in its turn: it finds what was admitted before it
// committed, and what is admitted after it waits.
func TestBetween(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		b := start(t, options{path: path})
		require.NoError(t, b.apply(set("g", "before")).err)
		later := make(chan error, 1)
		err := b.Between(context.Background(), func() error {
			_, found, err := b.database.Reads().Get(context.Background(), "g", "before")
			assert.NoError(t, err)
			assert.True(t, found)
			assert.False(t, b.database.Writer().InTransaction())
			go func() {
				_, err := b.Apply(context.Background(), set("g", "after"))
				later <- err
			}()
			for b.gate.InFlight() < 2 {
				runtime.Gosched() // until it is admitted
			}
			_, found, err = b.database.Reads().Get(context.Background(), "g", "after")
			assert.NoError(t, err)
			assert.False(t, found)
			return errDisk
		})
		require.ErrorIs(t, err, errDisk)
		require.NoError(t, <-later)
		require.True(t, b.has("g", "after"))

		resyncs := b.resyncs()
		err = b.Between(context.Background(), func() error { panic("work") })
		require.ErrorIs(t, err, kv.RolledBackError)
		require.NoError(t, b.apply(set("g", "again")).err)
		require.Equal(t, resyncs+1, b.resyncs(), "the projections start again")
		require.Zero(t, b.gate.InFlight())

		ended, cancel := context.WithCancel(context.Background())
		cancel()
		require.ErrorIs(t, b.Between(ended, func() error { return nil }), context.Canceled)
		b.gate.Close()
		require.ErrorIs(t, b.Between(context.Background(), func() error { return nil }), kv.ClosedError)
	})
}
