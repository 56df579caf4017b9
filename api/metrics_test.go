package api_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/storetest"
)

// requests is what came of the requests of a kind.
func requests(m api.Metrics, kind string) map[string]uint64 {
	for _, r := range m.Requests {
		if r.Kind == kind {
			return r.Results
		}
	}
	return nil
}

// TestMetricsCountsEveryRequest by what it asks and what came of it.
func TestMetricsCountsEveryRequest(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open(api.WithMetrics(), api.WithSizeLimits(api.SizeLimits{Value: 1000}))
		before := store.Metrics()
		require.True(t, before.Collecting)
		require.Empty(t, before.Requests)
		scope := newScope(t, store, "tenant", api.QuotaConfig{MaxKeys: 1})

		require.NoError(t, store.Set("g", "k", "v"))
		require.ErrorIs(t, store.Set("g", "k", strings.Repeat("v", 1001)), api.TooLargeError)
		require.NoError(t, scope.Set("g", "k", "v"))
		require.ErrorIs(t, scope.Set("g", "l", "v"), api.QuotaExceededError)
		_, err := store.SetIfAbsent("g", "k", "w")
		require.Error(t, err)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, store.WithContext(ended).Set("g", "k", "v"), context.Canceled)
		require.NoError(t, store.SetAll([]api.Item{{"g", "a", "1"}, {"g", "b", "2"}}))
		_, err = store.Increment("g", "k", 1)
		require.ErrorIs(t, err, api.NotANumberError)
		require.NoError(t, store.Delete("g", "a"))
		for range 3 {
			requireValue(t, store, "g", "k", "v")
		}
		_, err = store.Get("g", "none")
		require.ErrorIs(t, err, api.NotFoundError)
		for range store.Scan(api.ScanOptions{}) {
			break
		}
		_, err = store.Count("g")
		require.NoError(t, err)
		own := errors.New("the function's own")
		require.ErrorIs(t, store.Transaction(func(tx *api.Transaction) error { return own }), own)
		require.NoError(t, store.Transaction(func(tx *api.Transaction) error { return tx.Set("g", "t", "v") }))
		snapshot, err := store.Snapshot()
		require.NoError(t, err)
		require.Equal(t, 1, store.Metrics().Views.Open)
		snapshot.Close()

		m := store.Metrics()
		require.Equal(t, map[string]uint64{"ok": 2, "invalid": 1, "quota": 1, "conflict": 1, "cancelled": 1}, requests(m, "set"))
		require.Equal(t, map[string]uint64{"ok": 2}, requests(m, "batch"), "SetAll, and the transaction's")
		require.Equal(t, map[string]uint64{"invalid": 1}, requests(m, "increment"))
		require.Equal(t, map[string]uint64{"ok": 1}, requests(m, "delete"))
		require.Equal(t, map[string]uint64{"ok": 3, "not_found": 1}, requests(m, "get"))
		require.Equal(t, map[string]uint64{"ok": 1}, requests(m, "scan"))
		require.Equal(t, map[string]uint64{"ok": 1}, requests(m, "count"))
		require.Equal(t, map[string]uint64{"ok": 1, "error": 1}, requests(m, "transaction"))
		require.Equal(t, map[string]uint64{"ok": 1}, requests(m, "snapshot"))
		for _, r := range m.Requests {
			require.Equal(t, r.Count(), r.Took.Count(), "%s: few requests are all measured", r.Kind)
			require.Positive(t, r.Took.Sum, r.Kind)
		}
		// What was refused before was in no commit; the namespace's first write has waited for
		// its count, and comes again.
		committed := uint64(8)
		require.GreaterOrEqual(t, m.Batches.Count(), committed)
		require.Positive(t, m.Queue.Wait.Count())
		require.EqualValues(t, 5, m.Commits.Count(), "those that changed something")
		require.Zero(t, m.Queue.Depth)
		require.Equal(t, 4096, m.Queue.Limit)
		testkit.Until(t, "the quota actor to know", func() bool { m = store.Metrics(); return len(m.Quotas) > 0 })
		require.Equal(t, []api.QuotaMetrics{{Namespace: "tenant", Keys: 1, Groups: 1, MaxKeys: 1}}, m.Quotas)
		require.InDelta(t, 1, m.Quotas[0].Used(), 0)
		require.NoError(t, m.Health)
		require.Zero(t, m.Views.Open)
		revision, err := store.Revision()
		require.NoError(t, err)
		require.Equal(t, revision, m.Log.Revision)
		require.EqualValues(t, 1, m.Log.OldestRevision)
		require.WithinDuration(t, time.Now(), m.Since, time.Minute)
		require.Equal(t, []string{"gateway", "notifier", "quota", "reaper", "writer"}, names(m.Actors))
	})
}

func names(actors []api.ActorMetrics) (all []string) {
	for _, a := range actors {
		all = append(all, a.Name)
	}
	return all
}

// TestMetricsOfAFile: syncs, and the write-ahead log with its checkpoints.
func TestMetricsOfAFile(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path, api.WithMetrics())
	for i := range 20 {
		require.NoError(t, store.Set("g", fmt.Sprint(i), "v"))
	}
	m := store.Metrics()
	require.GreaterOrEqual(t, m.Syncs.Count(), uint64(20), "each commit is synced")
	require.Positive(t, m.WAL.Bytes)
	require.Positive(t, m.WAL.Frames)
	require.Positive(t, m.Cache.Limit)
	info, err := os.Stat(path + "-wal")
	require.NoError(t, err)
	require.Equal(t, info.Size(), m.WAL.Bytes)
	testkit.Until(t, "the checkpoint of a store that rests", func() bool {
		m = store.Metrics()
		return m.WAL.Behind == 0 && m.Checkpoints.Completed > 0 && m.Checkpoints.Took.Count() > 0 // it is counted once it has ended
	})
	require.Zero(t, m.Checkpoints.Failures)

	beside := openStore(t, path, api.WithReadOnly(), api.WithMetrics())
	requireValue(t, beside, "g", "1", "v")
	m = beside.Metrics()
	require.Equal(t, map[string]uint64{"ok": 1}, requests(m, "get"))
	require.EqualValues(t, 20, m.Log.Revision)
	require.Empty(t, m.Actors)
}

// TestMetricsWithoutCollecting: what costs nothing is there.
func TestMetricsWithoutCollecting(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		require.NoError(t, store.Set("g", "k", "v"))
		requireValue(t, store, "g", "k", "v")
		m := store.Metrics()
		require.False(t, m.Collecting)
		require.Empty(t, m.Requests)
		require.Zero(t, m.Batches.Count()+m.Commits.Count()+m.Queue.Wait.Count())
		require.EqualValues(t, 1, m.Log.Revision)
		require.Len(t, m.Actors, 5)
		for sample := range m.Samples() {
			require.NotEqual(t, api.SampleHistogram, sample.Kind, sample.Name)
		}
	})
}

func TestMetricsOfAStoreThatIsNot(t *testing.T) {
	require.ErrorIs(t, (*api.Store)(nil).Metrics().Health, api.NilStoreError)
	require.ErrorIs(t, (*api.ScopedStore)(nil).Metrics().Health, api.NilStoreError)
	forEachPath(t, func(t *testing.T, path string) {
		store := openStore(t, path, api.WithMetrics())
		require.NoError(t, store.Set("g", "k", "v"))
		require.NoError(t, store.Close())
		_, err := store.Get("g", "k")
		require.ErrorIs(t, err, api.ClosedError)
		m := store.Metrics()
		require.ErrorIs(t, m.Health, api.ClosedError)
		require.Equal(t, map[string]uint64{"ok": 1}, requests(m, "set"), "what it did is known still")
	})
}

// TestMetricsWhileEverythingHappens: it may be called at any time, while the store is closed
// too, and numbers never go back.
func TestMetricsWhileEverythingHappens(t *testing.T) {
	forEachPath(t, func(t *testing.T, path string) {
		store := openStore(t, path, api.WithMetrics())
		var work, looking sync.WaitGroup
		stop := make(chan struct{})
		for i := range 2 {
			looking.Go(func() {
				last := map[string]float64{}
				for {
					m := store.Metrics()
					for s := range m.Samples() {
						if s.Kind != api.SampleCounter || s.Name == "gostore.requests" {
							continue // ok is what is left of all, and goes back while one ends otherwise
						}
						key := fmt.Sprint(s.Name, s.Labels)
						if s.Value < last[key] {
							t.Errorf("%s was %v and is %v", key, last[key], s.Value)
						}
						last[key] = s.Value
					}
					select {
					case <-stop:
						return
					default:
					}
					_ = i
				}
			})
		}
		for i := range 4 {
			work.Go(func() {
				for n := range 100 {
					watcher := store.Watch("g", "*")
					_ = store.Set("g", fmt.Sprint(i), fmt.Sprint(n))
					_, _ = store.Get("g", fmt.Sprint(n))
					_, _ = store.GetAll("g")
					store.Unwatch(watcher)
				}
			})
		}
		work.Wait()
		require.NoError(t, store.Close())
		close(stop)
		looking.Wait()
		m := store.Metrics()
		require.EqualValues(t, 400, requests(m, "set")["ok"])
		require.EqualValues(t, 400, requests(m, "get")["ok"]+requests(m, "get")["not_found"])
	})
}

// TestMetricsOfListeners: which are told of changes, how far they lag, and what they have missed.
func TestMetricsOfListeners(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		var log records
		store := open(api.WithWatchBuffer(2), log.option())
		watcher := store.Watch("g", "*")
		store.Watch("other", "k")
		resume, synced := make(chan struct{}), make(chan struct{})
		ended := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer close(ended)
			for event := range store.Subscribe(ctx, api.SubscribeOptions{State: true, Buffer: 3, Slow: api.SlowCatchUp,
				Filters: []api.Filter{{Group: api.Exactly("g")}, {Group: api.Prefix("h")}}}) {
				switch event.Type {
				case api.EventSet:
					<-resume
				case api.EventSynced:
					close(synced)
				}
			}
		}()
		<-synced
		testkit.Until(t, "the subscriber", func() bool {
			m := store.Metrics()
			return m.Subscribers.Open == 1 && m.Subscribers.Behind == 0
		})
		for i := range 10 {
			require.NoError(t, store.Set("g", "k", fmt.Sprint(i)))
		}
		m := store.Metrics()
		require.Equal(t, api.ListenerMetrics{Open: 2, Waiting: 2, Most: 2, Drops: 8}, m.Watchers)
		require.Equal(t, watcher.Dropped(), m.Watchers.Drops)
		require.Equal(t, 1, m.Subscribers.Open)
		require.Equal(t, 1, m.Subscribers.Behind)
		require.GreaterOrEqual(t, m.Subscribers.Waiting, 9)

		close(resume)
		testkit.Until(t, "the subscriber to have caught up", func() bool { return store.Metrics().Subscribers.Behind == 0 })
		require.Positive(t, store.Metrics().Subscribers.Drops)
		cancel()
		<-ended
		store.Unwatch(watcher)
		m = store.Metrics()
		require.Equal(t, []int{1, 0}, []int{m.Watchers.Open, m.Subscribers.Open})
		require.EqualValues(t, 8, m.Watchers.Drops, "what was missed stays missed")

		require.Equal(t, 1, log.count("a watcher takes its events too slowly"), "one for eight drops")
		require.Equal(t, 1, log.count("a subscriber takes its events too slowly: it reads the log"))
	})
}

// TestMetricsOfExpiry: how long expired keys wait for their removal.
func TestMetricsOfExpiry(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithPurgeInterval(time.Minute))
		require.NoError(t, store.SetWithTTL("g", "k", "v", time.Second))
		require.Zero(t, store.Metrics().Expiry.Lag)
		clock.Advance(2 * time.Second) // and not so far that it is removed
		testkit.Until(t, "the reaper to know", func() bool { return store.Metrics().Expiry.Lag > 0 })
		removed, err := store.PurgeExpired()
		require.NoError(t, err)
		require.LessOrEqual(t, removed, int64(1))
		testkit.Until(t, "the reaper to know of that", func() bool { return store.Metrics().Expiry.Lag == 0 })
	})
}

// TestMetricsOfFailures: actors that are started anew, and a disk that fails.
func TestMetricsOfFailures(t *testing.T) {
	faults := testkit.NewFaults()
	store := openStore(t, ":memory:", withFailpoint(faults.Hook))
	faults.Plan("writer.apply", 1)
	require.ErrorIs(t, store.Set("g", "k", "v"), api.RolledBackError)
	require.NoError(t, store.Set("g", "k", "v"))
	faults.Plan("notifier.watch", 1)
	store.Watch("g", "k")
	testkit.Until(t, "both to be started anew", func() bool {
		m := store.Metrics()
		return m.Actors[4].Restarts == 1 && m.Actors[1].Restarts == 1
	})
	require.Zero(t, store.Metrics().Actors[0].Restarts+store.Metrics().Actors[2].Restarts+store.Metrics().Actors[3].Restarts)

	failing := storetest.New(t, storetest.With(api.WithMetrics()))
	heal := failing.Fault(storetest.DiskFull)
	require.ErrorIs(t, failing.Set("g", "k", "v"), api.DegradedError)
	m := failing.Metrics()
	require.ErrorIs(t, m.Health, api.DegradedError)
	require.False(t, m.Unhealthy.IsZero())
	require.Equal(t, map[string]uint64{"degraded": 1}, requests(m, "set"))
	heal()
	require.Eventually(t, func() bool { failing.Advance(time.Second); return failing.Set("g", "k", "v") == nil }, time.Minute, time.Millisecond)
	require.NoError(t, failing.Metrics().Health)
}

// TestMetricsOfScope: of others' quotas nothing is told.
func TestMetricsOfScope(t *testing.T) {
	store := openStore(t, ":memory:", api.WithMetrics())
	one, other := newScope(t, store, "one", api.QuotaConfig{MaxKeys: 4}), newScope(t, store, "other", api.QuotaConfig{MaxKeys: 2, MaxGroups: 10})
	require.Empty(t, one.Metrics().Quotas, "it was not counted yet")
	for _, s := range []*api.ScopedStore{one, other} {
		require.NoError(t, s.Set("g", "k", "v"))
	}
	testkit.Until(t, "both to be counted", func() bool { return len(store.Metrics().Quotas) == 2 })
	m := store.Metrics()
	require.Equal(t, 2, m.Namespaces)
	require.Equal(t, []string{"other", "one"}, []string{m.Quotas[0].Namespace, m.Quotas[1].Namespace}, "the fullest first")
	require.Equal(t, []api.QuotaMetrics{{Namespace: "one", Keys: 1, Groups: 1, MaxKeys: 4}}, one.Metrics().Quotas)
	require.Equal(t, m.Log, one.Metrics().Log)
}

// TestQueueAtItsLimit: a caller that waits for a slot is counted, and an operator told.
func TestQueueAtItsLimit(t *testing.T) {
	pause := testkit.NewPause("writer.commit")
	var log records
	store := openStore(t, ":memory:", api.WithMaxInFlight(1), withFailpoint(pause.Hook), log.option(), api.WithMetrics())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- store.Set("g", "k", "1") }()
	testkit.Await(t, "the first to be committed", pause.Reached)
	go func() { second <- store.Set("g", "k", "2") }()
	testkit.Until(t, "the second to wait", func() bool { return store.Metrics().Queue.Waited == 1 })
	require.Equal(t, 1, store.Metrics().Queue.Depth)
	close(pause.Resume)
	require.NoError(t, <-first)
	require.NoError(t, <-second)
	require.Equal(t, 1, log.count("the store is at its limit of requests in flight"))
}

// TestSamples: what may come is declared, comes in that order, and stands in the docs.
func TestSamples(t *testing.T) {
	store := openStore(t, newPath(t), api.WithMetrics())
	scope := newScope(t, store, "tenant", api.QuotaConfig{MaxKeys: 2})
	require.NoError(t, scope.Set("g", "k", "v"))
	testkit.Until(t, "the namespace to be counted", func() bool { return len(store.Metrics().Quotas) == 1 })
	declared := map[string]*api.SampleType{}
	page, err := os.ReadFile(filepath.Join(testkit.Root(t), "docs/METRICS.md"))
	require.NoError(t, err)
	var order []string
	for _, s := range api.SampleTypes() {
		declared[s.Name], order = s, append(order, s.Name)
		require.Regexp(t, regexp.MustCompile(`^gostore(\.[a-z]+)+(_[a-z]+)*$`), s.Name)
		require.NotEmpty(t, s.Help)
		require.Contains(t, string(page), "| `"+s.Name+"` | "+s.Unit+" |", "docs/METRICS.md")
	}
	require.Equal(t, len(order), strings.Count(string(page), "\n| `gostore."), "docs/METRICS.md has one that there is not")
	seen, came, last := map[string]bool{}, map[string]bool{}, -1
	m := store.Metrics()
	for s := range m.Samples() {
		require.Same(t, declared[s.Name], s.SampleType)
		at := slices.Index(order, s.Name)
		require.GreaterOrEqual(t, at, last)
		last = at
		key := fmt.Sprint(s.Name, s.Labels)
		require.False(t, seen[key], key)
		seen[key] = true
		var labels []string
		for _, l := range s.Labels {
			labels = append(labels, l.Name)
			require.NotEmpty(t, l.Value, s.Name)
		}
		require.Equal(t, s.SampleType.Labels, labels, s.Name)
		require.Equal(t, s.Kind == api.SampleHistogram, len(s.Histogram.Counts) > 0, s.Name)
		came[s.Name] = true
	}
	require.ElementsMatch(t, order, slices.Collect(maps.Keys(came)))
	for range m.Samples() { // a caller that leaves the loop is left alone
		break
	}
}

// records is a log that a test reads.
type records struct {
	mu   sync.Mutex
	text []string
}

func (r *records) option() api.Option { return api.WithLogger(slog.New(r)) }

func (r *records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *records) WithGroup(string) slog.Handler            { return r }
func (r *records) Handle(_ context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = append(r.text, record.Message)
	return nil
}

// count is how many records begin so.
func (r *records) count(beginning string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, text := range r.text {
		if strings.HasPrefix(text, beginning) {
			n++
		}
	}
	return n
}
