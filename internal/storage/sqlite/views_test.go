package sqlite

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/testkit/report"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

func viewsOf(t testing.TB, d *Database) *views {
	t.Helper()
	v := d.reads.(*fileReads).pool.views
	require.NotNil(t, v)
	return v
}

// readBoth is a query's rows in the table by pages and by SQLite.
func readBoth(t *testing.T, d *Database, q storage.Query, now int64) (pages, sqlite []kv.Row) {
	t.Helper()
	return readBy(t, d, newPageScan(q, now), newRowScan(q, now))
}

// readBothMerged is readBoth with what the log has and the table has not.
func readBothMerged(t *testing.T, d *Database, q storage.Query, now int64) (pages, sqlite []kv.Row) {
	t.Helper()
	return readBy(t, d, newScan(q, now), newMergedRows(q, now))
}

func readBy(t *testing.T, d *Database, byPages pageSource[kv.Row], bySQLite source[kv.Row]) (pages, sqlite []kv.Row) {
	t.Helper()
	p := d.reads.(*fileReads).pool
	read := func(rows iter.Seq2[kv.Row, error]) (all []kv.Row) {
		for row, err := range rows {
			require.NoError(t, err)
			all = append(all, row)
		}
		return all
	}
	pages = read(streamPages(background, p, func() pageSource[kv.Row] { return byPages }))
	sqlite = read(stream(background, p, func() source[kv.Row] { return bySQLite }))
	return pages, sqlite
}

// eachAccess runs a test with files that are mapped into memory, with pages that are read,
// with the index of the WAL read too, and where commits go into an overlay, which is folded
// at the end or now and then.
func eachAccess(t *testing.T, test func(t *testing.T, access Config)) {
	eachTableAccess(t, test)
	for name, bytes := range map[string]int64{"overlay": 8 << 20, "overlay, folded": 16 << 10} {
		t.Run(name, func(t *testing.T) { test(t, Config{Overlay: bytes, loose: true, Events: decodeLog}) })
	}
}

// eachTableAccess is eachAccess for what commits write to the table at once.
func eachTableAccess(t *testing.T, test func(t *testing.T, access Config)) {
	for name, access := range map[string]Config{
		"mapped": {}, "read": {NoMmap: true}, "all read": {NoMmap: true, readIndex: true},
	} {
		t.Run(name, func(t *testing.T) { test(t, access) })
	}
}

func (c Config) buffered() Config {
	c.Durability = kv.DurabilityBuffered
	return c
}

// at is a store at a path.
func (c Config) at(path string) Config {
	c.Path = path
	return c
}

// TestPagesAgreeWithSQLite writes, removes, checkpoints and compacts at random, holds
// views of earlier moments meanwhile, and compares everything that pages say with what
// SQLite says, or said at that moment.
func TestPagesAgreeWithSQLite(t *testing.T) {
	eachAccess(t, func(t *testing.T, access Config) {
		for seed := range uint64(report.Rounds(1, 2, 6)) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) { comparePages(t, access, seed) })
		}
	})
}

func comparePages(t *testing.T, access Config, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	d := openWith(t, access.buffered().at(temporary(t)))
	s := viewsOf(t, d)
	const now = 1000
	names := func() (group, key string) {
		group = []string{"a", "a\x00", "ab", "b", "", "\xff", strings.Repeat("g", 300)}[random.IntN(7)]
		key = fmt.Sprint(random.IntN(60))
		if random.IntN(8) == 0 {
			key = strings.Repeat("k", random.IntN(3000)) + key
		}
		return group, key
	}
	type moment struct {
		next func() (kv.Row, error, bool)
		stop func()
		want []kv.Row
	}
	var moments []moment
	everything := storage.Query{Groups: kv.PrefixRange(""), Keys: storage.AllKeys}
	w := d.Writer()
	revision := uint64(1)
	for range 120 {
		require.NoError(t, w.Begin())
		for range 1 + random.IntN(20) {
			group, key := names()
			switch random.IntN(10) {
			case 0:
				_, err := w.Delete(group, key)
				require.NoError(t, err)
			case 1:
				if random.IntN(4) == 0 {
					_, err := w.DeleteGroup(group)
					require.NoError(t, err)
				}
			default:
				r := row(group, key, strings.Repeat(fmt.Sprint(random.IntN(10)), random.IntN(200)))
				if random.IntN(10) == 0 {
					r.Value = strings.Repeat("v", random.IntN(20_000))
				}
				if random.IntN(5) == 0 {
					r.Deadline = now - 1 + int64(random.IntN(3))
				}
				revision++
				r.Revision = revision
				require.NoError(t, w.Upsert(r))
			}
		}
		if random.IntN(10) == 0 {
			require.NoError(t, w.Rollback())
		} else {
			require.NoError(t, w.Commit())
		}
		q := randomScan(random, names)
		pages, sqlite := readBoth(t, d, q, now)
		if q.AnyOrder {
			slices.SortFunc(pages, func(a, b kv.Row) int { return strings.Compare(a.Key, b.Key) })
			for i := range sqlite { // it reads less
				sqlite[i].Group, sqlite[i].Revision = pages[min(i, len(pages)-1)].Group, pages[min(i, len(pages)-1)].Revision
			}
			slices.SortFunc(sqlite, func(a, b kv.Row) int { return strings.Compare(a.Key, b.Key) })
		}
		require.Equal(t, sqlite, pages, "%+v", q)
		group, key := names()
		got, found, _, err := s.get(group, key)
		require.NoError(t, err)
		want, there, err := sqliteGet(d, group, key)
		require.NoError(t, err)
		require.Equal(t, there, found)
		require.Equal(t, want, got)

		switch random.IntN(8) {
		case 0:
			require.NoError(t, fileOf(d).Checkpoint())
		case 1:
			movePassively(t, d)
		case 2: // a moment to be held: its first row is read, and the others later
			_, want := readBoth(t, d, everything, now)
			p, ok := s.look()
			require.True(t, ok)
			next, stop := iter.Pull2(smallChunks(p, everything, now))
			leave := sync.OnceFunc(func() { stop(); s.leave(p) })
			t.Cleanup(leave) // or Close would wait
			moments = append(moments, moment{next, leave, want})
		case 3:
			if random.IntN(4) == 0 {
				_, err := d.Compact(background, nil)
				require.NoError(t, err)
			}
		}
		if len(moments) > 0 && random.IntN(3) == 0 {
			i := random.IntN(len(moments))
			m := &moments[i]
			for range 1 + random.IntN(30) {
				row, err, ok := m.next()
				if !ok {
					require.Empty(t, m.want)
					m.stop()
					moments = slices.Delete(moments, i, i+1)
					break
				}
				require.NoError(t, err)
				require.Equal(t, m.want[0], row)
				m.want = m.want[1:]
			}
		}
	}
	for _, m := range moments {
		for _, want := range m.want {
			row, err, ok := m.next()
			require.True(t, ok)
			require.NoError(t, err)
			require.Equal(t, want, row)
		}
		m.stop()
	}
	requireNothingHeld(t, d)
	s.drain(0)
	assert.Empty(t, s.retired)
}

// movePassively is what the goroutine does, by the caller's connection.
func movePassively(t *testing.T, d *Database) {
	t.Helper()
	w := fileOf(d)
	w.checkpoints.moving.Lock()
	defer w.checkpoints.moving.Unlock()
	_, err := w.checkpoints.attempt(w.conn, "PASSIVE", 0)
	require.NoError(t, err)
}

// smallChunks is a scan that reads one row at a time.
func smallChunks(p pin, q storage.Query, now int64) iter.Seq2[kv.Row, error] {
	return func(yield func(kv.Row, error) bool) {
		scan := newPageScan(q, now)
		if err := scan.begin(p.view); err != nil {
			yield(kv.Row{}, err)
			return
		}
		for more := true; more; {
			var rows []kv.Row
			var err error
			if rows, more, err = scan.chunk(p.view, nil, 1, firstChunkBytes); err != nil {
				yield(kv.Row{}, err)
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}

func sqliteGet(d *Database, group, key string) (row kv.Row, found bool, err error) {
	err = d.reads.(*fileReads).pool.with(background, func(r *reader) (err error) {
		row, found, err = r.getRow(group, key)
		return err
	})
	return row, found, err
}

func randomScan(random *rand.Rand, names func() (group, key string)) (q storage.Query) {
	bound := func(pick func() string) (r kv.Range) {
		switch random.IntN(4) {
		case 0:
			return kv.PrefixRange("")
		case 1:
			return kv.PrefixRange(pick())
		case 2:
			r.From, r.To = pick(), pick()
			return r
		default:
			return kv.Range{From: pick(), Unbounded: true}
		}
	}
	aGroup := func() string { group, _ := names(); return group }
	aKey := func() string { _, key := names(); return key }
	q = storage.Query{Groups: bound(aGroup), Keys: bound(aKey), Reverse: random.IntN(2) == 0, KeysOnly: random.IntN(4) == 0}
	if random.IntN(2) == 0 {
		q.Groups = kv.GroupRange(aGroup())
	}
	if random.IntN(2) == 0 {
		q.Keys = storage.AllKeys
	}
	if random.IntN(3) == 0 {
		q.Limit = 1 + random.IntN(20)
	}
	if random.IntN(3) == 0 {
		after := kv.Key{Group: aGroup(), Key: aKey()}
		if group, single := q.Single(); single {
			after.Group = group
		}
		q.After = &after
	} else if _, single := q.Single(); single && random.IntN(3) == 0 {
		q = storage.Query{Groups: q.Groups, Keys: storage.AllKeys, AnyOrder: true}
	}
	return q
}

// Callers read, by views and by SQLite in turns, beside a writer that commits and
// checkpoints: what one caller has seen no other sees undone.
func TestViewsAreLinearizable(t *testing.T) { eachAccess(t, testViewsAreLinearizable) }

func testViewsAreLinearizable(t *testing.T, access Config) {
	const commits, keys = 400, 3
	d := openWith(t, access.buffered().at(temporary(t)))
	s := viewsOf(t, d)
	commit := func(n uint64) {
		var rows []kv.Row
		for k := range keys {
			r := row("g", fmt.Sprint(k), "v")
			r.Revision = n
			rows = append(rows, r)
		}
		require.NoError(t, write(d, rows...))
	}
	commit(1)
	var seen, acknowledged atomic.Uint64
	var ended atomic.Bool
	var viewed atomic.Int64
	var readers sync.WaitGroup
	for caller := range 4 {
		readers.Go(func() {
			for i := 0; !ended.Load(); i++ {
				least := max(seen.Load(), acknowledged.Load())
				var is uint64
				if (i+caller)%3 == 0 {
					row, _, err := sqliteGet(d, "g", fmt.Sprint(i%keys))
					if !assert.NoError(t, err) {
						return
					}
					is = row.Revision
				} else {
					row, _, _, err := s.get("g", fmt.Sprint(i%keys))
					if err != nil {
						continue // left to SQLite
					}
					viewed.Add(1)
					is = row.Revision
				}
				if !assert.GreaterOrEqual(t, is, least, "a read goes back") {
					return
				}
				for before := seen.Load(); before < is && !seen.CompareAndSwap(before, is); before = seen.Load() {
				}
			}
		})
	}
	for n := uint64(2); n < commits; n++ {
		commit(n)
		acknowledged.Store(n)
		switch n % 40 {
		case 10:
			require.NoError(t, fileOf(d).Checkpoint())
		case 30:
			movePassively(t, d)
		}
	}
	ended.Store(true)
	readers.Wait()
	require.NotZero(t, viewed.Load())
}

// A view that is held keeps its pages, whatever is written over them: by this
// program's checkpoints or by another's.
func TestHeldViewsKeepTheirPages(t *testing.T) { eachAccess(t, testHeldViewsKeepTheirPages) }

func testHeldViewsKeepTheirPages(t *testing.T, access Config) {
	path := temporary(t)
	d := openWith(t, access.buffered().at(path))
	s := viewsOf(t, d)
	fill := func(value string) {
		for from := 0; from < 400; from += 100 {
			var rows []kv.Row
			for i := from; i < from+100; i++ {
				rows = append(rows, row("g", fmt.Sprintf("%03d", i), strings.Repeat(value, 300)))
			}
			require.NoError(t, write(d, rows...))
		}
	}
	held := map[string]pin{}
	release := sync.OnceFunc(func() {
		for _, p := range held {
			s.leave(p)
		}
	})
	t.Cleanup(release) // or Close would wait
	for i := range 6 {
		value := fmt.Sprint(i)
		fill(value)
		p, ok := s.look()
		require.True(t, ok)
		held[value] = p
		if i%2 == 0 {
			require.NoError(t, fileOf(d).Checkpoint())
		}
		if i == 3 {
			conn, err := openConnection(path, sqlite.OpenReadWrite, nil, nil)
			require.NoError(t, err)
			conn.SetBusyTimeout(0)
			wal, err := checkpoint(conn, "TRUNCATE")
			require.True(t, err != nil || wal.busy, "views are in its way")
			require.NoError(t, conn.Close())
		}
		for value, p := range held {
			for _, key := range []string{"000", "123", "399"} {
				row, found, err := p.view.get("g", key)
				require.NoError(t, err)
				require.True(t, found)
				require.Equal(t, strings.Repeat(value, 300), row.Value)
			}
		}
	}
	release()
	require.NoError(t, fileOf(d).Checkpoint())
	wal, err := checkpoint(fileOf(d).conn, "NOOP")
	require.NoError(t, err)
	for n := 0; wal.rest() > 0 && n < 10; n++ { // the goroutine's own was under way
		require.NoError(t, fileOf(d).Checkpoint())
		wal, err = checkpoint(fileOf(d).conn, "NOOP")
		require.NoError(t, err)
	}
	require.Zero(t, wal.rest(), "nothing is in the way any more")
	fill("after")
	require.Empty(t, s.retired)
}

// The WAL begins anew under views that do not look at it.
func TestTheWALBeginsAnewUnderViews(t *testing.T) { eachAccess(t, testTheWALBeginsAnewUnderViews) }

func testTheWALBeginsAnewUnderViews(t *testing.T, access Config) {
	d := openWith(t, access.buffered().at(temporary(t)))
	s := viewsOf(t, d)
	generation := s.Generation
	for n := range 8 {
		require.NoError(t, write(d, numbered(fmt.Sprint("g", n), 50)...))
		require.NoError(t, fileOf(d).Checkpoint())
		for before := range n + 1 {
			for _, key := range []string{"000000", "000049"} {
				_, found, _, err := s.get(fmt.Sprint("g", before), key)
				require.NoError(t, err)
				require.True(t, found)
			}
		}
		require.NoError(t, write(d, row("g0", "000000", fmt.Sprint(n))))
		got, _, _, err := s.get("g0", "000000")
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(n), got.Value)
	}
	require.Greater(t, s.Generation, generation+4)
}

// A file that is cut where it is mapped is an error, and no crash.
func TestFileThatIsCutUnderItsMapping(t *testing.T) { eachAccess(t, testFileThatIsCutUnderItsMapping) }

func testFileThatIsCutUnderItsMapping(t *testing.T, access Config) {
	path := temporary(t)
	d := openWith(t, access.at(path))
	require.NoError(t, write(d, numbered("g", 2000)...))
	require.NoError(t, d.Close())
	d = openWith(t, access.at(path))
	s := viewsOf(t, d)
	require.NoError(t, os.Truncate(path, 2*filePageSize))
	_, _, _, err := s.get("g", "001999")
	require.Equal(t, errUnread, err)
	_, _, err = d.Reads().Get(background, "g", "001999")
	require.Error(t, err)
	_, err = rowsOf(d, "g", 0)
	require.Error(t, err)
}

// Tables that are not read by their pages are read by SQLite.
func TestTablesThatAreLeftToSQLite(t *testing.T) { eachAccess(t, testTablesThatAreLeftToSQLite) }

func testTablesThatAreLeftToSQLite(t *testing.T, access Config) {
	for name, sql := range map[string][]string{
		"WITHOUT ROWID": {
			"CREATE TABLE e2 (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, entry_value TEXT NOT NULL, expires_at INTEGER, revision INTEGER NOT NULL DEFAULT 1, PRIMARY KEY (group_name, entry_key)) WITHOUT ROWID"},
		"no primary key": {
			"CREATE TABLE e2 (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, entry_value TEXT NOT NULL, expires_at INTEGER, revision INTEGER NOT NULL DEFAULT 1)"},
	} {
		t.Run(name, func(t *testing.T) {
			path := temporary(t)
			d := openWith(t, access.at(path))
			require.NoError(t, write(d, numbered("g", 100)...))
			require.NoError(t, d.Close())
			program(t, path, append(sql,
				"INSERT INTO e2 SELECT group_name, entry_key, entry_value, expires_at, revision FROM entries",
				"DROP TABLE entries", "ALTER TABLE e2 RENAME TO entries")...)
			d = openWith(t, access.at(path))
			require.Nil(t, viewsOf(t, d).current.Load())
			requireValue(t, d, "g", "000042", "42")
			rows, err := rowsOf(d, "g", 0)
			require.NoError(t, err)
			require.Len(t, rows, 100)
		})
	}
}

// A reader may lose the processor between its look at the view and its pin, for as long as
// two checkpoints take: the anchor that it pins may be another view's by then.
func TestAViewOfAnEarlierTimeIsNotTaken(t *testing.T) {
	eachAccess(t, testAViewOfAnEarlierTimeIsNotTaken)
}

func testAViewOfAnEarlierTimeIsNotTaken(t *testing.T, access Config) {
	d := openWith(t, access.buffered().at(temporary(t)))
	s := viewsOf(t, d)
	for n := range 4 {
		require.NoError(t, write(d, numbered(fmt.Sprint("g", n), 50)...))
		require.NoError(t, fileOf(d).Checkpoint())
		require.NoError(t, write(d, numbered("g", 50)...))
		v := s.current.Load()
		require.NotZero(t, v.Last)
		require.NoError(t, fileOf(d).Checkpoint())
		_, ok := s.try(v, (*view).pinned)
		require.False(t, ok, "its frames may be overwritten by the next commit")
		requireUnpinned(t, s)
	}
}

// While COMMIT is at work, or done and not published, readers of the view before
// see what they saw, also where the WAL begins anew.
func TestViewsBesideACommit(t *testing.T) { eachTableAccess(t, testViewsBesideACommit) }

func testViewsBesideACommit(t *testing.T, access Config) {
	d := openWith(t, access.buffered().at(temporary(t)))
	s := viewsOf(t, d)
	fill := func(value string) {
		w := d.Writer()
		require.NoError(t, w.Begin())
		for i := range 200 {
			require.NoError(t, w.Upsert(row("g", fmt.Sprintf("%03d", i), strings.Repeat(value, 300))))
		}
	}
	requireSame := func(v *view, value string) {
		for i := range 200 {
			row, found, err := v.get("g", fmt.Sprintf("%03d", i))
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, strings.Repeat(value, 300), row.Value)
		}
	}
	fill("a")
	require.NoError(t, d.Writer().Commit())
	for n, values := range []string{"ab", "bc", "cd", "de"} {
		if n%2 == 0 {
			require.NoError(t, fileOf(d).Checkpoint())
		}
		p, ok := s.look()
		require.True(t, ok)
		t.Cleanup(sync.OnceFunc(func() { s.leave(p) }))
		fill(values[1:])
		requireSame(p.view, values[:1])
		w := fileOf(d)
		require.NoError(t, replaceStamp(w.conn, w.present()))
		require.NoError(t, s.committing(func() error {
			err := run(w.commit)
			requireSame(p.view, values[:1])
			return err
		}))
		requireSame(p.view, values[:1])
		now, ok := s.look()
		require.True(t, ok)
		requireSame(now.view, values[1:])
		s.leave(now)
	}
}

func requireUnpinned(t *testing.T, s *views) {
	t.Helper()
	require.False(t, s.current.Load().anchor.pinned())
}

// Another program may build the table anew: its root is another page then.
func TestViewsFollowTheSchema(t *testing.T) { eachTableAccess(t, testViewsFollowTheSchema) }

func testViewsFollowTheSchema(t *testing.T, access Config) {
	path := temporary(t)
	d := openWith(t, access.at(path))
	s := viewsOf(t, d)
	require.NoError(t, write(d, numbered("g", 500)...))
	_, _, _, err := s.get("g", "000042")
	require.NoError(t, err)
	before := s.current.Load().shape
	conn, err := openConnection(path, sqlite.OpenReadWrite, nil, nil)
	require.NoError(t, err)
	defer conn.Close()
	for _, statement := range []string{
		"BEGIN IMMEDIATE",
		"CREATE TABLE other (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, entry_value TEXT NOT NULL, expires_at INTEGER, revision INTEGER NOT NULL DEFAULT 1, PRIMARY KEY (group_name, entry_key))",
		"INSERT INTO other SELECT group_name, entry_key, 'new ' || entry_value, expires_at, revision FROM entries",
		"DROP TABLE entries", "ALTER TABLE other RENAME TO entries", "COMMIT",
	} {
		require.NoError(t, execute(conn, statement))
	}
	got, found, _, err := s.get("g", "000042")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "new 42", got.Value)
	require.NotEqual(t, before.table, s.current.Load().shape.table)
}

// What another program commits is seen, and stays seen.
func TestViewsBesideAnotherProgramsCommits(t *testing.T) {
	eachTableAccess(t, testViewsBesideAnotherProgramsCommits)
}

func testViewsBesideAnotherProgramsCommits(t *testing.T, access Config) {
	path := temporary(t)
	d := openWith(t, access.at(path))
	viewsOf(t, d)
	require.NoError(t, write(d, row("g", "k", "0")))
	conn, err := openConnection(path, sqlite.OpenReadWrite, nil, nil)
	require.NoError(t, err)
	defer conn.Close()
	for i := 1; i < 6; i++ {
		require.NoError(t, execute(conn, fmt.Sprintf("UPDATE entries SET entry_value = '%d'", i)))
		for range 2 {
			requireValue(t, d, "g", "k", fmt.Sprint(i))
		}
	}
}

// Close waits for readers that are looking at a page.
func TestCloseWaitsForPins(t *testing.T) { eachAccess(t, testCloseWaitsForPins) }

func testCloseWaitsForPins(t *testing.T, access Config) {
	d := openWith(t, access.at(temporary(t)))
	s := viewsOf(t, d)
	require.NoError(t, write(d, numbered("g", 500)...))
	p, ok := s.look()
	require.True(t, ok)
	closed := make(chan error)
	go func() { closed <- d.Close() }()
	for s.current.Load() != nil {
		runtime.Gosched()
	}
	for i := range 500 {
		_, found, err := p.view.get("g", fmt.Sprintf("%06d", i))
		require.NoError(t, err)
		require.True(t, found)
		runtime.Gosched()
	}
	select {
	case err := <-closed:
		require.FailNow(t, "closed under a reader", err)
	default:
	}
	p.release()
	require.NoError(t, <-closed)
}

// A page that can't be read any more ends a scan with SQLite's error, behind the rows that
// could be.
func TestFileThatIsCutUnderAScan(t *testing.T) { eachAccess(t, testFileThatIsCutUnderAScan) }

func testFileThatIsCutUnderAScan(t *testing.T, access Config) {
	path := temporary(t)
	d := openWith(t, access.at(path))
	rows := numbered("g", 4*firstChunkRows)
	for i := range rows {
		rows[i].Value = strings.Repeat("v", 500)
	}
	require.NoError(t, write(d, rows...))
	require.NoError(t, d.Close())
	d = openWith(t, access.at(path))
	viewsOf(t, d)
	read := 0
	var failed error
	for _, err := range d.Reads().Scan(background, storage.GroupQuery("g"), 0) {
		if err != nil {
			failed = err
			break
		}
		if read++; read == 1 {
			require.NoError(t, os.Truncate(path, 8*filePageSize))
		}
	}
	require.GreaterOrEqual(t, read, firstChunkRows)
	require.Less(t, read, 2*firstChunkRows, "what was read before may still be had")
	require.ErrorIs(t, failed, kv.FileLostError)
	requireNothingHeld(t, d)
}

// Many scans, each on a view of a time of its own, leave few connections behind.
func TestAnchorsThatAreNotNeededAreClosed(t *testing.T) {
	eachAccess(t, testAnchorsThatAreNotNeededAreClosed)
}

func testAnchorsThatAreNotNeededAreClosed(t *testing.T, access Config) {
	d := openWith(t, access.buffered().at(temporary(t)))
	s := viewsOf(t, d)
	var pins []pin
	for n := range 20 {
		require.NoError(t, write(d, numbered(fmt.Sprint(n), 10)...))
		p, ok := s.look()
		require.True(t, ok)
		pins = append(pins, p)
		s.step(0)
	}
	require.Len(t, s.retired, 20)
	for _, p := range pins {
		s.leave(p)
	}
	s.drain(0)
	require.Empty(t, s.retired)
	require.LessOrEqual(t, len(s.idle), 2)
}

// The same under a snapshot: whatever is asked of it then is an error, and nothing stays
// pinned.
func TestFileThatIsCutUnderASnapshot(t *testing.T) {
	path := temporary(t)
	d := open(t, path)
	require.NoError(t, write(d, numbered("g", 4000)...))
	require.NoError(t, write(d, mortal("h", "k", 5)))
	require.NoError(t, d.Close())
	d = open(t, path)
	s := viewsOf(t, d)
	snapshot, err := d.Snapshot(background)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, 2*filePageSize))
	for name, err := range everySnapshotRead(background, snapshot) {
		require.Error(t, err, name)
		require.NotErrorIs(t, err, errUnread, name)
	}
	_, err = snapshot.Usage(everything)
	require.Error(t, err)
	for name, err := range everyRead(background, d) {
		require.NotErrorIs(t, err, errUnread, name)
	}
	snapshot.Close()
	requireNothingHeld(t, d)
	if v := s.current.Load(); v != nil {
		require.False(t, v.anchor.pinned())
	}
	for _, a := range s.retired {
		require.False(t, a.pinned())
	}
}

// A snapshot of pages needs no connection, and may be used by several goroutines at a time,
// one of which closes it.
func TestSnapshotsOfPagesAreShared(t *testing.T) {
	d := open(t, temporary(t))
	viewsOf(t, d)
	require.NoError(t, write(d, numbered("g", longGroup)...))
	pool := d.reads.(*fileReads).pool
	pool.mu.Lock()
	before := pool.mu.connections
	pool.mu.Unlock()
	for range 20 {
		s, err := d.Snapshot(background)
		require.NoError(t, err)
		require.NoError(t, write(d, row("g", "later", "v")))
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				for n := 0; ; n++ {
					count, err := s.Count(background, everything, 0)
					if errors.Is(err, kv.SnapshotClosedError) {
						return
					}
					if !assert.NoError(t, err) || !assert.Equal(t, longGroup, count) {
						return
					}
					page, err := s.Page(background, "g", longGroup-1, 5, 0)
					if err == nil {
						assert.Len(t, page, 1)
					}
					if i == 0 && n == 3 {
						s.Close()
					}
				}
			})
		}
		all.Wait()
		w := d.Writer()
		require.NoError(t, w.Begin())
		_, err = w.Delete("g", "later")
		require.NoError(t, err)
		require.NoError(t, w.Commit())
	}
	pool.mu.Lock()
	defer pool.mu.Unlock()
	require.Equal(t, before, pool.mu.connections)
}
