package sqlite

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/internal/testkit/report"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// question is what is asked of pages and of SQLite.
type question struct {
	query         storage.Query
	group         string
	keys          []string
	groups        kv.Range
	offset, limit int
	now           int64
}

// answers is what both have.
type answers interface {
	Get(ctx context.Context, group, key string) (row kv.Row, found bool, err error)
	GetMany(ctx context.Context, group string, keys []string) ([]kv.Row, error)
	GroupExists(ctx context.Context, group string, now int64) (bool, error)
	Count(ctx context.Context, r kv.Range, now int64) (int, error)
	Page(ctx context.Context, group string, offset, limit int, now int64) ([]kv.KeyValue, error)
	Scan(ctx context.Context, q storage.Query, now int64) iter.Seq2[kv.Row, error]
	GetAll(ctx context.Context, group string, now int64) (map[string]string, error)
	Groups(ctx context.Context, r kv.Range, now int64) iter.Seq2[string, error]
}

// ask asks everything. Each answer is one line.
func (q *question) ask(from answers) (lines []string) {
	answer := func(name string, values ...any) { lines = append(lines, name+fmt.Sprintf(" %q", values)) }
	rows, err := from.GetMany(background, q.group, q.keys)
	answer("GetMany", rows, err)
	for _, key := range q.keys {
		row, found, err := from.Get(background, q.group, key)
		answer("Get", row, found, err)
	}
	exists, err := from.GroupExists(background, q.group, q.now)
	answer("GroupExists", exists, err)
	for _, rng := range []kv.Range{q.groups, kv.GroupRange(q.group), everything} {
		n, err := from.Count(background, rng, q.now)
		answer("Count", rng, n, err)
		var names []string
		for name, failed := range from.Groups(background, rng, q.now) {
			if err = failed; err == nil {
				names = append(names, name)
			}
		}
		answer("Groups", rng, names, err)
	}
	page, err := from.Page(background, q.group, q.offset, q.limit, q.now)
	answer("Page", page, err)
	all, err := from.GetAll(background, q.group, q.now)
	if storage.IsDamagedRow(err) {
		err = errors.New("a damaged row")
	}
	answer("GetAll", all, err)
	var scanned []kv.Row
	for row, failed := range from.Scan(background, q.query, q.now) {
		if err = failed; err == nil {
			scanned = append(scanned, row)
		}
	}
	if q.query.AnyOrder && err != nil {
		scanned = nil // whatever came before it
	}
	if q.query.AnyOrder { // SQLite reads less then
		for i := range scanned {
			scanned[i].Group, scanned[i].Revision, scanned[i].Deadline = "", 0, 0
		}
		slices.SortFunc(scanned, func(a, b kv.Row) int { return strings.Compare(a.Key, b.Key) })
	}
	if storage.IsDamagedRow(err) { // there may be several reasons, of which either says one
		err = errors.New("a damaged row")
	}
	answer("Scan", scanned, err)
	return lines
}

// askNow asks what is asked of the present moment alone.
func (q *question) askNow(from storage.Reads) (lines []string) {
	for _, rng := range []kv.Range{q.groups, kv.GroupRange(q.group), everything} {
		usage, err := from.Usage(background, rng, q.now)
		lines = append(lines, fmt.Sprint("Usage ", usage, err))
		usage, err = from.Expired(background, rng, q.now)
		lines = append(lines, fmt.Sprint("Expired ", usage, err))
	}
	revision, err := from.Revision(background)
	return append(lines, fmt.Sprint("Revision ", revision, err))
}

// physicalOf is what a snapshot says of three ranges.
func (q *question) physicalOf(t *testing.T, s storage.Snapshot) (all []kv.Usage) {
	for _, rng := range []kv.Range{q.groups, kv.GroupRange(q.group), everything} {
		usage, err := s.Usage(rng)
		require.NoError(t, err)
		all = append(all, usage)
	}
	return all
}

// differ has a store be changed at random, and compares what its pages say with what
// SQLite says: now, and in snapshots that are held while the store goes on.
type differ struct {
	random *rand.Rand
	d      *Database
	reader *Database  // whose pages are asked: d, or one that reads beside it
	reads  *fileReads // of d
	groups []string
	keys   int
	mortal int // one row in so many has a deadline, around now
	now    int64

	revision uint64
	held     []heldSnapshot
}

type heldSnapshot struct {
	storage.Snapshot
	questions []question
	want      [][]string
	physical  [][]kv.Usage
}

func (f *differ) key() string {
	key := fmt.Sprint(f.random.IntN(f.keys))
	if f.random.IntN(20) == 0 {
		key = strings.Repeat("k", f.random.IntN(3000)) + "\x00" + key
	}
	return key
}

func (f *differ) group() string { return f.groups[f.random.IntN(len(f.groups))] }

func (f *differ) question() (q question) {
	q.query = randomScan(f.random, func() (string, string) { return f.group(), f.key() })
	q.group = f.group()
	for range f.random.IntN(6) {
		q.keys = append(q.keys, f.key())
	}
	prefix := f.group()
	q.groups = kv.PrefixRange(prefix[:min(f.random.IntN(2), len(prefix))])
	if a, b := f.group(), f.group(); f.random.IntN(2) == 0 {
		q.groups = kv.Range{From: min(a, b), To: max(a, b)}
	}
	q.offset, q.limit = f.random.IntN(f.keys*2)*f.random.IntN(2), f.random.IntN(f.keys*2)
	q.now = f.now + int64(f.random.IntN(3)) - 1
	return q
}

// commit writes a batch and its row of the log.
func (f *differ) commit(t *testing.T, most int) {
	w := f.d.Writer()
	require.NoError(t, w.Begin())
	over := fileOf(f.d).over != nil
	var events []kv.Event
	did := func(e kv.Event) {
		e.Revision = f.revision
		if n := len(events); n > 0 && e.Type == kv.EventDeleteGroup && events[n-1].Type == e.Type && events[n-1].Group == e.Group {
			e = kv.Event{Type: kv.EventDelete, Group: e.Group, Key: "k", Revision: e.Revision} // none is deleted right behind its deletion
		}
		events = append(events, e)
	}
	first := f.revision + 1
	for range 1 + f.random.IntN(most) {
		f.revision++
		switch f.random.IntN(12) {
		case 0:
			group := f.group()
			_, err := w.DeleteGroup(group)
			require.NoError(t, err)
			did(kv.Event{Type: kv.EventDeleteGroup, Group: group})
		case 1, 2:
			group, key := f.group(), f.key()
			_, err := w.Delete(group, key)
			require.NoError(t, err)
			did(kv.Event{Type: kv.EventDelete, Group: group, Key: key})
		default:
			r := row(f.group(), f.key(), strings.Repeat(fmt.Sprint(f.random.IntN(10)), f.random.IntN(200)))
			if f.random.IntN(15) == 0 {
				r.Value = strings.Repeat("v", f.random.IntN(20_000))
			}
			if f.random.IntN(f.mortal) == 0 {
				r.Deadline = f.now - 1 + int64(f.random.IntN(3))
			}
			r.Revision = f.revision
			require.NoError(t, w.Upsert(r))
			did(kv.Event{Type: kv.EventSet, Group: r.Group, Key: r.Key, Value: r.Value, ExpiresAt: kv.DeadlineTime(r.Deadline)})
		}
	}
	record := commitlog.Append(nil, time.UnixMilli(1), events)
	require.NoError(t, w.AppendLog(kv.LogRow{First: first, Last: f.revision, At: 1, Record: record}, int64(f.revision)))
	if f.random.IntN(20) == 0 && !over { // an empty log has a base
		require.NoError(t, sqlitex.ExecuteScript(fileOf(f.d).conn, sqlDiscardLog, nil))
	}
	require.NoError(t, w.Commit())
}

// compare asks both.
func (f *differ) compare(t *testing.T) {
	q := f.question()
	other, err := f.reads.pool.sqlSnapshotNow()
	require.NoError(t, err)
	defer other.Close()
	requireSame(t, q, q.ask(other), q.ask(f.reader.Reads()))
	requireSame(t, q, q.askNow(f.reads.sqlReads), q.askNow(f.reader.Reads()))
}

// requireSame shows what differs, of lines that may be long.
func requireSame(t *testing.T, q question, sqlite, pages []string) {
	t.Helper()
	require.Len(t, pages, len(sqlite))
	for i := range sqlite {
		a, b := sqlite[i], pages[i]
		if a == b {
			continue
		}
		const most = 500
		from := 0
		for from < min(len(a), len(b)) && a[from] == b[from] {
			from++
		}
		from = max(0, from-most/2)
		require.Failf(t, "they differ", "%+v\n%.30s\nSQLite: …%.*s\npages:  …%.*s", q, a, most, a[min(from, len(a)):], most, b[min(from, len(b)):])
	}
}

// hold takes a snapshot, which must be one of pages, and keeps what SQLite says.
func (f *differ) hold(t *testing.T) {
	s, err := f.reader.Snapshot(background)
	require.NoError(t, err)
	for limit := time.Now().Add(testkit.Patience); !ofPages(s) && f.reader != f.d && time.Now().Before(limit); { // the anchor is being changed
		s.Close()
		runtime.Gosched()
		s, err = f.reader.Snapshot(background)
		require.NoError(t, err)
	}
	require.True(t, ofPages(s))
	other, err := f.reads.pool.sqlSnapshotNow()
	require.NoError(t, err)
	defer other.Close()
	require.Equal(t, other.Revision(), s.Revision())
	h := heldSnapshot{Snapshot: s}
	for range 3 {
		q := f.question()
		h.questions = append(h.questions, q)
		h.want = append(h.want, q.ask(other))
		h.physical = append(h.physical, q.physicalOf(t, other))
	}
	f.held = append(f.held, h)
	f.check(t, len(f.held)-1)
}

func ofPages(s storage.Snapshot) bool {
	_, is := s.(pageMoment)
	return is
}

func (f *differ) check(t *testing.T, i int) {
	h := &f.held[i]
	for i, q := range h.questions {
		requireSame(t, q, h.want[i], q.ask(h))
		require.Equal(t, h.physical[i], q.physicalOf(t, h.Snapshot))
	}
}

func (f *differ) release(i int) {
	f.held[i].Close()
	f.held = slices.Delete(f.held, i, i+1)
}

// another is what another program commits.
func (f *differ) another(t *testing.T) {
	if fileOf(f.d).over != nil {
		return // no other program may change the table
	}
	conn, err := openConnection(f.d.path, sqlite.OpenReadWrite, nil, nil)
	require.NoError(t, err)
	conn.SetBusyTimeout(0)
	require.NoError(t, execute(conn, fmt.Sprintf("UPDATE entries SET entry_value = 'theirs' WHERE rowid %% 7 = %d", f.random.IntN(7))))
	if f.random.IntN(2) == 0 {
		_, _ = checkpoint(conn, "PASSIVE")
	}
	require.NoError(t, conn.Close())
}

// eachDiffer runs a test of an owner's pages and of those of a reader beside it, for each
// way in which they are read.
func eachDiffer(t *testing.T, test func(t *testing.T, open func(path string) (d, reader *Database))) {
	eachDifferOf(t, eachAccess, test)
}

func eachDifferOf(t *testing.T, each func(*testing.T, func(*testing.T, Config)), test func(t *testing.T, open func(path string) (d, reader *Database))) {
	each(t, func(t *testing.T, access Config) {
		t.Run("owned", func(t *testing.T) {
			test(t, func(path string) (d, reader *Database) {
				d = openWith(t, access.buffered().at(path))
				viewsOf(t, d)
				return d, d
			})
		})
		t.Run("beside", func(t *testing.T) {
			test(t, func(path string) (d, reader *Database) {
				d = openWith(t, access.buffered().at(path))
				reader = openWith(t, access.readOnly().at(path))
				viewsOf(t, reader)
				return d, reader
			})
		})
	})
}

// Whatever is asked, pages and SQLite say the same: of stores with and without dead rows,
// few or many of them, few groups and many, across checkpoints, compactions and commits of
// other programs; and a snapshot says later what it said at first. In the short form the
// owner and the reader beside it take every other kind of store in turns, so that each way
// to read goes through all of them.
func TestEveryReadOfPagesAgreesWithSQLite(t *testing.T) {
	turn := 0
	eachDiffer(t, func(t *testing.T, open func(path string) (d, reader *Database)) {
		testEveryReadOfPagesAgreesWithSQLite(t, turn, open)
		turn++
	})
}

func testEveryReadOfPagesAgreesWithSQLite(t *testing.T, turn int, open func(path string) (d, reader *Database)) {
	many := []string{""}
	for i := range 200 {
		many = append(many, fmt.Sprintf("m%03d", i), fmt.Sprintf("m%03d\x00", i))
	}
	few := []string{"a", "a\x00", "ab", "b", "", "\xff", "\xff\xff", strings.Repeat("g", 300)}
	for i, of := range []struct {
		name         string
		groups       []string
		keys, mortal int
		batch        int
	}{
		{"few groups", few, 60, 1 << 30, 20},
		{"many groups", many, 4, 1 << 30, 60},
		{"few groups with deadlines", few, 60, 5, 20},
		{"many groups with deadlines", many, 4, 20, 60},
		{"few groups, most of it dead", few, 400, 1, 200},
		{"many groups, most of it dead", many, 10, 1, 200},
		{"one large group", []string{"g"}, 3000, 50, 300},
	} {
		if (i/2+turn)%2 >= report.Rounds(1, 1, 2) {
			continue // the other of the two has it
		}
		t.Run(of.name, func(t *testing.T) {
			for seed := range uint64(1) {
				d, reader := open(temporary(t))
				f := &differ{random: rand.New(rand.NewPCG(seed, 7)), d: d, reader: reader, reads: d.reads.(*fileReads),
					groups: of.groups, keys: of.keys, mortal: of.mortal, now: 1000, revision: firstRevision(d)}
				for range report.Rounds(8, 16, 25) {
					f.commit(t, of.batch)
					f.compare(t)
					switch f.random.IntN(10) {
					case 0:
						require.NoError(t, fileOf(d).Checkpoint())
					case 1:
						movePassively(t, d)
					case 2, 3:
						f.hold(t)
					case 4:
						if f.random.IntN(3) == 0 {
							_, err := d.Compact(background, nil)
							require.NoError(t, err)
						}
					case 5:
						f.another(t)
						f.commit(t, 1) // or a transaction that SQLite has kept would show less
					}
					if n := len(f.held); n > 0 {
						f.check(t, f.random.IntN(n))
						if f.random.IntN(4) == 0 {
							f.release(f.random.IntN(n))
						}
					}
				}
				for len(f.held) > 0 {
					f.check(t, 0)
					f.release(0)
				}
				requireNothingHeld(t, reader)
				require.NoError(t, reader.Close())
				require.NoError(t, d.Close())
			}
		})
	}
}

// The same where there is what no store writes: keys, groups, values and deadlines of
// other types, and NULL. Where SQLite has an error, it is the same error.
func TestEveryReadOfOddRowsAgreesWithSQLite(t *testing.T) {
	eachDifferOf(t, eachTableAccess, testEveryReadOfOddRowsAgreesWithSQLite)
}

func testEveryReadOfOddRowsAgreesWithSQLite(t *testing.T, openBoth func(path string) (d, reader *Database)) {
	for seed := range uint64(report.Rounds(1, 2, 8)) {
		random := rand.New(rand.NewPCG(seed, 9))
		path := temporary(t)
		d := open(t, path)
		require.NoError(t, d.Close())
		program(t, path, "DROP TABLE entries",
			"CREATE TABLE entries (group_name TEXT, entry_key TEXT, entry_value TEXT, expires_at INTEGER, PRIMARY KEY (group_name, entry_key))",
			"ALTER TABLE entries ADD COLUMN revision INTEGER NOT NULL DEFAULT 1",
			"CREATE INDEX entries_expires_at ON entries (expires_at) WHERE expires_at IS NOT NULL")
		d, reader := openBoth(path)
		f := &differ{random: random, d: d, reader: reader, reads: d.reads.(*fileReads),
			groups: []string{"a", "b", "c", "d", "e", ""}, keys: 30, mortal: 4, now: 1000, revision: firstRevision(d)}
		names := []string{"NULL", "X'00'", "X'61'", "'a'", "'b'", "'e'", "''"}
		values := []string{"NULL", "X'00ff'", "'text'", "''"}
		deadlines := []string{"NULL", "999", "1001", "999.5", "1001.5", "'text'", "X'00'", "-1"}
		pick := func(from []string) string { return from[random.IntN(len(from))] }
		for range 12 {
			f.commit(t, 30)
			if random.IntN(2) == 0 { // of one kind, or few reads would have an answer
				name, key := pick(names), pick(append(names, "'7'", "'12'"))
				value, deadline := pick(values), pick(deadlines)
				switch random.IntN(3) {
				case 0:
					name, key = pick(names[3:]), "'odd'"
				case 1:
					name, value, deadline = pick(names[3:]), "'text'", "NULL"
				}
				require.NoError(t, d.reads.(*fileReads).pool.views.committing(func() error {
					return execute(fileOf(d).conn, fmt.Sprintf("INSERT OR REPLACE INTO entries VALUES (%s, %s, %s, %s, 1)", name, key, value, deadline))
				}))
			}
			f.compare(t)
			f.hold(t)
			f.check(t, random.IntN(len(f.held)))
			if random.IntN(3) == 0 {
				require.NoError(t, execute(fileOf(d).conn, "DELETE FROM entries WHERE typeof(group_name) <> 'text' OR typeof(entry_key) <> 'text' OR entry_value IS NULL OR typeof(expires_at) NOT IN ('integer', 'null')"))
			}
			f.release(random.IntN(len(f.held)))
		}
		for len(f.held) > 0 {
			f.release(0)
		}
		require.NoError(t, reader.Close())
		require.NoError(t, d.Close())
	}
}

// firstRevision is what a differ's revisions begin behind: those of an overlay's log are
// dense.
func firstRevision(d *Database) uint64 {
	if fileOf(d).over != nil {
		return 0
	}
	return 1
}

// TestAScanBreathesBesideCommits: after each chunk beside which something was committed, and
// after no other.
func TestAScanBreathesBesideCommits(t *testing.T) {
	breaths := 0
	breathe = func() { breaths++ }
	t.Cleanup(func() { breathe = sleepABreath })
	d := openWith(t, Config{}.buffered().at(temporary(t)))
	pool := d.reads.(*fileReads).pool
	pool.turns = make(chan struct{}, 1)
	const n = firstChunkRows + 3*chunkRows - 5
	require.NoError(t, write(d, numbered("g", n)...))
	scan := func(reads answers, each func(i int)) {
		i := 0
		for _, err := range reads.Scan(background, storage.GroupQuery("g"), 0) {
			require.NoError(t, err)
			each(i)
			i++
		}
		require.Equal(t, n, i)
	}
	snapshot, err := d.Snapshot(background)
	require.NoError(t, err)
	defer snapshot.Close()
	for name, reads := range map[string]answers{"now": d.Reads(), "snapshot": snapshot} {
		t.Run(name, func(t *testing.T) {
			breaths = 0
			scan(reads, func(int) {})
			require.Zero(t, breaths, "alone")
			scan(reads, func(i int) {
				if i == 10 || i == 20 {
					require.NoError(t, write(d, row("other", "k", fmt.Sprint(i))))
				}
			})
			require.Equal(t, 1, breaths, "beside one chunk")
			breaths = 0
			scan(reads, func(i int) {
				if i == n-2*chunkRows+10 {
					require.NoError(t, write(d, row("other", "k", fmt.Sprint(i))))
				}
			})
			require.Zero(t, breaths, "behind the last chunk")
			pool.turns = make(chan struct{}, 2)
			breaths = 0
			scan(reads, func(i int) {
				if i == 10 {
					require.NoError(t, write(d, row("other", "k", fmt.Sprint(i))))
				}
			})
			require.Zero(t, breaths, "where another scan might have its turn too")
			pool.turns = make(chan struct{}, 1)
		})
	}
}
