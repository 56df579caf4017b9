package api_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

var soakLength = flag.Duration("soak", 2*time.Second, "how long TestSoak runs; the target is stated for 5m")

const (
	soakCallers = 64
	soakGroups  = 20
	soakKeys    = 1000 // a group
)

// footprint is what a store takes while it runs.
type footprint struct {
	heap        int64 // bytes in use after a collection
	goroutines  int64
	descriptors int64 // open files; 0 where the system doesn't tell
	wal         int64 // the largest size of the WAL in a fifth of the time
}

// TestSoak runs 64 callers that set, get, delete, let keys expire, scan and
// watch, over a set of keys that does not grow, and compares what the store
// takes after the first fifth of the time with what it takes at the end: in
// five minutes, minute one with minute five. Each may grow by 5 %, and by a
// slack that is small against a leak but lets small figures breathe:
// a mebibyte of heap, four goroutines, two descriptors, a mebibyte of WAL.
//
// A shorter run, as go test makes it, has a first fifth that is too short for a
// steady state: caches still fill, and a connection more is opened whenever
// more scans than before coincide (SQLite keeps the descriptor of a closed one
// for the next, as long as the file is locked by any other). A quarter, four
// mebibytes and 32 descriptors are then allowed: that finds what leaks fast.
// Run it with -soak=5m for the target.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as -soak says")
	}
	path := filepath.Join(t.TempDir(), "soak.db")
	store, err := api.New(path, api.WithPurgeInterval(20*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	var keys []string
	for i := range soakKeys {
		keys = append(keys, "key-"+strconv.Itoa(i))
	}
	for i := range soakGroups { // the size that it keeps from then on
		fillBench(t, store, "group-"+strconv.Itoa(i), keys)
	}

	soak := &soak{store: store}
	done := make(chan struct{})
	errs := make(chan error, soakCallers)
	for number := range soakCallers {
		go func() { errs <- soak.run(number, done) }()
	}
	early, late, stopped := soak.observe(path+"-wal", errs)
	close(done)
	for range soakCallers - len(stopped) {
		stopped = append(stopped, <-errs)
	}
	require.NoError(t, errors.Join(stopped...))

	share, bytes, descriptors := 0.05, int64(1<<20), int64(2)
	if *soakLength < 5*time.Minute {
		share, bytes, descriptors = 0.25, 4<<20, 32
	}
	t.Logf("%d calls in %v", soak.calls, *soakLength)
	for _, each := range []struct {
		what               string
		early, late, slack int64
	}{
		{"bytes of heap after a collection", early.heap, late.heap, bytes},
		{"goroutines", early.goroutines, late.goroutines, 4},
		{"file descriptors", early.descriptors, late.descriptors, descriptors},
		{"bytes of WAL at most", early.wal, late.wal, bytes},
	} {
		t.Logf("%-34s %12d, then %12d", each.what, each.early, each.late)
		require.LessOrEqual(t, each.late, int64(float64(each.early)*(1+share))+each.slack, each.what)
	}
}

type soak struct {
	store *api.Store
	// pause is held for reading during every call and for writing while the
	// heap is measured, so that calls under way are not taken for growth.
	pause sync.RWMutex
	mu    sync.Mutex
	calls int64 // guarded by mu
}

// observe samples until the time is over or a caller has stopped. What the
// callers that stopped said is returned, so that nobody waits for them twice.
func (s *soak) observe(wal string, errs <-chan error) (early, late footprint, stopped []error) {
	fifth := *soakLength / 5
	ticker := time.NewTicker(max(fifth/200, time.Millisecond))
	defer ticker.Stop()
	begin := time.Now()
	var first, last int64
	for {
		select {
		case err := <-errs:
			return early, late, []error{err}
		case <-ticker.C:
		}
		// Stat opens nothing: opening and closing a live database's files
		// would drop the store's own locks on them.
		size := int64(0)
		if info, err := os.Stat(wal); err == nil {
			size = info.Size()
		}
		elapsed := time.Since(begin)
		if elapsed < fifth {
			first = max(first, size)
			continue
		}
		if early == (footprint{}) {
			early = s.measure()
			early.wal = first
		}
		if elapsed >= 4*fifth {
			last = max(last, size)
		}
		if elapsed >= *soakLength {
			late = s.measure()
			late.wal = last
			return early, late, nil
		}
	}
}

// measure stops the callers between two calls, collects garbage and counts.
func (s *soak) measure() footprint {
	s.pause.Lock()
	defer s.pause.Unlock()
	var memory runtime.MemStats
	for range 3 { // a sync.Pool gives up what it holds at the second collection
		runtime.GC()
	}
	runtime.ReadMemStats(&memory)
	descriptors, _ := os.ReadDir("/proc/self/fd") // absent elsewhere than on Linux
	return footprint{
		heap:        int64(memory.HeapAlloc),
		goroutines:  int64(runtime.NumGoroutine()),
		descriptors: int64(len(descriptors)),
	}
}

func (s *soak) run(number int, done <-chan struct{}) error {
	random := rand.New(rand.NewPCG(uint64(number), 5))
	var calls int64
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls += calls
	}()
	for {
		select {
		case <-done:
			return nil
		default:
		}
		s.pause.RLock()
		err := s.call(random)
		s.pause.RUnlock()
		if err != nil {
			return fmt.Errorf("caller %d, call %d: %w", number, calls, err)
		}
		calls++
	}
}

// call does one thing to one random key or group.
func (s *soak) call(random *rand.Rand) error {
	group := "group-" + strconv.Itoa(random.IntN(soakGroups))
	key := "key-" + strconv.Itoa(random.IntN(soakKeys))
	switch dice := random.IntN(1000); {
	case dice < 400:
		return s.store.Set(group, key, benchValue(random))
	case dice < 500:
		timeToLive := time.Duration(1+random.IntN(200)) * time.Millisecond
		return s.store.SetWithTTL(group, key, benchValue(random), timeToLive)
	case dice < 900:
		if _, err := s.store.Get(group, key); !errors.Is(err, api.NotFoundError) {
			return err
		}
		return nil
	case dice < 970:
		return s.store.Delete(group, key)
	case dice < 980:
		return s.scan(group)
	case dice < 990:
		_, err := s.store.Count(group)
		return err
	case dice < 995:
		_, err := s.store.Groups("group-")
		return err
	default:
		watcher := s.store.Watch(group, key)
		defer s.store.Unwatch(watcher)
		return s.store.Set(group, key, benchValue(random))
	}
}

// scan reads a group and checks that no row is torn.
func (s *soak) scan(group string) error {
	for row, err := range s.store.All(group) {
		if err != nil {
			return err
		}
		if len(row.Value) != benchValueSize {
			return fmt.Errorf("%s/%s holds %d bytes", group, row.Key, len(row.Value))
		}
	}
	return nil
}
