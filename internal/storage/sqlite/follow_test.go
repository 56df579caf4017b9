package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// requireShows compares all that a store's reads say with what is committed.
func requireShows(t *testing.T, want rowSet, r storage.Reads, step int) {
	t.Helper()
	require.Equal(t, want, everythingIn(t, r), step)
	n, err := r.Count(background, everything, 0)
	require.NoError(t, err)
	require.Equal(t, len(want), n, step)
	const now = 500 // some have expired
	live, groups := 0, map[string]int{}
	for at, row := range want {
		if row.Live(now) {
			live++
			groups[at.Group]++
		}
	}
	usage, err := r.Usage(background, everything, now)
	require.NoError(t, err)
	require.Equal(t, kv.Usage{Keys: int64(live), Groups: int64(len(groups))}, usage, step)
	for group := range 4 {
		name := fmt.Sprint("g", group)
		n, err := r.Count(background, kv.GroupRange(name), now)
		require.NoError(t, err)
		require.Equal(t, groups[name], n, step)
		row, found, err := r.Get(background, name, "7")
		require.NoError(t, err)
		is, there := want[kv.Key{Group: name, Key: "7"}]
		require.Equal(t, there, found, step)
		require.Equal(t, is, row, step)
	}
}

// trimFolded removes from the log what the table has.
func (s *tailed) trimFolded(t *testing.T) {
	w := fileOf(s.Database)
	marks, err := w.OldestLog(1000)
	require.NoError(t, err)
	if len(marks) < 2 {
		return
	}
	require.NoError(t, w.Begin())
	require.NoError(t, w.TrimLog(marks[len(marks)-2].Last))
	require.NoError(t, w.Commit())
}

// A store that reads beside an owner shows what is committed, wherever that is: in the log, in
// a table that is being folded into, or in both; by pages and by SQLite; also what it has not
// looked at for so long that the log no longer has all of it.
func TestReadOnlyStoresFollowTheLog(t *testing.T) {
	for name, access := range map[string]Config{"mapped": {}, "read": {NoMmap: true, readIndex: true}, "by SQLite": {NoPages: true}} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(3) {
				s := newTailedBy(t, seed, 12<<10)
				s.commit(t)
				access.Events = decodeLog
				reader, err := Open(access.readOnly().at(s.Path()))
				require.NoError(t, err)
				t.Cleanup(func() { _ = reader.Close() })
				behind := 0
				for step := range 150 {
					s.commit(t)
					switch s.random.IntN(12) {
					case 0:
						s.trimFolded(t)
					case 1:
						require.NoError(t, fileOf(s.Database).Checkpoint())
					case 2:
						require.NoError(t, fileOf(s.Database).foldTail())
					case 3:
						for range 40 { // a reader has more to catch up with
							s.commit(t)
						}
						s.trimFolded(t)
					}
					if fileOf(s.Database).behind {
						behind++
					}
					if s.random.IntN(3) > 0 {
						requireShows(t, s.want, reader.Reads(), step)
					}
				}
				require.Greater(t, behind, 100)
				snapshot, err := reader.Snapshot(background)
				require.NoError(t, err)
				require.Equal(t, s.last, snapshot.Revision())
				before := len(s.want)
				n, err := snapshot.Count(background, everything, 0)
				require.NoError(t, err)
				require.Equal(t, before, n)
				for range 60 {
					s.commit(t)
				}
				n, err = snapshot.Count(background, everything, 0)
				require.NoError(t, err)
				require.Equal(t, before, n)
				snapshot.Close()
				require.NoError(t, reader.Close())
				require.NoError(t, s.Close())
			}
		})
	}
}

// Of an owner that was killed a read-only store shows the log's tail too, and changes nothing.
func TestReadOnlyStoreOfAKilledOwnerShowsTheTail(t *testing.T) {
	for seed := range uint64(4) {
		s := tailOf(t, seed)
		index, err := os.ReadFile(s.Path() + ownership.SHMSuffix)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(s.path+ownership.SHMSuffix, index, 0o600))
		before := folder(t, filepath.Dir(s.path))
		d, err := Open(Config{Path: s.path, ReadOnly: true, Events: decodeLog})
		require.NoError(t, err)
		requireShows(t, s.want, d.Reads(), 0)
		require.NoError(t, d.Close())
		require.Equal(t, before, folder(t, filepath.Dir(s.path)))
	}
}

// A damaged record of the tail is what every read of a read-only store answers.
func TestReadOnlyStoresRefuseADamagedTail(t *testing.T) {
	for name, access := range map[string]Config{"mapped": {}, "by SQLite": {NoPages: true}} {
		t.Run(name, func(t *testing.T) {
			s := newTailed(t, 5)
			s.commit(t)
			s.fallBehind(t)
			s.commit(t)
			access.Events = decodeLog
			d, err := Open(access.readOnly().at(s.Path()))
			require.NoError(t, err)
			t.Cleanup(func() { _ = d.Close() })
			requireShows(t, s.want, d.Reads(), 0)
			lost := s.commitDamaged(t) // at once: the reader looks whenever it likes
			var corrupt *kv.CorruptLogError
			_, _, err = d.Reads().Get(background, "g0", "1")
			require.ErrorAs(t, err, &corrupt)
			require.Equal(t, lost.First, corrupt.First)
			_, err = Open(access.readOnly().at(s.Path()))
			require.ErrorAs(t, err, &corrupt)
		})
	}
}

// A reader beside an owner that commits and folds sees no commit in part, and none that is
// older than what was acknowledged before the read began.
func TestReadOnlyFollowersAreLinearizable(t *testing.T) {
	for name, access := range map[string]Config{"mapped": {}, "by SQLite": {NoPages: true}} {
		t.Run(name, func(t *testing.T) {
			s := newTailedBy(t, 1, 4<<10)
			s.setAll(t, 0)
			access.Events = decodeLog
			d, err := Open(access.readOnly().at(s.Path()))
			require.NoError(t, err)
			t.Cleanup(func() { _ = d.Close() })
			var acknowledged atomic.Int64
			var ended atomic.Bool
			var readers sync.WaitGroup
			for range 3 {
				readers.Go(func() {
					for !ended.Load() {
						least := acknowledged.Load()
						values, rows := map[string]bool{}, 0
						for row, err := range d.Reads().Scan(background, storage.GroupQuery("all"), 0) {
							if !assert.NoError(t, err) {
								return
							}
							values[row.Value] = true
							rows++
						}
						if !assert.Len(t, values, 1) || !assert.Equal(t, width, rows) {
							return
						}
						for value := range values {
							if !assert.GreaterOrEqual(t, value, fmt.Sprintf("%06d", least)) {
								return
							}
						}
						n, err := d.Reads().Count(background, everything, 0)
						if !assert.NoError(t, err) || !assert.Equal(t, width, n) {
							return
						}
					}
				})
			}
			for n := range 400 {
				s.setAll(t, n)
				acknowledged.Store(int64(n))
			}
			ended.Store(true)
			readers.Wait()
		})
	}
}

const width = 12

// setAll gives some keys one value, in one commit, that the group's deletion begins now and
// then.
func (s *tailed) setAll(t *testing.T, n int) {
	var events []kv.Event
	if n%3 == 1 {
		events = append(events, kv.Event{Type: kv.EventDeleteGroup, Group: "all", Revision: s.last + 1})
	}
	for i := range width {
		events = append(events, kv.Event{Group: "all", Key: fmt.Sprint(i), Value: fmt.Sprintf("%06d", n), Revision: s.last + 1})
	}
	s.commitEvents(t, events)
}
