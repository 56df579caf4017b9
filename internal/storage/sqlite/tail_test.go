package sqlite

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

func decodeLog(row kv.LogRow) ([]kv.Event, error) { return commitlog.Decode(nil, row) }

// rowSet is what a store holds, by its keys.
type rowSet map[kv.Key]kv.Row

func (c rowSet) apply(events []kv.Event) {
	for _, e := range events {
		switch e.Type {
		case kv.EventSet:
			row := kv.Row{Group: e.Group, Key: e.Key, Value: e.Value, Deadline: kv.NoDeadline, Revision: e.Revision}
			if !e.ExpiresAt.IsZero() {
				row.Deadline = kv.DeadlineOf(e.ExpiresAt)
			}
			c[kv.Key{Group: e.Group, Key: e.Key}] = row
		case kv.EventDeleteGroup:
			maps.DeleteFunc(c, func(at kv.Key, _ kv.Row) bool { return at.Group == e.Group })
		default:
			delete(c, kv.Key{Group: e.Group, Key: e.Key})
		}
	}
}

func (c rowSet) clone() rowSet { return maps.Clone(c) }

func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// everythingIn is all that a database shows.
func everythingIn(t *testing.T, r storage.Reads) rowSet {
	t.Helper()
	c := rowSet{}
	for row, err := range r.Scan(background, storage.Query{Groups: everything, Keys: storage.AllKeys}, 0) {
		require.NoError(t, err)
		c[kv.Key{Group: row.Group, Key: row.Key}] = row
	}
	return c
}

// someEvents is what one request or a few did, of any kind, in the revisions behind last.
func someEvents(random *rand.Rand, last uint64) (events []kv.Event) {
	for n := 1 + random.IntN(6); n > 0; n-- {
		if len(events) == 0 || random.IntN(2) == 0 {
			last++
		}
		e := kv.Event{Group: fmt.Sprint("g", random.IntN(4)), Key: fmt.Sprint(random.IntN(25)), Revision: last}
		switch random.IntN(12) {
		case 0:
			e.Type, e.Key = kv.EventDeleteGroup, ""
			if n := len(events); n > 0 && events[n-1].Type == kv.EventDeleteGroup && events[n-1].Group == e.Group {
				e.Group += "'" // no group is deleted right behind its deletion
			}
		case 1, 2:
			e.Type = kv.EventDelete
		case 3:
			e.Type, e.Value = kv.EventExpire, "it was"
		default:
			e.Value = strings.Repeat(fmt.Sprint(random.IntN(10)), random.IntN(300))
			if random.IntN(4) == 0 {
				e.ExpiresAt = time.UnixMilli(int64(1 + random.IntN(1000)))
			}
		}
		events = append(events, e)
	}
	return events
}

// tailed is a store whose log is ahead of its table.
type tailed struct {
	*Database
	path    string
	random  *rand.Rand
	want    rowSet // what is committed
	last    uint64
	end     int64
	folded  uint64
	behind  bool // the table has not all
	records []kv.LogRow
}

// newTailed is one that writes the table directly, until it falls behind.
func newTailed(t *testing.T, seed uint64) *tailed { return newTailedBy(t, seed, 0) }

// newTailedBy is one that folds so many bytes at a time.
func newTailedBy(t *testing.T, seed uint64, bytes int64) *tailed {
	path := temporary(t)
	d, err := Open(Config{Path: path, Events: decodeLog, Overlay: bytes})
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return &tailed{Database: d, path: path, random: newRandom(seed), want: rowSet{}}
}

// commit commits some changes: to the log, and to the table unless that is behind.
func (s *tailed) commit(t *testing.T) {
	s.commitEvents(t, someEvents(s.random, s.last))
}

func (s *tailed) commitEvents(t *testing.T, events []kv.Event) {
	s.commitRecord(t, events, commitlog.Append(nil, time.UnixMilli(1), events))
}

// commitDamaged commits some changes whose record is damaged from the first moment on.
func (s *tailed) commitDamaged(t *testing.T) kv.LogRow {
	events := someEvents(s.random, s.last)
	s.commitRecord(t, events, flipped(commitlog.Append(nil, time.UnixMilli(1), events)))
	return s.records[len(s.records)-1]
}

func (s *tailed) commitRecord(t *testing.T, events []kv.Event, record []byte) {
	w := fileOf(s.Database)
	first := s.last + 1
	s.last = events[len(events)-1].Revision
	row := kv.LogRow{First: first, Last: s.last, At: 1, Record: record}
	s.end += int64(len(row.Record))
	require.NoError(t, w.Begin())
	if !s.behind {
		for _, e := range events {
			switch e.Type {
			case kv.EventSet:
				o := rowSet{}
				o.apply([]kv.Event{e})
				require.NoError(t, w.Upsert(o[kv.Key{Group: e.Group, Key: e.Key}]))
			case kv.EventDeleteGroup:
				_, err := w.DeleteGroup(e.Group)
				require.NoError(t, err)
			default:
				_, err := w.Delete(e.Group, e.Key)
				require.NoError(t, err)
			}
		}
	}
	require.NoError(t, w.AppendLog(row, s.end))
	require.NoError(t, w.Commit())
	s.want.apply(events)
	s.records = append(s.records, row)
}

// fallBehind has the table stay as it is from now on.
func (s *tailed) fallBehind(t *testing.T) { s.fallBehindAt(t, s.last) }

func (s *tailed) fallBehindAt(t *testing.T, revision uint64) {
	w := fileOf(s.Database)
	s.folded, s.behind = revision, true
	require.NoError(t, w.transact(func() error { return setFolded(w.conn, false, s.folded) }))
}

// foldSome has the table get some of what it lacks, as a fold does that is not done: the
// changes of any stretch of the log that begins with the tail.
func (s *tailed) foldSome(t *testing.T) {
	w := fileOf(s.Database)
	tail, err := newTail(w.conn, decodeLog)
	require.NoError(t, err)
	o := overlay.New(s.folded)
	left := s.random.IntN(len(s.records) + 1)
	stop := errors.New("that is enough")
	_, err = tail.each(s.folded, func(row kv.LogRow, events []kv.Event) error {
		if left--; left < 0 {
			return stop
		}
		applyEvents(o, row.Last, events)
		return nil
	})
	require.True(t, err == nil || errors.Is(err, stop), "%v", err)
	a, err := newApplier(w.conn, w.effort)
	require.NoError(t, err)
	arrangement, err := a.arrange(o.Freeze())
	require.NoError(t, err)
	o.Arranged(arrangement)
	for n := s.random.IntN(60); n > 0; n-- {
		var end overlay.Cursor
		require.NoError(t, w.transact(func() (err error) {
			end, err = a.makeSlice(o, 1, 1)
			return err
		}))
		if o.Folded(end); end.Run > 1 {
			break
		}
	}
}

// tailOf is such a store, killed: path is of what it left.
func tailOf(t *testing.T, seed uint64) *tailed {
	s := newTailed(t, seed)
	for range s.random.IntN(20) {
		s.commit(t)
	}
	s.fallBehind(t)
	for range s.random.IntN(40) {
		s.commit(t)
	}
	s.foldSome(t)
	s.path = killedCopy(t, s.Path())
	return s
}

// A store that opens a file whose log is ahead of its table has all that is committed, and leaves a
// table that has it too.
func TestTheTailIsCommitted(t *testing.T) {
	for seed := range uint64(30) {
		s := tailOf(t, seed)
		d, err := Open(Config{Path: s.path, Events: decodeLog, Overlay: int64(seed%2) << 20})
		require.NoError(t, err)
		require.Equal(t, s.want, everythingIn(t, d.Reads()), seed)
		revision, err := d.Reads().Revision(background)
		require.NoError(t, err)
		require.Equal(t, s.last, revision)
		require.Empty(t, check(t, d).Findings)
		n, err := d.Reads().Count(background, everything, 0)
		require.NoError(t, err)
		require.Equal(t, len(s.want), n)
		require.NoError(t, d.Close())
		require.Equal(t, []string{"NULL"}, query(t, s.path, "SELECT folded_revision FROM store_meta"))
		require.Equal(t, s.want.lines(), inEntries(t, s.path))
	}
}

// A record of the tail that can't be read, or is not there, refuses the file, which stays as
// it is, and says so; the log is discarded without what can be read of it being lost.
func TestTailThatIsDamaged(t *testing.T) {
	for name, c := range map[string]struct {
		harm   func(t *testing.T, w *fileWriter, row kv.LogRow) error
		reason string
		from   uint64 // the first revision that is lost, if not the row's
	}{
		"a record": {func(t *testing.T, w *fileWriter, row kv.LogRow) error {
			return changeRecord(w, row.Last, flipped(row.Record))
		}, "checksum mismatch", 0},
		"a row that is missing": {func(t *testing.T, w *fileWriter, row kv.LogRow) error {
			return w.transact(func() error { return execute(w.conn, fmt.Sprint("DELETE FROM log WHERE last_revision = ", row.Last)) })
		}, "it is missing", 0},
		"a number that none can have": {func(t *testing.T, w *fileWriter, row kv.LogRow) error {
			return w.transact(func() error {
				return execute(w.conn, fmt.Sprint("UPDATE log SET first_revision = first_revision - 1 WHERE last_revision = ", row.Last))
			})
		}, "it can't follow revision", 0},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				s := newTailed(t, seed)
				s.commit(t)
				s.fallBehind(t)
				for range 12 {
					s.commit(t)
				}
				hit := 1 + s.random.IntN(10) // of the tail, and not its end
				lost := s.records[hit]
				require.NoError(t, c.harm(t, fileOf(s.Database), lost))
				path := killedCopy(t, s.Path())
				_, err := Open(Config{Path: path, Events: decodeLog})
				var corrupt *kv.CorruptLogError
				require.ErrorAs(t, err, &corrupt)
				require.True(t, corrupt.Unfolded)
				require.Equal(t, lost.Last, corrupt.Last)
				require.ErrorContains(t, err, c.reason)
				require.ErrorContains(t, err, "entries have not got yet")

				log, text := logger()
				d := openWith(t, Config{Path: path, Events: decodeLog, DiscardLog: true, Logger: log})
				want := rowSet{}
				for i, row := range s.records {
					events, err := decodeLog(row)
					require.NoError(t, err)
					if i != hit {
						want.apply(events)
					}
				}
				require.Equal(t, want, everythingIn(t, d.Reads()))
				require.Contains(t, text.String(), fmt.Sprintf("%d to %d", lost.First, lost.Last))
				require.NoError(t, d.Close())
				d = openWith(t, Config{Path: path, Events: decodeLog})
				require.Equal(t, want, everythingIn(t, d.Reads()))
				revision, err := d.Reads().Revision(background)
				require.NoError(t, err)
				require.Equal(t, s.last, revision)
			}
		})
	}
}

func flipped(record []byte) []byte {
	record = slices.Clone(record)
	record[len(record)/2] ^= 1
	return record
}

func changeRecord(w *fileWriter, last uint64, record []byte) error {
	return w.transact(func() error {
		stmt, err := w.conn.Prepare("UPDATE log SET record = ?1 WHERE last_revision = ?2")
		if err != nil {
			return err
		}
		stmt.BindBytes(1, record)
		stmt.BindInt64(2, int64(last))
		return run(stmt)
	})
}

// What says how far the table has come is not believed if it can't be so.
func TestTailThatCannotBeSo(t *testing.T) {
	for value, reason := range map[string]string{
		"99999": "it is missing", "-1": "can't be told", "'no number'": "can't be told", "x'00'": "can't be told", "1": "",
	} {
		s := newTailed(t, 3)
		for range 5 {
			s.commit(t)
		}
		w := fileOf(s.Database)
		require.NoError(t, w.transact(func() error { return execute(w.conn, "UPDATE store_meta SET folded_revision = "+value) }))
		path := killedCopy(t, s.Path())
		d, err := Open(Config{Path: path, Events: decodeLog})
		if reason == "" { // more than there is to be applied: it comes to the same
			require.NoError(t, err)
			require.Equal(t, s.want, everythingIn(t, d.Reads()))
			require.NoError(t, d.Close())
			continue
		}
		require.ErrorAs(t, err, new(*kv.CorruptLogError), value)
		require.ErrorContains(t, err, reason, value)
		d = openWith(t, Config{Path: path, Events: decodeLog, DiscardLog: true})
		require.Equal(t, s.want, everythingIn(t, d.Reads()), value)
	}
}

// inEntries is what another program reads in the table of a closed file.
func inEntries(t *testing.T, path string) (rows []string) {
	return query(t, path, "SELECT group_name, entry_key, entry_value, expires_at, revision FROM entries ORDER BY 1, 2")
}

func (c rowSet) lines() (rows []string) {
	for _, at := range slices.SortedFunc(maps.Keys(c), kv.Key.Compare) {
		r := c[at]
		deadline := "NULL"
		if r.Deadline != kv.NoDeadline {
			deadline = fmt.Sprint(r.Deadline)
		}
		rows = append(rows, fmt.Sprintf("%s|%s|%s|%s|%d", r.Group, r.Key, r.Value, deadline, r.Revision))
	}
	return rows
}

// Whatever makes another file of a store has in its table what the log alone had; a check
// counts it, and finds nothing wrong.
func TestCopiesHaveTheTailInTheirTable(t *testing.T) {
	verify := func(row kv.LogRow) error { return commitlog.Check(row) }
	behind := 0
	for seed := range uint64(8) {
		s := tailOf(t, seed)
		copies := map[string]func(out string) error{
			"backup":  func(out string) error { return s.Backup(background, out, nil) },
			"restore": func(out string) error { return Restore(background, out, s.Path(), verify, decodeLog, false, nil) },
			"salvage": func(out string) error {
				_, err := Salvage(background, s.path, out, decodeLog, false, nil)
				return err
			},
		}
		for name, make := range copies {
			out := temporary(t)
			require.NoError(t, make(out), name)
			require.Equal(t, strings.Join(s.want.lines(), "\n"), strings.Join(inEntries(t, out), "\n"), "%s, seed %d", name, seed)
			require.Equal(t, []string{"NULL"}, query(t, out, "SELECT folded_revision FROM store_meta"), name)
		}
		report, err := s.Check(background, verify, nil)
		require.NoError(t, err)
		require.Empty(t, report.Findings)
		require.Equal(t, int64(len(s.want)), report.Entries)
		require.Equal(t, s.last, report.Revision)
		require.Zero(t, report.Differing)
		if !slices.Equal(s.want.lines(), inEntries(t, killedCopy(t, s.Path()))) {
			behind++
		}
	}
	require.Greater(t, behind, 4, "tables that had not got all")
}

// Of a tail with a hole a salvage has what can be read, and says so; a check finds it, and a
// backup, which would not be whole, is not made.
func TestCopiesOfADamagedTail(t *testing.T) {
	s := newTailed(t, 1)
	s.fallBehindAt(t, 0)
	for range 12 {
		s.commit(t)
	}
	hit := 4
	lost := s.records[hit]
	require.NoError(t, changeRecord(fileOf(s.Database), lost.Last, flipped(lost.Record)))
	want := rowSet{}
	for i, row := range s.records {
		events, err := decodeLog(row)
		require.NoError(t, err)
		if i != hit {
			want.apply(events)
		}
	}
	report, err := s.Check(background, func(kv.LogRow) error { return nil }, nil)
	require.NoError(t, err)
	require.Len(t, report.Findings, 1)
	require.Contains(t, report.Findings[0].Text, fmt.Sprintf("revisions %d to %d", lost.First, lost.Last))
	out := temporary(t)
	require.ErrorAs(t, s.Backup(background, out, nil), new(*kv.CorruptLogError))
	require.NoFileExists(t, out)
	salvaged, err := Salvage(background, killedCopy(t, s.Path()), out, decodeLog, false, nil)
	require.NoError(t, err)
	require.Equal(t, want.lines(), inEntries(t, out))
	require.Equal(t, int64(len(want)), salvaged.Replayed)
	require.Contains(t, fmt.Sprint(salvaged.Findings), "behind revision 0")
}
