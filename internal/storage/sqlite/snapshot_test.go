package sqlite

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// everythingOf is all that a snapshot's methods answer, as text.
func everythingOf(t *testing.T, s storage.Snapshot) string {
	t.Helper()
	row, found, err := s.Get(background, "g", "k")
	require.NoError(t, err)
	exists, err := s.GroupExists(background, "g", 0)
	require.NoError(t, err)
	n, err := s.Count(background, everything, 0)
	require.NoError(t, err)
	page, err := s.Page(background, "g", 0, 10, 0)
	require.NoError(t, err)
	usage, err := s.Usage(everything)
	require.NoError(t, err)
	all := fmt.Sprint(row.Value, found, exists, n, page, usage)
	for row, err := range s.Scan(background, storage.Query{Groups: everything, Keys: storage.AllKeys}, 0) {
		require.NoError(t, err)
		all += fmt.Sprint(row)
	}
	for group, err := range s.Groups(background, everything, 0) {
		require.NoError(t, err)
		all += group
	}
	return all
}

func TestSnapshotsStayAsTheyWere(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		var snapshots []storage.Snapshot
		var want []string
		for i := range 2*maxIdle + 3 { // more than are kept
			require.NoError(t, write(d, row("g", "k", fmt.Sprint(i)), row(fmt.Sprint("h", i), "k", "v")))
			s, err := d.Snapshot(background)
			require.NoError(t, err)
			snapshots, want = append(snapshots, s), append(want, everythingOf(t, s))
		}
		for i, s := range snapshots {
			require.Equal(t, want[i], everythingOf(t, s))
			if i > 0 {
				require.NotEqual(t, want[i-1], want[i])
			}
			s.Close()
			s.Close()
		}
		requireNothingHeld(t, d)
	})
}

// Loops over a snapshot's scans may use the snapshot, and scan it again.
func TestScansOfOneSnapshotNest(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		require.NoError(t, write(d, numbered("g", longGroup)...))
		s, err := d.Snapshot(background)
		require.NoError(t, err)
		defer s.Close()
		outer := 0
		for row, err := range s.Scan(background, storage.GroupQuery("g"), 0) {
			require.NoError(t, err)
			require.NoError(t, write(d, kv.Row{Group: "g", Key: row.Key, Value: "changed", Deadline: kv.NoDeadline}))
			again, found, err := s.Get(background, "g", row.Key)
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, row, again)
			if outer++; outer%100 == 1 {
				inner := 0
				for _, err := range s.Scan(background, storage.GroupQuery("g"), 0) {
					require.NoError(t, err)
					inner++
				}
				require.Equal(t, longGroup, inner)
			}
		}
		require.Equal(t, longGroup, outer)
	})
}

func TestClosedSnapshots(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		require.NoError(t, write(d, numbered("g", longGroup)...))
		s, err := d.Snapshot(background)
		require.NoError(t, err)
		var last error
		seen := 0
		for _, err := range s.Scan(background, storage.GroupQuery("g"), 0) {
			s.Close() // in the middle of a loop
			last = err
			seen++
		}
		require.ErrorIs(t, last, kv.SnapshotClosedError)
		require.Less(t, seen, longGroup)
		for name, err := range everySnapshotRead(background, s) {
			assert.ErrorIs(t, err, kv.SnapshotClosedError, name)
		}
		requireNothingHeld(t, d)

		ctx, cancel := context.WithCancel(background)
		s, err = d.Snapshot(ctx)
		require.NoError(t, err)
		cancel()
		for name, err := range everySnapshotRead(ctx, s) {
			assert.ErrorIs(t, err, context.Canceled, name)
		}
		_, err = d.Snapshot(ctx)
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, d.Close())
		for name, err := range everySnapshotRead(background, s) {
			assert.ErrorIs(t, err, kv.ClosedError, name)
		}
		s.Close()
		_, err = d.Snapshot(background)
		require.ErrorIs(t, err, kv.ClosedError)
	})
}

func everySnapshotRead(ctx context.Context, s storage.Snapshot) map[string]error {
	errs := map[string]error{}
	_, _, errs["Get"] = s.Get(ctx, "g", "k")
	_, errs["GroupExists"] = s.GroupExists(ctx, "g", 0)
	_, errs["Count"] = s.Count(ctx, everything, 0)
	_, errs["Page"] = s.Page(ctx, "g", 0, 10, 0)
	for _, err := range s.Scan(ctx, storage.GroupQuery("g"), 0) {
		errs["Scan"] = err
	}
	for _, err := range s.Groups(ctx, everything, 0) {
		errs["Groups"] = err
	}
	return errs
}

// Transactions kept from one read to the next never show a reader less than
// another has seen: neither a later read, nor a snapshot, beside a writer.
func TestNoReadGoesBackInTime(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		const readers, commits = 4, 400
		value := func(n int) string { return fmt.Sprintf("%06d", n) }
		require.NoError(t, write(d, row("g", "k", value(0))))
		var ended sync.WaitGroup
		done, newest := make(chan struct{}), struct {
			sync.Mutex
			seen string
		}{}
		for i := range readers {
			ended.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					newest.Lock()
					before := newest.seen
					newest.Unlock()
					got, found, err := kv.Row{}, false, error(nil)
					if i%2 == 0 {
						got, found, err = d.Reads().Get(background, "g", "k")
					} else if s, failed := d.Snapshot(background); failed == nil {
						got, found, err = s.Get(background, "g", "k")
						s.Close()
					}
					if !assert.NoError(t, err) || !assert.True(t, found) ||
						!assert.GreaterOrEqual(t, got.Value, before, "an earlier read saw more") {
						return
					}
					newest.Lock()
					newest.seen = max(newest.seen, got.Value)
					newest.Unlock()
				}
			})
		}
		for n := 1; n <= commits; n++ {
			require.NoError(t, write(d, row("g", "k", value(n))))
			got, _, err := d.Reads().Get(background, "g", "k")
			require.NoError(t, err)
			require.Equal(t, value(n), got.Value, "a write that has returned is seen")
		}
		close(done)
		ended.Wait()
		requireNothingHeld(t, d)
	})
}

// Kept transactions don't keep the WAL from starting anew.
func TestKeptTransactionsGiveWay(t *testing.T) {
	d := openWith(t, Config{Path: temporary(t), Durability: kv.DurabilityBuffered})
	for i := range 4 {
		require.NoError(t, write(d, row("g", "k", fmt.Sprint(i))))
		s, err := d.Snapshot(background) // leaves an idle connection with a transaction
		require.NoError(t, err)
		s.Close()
		_, _, err = d.Reads().Get(background, "g", "k") // and this one in its place
		require.NoError(t, err)
		w := fileOf(d)
		require.NoError(t, w.Checkpoint())
		require.NoError(t, write(d, row("g", "k", fmt.Sprint(i, "again"))))
		wal, err := checkpoint(w.conn, "NOOP")
		require.NoError(t, err)
		require.Less(t, wal.pages, 10, "the WAL began anew")
	}
}

func TestSnapshotsKnowTheirRevision(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		for revision := uint64(1); revision <= 4; revision++ {
			w := d.Writer()
			require.NoError(t, w.Begin())
			require.NoError(t, w.Upsert(kv.Row{Group: "g", Key: "k", Deadline: kv.NoDeadline, Revision: revision}))
			require.NoError(t, w.AppendLog(kv.LogRow{First: revision, Last: revision, Record: []byte("r")}, int64(revision)))
			before, err := d.Snapshot(background)
			require.NoError(t, err)
			require.NoError(t, w.Commit())
			_, _, err = d.Reads().Get(background, "g", "k") // leaves a transaction for the next to join
			require.NoError(t, err)
			for range 2 {
				after, err := d.Snapshot(background)
				require.NoError(t, err)
				assert.Equal(t, revision, after.Revision())
				for row, err := range after.Scan(background, storage.GroupQuery("g"), 0) {
					require.NoError(t, err)
					assert.Equal(t, revision, row.Revision)
				}
				after.Close()
			}
			assert.Equal(t, revision-1, before.Revision())
			before.Close()
		}
	})
}

// A caller that recovers from a panic in a snapshot's read has not taken a reader's turn along.
func TestPanicsGiveTurnsBack(t *testing.T) {
	d := open(t, temporary(t))
	s, err := d.Snapshot(background)
	require.NoError(t, err)
	defer s.Close()
	pool := d.reads.(*fileReads).pool
	read := func(_ *view, p *pace) error {
		if p.check == nil {
			return errLong
		}
		panic("in the middle")
	}
	for range cap(pool.turns) + 1 {
		require.PanicsWithValue(t, "in the middle", func() {
			_ = s.(pageMoment).look(background, read, nil)
		})
		require.Empty(t, pool.turns)
		require.PanicsWithValue(t, "in the middle", func() { _ = d.reads.(*fileReads).look(background, read) })
		require.Empty(t, pool.turns)
	}
	require.Equal(t, 1, pool.holding())
	s.Close()
	requireUnpinned(t, viewsOf(t, d))
}
