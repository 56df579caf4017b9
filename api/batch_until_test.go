package api_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// The moment is kept to the millisecond, over a reopening too, and it is the
// store's clock that reaches it.
func TestBatchSetUntil(t *testing.T) {
	path, clock := newPath(t), testkit.NewClock()
	store, err := api.New(path, api.WithClock(clock))
	require.NoError(t, err)
	at := time.UnixMilli(clock.Now().UnixMilli() + 12_345)
	_, err = newScope(t, store, "a").Batch(new(api.Batch).SetUntil("g", "k", "v", at.Add(999*time.Microsecond)))
	require.NoError(t, err)
	require.NoError(t, store.Close())

	store = openStore(t, path, api.WithClock(clock))
	entry, err := store.Entry("a:g", "k")
	require.NoError(t, err)
	require.Equal(t, at.UnixMilli(), entry.ExpiresAt.UnixMilli())
	clock.Advance(12_344 * time.Millisecond)
	requireValue(t, store, "a:g", "k", "v")
	clock.Advance(time.Millisecond)
	requireNotFound(t, store, "a:g", "k")
}

func TestBatchSetUntil_NeverAndLongAgo(t *testing.T) {
	store := openStore(t, ":memory:")
	for name, never := range map[string]time.Time{"zero": {}} {
		require.NoError(t, store.SetWithTTL("g", name, "w", time.Hour))
		_, err := store.Batch(new(api.Batch).SetUntil("g", name, "v", never))
		require.NoError(t, err)
		entry, err := store.Entry("g", name)
		require.NoError(t, err)
		require.Equal(t, "v", entry.Value)
		require.True(t, entry.ExpiresAt.IsZero(), name)
	}
	// The epoch, and the zero time's own milliseconds, are moments like others.
	for name, past := range map[string]time.Time{
		"a second ago": time.Now().Add(-time.Second), "the epoch": time.UnixMilli(0),
		"before it": time.UnixMilli(-1), "long before": time.Time{}.Add(time.Nanosecond),
	} {
		require.NoError(t, store.Set("g", name, "w"))
		_, err := store.Batch(new(api.Batch).SetUntil("g", name, "v", past))
		require.NoError(t, err)
		_, err = store.Get("g", name)
		require.True(t, errors.Is(err, api.NotFoundError), name)
	}
}
