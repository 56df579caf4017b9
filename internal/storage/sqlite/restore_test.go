package sqlite

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func restore(to, from string) error { return Restore(background, to, from, anyRecord, nil, false, nil) }

// made is a closed store in a folder of its own.
func made(t testing.TB, rows ...kv.Row) (path string) {
	t.Helper()
	d := open(t, temporary(t))
	logged(t, d, rows...)
	require.NoError(t, d.Close())
	return d.Path()
}

const values = "SELECT entry_value FROM entries ORDER BY 1"

func TestRestore(t *testing.T) {
	from, to := made(t, row("g", "k", "old")), made(t, row("g", "k", "new"), row("g", "l", "new"))
	require.NoError(t, os.Chmod(to, 0o640))
	before := folder(t, filepath.Dir(from))
	var last, whole int64
	require.NoError(t, Restore(background, to, from, anyRecord, nil, false, func(done, total int64) {
		assert.LessOrEqual(t, last, done)
		last, whole = done, total
	}))
	assert.Equal(t, whole, last)
	assert.Equal(t, before, folder(t, filepath.Dir(from)), "the source is as it was")
	assert.Equal(t, []string{"old"}, query(t, to, values))
	info, err := os.Stat(to)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o640), info.Mode().Perm())
	d := open(t, to)
	logged(t, d, row("g", "m", "later"))
	assert.Empty(t, check(t, d).Findings)
	require.NoError(t, d.Close())
	assert.ElementsMatch(t, []string{"store.db", "store.db-lock"}, names(t, filepath.Dir(to)))

	fresh := temporary(t)
	require.NoError(t, os.Chmod(from, 0o604))
	require.NoError(t, restore(fresh, from))
	info, err = os.Stat(fresh)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o604), info.Mode().Perm(), "a new one has the source's")
	assert.Equal(t, []string{"store.db"}, names(t, filepath.Dir(fresh)))
}

// What the old file had beside it must not be taken for a part of the new one.
func TestRestoreClearsWhatTheOldFileLeft(t *testing.T) {
	from, to := made(t, row("g", "k", "old")), temporary(t)
	_, kill := otherProcess(t, to)
	kill()
	require.Positive(t, ownership.Size(to+ownership.WALSuffix))
	require.NoError(t, os.WriteFile(to+ownership.JournalSuffix, []byte("\xd9\xd5\x05\xf9\x20\xa1\x63\xd7 journal"), 0o600))
	require.NoError(t, restore(to, from))
	assert.ElementsMatch(t, []string{"store.db", "store.db-lock"}, names(t, filepath.Dir(to)))
	assert.Equal(t, []string{"old"}, query(t, to, values))
	require.NoError(t, os.Remove(to))
	require.NoError(t, os.WriteFile(to+ownership.WALSuffix, []byte("an orphan"), 0o600))
	require.NoError(t, restore(to, from))
	assert.Equal(t, []string{"old"}, query(t, to, values))
}

func TestRestoreOverDamage(t *testing.T) {
	from := made(t, row("g", "k", "old"))
	for name, c := range map[string]struct {
		content func(whole []byte) []byte
		force   bool // is needed
	}{
		"emptied":       {func([]byte) []byte { return nil }, false},
		"cut off":       {func(whole []byte) []byte { return whole[:5000] }, false},
		"pages":         {func(whole []byte) []byte { return append(whole[:4096:4096], strings.Repeat("\xDE", 20000)...) }, false},
		"no header":     {func(whole []byte) []byte { return append([]byte(strings.Repeat("\xDE", 4096)), whole[4096:]...) }, true},
		"somebody else": {func([]byte) []byte { return []byte("precious text") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			to := made(t, row("g", "k", "new"))
			whole, err := os.ReadFile(to)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(to, c.content(whole), 0o600))
			before := folder(t, filepath.Dir(to))
			err = restore(to, from)
			if c.force {
				require.ErrorIs(t, err, kv.NotADatabaseError)
				assert.Equal(t, before, folder(t, filepath.Dir(to)))
				err = Restore(background, to, from, anyRecord, nil, true, nil)
			}
			require.NoError(t, err)
			assert.Equal(t, []string{"old"}, query(t, to, values))
		})
	}
}

// TestRestoreRefuses: both files are as they were.
func TestRestoreRefuses(t *testing.T) {
	from, to := made(t, row("g", "k", "old")), made(t, row("g", "k", "new"))
	owner := open(t, to)
	var locked *kv.LockedError
	require.ErrorAs(t, restore(to, from), &locked)
	require.NoError(t, owner.Close())
	require.ErrorIs(t, restore(from, from), kv.InvalidTargetError)
	require.ErrorIs(t, restore(to, to+".missing"), fs.ErrNotExist)
	require.ErrorIs(t, restore(filepath.Dir(to), from), kv.InvalidTargetError)
	foreign := temporary(t)
	program(t, foreign, "CREATE TABLE auth_user (id)")
	require.Error(t, restore(to, foreign))
	require.ErrorIs(t, restore(foreign, from), kv.NotADatabaseError)
	require.NoError(t, os.Symlink(foreign, to+ownership.WALSuffix))
	require.ErrorIs(t, restore(to, from), kv.InvalidTargetError)
	require.NoError(t, os.Remove(to+ownership.WALSuffix))
	require.NoError(t, os.Link(to, to+".other"))
	require.ErrorIs(t, restore(to, from), kv.InvalidTargetError)
	require.NoError(t, os.Remove(to+".other"))

	ctx, cancel := context.WithCancel(background)
	require.ErrorIs(t, Restore(ctx, to, from, anyRecord, nil, false, func(int64, int64) { cancel() }), context.Canceled)
	require.ErrorIs(t, Restore(ctx, to, from, anyRecord, nil, false, nil), context.Canceled)

	bad := made(t, numbered("g", 5000)...)
	damage(t, bad, 3)
	require.ErrorIs(t, restore(to, bad), kv.DamagedError)
	assert.ElementsMatch(t, []string{"store.db", "store.db-lock"}, names(t, filepath.Dir(to)))
	assert.Equal(t, []string{"new"}, query(t, to, values))
	assert.Equal(t, []string{"old"}, query(t, from, values))
}

// A source may be in use: what is committed then is restored.
func TestRestoreFromALiveStore(t *testing.T) {
	from, to := temporary(t), made(t, row("g", "k", "new"))
	require.NoError(t, open(t, from).Close())
	d := open(t, from)
	logged(t, d, row("g", "k", "live"))
	require.NoError(t, restore(to, from))
	assert.Equal(t, []string{"live"}, query(t, to, values))
}
