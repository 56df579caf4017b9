package engine

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// A request that changes nothing writes nothing: it says nothing of the disk.
func TestWhatChangesNothingDoesNotRecover(t *testing.T) {
	clock := testkit.NewClock()
	e := open(t, Config{Path: filepath.Join(t.TempDir(), "store.db"), Clock: clock, ReadCache: 0})
	must(t, e, set("g", "before", "v"))
	heal := faultfs.Inject(t, faultfs.Failing("write", "wal", syscall.EIO))
	_, err := e.Apply(t.Context(), set("g", "k", "v"))
	require.ErrorIs(t, err, kv.DegradedError)
	must(t, e, kv.Mutation{Kind: kv.Delete, Group: "g", Key: "missing"})
	require.ErrorIs(t, e.Health().Err, kv.DegradedError)
	heal()
	clock.Advance(time.Second)
	recovers(t, e)
}
