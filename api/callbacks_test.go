package api_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

func TestOnChange(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		var first, second []string
		unregister := store.OnChange(func(e api.Event) { first = append(first, e.Type.String()+" "+e.Key) })
		store.OnChange(func(e api.Event) { second = append(second, e.Type.String()+" "+e.Key) })
		// The goroutine that writes runs them: no lock is needed above.
		require.NoError(t, store.Set("g", "k", "v"))
		require.NoError(t, store.SetAll([]api.Item{{Group: "g", Key: "l"}, {Group: "g", Key: "m"}}))
		require.NoError(t, store.Delete("g", "k"))
		require.NoError(t, store.Delete("g", "k"))
		require.Equal(t, []string{"set k", "set l", "set m", "delete k"}, first)
		unregister()
		unregister()
		require.NoError(t, store.DeleteGroup("g"))
		require.Len(t, first, 4, "nothing comes after unregister")
		require.Equal(t, []string{"set k", "set l", "set m", "delete k", "delete_group "}, second)
	})
}

func TestNilCallback(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		unregister := store.OnChange(nil)
		require.NoError(t, store.Set("g", "k", "v"))
		unregister()
		unregister()
	})
}

// One function registered twice is called twice, and each unregister removes
// its own.
func TestCallbackRegisteredTwice(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		calls := 0
		callback := func(api.Event) { calls++ }
		first, second := store.OnChange(callback), store.OnChange(callback)
		require.NoError(t, store.Set("g", "k", "1"))
		require.Equal(t, 2, calls)
		first()
		first()
		require.NoError(t, store.Set("g", "k", "2"))
		require.Equal(t, 3, calls)
		second()
		require.NoError(t, store.Set("g", "k", "3"))
		require.Equal(t, 3, calls)
	})
}

func TestScopedOnChange(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		a, ab := newScope(t, store, "a"), newScope(t, store, "ab")
		var got []string
		unregister := a.OnChange(func(e api.Event) { got = append(got, e.Group) })
		for _, set := range []func(group, key, value string) error{a.Set, ab.Set, store.Set} {
			require.NoError(t, set("g", "k", "v"))
		}
		require.NoError(t, store.Set("a", "k", "v"))
		require.NoError(t, store.Set("a:h", "k", "v"))
		require.NoError(t, a.DeletePrefix(""))
		require.Equal(t, []string{"a:g", "a:h", "a:g", "a:h"}, got, "full names, of its namespace only")
		unregister()
		require.NoError(t, a.Set("g", "k", "v"))
		require.Len(t, got, 4)
	})
}

// A callback may call everything, at any depth.
func TestReentrantCallback(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		var watcher *api.Watcher
		var unregisterInner, unregister func()
		var seen []string
		unregister = store.OnChange(func(e api.Event) {
			seen = append(seen, e.Key)
			if e.Key != "outer" {
				return
			}
			watcher = store.Watch("g", "*")
			unregisterInner = store.OnChange(func(e api.Event) { seen = append(seen, "inner "+e.Key) })
			require.NoError(t, store.Set("g", "nested", "v"))
			require.NoError(t, store.SetWithTTL("g", "nested TTL", "v", time.Hour))
			require.NoError(t, store.SetAll([]api.Item{{Group: "g", Key: "nested all"}}))
			require.NoError(t, store.Delete("g", "nested"))
			requireValue(t, store, "g", "outer", "v")
			for _, err := range store.All("g") {
				require.NoError(t, err)
			}
			_, err := store.PurgeExpired()
			require.NoError(t, err)
			require.Len(t, delivered(watcher), 4)
			store.Unwatch(watcher)
			unregisterInner()
			unregister()
		})
		require.NoError(t, store.Set("g", "outer", "v"))
		require.Equal(t, []string{
			"outer",
			"nested", "inner nested", "nested TTL", "inner nested TTL", "nested all", "inner nested all", "nested", "inner nested",
		}, seen)
		require.NoError(t, store.Set("g", "later", "v"))
		require.Len(t, seen, 9)
	})
}

func TestCloseInsideCallback(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		watcher := store.Watch("*", "*")
		store.OnChange(func(e api.Event) { require.NoError(t, store.Close()) })
		require.NoError(t, store.Set("g", "k", "v"), "the write was committed before its callbacks ran")
		require.ErrorIs(t, store.Set("g", "k", "v"), api.ClosedError)
		require.Len(t, delivered(watcher), 1)
	})
}

// A callback that stands still costs its caller alone: it holds no slot, and
// Close does not wait for it.
func TestSlowCallback(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open(api.WithMaxInFlight(1))
		entered, leave := make(chan struct{}), make(chan struct{})
		store.OnChange(func(e api.Event) {
			if e.Key == "slow" {
				close(entered)
				<-leave
			}
		})
		slow := make(chan error, 1)
		go func() { slow <- store.Set("g", "slow", "v") }()
		testkit.Await(t, "the callback", entered)
		require.Zero(t, store.InFlight())
		require.NoError(t, store.Set("g", "fast", "v"))
		requireValue(t, store, "g", "slow", "v")
		select {
		case <-slow:
			require.Fail(t, "the call returned before its callback did")
		default:
		}
		require.NoError(t, store.Close())
		close(leave)
		require.NoError(t, testkit.Await(t, "the slow call", slow))
	})
}

// A panic in a callback is its caller's. The write stands.
func TestPanickingCallback(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		unregister := store.OnChange(func(e api.Event) { panic("out of " + e.Key) })
		require.PanicsWithValue(t, "out of k", func() { _ = store.Set("g", "k", "v") })
		require.Zero(t, store.InFlight())
		unregister()
		requireValue(t, store, "g", "k", "v")
		require.NoError(t, store.Set("g", "k", "w"))
	})
}

// What the call still had to tell is skipped then; the next call's is not.
func TestPanickingCallbackSkipsTheRest(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		var seen []string
		store.OnChange(func(e api.Event) {
			if e.Key == "bad" {
				panic("bad")
			}
		})
		store.OnChange(func(e api.Event) { seen = append(seen, e.Key) })
		watcher := store.Watch("g", "*")
		require.Panics(t, func() {
			_ = store.SetAll([]api.Item{{Group: "g", Key: "good"}, {Group: "g", Key: "bad"}, {Group: "g", Key: "after"}})
		})
		require.Equal(t, []string{"good"}, seen)
		require.Len(t, delivered(watcher), 3, "watchers miss nothing")
		require.NoError(t, store.Set("g", "next", "v"))
		require.Equal(t, []string{"good", "next"}, seen)
	})
}

// Callbacks come and go while others write.
func TestConcurrentCallbacks(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		var stays, comes atomic.Int64
		store.OnChange(func(api.Event) { stays.Add(1) })
		require.NoError(t, together(20, func(i int) error {
			for j := range 50 {
				if i < 10 {
					if err := store.Set("g", strconv.Itoa(i), strconv.Itoa(j)); err != nil {
						return err
					}
					continue
				}
				unregister := store.OnChange(func(api.Event) { comes.Add(1) })
				store.Watch("g", "k")
				unregister()
			}
			return nil
		}))
		require.EqualValues(t, 500, stays.Load())
		before := comes.Load()
		require.NoError(t, store.Set("g", "k", "v"))
		require.Equal(t, before, comes.Load())
	})
}

// logBook is a log that a test reads.
type logBook struct {
	mu struct {
		sync.Mutex
		text bytes.Buffer
	}
	written chan struct{} // one token for each record, as far as there is room
}

func newLogBook() *logBook { return &logBook{written: make(chan struct{}, 1000)} }

func (l *logBook) option() api.Option {
	return api.WithLogger(slog.New(slog.NewJSONHandler(l, nil)))
}

func (l *logBook) Write(record []byte) (int, error) {
	l.mu.Lock()
	l.mu.text.Write(record)
	l.mu.Unlock()
	select {
	case l.written <- struct{}{}:
	default:
	}
	return len(record), nil
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.text.String()
}

// What no goroutine asked for is told on a goroutine of the store's, where a
// panic is logged and keeps the event from no other callback.
func TestCallbacksOfPurges(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock, log := testkit.NewClock(), newLogBook()
		store := open(api.WithClock(clock), log.option())
		expired := make(chan api.Event, 2)
		store.OnChange(func(e api.Event) {
			if e.Type == api.EventExpire {
				panic("a bad callback")
			}
		})
		store.OnChange(func(e api.Event) {
			if e.Type == api.EventExpire {
				expired <- e
			}
		})
		watcher := store.Watch("g", "*")
		for _, key := range []string{"first", "second"} {
			require.NoError(t, store.SetWithTTL("g", key, "a secret", time.Second))
			require.Equal(t, api.EventSet, next(t, watcher).Type)
			require.Equal(t, api.EventExpire, nextInTime(t, clock, watcher).Type)
			event := testkit.Await(t, "the callback", expired)
			require.Equal(t, change{api.EventExpire, "g", key, "a secret"}, changeOf(event))
		}
		require.NoError(t, store.Close())
		require.Contains(t, log.String(), "a bad callback")
		require.Contains(t, log.String(), "callbacks_test.go", "the stack")
		require.NotContains(t, log.String(), "a secret", "values are not for logs")
		require.Zero(t, store.CallbackOverflow())
	})
}

// A callback that is too slow for the purges loses events, and the count of
// what was lost is exact.
func TestCallbackOverflow(t *testing.T) {
	const backlog, lost = 64, 5
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock, log := testkit.NewClock(), newLogBook()
		store := open(api.WithClock(clock), log.option())
		scope := newScope(t, store, "a")
		var calls atomic.Int64
		entered, leave, done := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
		store.OnChange(func(e api.Event) {
			if e.Type != api.EventExpire {
				return
			}
			if calls.Add(1) == 1 {
				entered <- struct{}{}
				<-leave
			}
			if calls.Load() == 1+backlog {
				close(done)
			}
		})
		watcher := store.Watch("*", "k")
		for i := range 1 + backlog + lost {
			require.NoError(t, scope.SetWithTTL("g", "k", strconv.Itoa(i), time.Second))
			require.Equal(t, api.EventSet, next(t, watcher).Type)
			require.Equal(t, api.EventExpire, nextInTime(t, clock, watcher).Type, "a slow callback delays no purge and no watcher")
			if i == 0 {
				testkit.Await(t, "the callback", entered)
			}
		}
		require.EqualValues(t, lost, store.CallbackOverflow())
		require.EqualValues(t, lost, scope.CallbackOverflow())
		require.Contains(t, log.String(), "too slow")
		close(leave)
		testkit.Await(t, "the events that were not lost", done)
		require.EqualValues(t, 1+backlog, calls.Load())
	})
}

// A callback on the background goroutine may close the store too.
func TestCloseInsideBackgroundCallback(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock))
		closed := make(chan error, 1)
		store.OnChange(func(e api.Event) {
			if e.Type == api.EventExpire {
				closed <- store.Close()
			}
		})
		require.NoError(t, store.SetWithTTL("g", "k", "v", time.Second))
		awaitTimer(t, clock, 1100*time.Millisecond)
		clock.Advance(1100 * time.Millisecond)
		require.NoError(t, testkit.Await(t, "Close", closed))
		_, err := store.Get("g", "k")
		require.ErrorIs(t, err, api.ClosedError)
	})
}

// The change of a caller that has given up is told in the background.
func TestCallbackOfAbandonedWrite(t *testing.T) {
	for _, watched := range []bool{false, true} {
		t.Run(fmt.Sprintf("watched %v", watched), func(t *testing.T) {
			forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
				pause := testkit.NewPause("writer.commit")
				store := open(withFailpoint(pause.Hook))
				told := make(chan api.Event, 1)
				store.OnChange(func(e api.Event) { told <- e })
				if watched {
					store.Watch("g", "k")
				}
				ctx, cancel := context.WithCancel(t.Context())
				result := make(chan error, 1)
				go func() { result <- store.WithContext(ctx).Set("g", "k", "v") }()
				testkit.Await(t, "the commit", pause.Reached)
				cancel()
				require.ErrorIs(t, testkit.Await(t, "the call", result), api.UnknownOutcomeError)
				require.Empty(t, told)
				close(pause.Resume)
				event := testkit.Await(t, "the callback", told)
				require.Equal(t, change{api.EventSet, "g", "k", "v"}, changeOf(event))
				requireValue(t, store, "g", "k", "v")
			})
		})
	}
}
