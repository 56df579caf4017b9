package api_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// Every option refuses what is outside its range, and no file is made.
func TestInvalidOptions(t *testing.T) {
	const tooMany = 1_000_000_001
	for name, option := range map[string]api.Option{
		"no purge interval":       api.WithPurgeInterval(0),
		"negative purge interval": api.WithPurgeInterval(-time.Second),
		"negative durability":     api.WithDurability(-1),
		"unknown durability":      api.WithDurability(2),
		"no readers":              api.WithReaders(0),
		"negative readers":        api.WithReaders(-1),
		"too many readers":        api.WithReaders(tooMany),
		"nothing in flight":       api.WithMaxInFlight(0),
		"negative in flight":      api.WithMaxInFlight(-1),
		"too much in flight":      api.WithMaxInFlight(tooMany),
		"no watch buffer":         api.WithWatchBuffer(0),
		"negative watch buffer":   api.WithWatchBuffer(-1),
		"too large watch buffer":  api.WithWatchBuffer(tooMany),
		"negative group limit":    api.WithSizeLimits(api.SizeLimits{Group: -1}),
		"negative key limit":      api.WithSizeLimits(api.SizeLimits{Key: -1}),
		"negative value limit":    api.WithSizeLimits(api.SizeLimits{Value: -1}),
		"negative commit limit":   api.WithSizeLimits(api.SizeLimits{Commit: -1}),
		"too large group limit":   api.WithSizeLimits(api.SizeLimits{Group: tooMany}),
		"too large key limit":     api.WithSizeLimits(api.SizeLimits{Key: tooMany}),
		"too large value limit":   api.WithSizeLimits(api.SizeLimits{Value: tooMany}),
		"too large commit limit":  api.WithSizeLimits(api.SizeLimits{Commit: tooMany}),
		"commit below its parts":  api.WithSizeLimits(api.SizeLimits{Group: 10, Key: 10, Value: 10, Commit: 29}),
		"commit below default":    api.WithSizeLimits(api.SizeLimits{Commit: 1 << 20}),
		"negative read cache":     api.WithReadCache(-1),
		"no actor system":         api.WithActorSystem(nil),
		"no logger":               api.WithLogger(nil),
		"no clock":                api.WithClock(nil),
		"no option":               nil,
	} {
		for _, path := range []string{":memory:", newPath(t)} {
			store, err := api.New(path, option)
			require.Nil(t, store, name)
			require.ErrorIs(t, err, api.InvalidOptionError, name)
			require.ErrorContains(t, err, "store.New: ", name)
			require.NoFileExists(t, path, name)
			require.NoFileExists(t, path+"-lock", name)
		}
	}
	_, err := api.New(":memory:", api.WithReadOnly())
	require.ErrorIs(t, err, api.InvalidOptionError, "two that exclude each other")
	for _, path := range []string{"", "a\x00b"} {
		_, err := api.New(path)
		require.ErrorIs(t, err, api.InvalidOptionError, "%q", path)
	}
}

// A read cache may be as large as any machine is, and takes little of that at first.
func TestLargestReadCache(t *testing.T) {
	const most = int64(1) << 40
	store := openStore(t, newPath(t), api.WithReadCache(int(min(most, math.MaxInt))))
	require.NoError(t, store.Set("g", "k", "v"))
	for range 3 {
		requireValue(t, store, "g", "k", "v")
	}
	if strconv.IntSize == 32 {
		return // no int is larger
	}
	for _, bytes := range []int64{most + 1, math.MaxInt64} {
		_, err := api.New(newPath(t), api.WithReadCache(int(bytes)))
		require.ErrorIs(t, err, api.InvalidOptionError)
		require.ErrorContains(t, err, fmt.Sprintf("store.New: read cache %d: must be at most %d", bytes, most))
	}
}

// The smallest of everything still makes a store that works.
func TestSmallestOptions(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		watcher := store.Watch("g", "*")
		require.Equal(t, 1, cap(watcher.Events))
		require.NoError(t, together(16, func(i int) error {
			key := string(rune('a' + i))
			if err := store.Set("g", key, "v"); err != nil {
				return err
			}
			_, err := store.Get("g", key)
			return err
		}))
		requireCount(t, store, "", 16)
		require.EqualValues(t, 15, watcher.Dropped())
	}, api.WithReaders(1), api.WithMaxInFlight(1), api.WithWatchBuffer(1), api.WithPurgeInterval(1),
		api.WithDurability(api.DurabilityBuffered))
}

// The last of several options of a kind counts.
func TestLastOptionCounts(t *testing.T) {
	store := openStore(t, ":memory:", api.WithWatchBuffer(1), api.WithWatchBuffer(3))
	require.Equal(t, 3, cap(store.Watch("g", "k").Events))
}

// No more mutations are under way than the limit says, however many callers
// there are; reads are not counted.
func TestMaxInFlight(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		const limit = 4
		var store *api.Store
		var most atomic.Int64
		store = open(api.WithMaxInFlight(limit), withFailpoint(func(step string) {
			if step == "writer.commit" { // no caller was answered yet
				for now := int64(store.InFlight()); now > most.Load(); {
					most.Store(now)
				}
			}
		}))
		require.NoError(t, together(32, func(i int) error {
			for j := range 20 {
				if err := store.Set("g", strconv.Itoa(i), strconv.Itoa(j)); err != nil {
					return err
				}
				if n := store.InFlight(); n > limit {
					return fmt.Errorf("%d in flight", n)
				}
			}
			return nil
		}))
		require.LessOrEqual(t, most.Load(), int64(limit))
		require.Positive(t, most.Load())
		require.Zero(t, store.InFlight())
	})
}

// At every limit a size is accepted, one byte above it is not, and nothing of
// what was refused is written.
func TestSizeLimits(t *testing.T) {
	limits := api.SizeLimits{Group: 20, Key: 30, Value: 40, Commit: 200}
	forEachHandle(t, func(t *testing.T, store handle) {
		watcher := store.Watch("*", "*")
		prefix := 0 // a view's namespace is part of the group's name
		if _, scoped := store.(*api.ScopedStore); scoped {
			prefix = len("tenant:")
		}
		long := func(n int) string { return strings.Repeat("x", n) }
		require.NoError(t, store.Set(long(20-prefix), long(30), long(40)))
		require.Len(t, delivered(watcher), 1)
		many := make([]api.Item, 5)
		for i := range many {
			many[i] = api.Item{Group: long(10 - prefix), Key: string(rune('a' + i)), Value: long(30)}
		}
		for name, call := range map[string]func() error{
			"group":       func() error { return store.Set(long(21-prefix), "k", "v") },
			"key":         func() error { return store.Set("g", long(31), "v") },
			"value":       func() error { return store.Set("g", "k", long(41)) },
			"TTL's group": func() error { return store.SetWithTTL(long(21-prefix), "k", "v", time.Hour) },
			"TTL's key":   func() error { return store.SetWithTTL("g", long(31), "v", time.Hour) },
			"TTL's value": func() error { return store.SetWithTTL("g", "k", long(41), time.Hour) },
			"item's group": func() error {
				return store.SetAll([]api.Item{{Group: "g", Key: "k"}, {Group: long(21 - prefix), Key: "k"}})
			},
			"item's key":   func() error { return store.SetAll([]api.Item{{Group: "g", Key: "k"}, {Group: "g", Key: long(31)}}) },
			"item's value": func() error { return store.SetAll([]api.Item{{Group: "g", Key: "k"}, {Value: long(41)}}) },
			"commit":       func() error { return store.SetAll(many) },
		} {
			err := call()
			require.ErrorIs(t, err, api.TooLargeError, name)
			require.ErrorContains(t, err, "store.Set", name)
			require.NotErrorIs(t, err, api.UnknownOutcomeError, name)
		}
		require.NoError(t, store.SetAll(many[:4]), "164 bytes are no more than 200")
		require.Len(t, delivered(watcher), 4)
		requireCount(t, store, "", 5)
		require.Zero(t, store.InFlight())
	}, api.WithSizeLimits(limits))
}

// The default limits.
func TestDefaultSizeLimits(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open(api.WithDurability(api.DurabilityBuffered))
		name, value := strings.Repeat("n", 64<<10), strings.Repeat("v", 16<<20)
		require.NoError(t, store.Set(name, name, value))
		requireValue(t, store, name, name, value)
		require.ErrorIs(t, store.Set(name+"n", "k", "v"), api.TooLargeError)
		require.ErrorIs(t, store.Set("g", name+"n", "v"), api.TooLargeError)
		require.ErrorIs(t, store.Set("g", "k", value+"v"), api.TooLargeError)
		half := api.Item{Group: "h", Value: value}
		err := store.SetAll([]api.Item{half, half, {Group: "h", Key: "k"}})
		require.ErrorIs(t, err, api.TooLargeError)
		require.ErrorContains(t, err, "limit 33554432")
		requireCount(t, store, "", 1)
	})
}

// Larger limits are possible; a commit gathers no more than its limit, and what
// is read with an oversized name is not there.
func TestRaisedSizeLimits(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open(api.WithSizeLimits(api.SizeLimits{Group: 100_000, Key: 100_000}))
		name := strings.Repeat("n", 100_000)
		require.NoError(t, store.Set(name, name, "v"))
		requireValue(t, store, name, name, "v")
		requireNotFound(t, store, name+"n", name)
		require.NoError(t, store.Delete(name, name))
		// It may be there, written under larger limits.
		require.NoError(t, store.Delete(name+"n", name))
		require.NoError(t, store.DeleteGroup(name+"n"))
	})
}

// With a small commit limit many writes need many commits, and all arrive.
func TestCommitLimitBoundsGroupCommits(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		const callers = 20
		pause := testkit.NewPause("writer.commit")
		var commits atomic.Int64
		store := open(api.WithSizeLimits(api.SizeLimits{Group: 10, Key: 10, Value: 80, Commit: 100}),
			withFailpoint(func(step string) {
				if step == "writer.committed" {
					commits.Add(1)
				}
				pause.Hook(step)
			}))
		first := make(chan error, 1)
		go func() { first <- store.Set("g", "first", "v") }()
		testkit.Await(t, "the first commit", pause.Reached)
		rest := make(chan error, 1)
		go func() {
			rest <- together(callers, func(i int) error { return store.Set("g", strconv.Itoa(i), strings.Repeat("v", 47)) })
		}()
		require.Eventually(t, func() bool { return store.InFlight() == 1+callers }, testkit.Patience, time.Millisecond)
		close(pause.Resume)
		require.NoError(t, errors.Join(testkit.Await(t, "the first", first), testkit.Await(t, "the rest", rest)))
		require.GreaterOrEqual(t, commits.Load(), int64(1+callers/2), "two of fifty bytes at a time")
		requireCount(t, store, "", 1+callers)
	})
}

// A reader may wait for a connection, and give up.
func TestManyReadersOfFewConnections(t *testing.T) {
	store := openStore(t, newPath(t), api.WithReaders(1))
	fill(t, store, "g", 100)
	require.NoError(t, together(32, func(i int) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		limited := store.WithContext(ctx)
		for range 20 {
			if _, err := limited.Get("g", "050"); err != nil {
				return err
			}
		}
		if i%2 == 0 {
			cancel()
			if _, err := limited.Get("g", "050"); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("with an ended context: %w", err)
			}
		}
		return nil
	}))
}
