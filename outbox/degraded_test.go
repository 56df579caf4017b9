package outbox_test

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/outbox"

	"github.com/stretchr/testify/require"
)

// TestBesideADegradedStore: while the store can't write, messages are delivered that
// can't be removed, nor given up. Once it can, all of it is made up for.
func TestBesideADegradedStore(t *testing.T) {
	store, system, orders := openStore(t, filepath.Join(t.TempDir(), "store.db")), newSystem(t), newInbox()
	spawn(t, system, "orders", orders)
	for i := range 5 {
		require.NoError(t, store.Tell("orders", fmt.Sprint(i)))
		require.NoError(t, store.Tell("gone", fmt.Sprint(i)))
	}
	heal := faultfs.Inject(t, faultfs.Failing("write", "wal", syscall.EIO))
	require.ErrorIs(t, store.Set("g", "k", "v"), api.DegradedError)
	start(t, store, system, outbox.Options{FirstPause: time.Millisecond, LastPause: time.Millisecond, Attempts: 2})
	for i := range 5 {
		require.Equal(t, fmt.Sprint(i), testkit.Await(t, "a message", orders.got).Payload)
	}
	require.Equal(t, 10, waiting(t, store))
	heal()
	emptied(t, store)
	require.Len(t, orders.payloads(), 5)
	page, err := store.DeadPage("gone", "", 10)
	require.NoError(t, err)
	require.Len(t, page, 5)
}
