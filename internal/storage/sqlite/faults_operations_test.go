package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/internal/testkit/report"
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
			return made, Restore(background, made, d.Path(), judge, nil, false, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for n, done := 0, false; !done; n += step() {
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

// step is how many calls lie between two that fail: an operation makes some hundreds.
func step() int { return max(1, *stride/10) * report.Rounds(3, 1, 1) }

// failsOnce has the n-th call fail, whichever goroutine makes it; reached tells whether
// there was one.
func failsOnce(t *testing.T, n int) (heal func(), reached func() bool) {
	skipSyncs(t)
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
		for n, done := 0, false; !done; n += step() {
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
	for _, suffix := range []string{"", ownership.WALSuffix, ownership.SHMSuffix, ownership.LockSuffix} {
		content, err := os.ReadFile(killed + suffix)
		require.NoError(t, err)
		copies[suffix] = content
	}
	require.NoError(t, d.Close()) // so that none of its calls is counted below
	for _, readOnly := range []bool{false, true} {
		t.Run("recovering", func(t *testing.T) {
			for n, done := 0, false; !done; n += step() {
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

// Whichever call fails of a store that is opened, written to, checkpointed, read and
// closed, once or from then on: what a commit has answered is so when it is opened next.
func TestFaultsOfEveryCommit(t *testing.T) {
	skipSyncs(t)
	for name, with := range map[string]error{"EIO": syscall.EIO, "ENOSPC": syscall.ENOSPC, "short": faultfs.Short{Err: syscall.ENOSPC}} {
		for _, forGood := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/for good %v", name, forGood), func(t *testing.T) {
				runs := 0
				for n, done := 0, false; !done; n += *stride {
					path := temporary(t)
					var reached atomic.Bool
					heal := faultfs.Inject(t, func(o faultfs.Operation) error {
						if o.N == n {
							reached.Store(true)
						}
						if o.N == n || forGood && o.N > n {
							return with
						}
						return nil
					})
					committed := commitSome(t, path)
					heal()
					done = !reached.Load()
					runs++
					d, err := Open(Config{Path: path})
					require.NoError(t, err, n)
					rows, err := rowsOf(d, "g", 0)
					require.NoError(t, err, n)
					there := make(map[string]bool)
					for _, row := range rows {
						there[row.Key] = true
					}
					for key, outcome := range committed {
						if outcome == nil {
							require.True(t, there[key], "call %d: commit %s is lost", n, key)
						} else if !storage.IsIndeterminate(outcome) {
							require.False(t, there[key], "call %d: commit %s failed (%v), and is there", n, key, outcome)
						}
					}
					require.NoError(t, d.Close(), n)
				}
				report.Logf(t, "%d runs", runs)
			})
		}
	}
}

// commitSome says what each commit of a run answered, by its key.
func commitSome(t *testing.T, path string) map[string]error {
	committed := make(map[string]error)
	for session := range 2 {
		d, err := Open(Config{Path: path, Readers: 1})
		if err != nil {
			continue
		}
		for i := range 3 {
			key := fmt.Sprint(session, " ", i)
			committed[key] = write(d, row("g", key, strings.Repeat("v", 6000)))
			if committed[key] != nil {
				_ = d.Writer().Rollback()
			}
			if i == 1 {
				fileOf(d).checkpoints.force.Store(true)
			}
			if got, found, err := d.Reads().Get(background, "g", key); err == nil {
				if committed[key] == nil {
					require.True(t, found, key)
					require.Len(t, got.Value, 6000)
				} else if !storage.IsIndeterminate(committed[key]) {
					require.False(t, found, key)
				}
			}
		}
		_ = d.Close()
	}
	return committed
}
