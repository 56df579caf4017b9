package layout

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/stretchr/testify/require"
)

// processWide is what changes SQLite for every user of the process, and of a connection
// nothing. The file system of the tests registers itself.
var processWide = []string{"Xsqlite3_config", "Xsqlite3_auto_extension", "Xsqlite3_vfs_register", "Xsqlite3_vfs_unregister",
	"Xsqlite3_soft_heap_limit", "Xsqlite3_hard_heap_limit", "Xsqlite3_enable_shared_cache", "Xsqlite3_shutdown", "RegisterPageCache"}

// A program that imports the store may use SQLite by other means too, as it was.
func TestAnImportChangesNothingOfSQLite(t *testing.T) {
	root, files := testkit.Root(t), 0
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == "faultfs" {
				return filepath.SkipDir
			}
			return skip(root, name, entry.Name())
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		files++
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, call := range processWide {
			require.NotContains(t, string(source), call, name)
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, files, 50)
}
