package sqlite

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (c Config) readOnly() Config {
	c.ReadOnly = true
	return c
}

// A store that does not own its file reads by views what its owner has committed, at any
// time, and agrees with SQLite on it.
func TestReadOnlyPagesAgreeWithSQLite(t *testing.T) { eachAccess(t, testReadOnlyPagesAgreeWithSQLite) }

func testReadOnlyPagesAgreeWithSQLite(t *testing.T, access Config) {
	random := rand.New(rand.NewPCG(3, 4))
	path := temporary(t)
	owner := openWith(t, access.buffered().at(path))
	require.NoError(t, write(owner, row("g", "k", "v")))
	d := openWith(t, access.readOnly().at(path))
	s := viewsOf(t, d)
	names := func() (group, key string) {
		return []string{"a", "ab", ""}[random.IntN(3)], fmt.Sprint(random.IntN(60))
	}
	viewed := 0
	for n := range 150 {
		var rows []kv.Row
		for range 1 + random.IntN(30) {
			group, key := names()
			changed := row(group, key, strings.Repeat(fmt.Sprint(n%10), random.IntN(600)))
			changed.Revision = uint64(n + 2)
			if over := fileOf(owner).over; over != nil { // the commit's, as the log has it
				changed.Revision = over.Published().Revision() + 1
			}
			rows = append(rows, changed)
		}
		require.NoError(t, write(owner, rows...))
		switch random.IntN(8) {
		case 0:
			require.NoError(t, fileOf(owner).Checkpoint())
		case 1:
			movePassively(t, owner)
		case 2:
			if random.IntN(4) == 0 {
				_, err := owner.Compact(background, nil)
				require.NoError(t, err)
			}
		case 3:
			s.tick()
		}
		group, key := names()
		got, found, _, err := s.get(group, key)
		for limit := time.Now().Add(testkit.Patience); err != nil && time.Now().Before(limit); { // the anchor is being changed
			runtime.Gosched()
			got, found, _, err = s.get(group, key)
		}
		if err == nil {
			viewed++
			want, there, err := sqliteGet(owner, group, key)
			require.NoError(t, err)
			require.Equal(t, there, found)
			require.Equal(t, want, got)
		}
		q := randomScan(random, names)
		q.AnyOrder = false
		pages, sqlite := readBothMerged(t, d, q, 0)
		require.Equal(t, sqlite, pages, "%+v", q)
	}
	require.Greater(t, viewed, 75, "the views were had")
	requireNothingHeld(t, d)
}

// What a caller has seen, of the owner or by the reader, by views or by SQLite, the reader
// does not take back.
func TestReadOnlyViewsAreLinearizable(t *testing.T) { eachAccess(t, testReadOnlyViewsAreLinearizable) }

func testReadOnlyViewsAreLinearizable(t *testing.T, access Config) {
	const commits = 400
	path := temporary(t)
	owner := openWith(t, access.buffered().at(path))
	commit := func(n uint64) {
		r := row("g", "k", "v")
		r.Revision = n
		require.NoError(t, write(owner, r))
	}
	commit(1)
	d := openWith(t, access.readOnly().at(path))
	s := viewsOf(t, d)
	var seen, acknowledged atomic.Uint64
	var ended atomic.Bool
	var viewed atomic.Int64
	var readers sync.WaitGroup
	for caller := range 4 {
		readers.Go(func() {
			for i := caller; !ended.Load(); i++ {
				least := max(seen.Load(), acknowledged.Load())
				var row kv.Row
				var err error
				switch i % 4 {
				case 0:
					row, _, err = sqliteGet(d, "g", "k")
				case 1:
					row, _, err = owner.Reads().Get(background, "g", "k")
				default:
					var left error
					if row, _, _, left = s.get("g", "k"); left != nil {
						continue
					}
					viewed.Add(1)
				}
				if !assert.NoError(t, err) || !assert.GreaterOrEqual(t, row.Revision, least, "a read goes back") {
					return
				}
				for before := seen.Load(); before < row.Revision && !seen.CompareAndSwap(before, row.Revision); before = seen.Load() {
				}
			}
		})
	}
	for n := uint64(2); n < commits; n++ {
		commit(n)
		acknowledged.Store(n)
		if n%40 == 10 {
			require.NoError(t, fileOf(owner).Checkpoint())
		}
	}
	ended.Store(true)
	readers.Wait()
	require.NotZero(t, viewed.Load())
}

// At rest a reader has no anchor, also if the scan that held one ends later: the owner's
// WAL begins anew.
func TestReadOnlyViewsHoldNothingAtRest(t *testing.T) {
	path := temporary(t)
	owner := openWith(t, Config{Path: path, Durability: kv.DurabilityBuffered})
	require.NoError(t, write(owner, numbered("g", 3*firstChunkRows)...))
	d := openWith(t, Config{Path: path, ReadOnly: true})
	s := viewsOf(t, d)
	require.Nil(t, s.current.Load())
	read := 0
	for _, err := range d.Reads().Scan(background, storage.GroupQuery("g"), 0) {
		require.NoError(t, err)
		if read++; read == 1 {
			require.NoError(t, write(owner, numbered("h", 100)...))
			requireValue(t, d, "h", "000007", "7")
			awaitRest(t, s, 1)
		}
	}
	require.Equal(t, 3*firstChunkRows, read)
	awaitRest(t, s, 0)
	require.NoError(t, fileOf(owner).Checkpoint())
	wal, err := checkpoint(fileOf(owner).conn, "TRUNCATE")
	require.NoError(t, err)
	require.False(t, wal.busy)
	requireValue(t, d, "h", "000007", "7")
}

// awaitRest waits until a reader has no view, and so many anchors that are still looked at.
func awaitRest(t *testing.T, s *views, retired int) {
	t.Helper()
	for {
		s.mu.Lock()
		rests := s.current.Load() == nil && len(s.retired) == retired
		s.mu.Unlock()
		if rests {
			return
		}
		runtime.Gosched()
	}
}

// An owner in another process, killed and opened anew: what is committed is read by views
// all the while.
func TestReadOnlyViewsBesideAnotherProcess(t *testing.T) {
	eachAccess(t, testReadOnlyViewsBesideAnotherProcess)
}

func testReadOnlyViewsBesideAnotherProcess(t *testing.T, access Config) {
	path := temporary(t)
	pid, kill := otherProcess(t, path)
	d := openWith(t, access.readOnly().at(path))
	s := viewsOf(t, d)
	requireViewed := func(key, want string) {
		t.Helper()
		got, found, _, err := s.get("other", key)
		for limit := time.Now().Add(testkit.Patience); err != nil && time.Now().Before(limit); { // the anchor is being changed
			runtime.Gosched()
			got, found, _, err = s.get("other", key)
		}
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, want, got.Value)
	}
	requireViewed("process", fmt.Sprint(pid))
	for range 2 {
		kill()
		requireViewed("process", fmt.Sprint(pid))
		pid, kill = otherProcess(t, path)
		requireViewed("process", fmt.Sprint(pid))
	}
	kill()
	owner := openWith(t, access.at(path))
	require.NoError(t, write(owner, row("other", "k", "here")))
	requireViewed("k", "here")
	require.NoError(t, owner.Close())
	requireViewed("k", "here")
	owner = openWith(t, access.at(path))
	require.NoError(t, write(owner, row("other", "k", "again")))
	requireViewed("k", "again")
	require.NoError(t, d.Close())
	require.NoError(t, owner.Close())
	require.NoFileExists(t, path+ownership.WALSuffix)
}

// Readers that never rest always have an anchor, but none for long: the owner's WAL begins
// anew all the same.
func TestReadOnlyViewsLetTheWALBeginAnew(t *testing.T) {
	path := temporary(t)
	owner := openWith(t, Config{Path: path, Durability: kv.DurabilityBuffered})
	require.NoError(t, write(owner, numbered("g", 100)...))
	d := openWith(t, Config{Path: path, ReadOnly: true})
	var ended atomic.Bool
	var readers sync.WaitGroup
	var viewed atomic.Int64
	for range 2 {
		readers.Go(func() {
			for !ended.Load() {
				if _, _, err := d.reads.Get(background, "g", "000042"); err == nil {
					viewed.Add(1)
				}
			}
		})
	}
	value := strings.Repeat("v", 30_000)
	random := rand.New(rand.NewPCG(1, 1))
	for range 150 { // of 160 pages: more than the WAL may have
		var rows []kv.Row
		for range 20 {
			rows = append(rows, row("big", fmt.Sprint(random.IntN(200)), value+fmt.Sprint(random.Int())))
		}
		require.NoError(t, write(owner, rows...))
	}
	ended.Store(true)
	readers.Wait()
	require.NotZero(t, viewed.Load())
	require.Less(t, ownership.Size(path+ownership.WALSuffix), int64(softPages*filePageSize), "it has begun anew")
}

// A file in WAL mode without a WAL does not change: it has one view.
func TestReadOnlyViewOfAFileThatDoesNotChange(t *testing.T) {
	eachAccess(t, testReadOnlyViewOfAFileThatDoesNotChange)
}

func testReadOnlyViewOfAFileThatDoesNotChange(t *testing.T, access Config) {
	path := closedInWALMode(t)
	before := folder(t, path[:strings.LastIndexByte(path, '/')])
	d := openWith(t, access.readOnly().at(path))
	require.Equal(t, immutable, d.parameter)
	s := viewsOf(t, d)
	v := s.current.Load()
	require.NotNil(t, v)
	for i := range 600 {
		got, found, _, err := s.get("g", fmt.Sprintf("%06d", i))
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, fmt.Sprint(i), got.Value)
	}
	pages, sqlite := readBoth(t, d, storage.Query{Groups: everything, Keys: storage.AllKeys}, 0)
	require.Equal(t, sqlite, pages)
	s.keepUp() // as the guard does now and then
	require.True(t, s.catchUp(), "nothing to do")
	require.NoError(t, s.committing(func() error { return nil }))
	require.Same(t, v, s.current.Load())
	require.NoError(t, d.Close())
	s.keepUp()
	require.Equal(t, before, folder(t, path[:strings.LastIndexByte(path, '/')]))
}

// The same where SQLite reads the table.
func TestReadOnlyFileThatDoesNotChangeIsLeftToSQLite(t *testing.T) {
	path := closedInWALMode(t)
	program(t, path,
		"CREATE TABLE e2 (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, entry_value TEXT NOT NULL, expires_at INTEGER, revision INTEGER NOT NULL DEFAULT 1)",
		"INSERT INTO e2 SELECT group_name, entry_key, entry_value, expires_at, revision FROM entries",
		"DROP TABLE entries", "ALTER TABLE e2 RENAME TO entries")
	d := openWith(t, Config{Path: path, ReadOnly: true})
	require.Equal(t, immutable, d.parameter)
	s := viewsOf(t, d)
	require.Nil(t, s.current.Load())
	s.keepUp()
	require.Nil(t, s.current.Load())
	requireValue(t, d, "g", "000007", "7")
}

// closedInWALMode is a store that was closed beside a reader, and copied then.
func closedInWALMode(t *testing.T) (path string) {
	d := openWith(t, Config{Path: temporary(t)})
	require.NoError(t, write(d, numbered("g", 600)...))
	reader := openWith(t, Config{Path: d.Path(), ReadOnly: true, NoPages: true})
	requireValue(t, reader, "g", "000001", "1")
	require.NoError(t, d.Close())
	content, err := os.ReadFile(d.Path())
	require.NoError(t, err)
	path = temporary(t)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// A file that is cut under a reader is an error, and no crash.
func TestReadOnlyFileThatIsCut(t *testing.T) { eachAccess(t, testReadOnlyFileThatIsCut) }

func testReadOnlyFileThatIsCut(t *testing.T, access Config) {
	for name, closed := range map[string]bool{"beside an owner": false, "unchanged": true} {
		t.Run(name, func(t *testing.T) {
			path := ""
			if closed {
				path = closedInWALMode(t)
			} else {
				path = temporary(t)
				owner := openWith(t, access.at(path))
				require.NoError(t, write(owner, numbered("g", 2000)...))
				require.NoError(t, fileOf(owner).Checkpoint())
			}
			d := openWith(t, access.readOnly().at(path))
			s := viewsOf(t, d)
			require.NoError(t, os.Truncate(path, 2*filePageSize))
			_, _, _, err := s.get("g", "000599")
			require.Equal(t, errUnread, err)
			_, err = rowsOf(d, "g", 0)
			require.Error(t, err)
		})
	}
}

// Close ends the anchors and the timer, whatever reads go on beside it.
func TestCloseBesideReadOnlyViews(t *testing.T) {
	path := temporary(t)
	owner := openWith(t, Config{Path: path, Durability: kv.DurabilityBuffered})
	require.NoError(t, write(owner, numbered("g", 100)...))
	for range 10 {
		d := openWith(t, Config{Path: path, ReadOnly: true})
		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() {
				for {
					if _, _, err := d.Reads().Get(background, "g", "000042"); err != nil {
						assert.ErrorIs(t, err, kv.ClosedError)
						return
					}
				}
			})
		}
		require.NoError(t, write(owner, row("g", "k", "v")))
		require.NoError(t, d.Close())
		readers.Wait()
	}
	require.NoError(t, owner.Close())
	require.NoFileExists(t, path+ownership.WALSuffix)
}

// Tables of another kind, and files in rollback mode, are SQLite's.
func TestReadOnlyThatIsLeftToSQLite(t *testing.T) {
	path := temporary(t)
	d := openWith(t, Config{Path: path})
	require.NoError(t, write(d, numbered("g", 10)...))
	require.NoError(t, d.Close())
	d = openWith(t, Config{Path: path, ReadOnly: true})
	require.Nil(t, d.reads.(*fileReads).pool.views)
	requireValue(t, d, "g", "000007", "7")
	require.NoError(t, d.Close())
	program(t, path,
		"CREATE TABLE e2 (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, entry_value TEXT NOT NULL, expires_at INTEGER, revision INTEGER NOT NULL DEFAULT 1)",
		"INSERT INTO e2 SELECT group_name, entry_key, entry_value, expires_at, revision FROM entries",
		"DROP TABLE entries", "ALTER TABLE e2 RENAME TO entries")
	owner := openWith(t, Config{Path: path})
	d = openWith(t, Config{Path: path, ReadOnly: true})
	s := viewsOf(t, d)
	for range 3 {
		requireValue(t, d, "g", "000007", "7")
	}
	require.True(t, s.refused.Load())
	s.keepUp()
	require.False(t, s.refused.Load())
	requireValue(t, d, "g", "000007", "7")
	require.NoError(t, d.Close())
	require.NoError(t, owner.Close())
}

// Close takes the index away once no view is pinned: a reader that lost the processor after
// its look at the view does not look at the index.
func TestTheIndexIsNotLookedAtWithoutAPin(t *testing.T) {
	owner := openWith(t, Config{Path: temporary(t)})
	require.NoError(t, write(owner, numbered("g", 100)...))
	d := openWith(t, Config{Path: owner.Path(), ReadOnly: true})
	s := viewsOf(t, d)
	s.mu.Lock()
	require.NoError(t, s.renew())
	s.mu.Unlock()
	v := s.current.Load()
	require.NotZero(t, v.Last)
	require.NoError(t, d.Close())
	s.Index = nil // a reader that looks at it panics
	_, ok := s.tryBrief(v, (*view).pinned)
	require.False(t, ok)
	require.False(t, v.anchor.pinned())
}

// A view that alone keeps the WAL from beginning anew is given up, and no reader that asks keeps
// its anchor.
func TestReadOnlyViewsGiveWay(t *testing.T) {
	owner := openWith(t, Config{Path: temporary(t)})
	require.NoError(t, write(owner, numbered("g", 100)...))
	d := openWith(t, Config{Path: owner.Path(), ReadOnly: true})
	s := viewsOf(t, d)
	s.mu.Lock() // no tick
	require.NoError(t, s.renew())
	v := s.current.Load()
	require.NotZero(t, v.Last)
	movePassively(t, owner)
	p, ok := s.tryBrief(v, (*view).pinned)
	require.True(t, ok, "another goroutine changes the anchor")
	p.release()
	s.mu.Unlock()
	_, ok = s.tryBrief(v, (*view).pinned)
	require.False(t, ok)
	awaitRest(t, s, 0)
	requireValue(t, d, "g", "000042", "42")
}
