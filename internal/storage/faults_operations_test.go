package storage

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// Whichever call of SQLite's fails during an operation on files, the store is as it was
// and nothing half-done has a name.
func TestFaultsInOperations(t *testing.T) {
	judge := func(kv.LogRow) error { return nil }
	for name, operate := range map[string]func(d *Database, folder string) (made string, err error){
		"backup": func(d *Database, folder string) (string, error) {
			made := filepath.Join(folder, "backup.db")
			return made, d.Backup(background, made, nil)
		},
		"check": func(d *Database, _ string) (string, error) {
			report, err := d.Check(background, judge, nil)
			if err == nil && !report.Whole() {
				err = errors.New(report.Findings[0].Text)
			}
			return "", err
		},
		"compact": func(d *Database, _ string) (string, error) {
			_, err := d.Compact(background, nil)
			return "", err
		},
		"restore": func(d *Database, folder string) (string, error) {
			made := filepath.Join(folder, "restored.db")
			return made, Restore(background, made, d.Path(), judge, false, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for n, done := 0, false; !done; n++ {
				require.Less(t, n, 400)
				path := temporary(t)
				d, err := Open(Config{Path: path, Durability: kv.DurabilityBuffered})
				require.NoError(t, err)
				require.NoError(t, write(d, numbered("g", 50)...))
				heal, reached := failsOnce(t, n)
				made, err := operate(d, filepath.Dir(path))
				heal()
				done = !reached()
				if _, missing := os.Stat(made); made != "" && missing == nil {
					require.Equal(t, []string{"50"}, query(t, made, "SELECT count(*) FROM entries"), n) // the folder may not be synced
				} else if made != "" {
					require.Error(t, err, n)
				}
				_, found, err := d.Reads().Get(background, "g", "000049")
				require.NoError(t, err, n)
				require.True(t, found, n)
				require.NoError(t, write(d, row("g", "later", "v")), n)
				require.NoError(t, d.Close(), n)
				require.Equal(t, []string{"51"}, query(t, path, "SELECT count(*) FROM entries"), n)
			}
		})
	}
}

// failsOnce has the n-th call fail, whichever goroutine makes it; reached tells whether
// there was one.
func failsOnce(t *testing.T, n int) (heal func(), reached func() bool) {
	var calls atomic.Int64
	heal = faultfs.Inject(t, func(o faultfs.Operation) error {
		if o.Call != "delete" && calls.Add(1) == int64(n)+1 {
			return faultfs.Code(sqlite.ResultIOErr)
		}
		return nil
	})
	return heal, func() bool { return calls.Load() > int64(n) }
}

// Whichever call fails while a store closes, or while one that was killed is opened for
// reading or writing, the next opening has everything.
func TestFaultsWhileClosingAndRecovering(t *testing.T) {
	requireWhole := func(t *testing.T, path string, n int) {
		t.Helper()
		d, err := Open(Config{Path: path})
		require.NoError(t, err, n)
		rows, err := rowsOf(d, "g", 0)
		require.NoError(t, err, n)
		require.Len(t, rows, 50, n)
		require.NoError(t, d.Close(), n)
	}
	t.Run("closing", func(t *testing.T) {
		for n, done := 0, false; !done; n++ {
			require.Less(t, n, 400)
			path := temporary(t)
			d, err := Open(Config{Path: path})
			require.NoError(t, err)
			require.NoError(t, write(d, numbered("g", 50)...))
			heal, reached := failsOnce(t, n)
			_ = d.Close() // whatever it says, nothing may be missing
			heal()
			done = !reached()
			requireWhole(t, path, n)
		}
	})
	killed := temporary(t)
	d := open(t, killed)
	require.NoError(t, write(d, numbered("g", 50)...))
	copies := make(map[string][]byte)
	for _, suffix := range []string{"", walSuffix, shmSuffix, lockSuffix} {
		content, err := os.ReadFile(killed + suffix)
		require.NoError(t, err)
		copies[suffix] = content
	}
	require.NoError(t, d.Close()) // so that none of its calls is counted below
	for _, readOnly := range []bool{false, true} {
		t.Run("recovering", func(t *testing.T) {
			for n, done := 0, false; !done; n++ {
				require.Less(t, n, 400)
				path := temporary(t)
				for suffix, content := range copies {
					require.NoError(t, os.WriteFile(path+suffix, content, 0o600))
				}
				heal, reached := failsOnce(t, n)
				d, err := Open(Config{Path: path, ReadOnly: readOnly})
				heal()
				done = !reached()
				if err == nil {
					require.NoError(t, d.Close(), n)
				}
				requireWhole(t, path, n)
			}
		})
	}
}
