package sqlite

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// Snapshots that each began at another time keep runs of an overlay in memory that were
// folded long ago: they are ended before that is much, the oldest first.
func TestSnapshotsOfAnOverlayKeepLittleInMemory(t *testing.T) {
	const bound = 64 << 10
	defer func(least int64, wait time.Duration) { leastHeld, gateWait = least, wait }(leastHeld, gateWait)
	leastHeld, gateWait = bound, 10*time.Millisecond
	for _, kind := range []string{"of pages", "of SQLite"} {
		t.Run(kind, func(t *testing.T) {
			d := openWith(t, Config{Path: temporary(t), Overlay: bound, Events: decodeLog, ScanAge: time.Hour})
			w := fileOf(d)
			var snapshots []storage.Snapshot
			ended := 0
			for n := range 25 {
				if kind == "of SQLite" {
					w.views.mu.Lock()
					w.views.replace(nil) // until the next run is frozen
					w.views.mu.Unlock()
				}
				s, err := d.Snapshot(background)
				require.NoError(t, err)
				snapshots = append(snapshots, s)
				for k := range 8 { // more than one run
					require.NoError(t, write(d, row("g", fmt.Sprint(k), strings.Repeat(fmt.Sprint(n%10), 9<<10))))
				}
				require.NoError(t, w.foldOver())
				testkit.Until(t, "what they keep to be little", func() bool {
					w.boundHeld()
					return w.over.Held() <= 3*bound
				})
			}
			for _, s := range snapshots {
				_, _, err := s.Get(background, "g", "1")
				if err != nil {
					require.ErrorIs(t, err, kv.SnapshotExpiredError)
					ended++
				}
				s.Close()
			}
			require.Greater(t, ended, 15)
			require.NoError(t, write(d, row("g", "1", "v")))
			require.NoError(t, w.foldOver())
			require.Zero(t, w.over.Held())
		})
	}
}

// A snapshot that keeps no more than the overlay may have is left alone, however many it has seen
// being folded.
func TestASnapshotOfAnOverlayIsLeftAlone(t *testing.T) {
	const bound = 64 << 10
	defer func(least int64) { leastHeld = least }(leastHeld)
	leastHeld = bound
	d := openWith(t, Config{Path: temporary(t), Overlay: bound, Events: decodeLog, ScanAge: time.Hour})
	require.NoError(t, write(d, row("g", "k", "v")))
	s, err := d.Snapshot(background)
	require.NoError(t, err)
	defer s.Close()
	for n := range 20 {
		require.NoError(t, write(d, row("g", "k", strings.Repeat(fmt.Sprint(n%10), 40<<10))))
		require.NoError(t, fileOf(d).foldOver())
	}
	got, found, err := s.Get(background, "g", "k")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "v", got.Value)
}
