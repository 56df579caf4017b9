package storage

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// oneReader is a file with one place for reads, and the numbers of its two
// transactions: 0 stands for none.
func oneReader(t *testing.T) (d *Database, began func() (keys, now uint64)) {
	d = openWith(t, Config{NoPages: true, Path: temporary(t), Readers: 1})
	places := d.reads.(*fileReads).pool.places
	return d, func() (keys, now uint64) {
		one := places.try()
		require.NotNil(t, one)
		defer places.put(one)
		if one.keys != nil && one.keys.open {
			keys = one.keys.began
		}
		if one.now != nil && one.now.open {
			now = one.now.began
		}
		return keys, now
	}
}

func requireValue(t *testing.T, d *Database, group, key, want string) {
	t.Helper()
	got, found, err := d.Reads().Get(background, group, key)
	require.NoError(t, err)
	require.Equal(t, want != "", found)
	require.Equal(t, want, got.Value)
}

// A transaction serves a key for as long as that key is not changed, however it
// could be changed.
func TestTransactionsAreKeptForUnchangedKeys(t *testing.T) {
	d, began := oneReader(t)
	require.NoError(t, write(d, row("g", "k", "1"), row("other", "k", "1")))
	requireValue(t, d, "g", "k", "1")
	kept, _ := began()
	require.NotZero(t, kept)
	require.NoError(t, write(d, row("other", "k", "2")))
	requireValue(t, d, "g", "k", "1")
	keys, _ := began()
	require.Equal(t, kept, keys, "another key was changed")

	w := d.Writer()
	for _, change := range []struct {
		name string
		make func() error
		want string
	}{
		{"upsert", func() error { return w.Upsert(row("g", "k", "2")) }, "2"},
		{"update", func() error { _, err := w.Update(row("g", "k", "3")); return err }, "3"},
		{"delete", func() error { _, err := w.Delete("g", "k"); return err }, ""},
		{"insert", func() error { return w.Insert(row("g", "k", "4")) }, "4"},
		{"delete group", func() error { _, err := w.DeleteGroup("g"); return err }, ""},
	} {
		require.NoError(t, w.Begin(), change.name)
		require.NoError(t, change.make(), change.name)
		require.NoError(t, w.Commit(), change.name)
		_, before := began()
		requireValue(t, d, "g", "k", change.want)
		keys, now := began()
		require.Equal(t, kept, keys, "%s: other keys were not changed", change.name)
		require.Greater(t, now, before, change.name)
		requireValue(t, d, "g", "k", change.want)
		_, again := began()
		require.Equal(t, now, again, "%s: it was not changed since", change.name)
	}
}

// A checkpoint ends what is kept, and what is read after it begins anew.
func TestCheckpointsEndKeptTransactions(t *testing.T) {
	d, began := oneReader(t)
	require.NoError(t, write(d, row("g", "k", "1"), row("g", "l", "1")))
	requireValue(t, d, "g", "k", "1")
	require.NoError(t, write(d, row("g", "l", "2")))
	requireValue(t, d, "g", "l", "2")
	keys, now := began()
	require.NotZero(t, keys)
	require.NotZero(t, now)
	require.NoError(t, fileOf(d).Checkpoint())
	keys, now = began()
	require.Zero(t, keys)
	require.Zero(t, now)
	requireValue(t, d, "g", "k", "1")
	requireValue(t, d, "g", "l", "2")
}

// A rolled back change is none.
func TestRolledBackChangesAreNotSeen(t *testing.T) {
	d, _ := oneReader(t)
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
	const keys, commits = 40, 600
	d := openWith(t, Config{Path: temporary(t), Readers: 2, Durability: kv.DurabilityBuffered})
	var latest [keys]atomic.Int64 // committed, or read by somebody
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
