package writer

import (
	"context"
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// folded is how much the database has where it stays.
func (b *bench) folded() (revision uint64) {
	require.NoError(b.t, b.Between(context.Background(), func() error {
		revision = b.database.Writer().Folded()
		return nil
	}))
	return revision
}

// A writer that has nothing to commit for a quarter of a second has all that it committed
// before come to where it stays; one that goes on committing does not stop for that, and has
// only so much not there.
func TestTheWriterFoldsAtRest(t *testing.T) {
	b := start(t, options{path: filepath.Join(t.TempDir(), overlaid)})
	for range 3 {
		require.NoError(t, b.apply(set("g", "k")).err)
		require.Less(t, b.folded(), uint64(math.MaxUint64))
		b.source.Advance(storage.RestTime - 1)
		require.Less(t, b.folded(), uint64(math.MaxUint64))
		require.NoError(t, b.apply(set("g", "again")).err)
		b.source.Advance(1) // it was asked for by the one before
		require.Less(t, b.folded(), uint64(math.MaxUint64))
		b.source.Advance(storage.RestTime)
		for b.folded() < math.MaxUint64 {
			runtime.Gosched()
		}
		require.Zero(t, b.database.Unfolded())
		require.True(t, b.has("g", "k"))
	}
	value := strings.Repeat("v", 500)
	for i := range 400 {
		m := kv.Mutation{Kind: kv.Set, Group: "g", Key: string(rune('a' + i%20)), Value: value}
		require.NoError(t, b.apply(m).err)
		require.Less(t, b.database.Unfolded(), int64(80<<10))
	}
}
