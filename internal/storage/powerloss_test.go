package storage

import (
	"fmt"
	"path/filepath"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/faultfs"

	"github.com/stretchr/testify/require"
)

// recordCommits writes down so many commits of one row each, of which each is marked by its
// number once it is acknowledged.
func recordCommits(t *testing.T, commits int) *faultfs.Recording {
	before := faultfs.SkipSyncs(true)
	t.Cleanup(func() { faultfs.SkipSyncs(before) })
	path := temporary(t)
	r := faultfs.Record(t, filepath.Dir(path))
	d := open(t, path)
	for i := range commits {
		require.NoError(t, write(d, row("g", fmt.Sprintf("%06d", i), "v")))
		r.Mark(i)
	}
	r.Stop()
	return r
}

// With a sync at each commit nothing of a WAL waits for one when the commit is acknowledged.
func TestAcknowledgedCommitsAreSynced(t *testing.T) {
	r := recordCommits(t, 2500)
	player := r.Play()
	for acknowledged, moment := range r.Marks() {
		require.Zero(t, player.Unsynced(moment, walSuffix), "after commit %d", acknowledged)
	}
}

// After a power cut at any moment everything is there that was acknowledged.
func TestPowerLossKeepsCommits(t *testing.T) {
	r := recordCommits(t, 150)
	player := r.Play()
	moments := r.Marks()
	for i := 0; i < len(moments); i += 7 {
		folder := t.TempDir()
		_, err := player.Crash(folder, moments[i], uint64(i))
		require.NoError(t, err)
		d, err := Open(Config{Path: filepath.Join(folder, "store.db")})
		require.NoError(t, err, "after commit %d", i)
		rows, err := rowsOf(d, "g", 0)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(rows), i+1)
		require.NoError(t, d.Close())
	}
}
