package faulttest

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/internal/testkit/report"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the original's driver
)

// reference is a run whose power is then cut at many moments.
type reference struct {
	t          *testing.T
	folder     string
	recording  *faultfs.Recording
	durability api.Durability
	before     map[[2]string]string // what was there before, which no log tells of
	truth      contents             // what the store at store.db came to hold
	overlay    int64                // see overlaid
	folds      *testkit.Folds       // that it comes to
	mu         sync.Mutex
	written    int
}

// acknowledged is a value that a Set which had returned has written.
type acknowledged string

// finished is an operation on files that had returned.
type finished string

func (r *reference) path(name string) string { return filepath.Join(r.folder, name) }

func (r *reference) options() []api.Option {
	return append(overlaid(r.overlay), api.WithDurability(r.durability), api.WithReaders(2), counting(r.folds))
}

func (r *reference) open() *api.Store {
	store, err := api.New(r.path("store.db"), r.options()...)
	require.NoError(r.t, err)
	return store
}

// close reads what the store came to hold, and closes it.
func (r *reference) close(store *api.Store) {
	var err error
	r.truth, err = read(store)
	require.NoError(r.t, err)
	r.truth.events = append(r.truth.events, // what reading has written
		api.Event{Type: api.EventSet, Group: "the end", Key: "k", Value: "v", Revision: r.truth.last + 1},
		api.Event{Type: api.EventDelete, Group: "the end", Key: "k", Revision: r.truth.last + 2})
	require.NoError(r.t, store.Close())
}

// set writes a value that there is once only.
func (r *reference) set(store *api.Store, group, key string, size int) {
	r.mu.Lock()
	r.written++
	value := fmt.Sprintf("value %d", r.written)
	r.mu.Unlock()
	value += strings.Repeat(".", max(size-len(value), 0))
	if err := store.Set(group, key, value); err == nil {
		r.recording.Mark(acknowledged(value))
	} else {
		r.t.Errorf("Set: %v", err)
	}
}

func (r *reference) sets(store *api.Store, n int) {
	for i := range n {
		r.set(store, "g", fmt.Sprint("key ", i%7), 10)
	}
}

// scenario is a reference run, what is to be there before it, and what is to be seen after
// a power cut beside the store.
type scenario struct {
	before func(r *reference)
	run    func(r *reference)
	check  func(t *testing.T, r *reference, folder string, told []any)
}

var scenarios = map[string]scenario{
	"a new store": {run: func(r *reference) {
		store := r.open()
		r.sets(store, 3)
		r.close(store)
	}},
	"many callers": {run: func(r *reference) {
		store := r.open()
		var callers sync.WaitGroup
		for caller := range 8 {
			callers.Go(func() {
				for i := range 12 {
					group := fmt.Sprint("group ", i%3)
					r.set(store, group, fmt.Sprint(caller, i%4), 10+i*50)
					switch i % 4 {
					case 1:
						if err := store.Delete(group, fmt.Sprint(caller, i%4)); err != nil {
							r.t.Errorf("Delete: %v", err)
						}
					case 2:
						batch := []api.Item{{Group: "batch", Key: fmt.Sprint(caller), Value: "1"}, {Group: "batch 2", Key: fmt.Sprint(caller), Value: fmt.Sprint(i)}}
						if err := store.SetAll(batch); err != nil {
							r.t.Errorf("SetAll: %v", err)
						}
					case 3:
						if err := store.SetWithTTL("mortal", fmt.Sprint(caller), "v", time.Hour); err != nil {
							r.t.Errorf("SetWithTTL: %v", err)
						}
					}
				}
			})
		}
		callers.Wait()
		r.close(store)
	}},
	"overlay": {run: func(r *reference) {
		r.overlay = 64 << 10
		store := r.open()
		for i := range 40 { // each half is full after some
			r.set(store, fmt.Sprint("group ", i%3), fmt.Sprint(i%11), 3000+i*50)
			switch i {
			case 12:
				require.NoError(r.t, store.SetAll(many)) // which take more than one slice
			case 13, 33:
				require.NoError(r.t, store.Fold(background))
			case 20:
				require.NoError(r.t, store.DeleteGroup("group 1"))
			case 22:
				_, err := store.Compact(background)
				require.NoError(r.t, err)
			case 30:
				require.NoError(r.t, store.Close())
				r.overlay = none // a writer without an overlay folds first
				store = r.open()
			case 31:
				require.NoError(r.t, store.Close())
				r.overlay = 64 << 10
				store = r.open()
			}
		}
		r.sets(store, 10)
		r.close(store)
	}},
	"overlay left by a kill": {before: leftByAKill, run: func(r *reference) {
		r.overlay = none
		store := r.open() // a writer without an overlay folds first
		r.sets(store, 4)
		r.close(store)
	}},
	"overlay left by a kill, kept up": {before: leftByAKill, run: func(r *reference) {
		r.overlay = 64 << 10
		store := r.open()
		r.sets(store, 4)
		r.close(store)
	}},
	"checkpoints": {run: func(r *reference) {
		store := r.open()
		for i := range 130 {
			r.set(store, "g", fmt.Sprint(i%20), 40<<10)
		}
		r.sets(store, 10)
		r.close(store)
	}},
	"opened again and again": {run: func(r *reference) {
		for range 4 {
			store := r.open()
			r.sets(store, 4)
			r.close(store)
		}
	}},
	"migration": {before: func(r *reference) {
		database, err := sql.Open("sqlite", r.path("store.db"))
		require.NoError(r.t, err)
		for _, statement := range []string{
			`CREATE TABLE kv (grp TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, expires_at INTEGER, PRIMARY KEY (grp, key))`,
			`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 300) INSERT INTO kv SELECT 'old', 'key ' || i, 'value ' || i, NULL FROM n`,
		} {
			_, err := database.Exec(statement)
			require.NoError(r.t, err)
		}
		require.NoError(r.t, database.Close())
		for i := range 300 {
			r.before[[2]string{"old", fmt.Sprint("key ", i+1)}] = fmt.Sprint("value ", i+1)
		}
	}, run: func(r *reference) {
		store := r.open()
		r.sets(store, 4)
		r.close(store)
	}},
	"compaction": {run: func(r *reference) {
		store := r.open()
		for i := range 60 {
			r.set(store, "g", fmt.Sprint(i), 5000)
		}
		require.NoError(r.t, store.DeleteGroup("g"))
		r.sets(store, 5)
		for range 2 {
			_, err := store.Compact(background)
			require.NoError(r.t, err)
			r.sets(store, 3)
		}
		r.close(store)
	}},
	"backup": {run: func(r *reference) {
		store := r.open()
		for i := range 3 {
			r.sets(store, 4)
			require.NoError(r.t, store.Backup(background, r.path("backup.db")))
			r.recording.Mark(finished(fmt.Sprint("value ", 4*(i+1))))
		}
		r.sets(store, 4)
		r.close(store)
	}, check: checkBackup},
	"restore":              {before: beforeRestore(false), run: runRestore, check: checkRestore},
	"restore of a damaged": {before: beforeRestore(true), run: runRestore, check: checkRestore},
	"left by a kill": {before: func(r *reference) {
		// What a process that is killed leaves is everything that it has written.
		scenarioFolder := r.folder
		killed := &reference{t: r.t, folder: filepath.Join(r.t.TempDir()), durability: r.durability, folds: new(testkit.Folds)}
		killed.recording = faultfs.Record(r.t, killed.folder)
		store := killed.open()
		killed.sets(store, 20)
		killed.recording.Stop()
		player := killed.recording.Play()
		require.NoError(r.t, player.Kill(scenarioFolder))
		require.NoError(r.t, store.Close())
	}, run: func(r *reference) {
		store := r.open()
		r.sets(store, 4)
		r.close(store)
	}},
}

// leftByAKill is what a process has left that was killed while its table lacked a part.
func leftByAKill(r *reference) {
	killed := &reference{t: r.t, folder: filepath.Join(r.t.TempDir()), durability: r.durability, overlay: 64 << 10, folds: new(testkit.Folds)}
	killed.recording = faultfs.Record(r.t, killed.folder)
	store := killed.open()
	for i := range 30 {
		killed.set(store, "g", fmt.Sprint(i%7), 3000)
	}
	killed.recording.Stop()
	player := killed.recording.Play()
	require.NoError(r.t, player.Kill(r.folder))
	require.NoError(r.t, store.Close())
}

// beforeRestore leaves a store, which may be one that was killed and has a -wal beside it,
// and a backup of another state.
func beforeRestore(damaged bool) func(*reference) {
	return func(r *reference) {
		store := r.open()
		require.NoError(r.t, store.Set("state", "k", "restored"))
		require.NoError(r.t, store.Backup(background, r.path("backup.db")))
		require.NoError(r.t, store.Set("state", "k", "old"))
		require.NoError(r.t, store.Close())
		if damaged {
			file, err := os.OpenFile(r.path("store.db"), os.O_WRONLY, 0)
			require.NoError(r.t, err)
			_, err = file.WriteAt(make([]byte, 8000), 4096)
			require.NoError(r.t, err)
			require.NoError(r.t, file.Close())
		}
	}
}

func runRestore(r *reference) {
	require.NoError(r.t, api.Restore(background, r.path("store.db"), r.path("backup.db")))
	r.recording.Mark(finished("restore"))
}

// checkRestore: the old file or the new one.
func checkRestore(t *testing.T, r *reference, folder string, told []any) {
	store, err := api.New(filepath.Join(folder, "store.db"), r.options()...)
	if errors.Is(err, api.NotADatabaseError) || errors.Is(err, api.TruncatedFileError) || err != nil && strings.Contains(err.Error(), "malformed") {
		require.Empty(t, told, "the restored store does not open: %v", err)
		return // the damaged one
	}
	require.NoError(t, err)
	value, err := store.Get("state", "k")
	if len(told) == 0 && (err != nil || value == "old") {
		_ = store.Close()
		return
	}
	require.NoError(t, err)
	require.Equal(t, "restored", value)
	report, err := store.Check(background)
	require.NoError(t, err)
	require.True(t, report.Whole(), report.Findings)
	require.NoError(t, store.Close())
}

// checkBackup: what stands at the backup's name is complete, and as new as was told.
func checkBackup(t *testing.T, r *reference, folder string, told []any) {
	path := filepath.Join(folder, "backup.db")
	least := ""
	for _, what := range told {
		if value, ok := what.(finished); ok {
			least = string(value)
		}
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && least == "" {
		return
	}
	c := r.checkStore(t, path)
	if least != "" {
		require.True(t, slices.ContainsFunc(c.events, func(e api.Event) bool { return strings.TrimRight(e.Value, ".") == least }),
			"the backup lacks %s, of before it was finished", least)
	}
}

// checkStore opens a store by itself, which must be in order, and hold what the first
// revisions of the truth have made.
func (r *reference) checkStore(t *testing.T, path string) contents {
	store, err := api.New(path, r.options()...)
	require.NoError(t, err)
	report, err := store.Check(background)
	require.NoError(t, err)
	require.True(t, report.Whole(), report.Findings)
	c, err := read(store)
	require.NoError(t, err)
	require.NoError(t, store.Close())
	n := 0
	for ; n < len(r.truth.events) && r.truth.events[n].Revision <= c.last; n++ {
	}
	require.Equal(t, len(c.events), n, "events up to revision %d", c.last)
	for i := range n {
		want, got := r.truth.events[i], c.events[i]
		require.Equal(t, [4]any{want.Revision, want.Type, want.Group, want.Key}, [4]any{got.Revision, got.Type, got.Group, got.Key}, "event %d", i)
		require.Equal(t, want.Value, got.Value, "event %d", i)
	}
	want := make(map[[2]string]string)
	if len(c.entries) > 0 { // what is to be migrated may not be there, if the store is new
		for place, value := range r.before {
			want[place] = value
		}
	}
	replay(want, c.events)
	require.Equal(t, len(want), len(c.entries))
	for place, value := range want {
		require.Equal(t, value, c.entries[place], "%q", place)
	}
	return c
}

// check is what must be after a power cut: the store opens, and nothing is missing of what
// was told, if each commit was synced.
func (r *reference) check(t *testing.T, folder string, told []any) contents {
	c := r.checkStore(t, filepath.Join(folder, "store.db"))
	if r.durability != api.DurabilitySync {
		return c
	}
	have := make(map[string]bool)
	for _, e := range c.events {
		have[e.Value] = true
	}
	for _, what := range told {
		if value, ok := what.(acknowledged); ok {
			require.True(t, have[string(value)], "%.20s was acknowledged, and is lost", value)
		}
	}
	if len(r.before) > 0 {
		require.NotEmpty(t, c.entries)
	}
	return c
}

// again cuts the power while the store recovers from a power cut. What it has shown since
// is as good as acknowledged.
func (r *reference) again(t *testing.T, folder string, told []any, random *rand.Rand) {
	recovery := faultfs.Record(t, folder)
	store, err := api.New(filepath.Join(folder, "store.db"), r.options()...)
	require.NoError(t, err)
	shown, err := store.Revision()
	require.NoError(t, err)
	recovery.Mark(shown)
	require.NoError(t, store.Close())
	recovery.Stop()
	moments := []int{random.IntN(recovery.Len() + 1), random.IntN(recovery.Len() + 1)}
	slices.Sort(moments)
	player, parent := recovery.Play(), t.TempDir()
	for i, moment := range moments {
		second, done := folderOf(t, parent, i)
		marks, err := player.Crash(second, moment, random.Uint64())
		require.NoError(t, err)
		if c := r.check(t, second, told); len(marks) > 0 && r.durability == api.DurabilitySync {
			require.GreaterOrEqual(t, c.last, shown, "the store had shown it")
		}
		done()
	}
}

// play makes the reference run of a scenario.
func (s scenario) play(t *testing.T, durability api.Durability, overlay int64, folds *testkit.Folds) *reference {
	r := &reference{t: t, folder: t.TempDir(), durability: durability, overlay: overlay, before: make(map[[2]string]string), folds: new(testkit.Folds)}
	if s.before != nil {
		s.before(r)
	}
	r.folds.Take()
	r.recording = faultfs.Record(t, r.folder)
	s.run(r)
	r.recording.Stop()
	for step, n := range r.folds.Take() {
		folds.Add(step, n)
	}
	return r
}

// TestPowerLoss cuts the power at random moments of each scenario, and around every sync,
// rename and answer of it, and opens what is left.
func TestPowerLoss(t *testing.T) {
	total := 0
	for _, durability := range []api.Durability{api.DurabilitySync, api.DurabilityBuffered} {
		var folds testkit.Folds
		ran := 0
		for name, s := range scenarios {
			kind := map[api.Durability]string{api.DurabilitySync: "synced", api.DurabilityBuffered: "buffered"}[durability]
			t.Run(kind+"/"+name, func(t *testing.T) {
				total += s.cut(t, durability, 0, &folds)
				ran++
			})
			if strings.HasPrefix(name, "overlay") || durability != api.DurabilitySync {
				continue // it has overlays of its own, or none would tell the same
			}
			t.Run(kind+"/"+name+", without an overlay", func(t *testing.T) {
				total += s.cut(t, durability, none, &folds)
			})
		}
		if ran == len(scenarios) {
			require.Empty(t, folds.Missing(), "steps of the fold at which the power is never cut")
		}
		report.Logf(t, "steps of the fold: %v", &folds)
	}
	report.Logf(t, "%d power cuts", total)
}

func (s scenario) cut(t *testing.T, durability api.Durability, overlay int64, folds *testkit.Folds) (cuts int) {
	r := s.play(t, durability, overlay, folds)
	check := func(t *testing.T, folder string, told []any) { r.check(t, folder, told) }
	if s.check != nil {
		check = func(t *testing.T, folder string, told []any) {
			if len(r.truth.events) > 0 {
				r.check(t, folder, told)
			}
			s.check(t, r, folder, told)
		}
	}
	random := rand.New(rand.NewPCG(*seedFlag, 0))
	moments := r.recording.Moments()
	if *crashes == 0 {
		few := report.Rounds(3, 10, 10)
		random.Shuffle(len(moments), func(i, j int) { moments[i], moments[j] = moments[j], moments[i] })
		moments = moments[:min(few, len(moments))]
	}
	for range max(*crashes, report.Rounds(2, 4, 4)) {
		moments = append(moments, random.IntN(r.recording.Len()+1))
	}
	slices.Sort(moments)
	player, parent := r.recording.Play(), t.TempDir()
	for i, moment := range moments {
		seed := *seedFlag<<32 + uint64(i)
		ok := t.Run("", func(t *testing.T) {
			folder, done := folderOf(t, parent, i)
			told, err := player.Crash(folder, moment, seed)
			require.NoError(t, err)
			if i%8 == 3 && s.check == nil {
				r.again(t, folder, told, random)
				cuts += 2
			}
			check(t, folder, told)
			done()
		})
		if !ok {
			t.Fatalf("power cut at moment %d of %d, seed %d (-seed=%d)", moment, r.recording.Len(), seed, *seedFlag)
		}
		cuts++
	}
	report.Logf(t, "%d power cuts, at %d moments of %d", cuts, len(slices.Compact(moments)), r.recording.Len())
	return cuts
}
