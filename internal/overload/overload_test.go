package overload

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/stretchr/testify/require"
)

var (
	syncTimes = flag.String("overload.sync", "50ms", "how long a sync takes, one or more separated by commas; the target is stated for 50ms,500ms,5s")
	commits   = flag.Int("overload.syncs", 40, "how many syncs the load lasts")
	callers   = flag.Int("overload.callers", 10_000, "how many callers there are")
)

func TestMain(m *testing.M) {
	faultfs.Install()
	testkit.Main(m)
}

// slowDisk makes every sync take so long, and counts them.
type slowDisk struct{ syncs atomic.Int64 }

func (d *slowDisk) install(t *testing.T, takes time.Duration) {
	faultfs.SkipSyncs(true) // what this machine's disk takes is not what is measured
	faultfs.Inject(t, func(o faultfs.Operation) error {
		if strings.HasSuffix(o.Call, "sync") || strings.HasSuffix(o.Call, "syncfolder") {
			d.syncs.Add(1)
			time.Sleep(takes)
		}
		return nil
	})
}

// What is promised of a store with more callers than its disk can serve. The times are
// beside those of the disk, and allow for processors that others use.
const (
	fairness  = 3         // the longest wait, in medians
	heapBound = 160 << 20 // bytes in Go's heap and stacks, of 10,000 goroutines too
	readP99   = 50 * time.Millisecond
	cancelP99 = 250 * time.Millisecond
	// From Close's call to its return: the commits of the callers that were admitted, in as many
	// batches as they come in, and the syncs that leave one plain file.
	closingSyncs = 16
)

// TestOverload: 10,000 callers write as fast as they are answered.
func TestOverload(t *testing.T) {
	for text := range strings.SplitSeq(*syncTimes, ",") {
		takes, err := time.ParseDuration(text)
		require.NoError(t, err)
		t.Run(text, func(t *testing.T) { overload(t, takes) })
	}
}

func overload(t *testing.T, takes time.Duration) {
	var disk slowDisk
	store, err := api.New(filepath.Join(t.TempDir(), "store.db"))
	require.NoError(t, err)
	value := strings.Repeat("v", 200)
	for i := range 10 {
		var entries []api.Item
		for j := range 1000 {
			entries = append(entries, api.Item{Group: fmt.Sprint("seed", i), Key: strconv.Itoa(j), Value: value})
		}
		require.NoError(t, store.SetAll(entries))
	}
	disk.install(t, takes)
	l := &load{store: store, value: value, ending: make(chan struct{})}
	began := time.Now()
	l.start(t, min(*callers, most))
	length := takes * time.Duration(*commits)
	samples := l.sample(length)
	waits, syncs := l.waits(), disk.syncs.Load()

	closing, before := time.Now(), disk.syncs.Load()
	ended := make(chan error, 1)
	go func() { ended <- store.Close() }()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(closingSyncs*takes + testkit.Patience):
		t.Fatalf("Close hangs\n\n%s", testkit.Stacks())
	}
	closed, closeSyncs := time.Since(closing), disk.syncs.Load()-before
	answered := time.Now()
	testkit.Within(t, "the callers", l.all.Wait)
	left := time.Since(answered)

	median, longest := waits[len(waits)/2], waits[len(waits)-1]
	reads, cancelled := l.reads.sorted(), l.cancelled.sorted()
	t.Logf("%d callers, %v a sync, %v: %d writes in %d syncs", min(*callers, most), takes, time.Since(began).Round(time.Millisecond), len(waits), syncs)
	t.Logf("a write waits: median %v, p99 %v, longest %v (%.2f medians)", median, quantile(waits, 0.99), longest, float64(longest)/float64(median))
	t.Logf("a Get: p50 %v, p99 %v, longest %v, of %d", quantile(reads, 0.5), quantile(reads, 0.99), quantile(reads, 1), len(reads))
	t.Logf("from a context's end to the call's: p50 %v, p99 %v, longest %v, of %d", quantile(cancelled, 0.5), quantile(cancelled, 0.99), quantile(cancelled, 1), len(cancelled))
	t.Logf("heap and stacks: %v MiB", mebibytes(samples))
	t.Logf("Close: %v, %d syncs; then the last caller within %v", closed.Round(time.Millisecond), closeSyncs, left.Round(time.Millisecond))
	// A wait is of whole commits, and of the rest of the one under way. The race detector has the
	// machine stand still for parts of one now and then.
	require.Less(t, float64(longest), fairness*float64(median)+float64(slower*takes))
	require.Less(t, quantile(reads, 0.99), slower*readP99)
	require.Less(t, quantile(cancelled, 0.99), slower*cancelP99)
	require.Less(t, slices.Max(samples), int64(heavier*heapBound))
	require.LessOrEqual(t, closeSyncs, int64(closingSyncs))
	require.Less(t, closed, closingSyncs*takes+slower*5*time.Second)
	require.Less(t, left, slower*5*time.Second)
}

// load is every caller that uses the store.
type load struct {
	store  *api.Store
	value  string
	ending chan struct{}
	all    sync.WaitGroup

	written          times
	reads, cancelled times
}

// times are gathered by many.
type times struct {
	sync.Mutex
	all []time.Duration
}

func (t *times) add(all ...time.Duration) {
	t.Lock()
	t.all = append(t.all, all...)
	t.Unlock()
}

func (t *times) sorted() []time.Duration {
	t.Lock()
	defer t.Unlock()
	return slices.Sorted(slices.Values(t.all))
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (l *load) start(t *testing.T, callers int) {
	for caller := range callers {
		l.all.Go(func() { l.write(t, caller) })
	}
	for reader := range 4 {
		l.all.Go(func() { l.read(t, reader) })
	}
	for canceller := range 50 {
		l.all.Go(func() { l.cancel(t, canceller) })
	}
}

// write is one caller.
func (l *load) write(t *testing.T, caller int) {
	group := fmt.Sprint("g", caller%100)
	for i := 0; ; i++ {
		began := time.Now()
		err := l.store.Set(group, strconv.Itoa(caller), strconv.Itoa(i)+l.value)
		if errors.Is(err, api.ClosedError) {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		l.written.add(time.Since(began))
	}
}

// read gets what is in no cache as often as what is.
func (l *load) read(t *testing.T, reader int) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		<-tick.C
		key := strconv.Itoa((i*7919 + reader) % 1000)
		if i%2 == 0 {
			key = "1"
		}
		began := time.Now()
		_, err := l.store.Get(fmt.Sprint("seed", i%10), key)
		if errors.Is(err, api.ClosedError) {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		l.reads.add(time.Since(began))
	}
}

// cancel writes with contexts that end while it waits, admitted or not.
func (l *load) cancel(t *testing.T, canceller int) {
	for i := 0; ; i++ {
		ctx, cancel := context.WithCancel(context.Background())
		var ended atomic.Int64
		after := time.AfterFunc(time.Duration(1+(i*31+canceller*17)%200)*time.Millisecond, func() {
			ended.Store(time.Now().UnixNano())
			cancel()
		})
		err := l.store.WithContext(ctx).Set("cancelled", strconv.Itoa(canceller), "v")
		returned := time.Now().UnixNano()
		after.Stop()
		cancel()
		switch {
		case errors.Is(err, api.ClosedError):
			return
		case errors.Is(err, context.Canceled):
			l.cancelled.add(time.Duration(returned - ended.Load()))
		case err != nil:
			t.Error(err)
			return
		}
	}
}

// sample looks at the memory until the load has lasted long enough.
func (l *load) sample(length time.Duration) (samples []int64) {
	tick := time.NewTicker(length / 20)
	defer tick.Stop()
	for range 20 {
		<-tick.C
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		samples = append(samples, int64(stats.HeapInuse+stats.StackInuse))
	}
	return samples
}

// waits is how long each write has taken so far.
func (l *load) waits() []time.Duration { return l.written.sorted() }

func mebibytes(samples []int64) (all []int64) {
	for _, s := range samples {
		all = append(all, s>>20)
	}
	return all
}
