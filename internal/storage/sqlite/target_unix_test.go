//go:build unix

package sqlite

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBackupRefusesTargets: whatever stands there is as it was.
func TestBackupRefusesTargets(t *testing.T) {
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	d := open(t, in("app.db"))
	require.NoError(t, write(d, row("g", "k", "v")))
	put := func(name, content string) string {
		require.NoError(t, os.WriteFile(in(name), []byte(content), 0o600))
		return in(name)
	}
	other := func(name string) string {
		o := open(t, in(name))
		require.NoError(t, o.Close())
		return in(name)
	}
	require.NoError(t, os.Link(in("app.db"), in("hard.db")))
	require.NoError(t, os.Symlink(in("app.db"), in("soft.db")))
	require.NoError(t, os.Symlink(in("loop.db"), in("loop.db")))
	require.NoError(t, syscall.Mkfifo(in("fifo"), 0o600))
	require.NoError(t, os.Mkdir(in("folder"), 0o700))
	program(t, in("foreign.db"), "CREATE TABLE auth_user (id)")
	program(t, in("numbered.db"), "CREATE TABLE t (id)", "PRAGMA application_id = 77")
	program(t, in("legacy.db"), "CREATE TABLE entries (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, entry_value TEXT NOT NULL, PRIMARY KEY (group_name, entry_key))")
	owned := open(t, in("owned.db"))
	put("wal.db-wal", "changes")
	put("journal.db-journal", "changes")
	require.NoError(t, os.Symlink(put("precious", "precious"), in("linked.db-wal")))
	stale := other("stale.db")
	put("stale.db-wal", "changes")

	before := make(map[string]string)
	for _, name := range []string{"foreign.db", "numbered.db", "legacy.db", "precious", "wal.db-wal", "journal.db-journal", "stale.db", "stale.db-wal"} {
		content, err := os.ReadFile(in(name))
		require.NoError(t, err)
		before[name] = string(content)
	}
	list := names(t, folder)
	for path, want := range map[string]error{
		storage.MemoryPath: kv.InvalidTargetError, "": kv.InvalidTargetError, in("no folder/x.db"): fs.ErrNotExist,
		in("app.db"): kv.InvalidTargetError, in("hard.db"): kv.InvalidTargetError, in("soft.db"): kv.InvalidTargetError,
		in("app.db-wal"): kv.InvalidTargetError, in("app.db-lock"): kv.InvalidTargetError, in("app.db-shm"): kv.InvalidTargetError,
		in("loop.db"): syscall.ELOOP, in("fifo"): kv.InvalidTargetError, in("folder"): kv.InvalidTargetError,
		in("foreign.db"): kv.NotADatabaseError, in("numbered.db"): kv.NotADatabaseError, in("legacy.db"): kv.NotADatabaseError,
		put("empty.db", ""): kv.NotADatabaseError, in("precious"): kv.NotADatabaseError,
		in("wal.db"): kv.InvalidTargetError, in("journal.db"): kv.InvalidTargetError, in("linked.db"): kv.InvalidTargetError,
		stale: kv.InvalidTargetError, stale + "-shm": kv.InvalidTargetError,
	} {
		require.ErrorIs(t, d.Backup(background, path, nil), want, path)
	}
	var locked *kv.LockedError
	require.ErrorAs(t, d.Backup(background, in("owned.db"), nil), &locked)
	assert.Equal(t, os.Getpid(), locked.PID)
	require.NoError(t, os.Remove(in("empty.db")))
	assert.ElementsMatch(t, list, names(t, folder), "nothing is left behind")
	for name, want := range before {
		content, err := os.ReadFile(in(name))
		require.NoError(t, err)
		assert.Equal(t, want, string(content), name)
	}
	require.NoError(t, write(d, row("g", "still", "works")))
	require.NoError(t, write(owned, row("g", "still", "works")))
}
