package engine

import (
	"context"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// heap is what is alive.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one has put into a pool's second list
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// stopping is a subscriber that stands still in its loop's body at some events.
type stopping struct {
	stops   []int // which, counted from 1
	reached chan struct{}
	resume  chan struct{}
	joined  chan struct{} // it was told of progress: it has read the log to its end
	ended   chan error
}

func stopAt(t *testing.T, e *Engine, options kv.SubscribeOptions, stops ...int) *stopping {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &stopping{stops: stops, reached: make(chan struct{}, len(stops)), resume: make(chan struct{}), joined: make(chan struct{}, 1), ended: make(chan error, 1)}
	feed := e.Subscribe(ctx, context.Background(), options)
	go func() {
		n := 0
		var ended error
		for event, err := range feed {
			if ended = err; err != nil {
				break
			}
			if event.Type == kv.EventProgress {
				select {
				case s.joined <- struct{}{}:
				default:
				}
				continue
			}
			if n++; len(s.stops) == 0 || n != s.stops[0] {
				continue
			}
			s.stops = s.stops[1:]
			s.reached <- struct{}{}
			select {
			case <-s.resume:
			case <-ctx.Done():
			}
		}
		s.ended <- ended
	}()
	t.Cleanup(func() {
		cancel()
		testkit.Await(t, "the loop's end", s.ended)
	})
	return s
}

// TestIdleSubscribersHoldLittle: after one large commit, subscribers that wait for
// the next and such as stand still in the midst of it hold no copy of it each.
func TestIdleSubscribersHoldLittle(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		const subscribers, keys, most = 20, 20_000, 16 << 20 // each copy of the events would be 5 MiB
		for name, standing := range map[string]bool{"waiting": false, "standing still": true} {
			t.Run(name, func(t *testing.T) {
				config := Config{Path: path}
				if path != ":memory:" {
					config.Path += name
				}
				e := open(t, config)
				stop := keys + 2 // the next commit's
				if standing {
					stop = keys / 2
				}
				// Twice as many that want some of it as such as want all.
				filters := [][]kv.Filter{nil, {{Group: kv.Prefix("g")}}, {{Group: kv.Exactly("g"), Key: kv.Prefix("k")}}}
				var all []*stopping
				for i := range subscribers {
					all = append(all, stopAt(t, e, kv.SubscribeOptions{Filters: filters[i%len(filters)], From: 1}, 1, stop))
				}
				must(t, e, set("g", "k", "first"))
				for _, s := range all {
					testkit.Await(t, "the first event", s.reached)
				}
				before := heap()
				commit := kv.Mutation{Kind: kv.Batch}
				value := strings.Repeat("v", 100)
				for i := range keys {
					commit.Operations = append(commit.Operations, kv.Operation{Kind: kv.Set, Group: "g", Key: "k" + strconv.Itoa(i), Value: value})
				}
				must(t, e, commit)
				commit = kv.Mutation{}
				must(t, e, set("g", "k", "last"))
				for _, s := range all {
					s.resume <- struct{}{}
				}
				for _, s := range all {
					testkit.Await(t, "the events", s.reached)
				}
				held := heap() - before
				if path == ":memory:" {
					held -= keys * 450 // the rows, and the log's record
				}
				t.Logf("%d subscribers hold %d KiB", subscribers, held>>10)
				require.Less(t, held, int64(most))
				runtime.KeepAlive(all)
			})
		}
	})
}

// TestSlowEndHasTheBufferThatWasAskedFor: more commits than are kept in memory, and
// more bytes, are no reason to end a subscription that allows them.
func TestSlowEndHasTheBufferThatWasAskedFor(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		const waiting = 6000
		e := open(t, Config{Path: path, Durability: kv.DurabilityBuffered})
		s := stopAt(t, e, kv.SubscribeOptions{Filters: []kv.Filter{{Group: kv.Prefix("g")}}, Slow: kv.SlowEnd, Buffer: waiting, Progress: time.Millisecond},
			1, 1+waiting, 1+2*waiting)
		must(t, e, set("other", "k", "v"))
		testkit.Await(t, "progress", s.joined)
		value := strings.Repeat("v", 1<<10)
		must(t, e, set("g", "k", value))
		fill := func() { // by commits of several events, which are as many
			const each = 20
			commit := kv.Mutation{Kind: kv.Batch}
			for i := range each {
				commit.Operations = append(commit.Operations, kv.Operation{Kind: kv.Set, Group: "g", Key: strconv.Itoa(i), Value: value})
			}
			for range waiting / each {
				must(t, e, commit)
			}
		}
		for range 2 {
			testkit.Await(t, "the loop's stop", s.reached)
			fill()
			s.resume <- struct{}{}
		}
		testkit.Await(t, "the loop's stop", s.reached)
		fill()
		must(t, e, set("g", "k", value))
		s.resume <- struct{}{}
		ended := testkit.Await(t, "the end", s.ended)
		s.ended <- ended
		require.ErrorIs(t, ended, kv.SlowConsumerError)
	})
}

// TestOneLargeCommitLeavesNothingBehind: what was made large for it is let go.
func TestOneLargeCommitLeavesNothingBehind(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		const keys = 50_000
		e := open(t, Config{Path: path, Durability: kv.DurabilityBuffered, Retention: kv.Retention{Bytes: 1}})
		quota := kv.QuotaConfig{MaxKeys: 2 * keys}
		large := func() {
			commit := kv.Mutation{Kind: kv.Batch, Namespace: "n", Quota: quota}
			for i := range keys {
				commit.Operations = append(commit.Operations, kv.Operation{Kind: kv.Set, Group: "n:g", Key: strconv.Itoa(i)})
			}
			must(t, e, commit)
			must(t, e, kv.Mutation{Kind: kv.DeleteGroup, Group: "n:g"})
			for range 3 { // the log lets go of what is surplus, some at a time
				must(t, e, set("g", "k", "v"))
			}
		}
		must(t, e, within(set("n:g", "k", "v"), "n", quota))
		before := heap()
		large()
		require.NoError(t, e.Fold(context.Background())) // an overlay's memory has a bound of its own
		held := heap() - before
		t.Logf("a commit of %d keys has left %d KiB behind", keys, held>>10)
		require.Less(t, held, int64(1<<20))
	})
}

// TestKeysDoNotKeepTheirValues: a program that keeps the names that a scan or an event has
// brought, in a cache of its own say, does not keep the values in memory too.
func TestKeysDoNotKeepTheirValues(t *testing.T) {
	const large, small = 64, 20_000
	values := map[int]string{large: strings.Repeat("v", 128<<10), small: strings.Repeat("v", 400)}
	everything := kv.PrefixRange("")
	scan := func(keysOnly bool) func(t *testing.T, e *Engine) []string {
		return func(t *testing.T, e *Engine) (names []string) {
			for row, err := range e.Scan(t.Context(), Query{Groups: everything, Keys: storage.AllKeys, KeysOnly: keysOnly}) {
				require.NoError(t, err)
				names = append(names, row.Group, row.Key)
			}
			return names
		}
	}
	logged := func(t *testing.T, e *Engine) (names []string) {
		for event, err := range e.Subscribe(t.Context(), context.Background(), kv.SubscribeOptions{From: 1}) {
			require.NoError(t, err)
			if names = append(names, event.Group, event.Key); event.Key == "last" {
				break
			}
		}
		return names
	}
	watched := func(change func(key string) kv.Mutation) func(t *testing.T, e *Engine) []string {
		return func(t *testing.T, e *Engine) (names []string) {
			w := e.Watch("", "*", "*")
			defer e.Unwatch(w)
			for i := range large {
				must(t, e, change(strconv.Itoa(i)))
				event := <-w.Events
				names = append(names, event.Group, event.Key)
			}
			return names
		}
	}
	for name, test := range map[string]struct {
		keys  int
		names func(*testing.T, *Engine) []string
	}{
		"keys only, large": {large, scan(true)}, "keys only, small": {small, scan(true)}, "scan, large": {large, scan(false)},
		"log, large": {large, logged},
		"touch": {large, watched(func(key string) kv.Mutation {
			return ttl(kv.Mutation{Kind: kv.Touch, Group: "g" + key, Key: key}, time.Hour)
		})},
		"delete": {large, watched(func(key string) kv.Mutation { return kv.Mutation{Kind: kv.DeleteGroup, Group: "g" + key} })},
		"prefix": {large, watched(func(key string) kv.Mutation {
			return kv.Mutation{Kind: kv.DeletePrefix, Group: "g" + key, Range: kv.GroupRange("g" + key)}
		})},
	} {
		t.Run(name, func(t *testing.T) {
			eachStorage(t, func(t *testing.T, path string) {
				e := open(t, Config{Path: path, Durability: kv.DurabilityBuffered, ReadCache: -1, Retention: kv.Retention{Bytes: 64 << 20}})
				before := heap()
				commit := kv.Mutation{Kind: kv.Batch}
				for i := range test.keys {
					o := kv.Operation{Kind: kv.Set, Group: "g" + strconv.Itoa(i%large), Key: strconv.Itoa(i), Value: values[test.keys]}
					if commit.Operations = append(commit.Operations, o); len(commit.Operations) == 16 || test.keys == small && i%1000 == 999 {
						must(t, e, commit)
						commit.Operations = nil
					}
				}
				must(t, e, set("g", "last", ""))
				names := test.names(t, e)
				for i := range large {
					must(t, e, kv.Mutation{Kind: kv.DeleteGroup, Group: "g" + strconv.Itoa(i)})
				}
				must(t, e, set("g", "last", ""))
				require.NoError(t, e.Fold(context.Background()))
				held := heap() - before - logBytes(t, e, path)
				t.Logf("%d names hold %d KiB", len(names), held>>10)
				require.Less(t, held, int64(2<<20))
				runtime.KeepAlive(names)
			})
		})
	}
}

// logBytes is what the log holds in memory.
func logBytes(t *testing.T, e *Engine, path string) int64 {
	t.Helper()
	if path != ":memory:" {
		return 0
	}
	extent, err := e.reads.LogExtent(t.Context())
	require.NoError(t, err)
	return extent.End - extent.Begin
}
