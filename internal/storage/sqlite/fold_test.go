package sqlite

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/testkit/report"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// foldSoon has slices be small, one that failed be tried again at once, and runs end for the
// log that they stand for after so many bytes.
func foldSoon(t *testing.T, logged int64) {
	pause, most, least := foldPause, foldLogged, foldLeast
	foldPause, foldLogged, foldLeast = time.Microsecond, logged, 8
	t.Cleanup(func() { foldPause, foldLogged, foldLeast = pause, most, least })
}

// foldWhole folds as a store that rests does.
func foldWhole(t *testing.T, w *fileWriter) {
	t.Helper()
	for tries := 0; w.Fold(true) > 0; tries++ {
		require.Less(t, tries, 100_000)
		time.Sleep(time.Microsecond) // the goroutine that arranges has its turn
	}
}

// inTable is what the table of an open database has by itself.
func inTable(t *testing.T, d *Database) (c rowSet) {
	t.Helper()
	c = rowSet{}
	require.NoError(t, sqlitex.ExecuteTransient(fileOf(d).conn, sqlRow, &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
		row, err := readRow(stmt)
		c[kv.Key{Group: row.Group, Key: row.Key}] = row
		return err
	}}))
	return c
}

// What is committed is seen by every read, whatever part of it is in the table, and comes there
// as fast as it is committed; a store that rests has all of it there, and says so in the file.
func TestFoldsKeepUpWithCommits(t *testing.T) {
	foldSoon(t, 24<<10)
	for seed := range uint64(4) {
		const bound = 48 << 10
		s := newTailedBy(t, seed, bound)
		w := fileOf(s.Database)
		slices, retired := 0, 0
		for step := range 400 {
			s.commit(t)
			require.Less(t, w.over.Bytes(), int64(bound+8<<10))
			require.Less(t, w.logged, foldLogged+8<<10)
			frozen, left := w.over.Frozen(), w.over.Left()
			again := w.Fold(false)
			require.Equal(t, storage.RestTime, again)
			if frozen && w.over.Left() < left {
				slices++
			}
			if frozen && !w.over.Frozen() {
				retired++
			}
			switch s.random.IntN(20) {
			case 0:
				s.trimFolded(t)
			case 1:
				requireShows(t, s.want, s.Reads(), step)
			case 2:
				require.NoError(t, w.Checkpoint())
			}
		}
		require.Greater(t, slices, 5)
		require.Greater(t, slices+retired, 10)
		foldWhole(t, w)
		require.Equal(t, s.want, inTable(t, s.Database))
		requireShows(t, s.want, s.Reads(), -1)
		n, err := queryInt(w.conn, "SELECT count(*) FROM store_meta WHERE folded_revision IS NULL")
		require.NoError(t, err)
		require.Equal(t, int64(1), n)
		require.Equal(t, uint64(math.MaxUint64), w.Folded())
		require.Zero(t, w.over.Bytes()-emptyBytes(w))
		require.NoError(t, s.Close())
		require.Equal(t, s.want.lines(), inEntries(t, s.Path()))
	}
}

// emptyBytes is what runs weigh that say nothing.
func emptyBytes(w *fileWriter) int64 {
	if w.over.Gathered() > 0 {
		return 0
	}
	return w.over.Bytes()
}

// A transaction waits for room, and finds it.
func TestTransactionsWaitForRoom(t *testing.T) {
	s := newTailedBy(t, 1, 16<<10)
	w := fileOf(s.Database)
	for range 300 { // nothing is folded between them
		s.commit(t)
		require.Less(t, w.over.Bytes(), int64(16<<10+8<<10))
	}
	requireShows(t, s.want, s.Reads(), 0)
	foldWhole(t, w)
	require.Equal(t, s.want, inTable(t, s.Database))
}

// The rows of a run that is large are looked up by a goroutine, meanwhile commits go on; Close
// waits for it.
func TestRunsAreArrangedBesideCommits(t *testing.T) {
	s := newTailedBy(t, 2, 4<<20)
	w := fileOf(s.Database)
	many := func(value string, keys int) {
		var events []kv.Event
		for i := range keys {
			events = append(events, kv.Event{Group: "many", Key: fmt.Sprint(i), Value: value, Revision: s.last + 1})
		}
		s.commitEvents(t, events)
	}
	many("first", 3*fewPlaces)
	foldWhole(t, w)
	many("second", 4*fewPlaces)
	w.freeze()
	ready, err := w.arrange(0)
	require.NoError(t, err)
	require.True(t, !ready || w.arranging == nil)
	s.commit(t)
	many("third", 2*fewPlaces)
	requireShows(t, s.want, s.Reads(), 0)
	for w.over.Unarranged() != nil {
		w.Fold(false)
	}
	requireShows(t, s.want, s.Reads(), 1)
	foldWhole(t, w)
	require.Equal(t, s.want, inTable(t, s.Database))
	many("fourth", 4*fewPlaces)
	w.freeze()
	_, err = w.arrange(0)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.Equal(t, s.want.lines(), inEntries(t, s.Path()))
}

// While it is not known what the log ends with nothing is folded; at rest it is looked up.
func TestNothingIsFoldedInDoubt(t *testing.T) {
	s := newTailedBy(t, 1, 1<<20)
	s.commit(t)
	w := fileOf(s.Database)
	w.doubt, w.unknown = true, s.last+1
	require.Equal(t, storage.RestTime, w.Fold(false))
	require.True(t, w.doubt)
	foldWhole(t, w) // at rest it is found out
	require.False(t, w.doubt)
	require.Equal(t, s.want, inTable(t, s.Database))
}

// What a slice that failed was to move is owed still.
func TestASliceThatFailsIsOwed(t *testing.T) {
	foldSoon(t, 1<<20)
	d := openWith(t, Config{Path: temporary(t), Overlay: 64 << 10, Events: decodeLog})
	w, n := fileOf(d), 0
	commit := func() {
		n++
		require.NoError(t, write(d, row("g", fmt.Sprint(n), "v")))
	}
	for range 50 {
		commit()
	}
	w.freeze()
	ready, err := w.arrange(whatever)
	require.NoError(t, err)
	require.True(t, ready)
	for w.owed() == 0 {
		commit()
	}
	owed, left := w.owed(), w.over.Left()
	heal := faultfs.Inject(t, faultfs.Failing("write", "wal", syscall.EIO))
	require.Error(t, w.slices(false))
	heal()
	require.Equal(t, owed, w.owed())
	require.NoError(t, w.slices(false))
	require.Less(t, w.over.Left(), left)
	require.Zero(t, w.owed())
}

// Behind commits a slice that has failed is not tried again at once. A caller that asks for all
// to be folded, when the disk is well again, is not told of the fault before.
func TestFoldDoesNotTellOfAnEarlierFault(t *testing.T) {
	d := overlaidStore(t)
	w := fileOf(d)
	require.NoError(t, write(d, row("g", "k", "v")))
	heal := faultfs.Inject(t, faultfs.Failing("write", "wal", syscall.EIO))
	require.Equal(t, foldPause, w.Fold(true))
	_, err := d.Health()
	require.ErrorIs(t, err, kv.UnfoldedError)
	heal()
	require.Positive(t, w.Fold(false))
	_, err = d.Health()
	require.ErrorIs(t, err, kv.UnfoldedError)
	_ = w.Fold(true)
	_, err = d.Health()
	require.NoError(t, err)
	foldWhole(t, w)
	require.Equal(t, uint64(math.MaxUint64), w.Folded())
}

// A call that folds nothing, since too little is owed, tells nothing about the disk.
func TestWhatFoldsNothingIsNoRecovery(t *testing.T) {
	foldSoon(t, 1<<20)
	d := overlaidStore(t)
	w := fileOf(d)
	require.NoError(t, write(d, row("g", "k", "v")))
	heal := faultfs.Inject(t, faultfs.Failing("write", "wal", syscall.EIO))
	require.Positive(t, w.Fold(true))
	heal()
	require.NoError(t, write(d, row("g", "k", "w")))
	time.Sleep(foldPause)
	require.Positive(t, w.Fold(false))
	_, err := d.Health()
	require.ErrorIs(t, err, kv.UnfoldedError)
	foldWhole(t, w)
	_, err = d.Health()
	require.NoError(t, err)
}

// A slice that fails, at any call of its, is rolled back and made again; Health names it,
// commits go on meanwhile, and what is read stays right.
func TestFaultsOfSlices(t *testing.T) {
	foldSoon(t, 1<<20)
	for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
		told := 0
		for n := int64(1); ; n++ {
			s := newTailedBy(t, uint64(n), 1<<20)
			changes := 0
			w := fileOf(s.Database)
			w.fault.changed = func() { changes++ }
			for range 30 {
				s.commit(t)
			}
			var folding atomic.Bool
			var calls atomic.Int64
			var hit faultfs.Operation
			heal := faultfs.Inject(t, func(o faultfs.Operation) error {
				if folding.Load() && !strings.HasSuffix(o.Call, "lock") && calls.Add(1) == n {
					hit = o
					return fault
				}
				return nil
			})
			for again := time.Duration(1); again > 0 && calls.Load() < n; {
				folding.Store(true)
				again = w.Fold(true)
				folding.Store(false)
				requireShows(t, s.want, s.Reads(), int(n))
			}
			heal()
			failed := calls.Load() >= n
			if failed {
				if _, err := s.Health(); err != nil { // else it was one that does no harm
					require.ErrorIs(t, err, kv.UnfoldedError, "%v", hit)
					require.Equal(t, 1, changes)
					told++
				}
				s.commit(t)
				requireShows(t, s.want, s.Reads(), -1)
			}
			foldWhole(t, w)
			_, err := s.Health()
			require.NoError(t, err)
			require.Equal(t, s.want, inTable(t, s.Database))
			requireShows(t, s.want, s.Reads(), -2)
			require.NoError(t, s.Close())
			require.Equal(t, s.want.lines(), inEntries(t, s.Path()))
			if !failed {
				require.Greater(t, told, 3)
				break
			}
		}
	}
}

// After a power cut at any moment of commits, folds, the trimming of the log, a rest and Close
// everything is there that was acknowledged, and nothing that was not asked for.
func TestPowerLossWhileFolding(t *testing.T) {
	foldSoon(t, 3<<10)
	skipSyncs(t)
	path := temporary(t)
	r := faultfs.Record(t, filepath.Dir(path))
	d, err := Open(Config{Path: path, Events: decodeLog, Overlay: 1})
	require.NoError(t, err)
	w := fileOf(d)
	w.bound = 6 << 10
	s := &tailed{Database: d, path: path, random: newRandom(7), want: rowSet{}}
	states := []rowSet{{}}
	slices, trims, steps := 0, 0, map[string]int{}
	for n := range 60 {
		s.commit(t)
		states = append(states, s.want.clone())
		r.Mark(len(states) - 1)
		before := w.over.Left()
		if w.Fold(false); w.over.Left() < before {
			slices++
		}
		if n%9 == 8 {
			s.trimFolded(t)
			trims++
		}
		if n%25 == 24 {
			foldWhole(t, w)
			steps["rest"]++
		}
	}
	require.Greater(t, slices, 3)
	require.NoError(t, d.Close())
	r.Stop()
	player, parent, cuts := r.Play(), t.TempDir(), 0
	for moment := 0; moment <= r.Len(); moment += 3 {
		for seed := range max(1, *powerCuts) {
			folder := filepath.Join(parent, fmt.Sprint(moment, seed))
			require.NoError(t, os.Mkdir(folder, 0o700))
			told, err := player.Crash(folder, moment, uint64(moment+seed))
			require.NoError(t, err)
			least := 0
			for _, mark := range told {
				least = max(least, mark.(int))
			}
			at := fmt.Sprintf("moment %d of %d, seed %d, acknowledged %d", moment, r.Len(), seed, least)
			d, err := Open(Config{Path: filepath.Join(folder, "store.db"), Events: decodeLog, Overlay: int64(cuts%2) << 20})
			require.NoError(t, err, at)
			is := strings.Join(everythingIn(t, d.Reads()).lines(), "\n")
			whole := false
			for i := least; i < len(states) && i <= least+1; i++ {
				whole = whole || is == strings.Join(states[i].lines(), "\n")
			}
			require.True(t, whole, at)
			require.NoError(t, d.Close(), at)
			require.Equal(t, is, strings.Join(inEntries(t, filepath.Join(folder, "store.db")), "\n"), at)
			require.NoError(t, os.RemoveAll(folder))
			cuts++
		}
	}
	report.Logf(t, "%d power cuts at %d moments, %d slices, %d trims", cuts, r.Len()+1, slices, trims)
}

// However much a commit has, what follows it has as much: none finds the overlay full and
// most of the frozen run to be folded before it may begin.
func TestNoCommitPaysForManyOthers(t *testing.T) {
	const rows, bound = 256, 1 << 20
	s := newTailedBy(t, 3, bound)
	w := fileOf(s.Database)
	retired := 0
	for round := range 60 {
		var events []kv.Event
		for i := range rows {
			events = append(events, kv.Event{Group: "many", Key: fmt.Sprint((round*rows + 7*i) % 6000), Value: strings.Repeat("v", 100), Revision: s.last + 1})
		}
		if w.full() {
			require.LessOrEqual(t, w.over.Left(), rows, "round %d", round)
			retired++
		}
		s.commitEvents(t, events)
		w.Fold(false)
		for w.over.Unarranged() != nil { // the goroutine is as fast as can be
			w.Fold(false)
		}
	}
	require.Greater(t, retired, 3)
	requireShows(t, s.want, s.Reads(), 0)
}

// Where rows take long, fewer are folded at a time: callers that wait for it wait for a moment.
func TestSlicesAreShortWhereRowsTakeLong(t *testing.T) {
	w := &fileWriter{}
	require.Equal(t, foldLeast, w.least())
	w.took(foldLeast, foldTime/4)
	require.Equal(t, foldLeast, w.least())
	for range 20 {
		w.took(foldLeast, 4*foldTime)
	}
	require.InDelta(t, foldLeast/4, w.least(), 1)
	for range 20 {
		w.took(foldFew, time.Second)
	}
	require.Equal(t, foldFew, w.least())
}

// Commits of one row each, of which nothing is folded yet, do not make the WAL grow.
func TestTheWALStaysShortBesideAnOverlay(t *testing.T) {
	s := newTailedBy(t, 4, 32<<20)
	w := fileOf(s.Database)
	longest := 0
	for i := range 3 * forcePages {
		s.commitEvents(t, []kv.Event{{Group: "g", Key: fmt.Sprint(i), Value: "v", Revision: s.last + 1}})
		if i%64 == 0 {
			wal, err := checkpoint(w.conn, "NOOP")
			require.NoError(t, err)
			longest = max(longest, wal.pages)
		}
	}
	require.False(t, w.over.Frozen())
	require.Less(t, longest, 2*forcePages)
}

// What Compact has moved into the table is no fault of the fold any more.
func TestCompactEndsAFaultOfTheFold(t *testing.T) {
	d := overlaidStore(t)
	w := fileOf(d)
	require.NoError(t, write(d, row("g", "k", "v")))
	heal := faultfs.Inject(t, faultfs.Failing("write", "wal", syscall.EIO))
	require.Equal(t, foldPause, w.Fold(true))
	heal()
	_, err := d.Compact(background, nil)
	require.NoError(t, err)
	require.Zero(t, w.Fold(true))
	_, err = d.Health()
	require.NoError(t, err)
}
