package sqlite

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

func requireValue(t *testing.T, d *Database, group, key, want string) {
	t.Helper()
	got, found, err := d.Reads().Get(background, group, key)
	require.NoError(t, err)
	require.Equal(t, want != "", found)
	require.Equal(t, want, got.Value)
}

// What was read of a key may be kept until that key is changed, however it could be
// changed, and no longer.
func TestWhatWasReadIsCurrentUntilItsKeyIsChanged(t *testing.T) {
	for _, noPages := range []bool{true, false} {
		t.Run(fmt.Sprint("by SQLite=", noPages), func(t *testing.T) {
			d := openWith(t, Config{NoPages: noPages, Path: temporary(t), Readers: 1})
			require.NoError(t, write(d, row("g", "k", "1"), row("other", "k", "1")))
			read := func() storage.Version {
				_, _, v, err := d.GetAt(background, "g", "k")
				require.NoError(t, err)
				require.True(t, d.Current(v, "g", "k"))
				return v
			}
			v := read()
			require.NoError(t, write(d, row("other", "k", "2")))
			require.True(t, d.Current(v, "g", "k"), "another key was changed")
			w := d.Writer()
			for name, change := range map[string]func() error{
				"upsert":       func() error { return w.Upsert(row("g", "k", "2")) },
				"update":       func() error { _, err := w.Update(row("g", "k", "3")); return err },
				"delete":       func() error { _, err := w.Delete("g", "k"); return err },
				"delete group": func() error { _, err := w.DeleteGroup("g"); return err },
			} {
				require.NoError(t, write(d, row("g", "k", "1")))
				v := read()
				require.NoError(t, w.Begin(), name)
				require.NoError(t, change(), name)
				require.NoError(t, w.Commit(), name)
				require.False(t, d.Current(v, "g", "k"), name)
				read()
			}
		})
	}
}

// A rolled back change is none.
func TestRolledBackChangesAreNotSeen(t *testing.T) {
	d := openWith(t, Config{NoPages: true, Path: temporary(t), Readers: 1})
	require.NoError(t, write(d, row("g", "k", "1")))
	w := d.Writer()
	require.NoError(t, w.Begin())
	require.NoError(t, w.Upsert(row("g", "k", "2")))
	requireValue(t, d, "g", "k", "1")
	require.NoError(t, w.Rollback())
	requireValue(t, d, "g", "k", "1")
}

// Each Get shows a value that is not older than the last one committed when it
// began, nor than any that was read before.
func TestReadsNeverGoBack(t *testing.T) {
	for _, noPages := range []bool{true, false} {
		t.Run(fmt.Sprint("by SQLite=", noPages), func(t *testing.T) { readsNeverGoBack(t, noPages) })
	}
}

func readsNeverGoBack(t *testing.T, noPages bool) {
	const keys, commits = 40, 600
	d := openWith(t, Config{NoPages: noPages, Path: temporary(t), Readers: 2, Durability: kv.DurabilityBuffered})
	var latest [keys]atomic.Int64 // committed, or read by a reader
	var readers sync.WaitGroup
	done := make(chan struct{})
	for reader := range 4 {
		readers.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(reader)))
			for {
				select {
				case <-done:
					return
				default:
				}
				i := random.IntN(keys)
				least := latest[i].Load()
				got, found, err := d.Reads().Get(background, "g", fmt.Sprint(i))
				if err != nil || int64(got.Revision) < least || found != (got.Revision > 0) {
					t.Errorf("key %d: revision %d, found %t, %v; %d was there before", i, got.Revision, found, err, least)
					return
				}
				for now := latest[i].Load(); now < int64(got.Revision) && !latest[i].CompareAndSwap(now, int64(got.Revision)); {
					now = latest[i].Load()
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(2, 2))
	for n := range commits {
		i := random.IntN(keys)
		changed := row("g", fmt.Sprint(i), "v")
		changed.Revision = uint64(n + 1)
		require.NoError(t, write(d, changed))
		for now := latest[i].Load(); now < int64(n+1) && !latest[i].CompareAndSwap(now, int64(n+1)); {
			now = latest[i].Load()
		}
	}
	close(done)
	readers.Wait()
}
