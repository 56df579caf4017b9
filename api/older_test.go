package api_test

import (
	"os"
	"path/filepath"
	"testing"

	"forge.lthn.ai/core/go-store/api"

	"github.com/stretchr/testify/require"
)

// TestOlderVersionsRefuseATail: those that know no overlay take a file by its user_version
// alone, and refuse what is beyond the third, which knew none. So while a file's log has what
// its table lacks, whatever has become of its owner, it says a later one.
func TestOlderVersionsRefuseATail(t *testing.T) {
	const withoutOverlays = 3
	path := newPath(t)
	store := openStore(t, path, api.WithOverlay(1<<20))
	require.NoError(t, store.Set("g", "k", "v"))
	folder := t.TempDir()
	left, seen := filepath.Join(folder, "left.db"), filepath.Join(folder, "seen.db")
	for _, suffix := range []string{"", "-wal"} { // as a kill would leave them
		content, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(left+suffix, content, 0o600))
		require.NoError(t, os.WriteFile(seen+suffix, content, 0o600)) // another program moves its WAL
	}
	require.Zero(t, query[int](t, seen, `SELECT count(*) FROM entries`), "the table lacks it")
	require.Greater(t, query[int](t, seen, `PRAGMA user_version`), withoutOverlays)
	requireValue(t, openStore(t, left, api.WithOverlay(0)), "g", "k", "v")
}
