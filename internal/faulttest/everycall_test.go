package faulttest

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/internal/testkit/report"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// faulty is what a call fails with.
var faulty = map[string]error{
	"EIO": syscall.EIO, "ENOSPC": syscall.ENOSPC, "EDQUOT": syscall.EDQUOT, "EROFS": syscall.EROFS, "EACCES": syscall.EACCES,
	"short, then EIO": faultfs.Short{Err: syscall.EIO}, "short, then ENOSPC": faultfs.Short{Err: syscall.ENOSPC},
}

// user is a program that knows what its store must hold, whatever its calls answered. It
// runs in a goroutine that must not end the test: what is wrong it gathers.
type user struct {
	path   string
	store  *api.Store // nil: not open
	model  *testkit.Model
	writes int
	wrong  []error

	overlay int64 // see overlaid
	folds   testkit.Folds
}

func (u *user) options() []api.Option {
	return append(overlaid(u.overlay), api.WithReadCache(0), api.WithReaders(2), counting(&u.folds))
}

func (u *user) failf(format string, arguments ...any) {
	u.wrong = append(u.wrong, fmt.Errorf(format, arguments...))
}

func (u *user) open() {
	if u.store == nil {
		if store, err := api.New(u.path, u.options()...); err == nil {
			u.store = store
		}
	}
}

func (u *user) close() {
	if u.store != nil {
		_ = u.store.Close() // whatever it says, nothing may be missing
		u.store = nil
	}
}

// answered notes what came of a write of some keys.
func (u *user) answered(err error, value testkit.Value, places ...kv.Key) {
	for _, p := range places {
		switch {
		case err == nil:
			u.model.Wrote(p, value)
		case errors.Is(err, api.UnknownOutcomeError):
			u.model.MayHaveWritten(p, value)
		}
	}
}

func (u *user) set(key string, size int) {
	if u.store == nil {
		return
	}
	u.writes++
	value := fmt.Sprint("value ", u.writes)
	value += strings.Repeat(".", max(size-len(value), 0))
	u.answered(u.store.Set("g", key, value), testkit.Present(value), kv.Key{Group: "g", Key: key})
}

func (u *user) setAll(keys ...string) {
	if u.store == nil {
		return
	}
	u.writes++
	value := fmt.Sprint("value ", u.writes)
	var items []api.Item
	var places []kv.Key
	for _, key := range keys {
		items = append(items, api.Item{Group: "g", Key: key, Value: value})
		places = append(places, kv.Key{Group: "g", Key: key})
	}
	u.answered(u.store.SetAll(items), testkit.Present(value), places...)
}

func (u *user) remove(key string) {
	if u.store != nil {
		u.answered(u.store.Delete("g", key), testkit.Absent, kv.Key{Group: "g", Key: key})
	}
}

// removeGroup deletes a group that no check looks at.
func (u *user) removeGroup(group string) {
	if u.store != nil {
		_ = u.store.DeleteGroup(group)
	}
}

// look reads every key, and all of them together: an answer must be right, or an error.
func (u *user) look() {
	if u.store == nil {
		return
	}
	for _, p := range u.model.Places() {
		value, err := u.store.Get(p.Group, p.Key)
		switch {
		case err == nil:
			u.saw(p, testkit.Present(value))
		case errors.Is(err, api.NotFoundError):
			u.saw(p, testkit.Absent)
		}
	}
	all, err := u.store.GetAll("g")
	if err == nil {
		u.sawAll(all)
	}
}

func (u *user) sawAll(all map[string]string) {
	for _, p := range u.model.Places() {
		value, present := all[p.Key]
		u.saw(p, testkit.Value{Text: value, Present: present})
	}
	for key := range all {
		if p := (kv.Key{Group: "g", Key: key}); len(u.model.Possible(p)) == 1 && u.model.Possible(p)[0] == testkit.Absent {
			u.failf("key %q is there, which nobody has written", key)
		}
	}
}

func (u *user) saw(p kv.Key, v testkit.Value) {
	if err := u.model.Saw(p, v); err != nil {
		u.failf("%.200w", err)
	}
}

// uses is the reference runs.
var uses = map[string]func(u *user){
	"writes": func(u *user) {
		u.open()
		for i := range 4 {
			u.set(fmt.Sprint(i), 10)
		}
		u.look()
		u.remove("1")
		u.set("2", 20_000)
		u.setAll("3", "4", "5")
		u.look()
		u.close()
		u.open()
		u.look()
		u.set("6", 10)
		u.remove("2")
		u.look()
		u.close()
	},
	"compaction": func(u *user) {
		u.open()
		for i := range 6 {
			u.set(fmt.Sprint(i), 6000)
		}
		u.remove("1")
		if u.store != nil {
			_, _ = u.store.Compact(background)
		}
		u.look()
		u.set("7", 10)
		if u.store != nil {
			_, _ = u.store.Compact(background)
		}
		u.look()
		u.close()
	},
	// An overlay so small that some sets fill a half of it, and are folded beside those that follow.
	"overlay": func(u *user) {
		u.overlay = 64 << 10
		u.open()
		if u.store != nil {
			_ = u.store.Set("gone", "k", "v")
			_ = u.store.SetAll(many) // which take more than one slice
		}
		for i := range 6 {
			u.set(fmt.Sprint(i), 12_000)
		}
		u.remove("1")
		u.setAll("3", "4", "5")
		u.look()
		if u.store != nil {
			_ = u.store.Fold(background)
		}
		u.removeGroup("gone")
		if u.store != nil {
			_ = u.store.Fold(background)
		}
		u.set("2", 20_000)
		u.look()
		u.close()
		u.open()
		u.look()
		u.set("6", 10)
		u.remove("2")
		if u.store != nil {
			_, _ = u.store.Compact(background)
		}
		u.set("7", 10)
		u.look()
		u.close()
	},
	// What a process that was killed has left in the log alone.
	"overlay left by a kill": func(u *user) {
		u.overlay = 64 << 10
		u.open()
		u.look()
		u.set("6", 10)
		u.look()
		u.close()
	},
	"overlay left by a kill, opened without": func(u *user) {
		u.overlay = none
		u.open()
		u.look()
		u.set("6", 10)
		u.look()
		u.close()
	},
	"backup": func(u *user) {
		u.open()
		u.set("1", 10)
		u.set("2", 6000)
		u.backup()
		u.set("3", 10)
		u.backup()
		u.look()
		u.close()
	},
	"restore": func(u *user) {
		u.open()
		u.set("1", 10)
		u.backup()
		u.close()
		u.restore()
		u.open()
		u.look()
		u.set("3", 10)
		u.close()
	},
}

// kills are the runs that begin with what was left by a process that was killed while its
// table lacked a part.
var kills = []string{"overlay left by a kill", "overlay left by a kill, opened without"}

// killed has the user find that.
func (u *user) killed(t *testing.T) {
	t.Helper()
	u.overlay = 64 << 10
	recording := faultfs.Record(t, filepath.Dir(u.path))
	u.open()
	for i := range 4 {
		u.set(fmt.Sprint(i), 2000)
	}
	u.remove("1")
	recording.Stop()
	folder := t.TempDir()
	require.NoError(t, recording.Play().Kill(folder))
	u.close()
	u.path, u.overlay = filepath.Join(folder, "store.db"), 0
	u.folds.Take()
}

// backup must leave what has been written, or what the one before has left; it is looked
// at when the run is over.
func (u *user) backup() {
	if u.store != nil {
		_ = u.store.Backup(background, u.path+".backup")
	}
}

// restore puts back what is there already: whatever becomes of it, the store is the same.
func (u *user) restore() { _ = api.Restore(background, u.path, u.path+".backup") }

// fail makes a reference run in which the n-th call fails, and those after it too if it is
// for good. It says which calls there were until then, and what was wrong.
func fail(t *testing.T, name string, overlay int64, n int64, forGood bool, with error, folds *testkit.Folds) (calls []faultfs.Operation, wrong []error) {
	t.Helper()
	u := &user{path: filepath.Join(t.TempDir(), "store.db"), model: testkit.NewModel(), overlay: overlay}
	if slices.Contains(kills, name) {
		u.killed(t)
	}
	defer func() {
		for step, n := range u.folds.Take() {
			folds.Add(step, n)
		}
	}()
	var mu sync.Mutex
	heal := faultfs.Inject(t, func(o faultfs.Operation) error {
		call := int64(o.N)
		if call <= n || n < 0 {
			mu.Lock()
			calls = append(calls, o)
			mu.Unlock()
		}
		if n < 0 || call < n || call > n && !forGood {
			return nil
		}
		if errors.Is(with, syscall.EACCES) && forGood && (o.Call == "lock" || o.Call == "shmlock") {
			return syscall.EIO // the other looks like another process's lock, and is waited for
		}
		return with
	})
	testkit.Within(t, fmt.Sprintf("a run whose call %d fails with %v", n, with), func() {
		defer func() {
			if p := recover(); p != nil {
				u.failf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		uses[name](u)
		heal()
		u.close()
		u.after()
	})
	return calls, u.wrong
}

// after is when the disk is in order again: the store opens, and holds what it must.
func (u *user) after() {
	store, err := api.New(u.path, u.options()...)
	if err != nil {
		u.failf("the next opening: %w", err)
		return
	}
	defer func() {
		if err := store.Close(); err != nil {
			u.failf("the last close: %w", err)
		}
	}()
	all, err := store.GetAll("g")
	if err != nil {
		u.failf("after it: %w", err)
		return
	}
	u.sawAll(all)
	report, err := store.Check(background)
	if err != nil || !report.Whole() {
		u.failf("check: %v %w", report.Findings, err)
	}
	if err := store.Set("g", "at last", "v"); err != nil {
		u.failf("Set after it: %w", err)
	}
	if err := store.Backup(background, u.path+".backup"); err != nil {
		u.failf("Backup after it: %w", err)
	}
}

// TestEveryCallFails has calls of the reference runs fail, once and from then on, with
// each error that makes a difference: no acknowledged write is lost, no answer wrong,
// nothing hangs or panics, and the next opening is whole.
func TestEveryCallFails(t *testing.T) {
	total, calls := 0, 0
	var folds, struck testkit.Folds // of the runs without a fault, and of all others
	stride := *stride * report.Rounds(3, 1, 1)
	runs := 0
	for _, name := range slices.Sorted(maps.Keys(uses)) {
		for _, overlay := range []int64{0, none} {
			of := name
			if overlay == none {
				if of += ", without an overlay"; strings.HasPrefix(name, "overlay") {
					continue // it has one of its own
				}
			}
			reference, wrong := fail(t, name, overlay, -1, false, nil, &folds)
			require.Empty(t, wrong, "the run without a fault")
			runs++
			calls += len(reference)
			for i, kind := range slices.Sorted(maps.Keys(faulty)) {
				for _, forGood := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%s/for good %v", of, kind, forGood), func(t *testing.T) {
						for n := stride * i / len(faulty); n < len(reference); n += stride {
							if kind != "EIO" && faultfs.Same(reference[n].Call, faulty[kind], faulty["EIO"]) {
								continue
							}
							made, wrong := fail(t, name, overlay, int64(n), forGood, faulty[kind], &struck)
							if total++; len(wrong) > 0 {
								t.Errorf("%v: %v", made[len(made)-1], errors.Join(wrong...))
							}
						}
					})
				}
			}
		}
	}
	require.Empty(t, folds.Missing(), "steps of the fold whose calls never fail")
	report.Logf(t, "steps of the fold: %v, and in runs in which a call failed %v", &folds, &struck)
	report.Logf(t, "%d runs in which a call failed, of %d calls in %d runs without a fault", total, calls, runs)
}
