package metamorphic

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/engine"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// settings are what stores are opened with.
type settings struct {
	Memory    bool // ":memory:", else a file
	Sync      bool // DurabilitySync
	ReadCache int  // bytes; 0: the default, -1: none
	Readers   int  // 0: the default
	NoMmap    bool // pages are read with calls of the system
	History   api.Retention
	Reaper    bool  // expired keys are removed in the background too
	Callback  bool  // OnChange is registered
	Buffer    int   // of watchers; 0: the default
	Faults    bool  // steps of the actors may be made to fail
	Discard   bool  // the log is discarded at this opening
	Overlay   int64 // bytes of what may wait for a file's table; a small one is folded all the time
}

// limits are the same in every store, and small enough to be met.
var limits = api.SizeLimits{Group: 64, Key: 64, Value: 1 << 10, Commit: 64 << 10}

const (
	eagerPurge = 100 * time.Millisecond
	noPurge    = 1000 * time.Hour
)

// handle is a store, or a view of a namespace, with what the model must know of it.
type handle struct {
	writer
	namespace string
	prefix    string
	quota     api.QuotaConfig
}

// writer is what stores and views of namespaces have in common.
type writer interface {
	scanner
	renderer
	Set(group, key, value string) error
	SetWithTTL(group, key, value string, timeToLive time.Duration, options ...api.TTLOption) error
	SetAll(items []api.Item) error
	SetIfAbsent(group, key, value string) (uint64, error)
	CompareAndSet(group, key, value string, revision uint64) (uint64, error)
	CompareAndDelete(group, key string, revision uint64) error
	Delete(group, key string) error
	DeleteGroup(group string) error
	DeletePrefix(groupPrefix string) error
	Touch(group, key string, timeToLive time.Duration) error
	Persist(group, key string) error
	Increment(group, key string, delta int64) (int64, error)
	Batch(batch *api.Batch) (uint64, error)
	Transaction(function func(tx *api.Transaction) error) error
	PurgeExpired() (int64, error)
	Snapshot() (*api.Snapshot, error)
	Watch(group, key string) *api.Watcher
	Unwatch(watcher *api.Watcher)
	History(group, key string) iter.Seq2[api.Event, error]
	Revision() (uint64, error)
	subscribing
}

// handles are those of every program: the store, and views of two namespaces, with
// and without quotas.
var handles = []struct {
	namespace string
	quota     api.QuotaConfig
}{{}, {"a", api.QuotaConfig{MaxKeys: 6, MaxGroups: 2}}, {"a", api.QuotaConfig{}}, {"b", api.QuotaConfig{MaxKeys: 4}}, {"c", api.QuotaConfig{MaxGroups: 2}}}

// ticking is the clock of a store, and remembers the latest time that it has shown.
type ticking struct {
	*testkit.Clock
	latest atomic.Int64
}

func (s *ticking) Now() time.Time {
	now := s.Clock.Now()
	for {
		latest := s.latest.Load()
		if now.UnixMilli() <= latest || s.latest.CompareAndSwap(latest, now.UnixMilli()) {
			return now
		}
	}
}

// world is a store, its model, and what is kept of both between operations.
type world struct {
	settings
	folder  string // made when it is needed
	path    string
	copies  int // of files, for their names
	clock   *ticking
	store   *api.Store
	handles []handle
	model   *model
	first   uint64 // no revision before this is in the log
	bounded bool   // the log was bounded at some time: its beginning may be missing
	fewest  int    // revisions that it has held at all times; 0: unknown
	faults  *testkit.Faults
	fired   int          // faults that were noticed
	disk    atomic.Int64 // faults of the disk in the operation under way
	mend    func()       // ends them; nil if there are none

	callback struct {
		sync.Mutex
		events []api.Event
	}

	snapshots map[int]*keptSnapshot
	marks     map[int]*mark
	watchers  map[int]*keptWatcher
	feeds     map[int]*feed
	backups   map[int]*keptBackup
}

func newWorld(s settings) (*world, error) {
	w := &world{settings: s, path: ":memory:", clock: &ticking{Clock: testkit.NewClock()}, faults: testkit.NewFaults(),
		snapshots: map[int]*keptSnapshot{}, marks: map[int]*mark{}, watchers: map[int]*keptWatcher{},
		feeds: map[int]*feed{}, backups: map[int]*keptBackup{}}
	if !s.Memory {
		w.path = w.newPath("store")
	}
	w.empty()
	return w, w.open()
}

func (w *world) empty() { w.model, w.first = &model{limits: limits}, 1 }

func (w *world) newPath(name string) string {
	if w.folder == "" {
		var err error
		if w.folder, err = os.MkdirTemp(memoryFolder(), "metamorphic"); err != nil {
			panic(err)
		}
	}
	w.copies++
	folder := filepath.Join(w.folder, fmt.Sprint(w.copies))
	if err := os.Mkdir(folder, 0o700); err != nil {
		panic(err)
	}
	return filepath.Join(folder, name+".db")
}

// memoryFolder is where files are in memory, if there is such a folder: nothing here
// asks what a disk does.
func memoryFolder() string {
	const folder = "/dev/shm"
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return ""
	}
	return folder
}

// options are what the settings say.
func (w *world) options() []api.Option {
	options := []api.Option{api.WithClock(w.clock), api.WithSizeLimits(limits), api.WithHistory(w.history()),
		api.WithSnapshotAge(time.Hour), api.WithPurgeInterval(noPurge)}
	if w.Reaper {
		options = append(options, api.WithPurgeInterval(eagerPurge))
	}
	if !w.Sync {
		options = append(options, api.WithDurability(api.DurabilityBuffered))
	}
	if w.ReadCache != 0 {
		options = append(options, api.WithReadCache(max(w.ReadCache, 0)))
	}
	if w.Readers > 0 {
		options = append(options, api.WithReaders(w.Readers))
	}
	if w.NoMmap {
		options = append(options, api.WithMmap(false))
	}
	if w.Buffer > 0 {
		options = append(options, api.WithWatchBuffer(w.Buffer))
	}
	if w.Faults {
		options = append(options, func(c *engine.Config) error { c.Failpoint = w.faults.Hook; return nil })
	}
	options = append(options, api.WithOverlay(w.Overlay), func(c *engine.Config) error { c.FoldStep = folds.Step; return nil })
	if w.Discard {
		options = append(options, api.WithDiscardedLog())
	}
	return options
}

func (w *world) history() api.Retention {
	h := w.History
	if h.Age == 0 {
		h.Age = 10_000 * time.Hour
	}
	return h
}

func (w *world) open() (err error) {
	w.clock.latest.Store(0)
	if w.store, err = api.New(w.path, w.options()...); err != nil {
		return err
	}
	w.handles = nil
	for _, h := range handles {
		if h.namespace == "" {
			w.handles = append(w.handles, handle{writer: w.store})
			continue
		}
		scope, err := api.NewScopedWithQuota(w.store, h.namespace, h.quota)
		if err != nil {
			return err
		}
		w.handles = append(w.handles, handle{writer: scope, namespace: h.namespace, prefix: h.namespace + ":", quota: h.quota})
	}
	if w.Callback {
		w.store.OnChange(func(e api.Event) {
			w.callback.Lock()
			defer w.callback.Unlock()
			w.callback.events = append(w.callback.events, e)
		})
	}
	if w.Discard {
		w.first = w.model.revision + 1
		w.Discard = false
	}
	if w.History != (api.Retention{}) {
		if w.bounded {
			w.fewest = min(w.fewest, w.History.Revisions)
		} else if w.fewest = w.History.Revisions; w.History.Bytes > 0 {
			w.fewest = 0
		}
		w.bounded = true
	}
	// The writer has begun by then, and read what it must know, whatever fails next: if
	// it can't read the first deadline it has everything purged that may have expired.
	if err := w.recovers(); err != nil {
		return err
	}
	w.model.now = w.clock.latest.Load()
	return w.passed()
}

// close ends the store and what depends on it.
func (w *world) close() error {
	for slot := range w.snapshots {
		delete(w.snapshots, slot)
	}
	err := w.store.Close()
	for slot, kept := range w.watchers {
		if err := w.drain(kept, true); err != nil {
			return fmt.Errorf("the watcher %d of a closed store: %w", slot, err)
		}
		delete(w.watchers, slot)
	}
	for slot, f := range w.feeds {
		if err := f.finish(w); err != nil {
			return fmt.Errorf("the subscription %d of a closed store: %w", slot, err)
		}
		delete(w.feeds, slot)
	}
	return err
}

// end closes the store, come what may.
func (w *world) end() {
	for _, f := range w.feeds {
		f.stop()
	}
	if w.store != nil {
		_ = w.store.Close()
	}
	if w.folder != "" {
		_ = os.RemoveAll(w.folder)
	}
}

// passed tells the model of time that has passed, and of the keys that were removed
// in the background since.
func (w *world) passed() error {
	if _, err := w.store.Count(""); err != nil { // the store looks at the clock
		return err
	}
	w.model.now = w.clock.latest.Load()
	if !w.Reaper {
		return nil
	}
	dead := w.model.dead("")
	if err := w.retry(func() error { _, err := w.store.PurgeExpired(); return err }); err != nil {
		return err
	}
	return w.reaped(dead)
}

// reap has nothing expired left where the background might remove it at any moment.
func (w *world) reap() error {
	if !w.Reaper || len(w.model.dead("")) == 0 {
		return nil
	}
	return w.passed()
}

// reaped takes over how many requests it took, and when, to remove dead keys.
func (w *world) reaped(dead []row) error {
	if len(dead) == 0 {
		return nil
	}
	revision, err := w.store.Revision()
	if err != nil {
		return err
	}
	events, err := w.logged(background, w.model.revision+1, len(dead))
	if err != nil {
		return err
	}
	next := w.model.clone()
	for _, e := range events {
		at, found := next.find(e.Group, e.Key)
		if e.Type != api.EventExpire || !found || next.rows[at].live(next.now) || next.rows[at].value != e.Value {
			return fmt.Errorf("in the background this was removed: %s", list([]api.Event{e}))
		}
		next.rows = slices.Delete(next.rows, at, at+1)
	}
	if last := events[len(events)-1].Revision; last != revision {
		return fmt.Errorf("the last of %s is not the store's revision, %d", list(events), revision)
	}
	next.revision, next.events = revision, append(next.events, events...)
	w.model = next
	return nil
}

// logged are n events from a revision on.
func (w *world) logged(ctx context.Context, from uint64, n int) (events []api.Event, err error) {
	if n == 0 {
		return nil, nil
	}
	for e, err := range w.store.Subscribe(ctx, api.SubscribeOptions{From: from}) {
		if err != nil {
			return events, fmt.Errorf("the log from %d: %w", from, err)
		}
		if events = append(events, e); len(events) == n {
			break
		}
	}
	return events, nil
}

// retry calls what a fault may have made fail.
func (w *world) retry(call func() error) (err error) {
	for range 8 {
		if err = call(); err == nil || !w.Faults {
			return err
		}
	}
	return err
}

// called is what a call has answered.
type called struct {
	revision uint64
	number   int64
	err      error
	checks   checks
}

// checks say what of an answer there is to compare.
type checks struct{ revision, number bool }

// change makes a call for a request and compares what came of it.
func (w *world) change(r request, call func() called) error {
	w.forgetCallbacks()
	return w.changed(r, call)
}

// changed is change for a call that is under way.
func (w *world) changed(r request, call func() called) error {
	before := w.model
	next, want, tie := before.apply(r, nil)
	got := call()
	switch {
	case errors.Is(got.err, api.RolledBackError), errors.Is(got.err, api.UnknownOutcomeError),
		w.disk.Load() > 0 && got.err != nil && sameError(got.err, want.err) != nil:
		return w.afterFault(before, next, got.err)
	case tie && want.err == nil:
		var err error
		if next, err = w.chosen(before, next, r); err != nil {
			return err
		}
	}
	if err := sameError(got.err, want.err); err != nil {
		return err
	}
	if got.checks.revision && got.revision != want.revision {
		return fmt.Errorf("it returned revision %d, not %d", got.revision, want.revision)
	}
	if got.checks.number && got.number != want.number {
		return fmt.Errorf("it returned %d, not %d", got.number, want.number)
	}
	w.model = next
	return w.compareCallbacks(before)
}

// afterFault finds out what a call has done that failed because something was made
// to fail.
func (w *world) afterFault(before, next *model, cause error) error {
	if !w.faulted() {
		return fmt.Errorf("nothing was made to fail, and it failed: %w", cause)
	}
	w.heal()
	if errors.Is(cause, api.UnknownOutcomeError) {
		struck.unknown.Add(1)
	} else {
		struck.undone.Add(1)
	}
	var revision uint64
	if err := w.retry(func() (err error) { revision, err = w.store.Revision(); return err }); err != nil {
		return err
	}
	switch {
	case revision == before.revision:
	case revision == next.revision && errors.Is(cause, api.UnknownOutcomeError):
		w.model = next
	case w.Reaper && revision > next.revision && errors.Is(cause, api.UnknownOutcomeError):
		// Nothing was dead before: what the background has removed since the write has left.
		w.model = next
		return w.passed()
	default:
		return fmt.Errorf("it failed with %w; the revision was %d and is %d", cause, before.revision, revision)
	}
	return nil
}

// faulted reports whether something was made to fail since it was asked last, or is
// to fail still.
func (w *world) faulted() bool {
	if w.disk.Load() > 0 {
		return true
	}
	fired := 0
	for step := range w.faults.Steps() {
		_, panics := w.faults.Hits(step)
		fired += panics
	}
	was := w.fired
	w.fired = fired
	struck.actors.Add(int64(fired - was))
	return fired > was
}

// chosen is what a request has come to that could have made room in several ways.
func (w *world) chosen(before, next *model, r request) (*model, error) {
	w.heal() // the log is to be read
	for more, n := 0, len(next.since(before.revision+1)); ; more = 8 {
		// There may be fewer events than that, and nothing says so.
		ctx, cancel := context.WithTimeout(background, 100*time.Millisecond)
		events, err := w.logged(ctx, before.revision+1, n+more)
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
		seen := map[place][]int{}
		for i, e := range events {
			if e.Type == api.EventExpire {
				at := place{e.Group, e.Key}
				seen[at] = append(seen[at], i+1)
			}
		}
		next, _, _ := before.apply(r, seen)
		if err := sameEvents(events, next.since(before.revision+1)); err == nil || more > 0 {
			return next, err
		}
	}
}

func (w *world) forgetCallbacks() {
	w.callback.Lock()
	defer w.callback.Unlock()
	w.callback.events = w.callback.events[:0]
}

// compareCallbacks checks what OnChange was told during the call. With purges in
// the background, or faults, it is not known which call's events those are.
func (w *world) compareCallbacks(before *model) error {
	if !w.Callback || w.Reaper || w.Faults || w.disk.Load() > 0 {
		return nil
	}
	w.callback.Lock()
	defer w.callback.Unlock()
	if err := sameEvents(w.callback.events, w.model.since(before.revision+1)); err != nil {
		return fmt.Errorf("OnChange: %w", err)
	}
	return nil
}
