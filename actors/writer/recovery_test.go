package writer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// has reports whether a key is there.
func (b *bench) has(group, key string) bool {
	b.t.Helper()
	_, found, err := b.database.Reads().Get(context.Background(), group, key)
	require.NoError(b.t, err)
	return found
}

// TestAnswersSayHowFarItCame: one batch of three fails at each step. What its
// callers are told is what the database holds.
func TestAnswersSayHowFarItCame(t *testing.T) {
	for step, committed := range map[string]bool{
		"writer.accept": false, "writer.begin": false, "writer.apply": false, "writer.commit": false,
		"writer.committed": true, "writer.publish": true,
	} {
		t.Run(step, func(t *testing.T) {
			eachStorage(t, func(t *testing.T, path string) {
				faults := testkit.NewFaults()
				b := start(t, options{path: path, hook: faults.Hook})
				require.NoError(t, b.apply(set("g", "before")).err)
				b.settle()
				resyncs := b.resyncs()
				faults.Plan(step, 1)
				got := b.apply(set("g", "k"))
				if committed {
					require.NoError(t, got.err)
					require.Equal(t, []string{"set g/k"}, kinds(got.Events))
				} else {
					require.ErrorIs(t, got.err, kv.RolledBackError)
					require.Empty(t, got.Events)
				}
				require.Equal(t, committed, b.has("g", "k"))
				require.NoError(t, b.apply(set("g", "after")).err)
				require.True(t, b.has("g", "before") && b.has("g", "after"))
				again := 1
				if committed {
					again = 2 // before the callers are answered, too
				}
				require.Equal(t, resyncs+again, b.resyncs(), "the projections start again")
				require.Zero(t, b.gate.InFlight())
			})
		})
	}
}

// TestFailureDuringCommit: while the transaction is open it can be rolled back.
// Once it is not, the outcome is unknown, and watchers are told that they may have missed
// something.
func TestFailureDuringCommit(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		b := start(t, options{path: path})
		require.NoError(t, b.apply(within(set("n:g", "before"), "n", kv.QuotaConfig{MaxKeys: 9})).err)
		b.mu.watching = true
		b.settle()
		once := func() func() {
			fail := true
			return func() {
				if fail {
					fail = false
					panic("during COMMIT")
				}
			}
		}
		b.faulty.before = once()
		require.ErrorIs(t, b.apply(set("n:g", "k")).err, kv.RolledBackError)
		require.False(t, b.has("n:g", "k"))
		require.Empty(t, b.delivered)

		b.settle()
		b.faulty.after = once()
		require.ErrorIs(t, b.apply(set("n:g", "k")).err, kv.UnknownOutcomeError)
		d := testkit.Await(t, "the news for watchers", b.delivered)
		require.True(t, d.Lost)
		require.Equal(t, []string{"set n:g/k"}, kinds(d.Events))
		require.Empty(t, d.Requests)
		require.True(t, b.has("n:g", "k"))

		b.mu.Lock()
		b.mu.watching = false
		b.mu.Unlock()
		require.NoError(t, b.apply(within(set("n:g", "after"), "n", kv.QuotaConfig{MaxKeys: 9})).err)
		usage, _ := b.told("n")
		require.Equal(t, kv.Usage{Keys: 3, Groups: 1}, usage)
		require.Equal(t, usage, b.stored("n"))
	})
}

// TestDeliveryAfterAFailure: a batch that was committed and has an audience is
// still handed on, once.
func TestDeliveryAfterAFailure(t *testing.T) {
	for _, step := range []string{"writer.committed", "writer.publish"} {
		faults := testkit.NewFaults()
		b := start(t, options{hook: faults.Hook})
		b.mu.watching = true
		faults.Plan(step, 1)
		waiting := b.send(set("g", "k"))
		d := testkit.Await(t, "the delivery", b.delivered)
		require.Equal(t, []string{"set g/k"}, kinds(d.Events))
		require.False(t, d.Lost)
		require.Len(t, d.Requests, 1)
		b.settle()
		require.Empty(t, waiting, "the answer is the notifier's to give")
		require.Empty(t, b.delivered)
		d.Requests[0].Release()
		require.NoError(t, testkit.Await(t, "the caller", waiting).err)
	}
}

// TestPurgesOfTheReaper: no caller waits for them; their events are for the background, and
// what came of them is a fact, also when there was nothing.
func TestPurgesOfTheReaper(t *testing.T) {
	b := start(t, options{})
	require.NoError(t, b.apply(ttl(set("g", "k"), time.Second)).err)
	later := b.source.Now().Add(time.Hour).UnixMilli()
	require.NoError(t, b.apply(ttl(set("g", "l"), time.Hour)).err)
	b.source.Advance(time.Minute)
	b.Ref.PurgeExpired()
	b.settle() // the flush is behind it
	b.settle()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Equal(t, []string{"expire g/k"}, kinds(b.mu.background))
	last := b.mu.facts[len(b.mu.facts)-1]
	require.True(t, last.Purged && last.Reaped)
	require.Equal(t, later, last.Earliest)
	require.Equal(t, kv.NoDeadline, last.Deadline)
}

func TestUnknownKindHarmsItsCallerOnly(t *testing.T) {
	b := start(t, options{})
	require.ErrorIs(t, b.apply(kv.Mutation{Kind: 99}).err, kv.RolledBackError)
	require.NoError(t, b.apply(set("g", "k")).err)
}

func TestBatchesAreBoundedByWeight(t *testing.T) {
	gate := newFlushGate()
	var commits atomic.Int64
	b := start(t, options{batch: 100, hook: func(step string) {
		if step == "writer.committed" {
			commits.Add(1)
		}
		gate.hook(step)
	}})
	heavy := func(key string, size int) kv.Mutation {
		m := set("g", key)
		m.Value = strings.Repeat("x", size)
		return m
	}
	results := gate.together(b, heavy("a", 40), heavy("b", 40), heavy("c", 40), heavy("d", 500), heavy("e", 1))
	for i, r := range results {
		require.NoError(t, r.err, i)
	}
	require.Equal(t, int64(1+4), commits.Load(), "the one before, then a and b, c, d alone, e")
}

// TestDrain: when the writer is stopped from outside, what it has accepted is
// committed, and what it never saw its callers learn from dead.
func TestDrain(t *testing.T) {
	pause := testkit.NewPause("writer.begin")
	b := start(t, options{hook: pause.Hook})
	first := b.send(set("g", "first"))
	testkit.Await(t, "the commit", pause.Reached)
	second := b.send(set("g", "second"))
	b.system.Root.Stop(b.to.PID) // overtakes the second
	close(pause.Resume)
	require.NoError(t, testkit.Await(t, "the first", first).err)
	err := testkit.Await(t, "the second", second).err
	require.ErrorIs(t, err, kv.ClosedError)
	testkit.Within(t, "the writer's end", b.Wait)
	require.True(t, b.has("g", "first"))
	require.Equal(t, errors.Is(err, nil), b.has("g", "second"))
	_, err = b.Apply(t.Context(), set("g", "third"))
	require.ErrorIs(t, err, kv.ClosedError)
}

func TestFailureWhileStopping(t *testing.T) {
	for _, step := range []string{"writer.drain", "writer.begin", "writer.apply", "writer.commit", "writer.committed", "writer.publish"} {
		t.Run(step, func(t *testing.T) {
			faults := testkit.NewFaults()
			pause := testkit.NewPause("writer.accept")
			b := start(t, options{hook: func(step string) {
				pause.Hook(step)
				faults.Hook(step)
			}})
			waiting := b.send(set("g", "k"))
			testkit.Await(t, "the writer", pause.Reached)
			faults.Plan(step, 1)
			b.system.Root.Stop(b.to.PID) // before the flush
			close(pause.Resume)
			err := testkit.Await(t, "the caller", waiting).err
			testkit.Within(t, "the writer's end", b.Wait)
			require.Equal(t, err == nil, b.has("g", "k"), "%v", err)
			_, panics := faults.Hits(step)
			require.Equal(t, 1, panics)
		})
	}
}

// The same of a goroutine that ends: the writer stops.
func TestTheEndOfAGoroutineWhileStopping(t *testing.T) {
	for _, step := range []string{"writer.drain", "writer.begin", "writer.apply", "writer.commit", "writer.committed", "writer.publish"} {
		t.Run(step, func(t *testing.T) {
			var armed atomic.Bool
			pause := testkit.NewPause("writer.accept")
			b := start(t, options{hook: func(hit string) {
				pause.Hook(hit)
				if hit == step && armed.CompareAndSwap(true, false) {
					runtime.Goexit()
				}
			}})
			waiting := b.send(set("g", "k"))
			testkit.Await(t, "the writer", pause.Reached)
			armed.Store(true)
			b.system.Root.Stop(b.to.PID) // before the flush
			close(pause.Resume)
			err := testkit.Await(t, "the caller", waiting).err
			testkit.Within(t, "the writer's end", b.Wait)
			require.Equal(t, err == nil, b.has("g", "k"), "%v", err)
			require.False(t, armed.Load())
		})
	}
}

// TestStoppedWhileFailing: a stop that is queued when a step fails overtakes
// the restart, so that the incarnation that failed is the one to end. Two stops
// must not end it twice, and nothing may touch the database afterwards.
func TestStoppedWhileFailing(t *testing.T) {
	for _, step := range []string{"writer.accept", "writer.begin", "writer.apply", "writer.commit", "writer.committed", "writer.publish"} {
		t.Run(step, func(t *testing.T) {
			eachStorage(t, func(t *testing.T, path string) {
				var b *bench
				armed := make(chan struct{}, 1)
				var starts atomic.Int64
				b = start(t, options{path: path, hook: func(hit string) {
					if hit == "writer.start" {
						starts.Add(1)
					}
					if hit != step {
						return
					}
					select {
					case <-armed:
						b.system.Root.Stop(b.to.PID)
						b.system.Root.Stop(b.to.PID)
						panic(testkit.Injected{Step: step})
					default:
					}
				}})
				require.NoError(t, b.apply(set("g", "before")).err)
				b.settle()
				armed <- struct{}{}
				err := b.apply(set("g", "k")).err
				testkit.Await(t, "the writer's end", b.done)
				ended := make(chan struct{})
				b.dispatcher.Schedule(func() { close(ended) }) // behind whatever it does after its end
				testkit.Await(t, "the mailbox's end", ended)
				require.Equal(t, int64(1), starts.Load(), "the writer was started anew after its end")
				require.True(t, b.has("g", "before"))
				require.Equal(t, err == nil, b.has("g", "k"), "%v", err)
			})
		})
	}
}

// TestRaceOfStopAndApply: whatever the moment, every caller is answered.
func TestRaceOfStopAndApply(t *testing.T) {
	for range 20 {
		b := start(t, options{})
		var waiting []<-chan result
		for i := range 16 {
			waiting = append(waiting, b.send(set("g", fmt.Sprint(i))))
		}
		b.system.Root.Stop(b.to.PID)
		for i, w := range waiting {
			got := testkit.Await(t, "a caller", w)
			if got.err == nil {
				require.True(t, b.has("g", fmt.Sprint(i)))
			} else {
				require.ErrorIs(t, got.err, kv.ClosedError)
			}
		}
	}
}
