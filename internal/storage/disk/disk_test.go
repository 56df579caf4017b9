//go:build unix

package disk

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A folder that one may write into but not read can't be opened to be synced.
func TestSyncFolderThatCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drop")
	require.NoError(t, os.Mkdir(path, 0o300))
	t.Cleanup(func() { _ = os.Chmod(path, 0o700) })
	require.NoError(t, SyncFolder(path))
	require.Error(t, SyncFolder(path+"-gone"))
}
