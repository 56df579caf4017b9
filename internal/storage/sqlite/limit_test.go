package sqlite

import (
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// TestSnapshotsAreBounded: connections take memory and descriptors that the
// writer needs too. A snapshot that is closed makes room for another.
func TestSnapshotsAreBounded(t *testing.T) {
	defer func(before int) { maxLent = before }(maxLent)
	maxLent = 20
	d := open(t, temporary(t))
	var snapshots []storage.Snapshot
	for range maxLent {
		s, err := d.Snapshot(background)
		require.NoError(t, err)
		snapshots = append(snapshots, s)
	}
	_, err := d.Snapshot(background)
	require.ErrorIs(t, err, kv.TooManySnapshotsError)
	require.NoError(t, write(d, row("g", "k", "v")), "writing goes on")
	snapshots[0].Close()
	s, err := d.Snapshot(background)
	require.NoError(t, err)
	s.Close()
	for _, s := range snapshots {
		s.Close()
	}
}
