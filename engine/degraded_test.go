package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// recovers waits until the store can write again.
func recovers(t *testing.T, e *Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	for health := range e.WatchHealth(ctx) {
		if health.Err == nil {
			return
		}
	}
	t.Fatal("the store stays degraded")
}

// TestDegraded: while the disk fails the store answers reads, refuses writes by name,
// leaves the disk alone between two attempts, and tells callers that ask. Once the disk is
// mended it recovers, asked or not.
func TestDegraded(t *testing.T) {
	for name, fault := range map[string]error{
		"full": syscall.ENOSPC, "quota": syscall.EDQUOT, "failing": syscall.EIO, "read-only": syscall.EROFS, "forbidden": syscall.EACCES,
	} {
		t.Run(name, func(t *testing.T) {
			path, clock := filepath.Join(t.TempDir(), "store.db"), testkit.NewClock()
			e := open(t, Config{Path: path, Clock: clock, ReadCache: 0})
			must(t, e, set("g", "before", "v"))
			seen := make(chan Health, 16)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for health := range e.WatchHealth(ctx) {
					seen <- health
				}
			}()
			require.NoError(t, testkit.Await(t, "the present health", seen).Err)

			var attempts atomic.Int32
			heal := faultfs.Inject(t, func(o faultfs.Operation) error {
				if o.Kind == "wal" && o.Call == "write" {
					attempts.Add(1)
					return fault
				}
				return nil
			})
			for i := range 50 {
				_, err := apply(t, e, set("g", "k", fmt.Sprint(i)))
				require.ErrorIs(t, err, kv.DegradedError)
				require.Equal(t, testkit.Present("v"), value(t, e, "g", "before"))
				require.Equal(t, testkit.Absent, value(t, e, "g", "k"))
			}
			require.LessOrEqual(t, attempts.Load(), int32(2), "time stands still: the first, and the one that comes at once")
			health := testkit.Await(t, "the news", seen)
			require.ErrorIs(t, health.Err, kv.DegradedError)
			require.True(t, health.Since.Equal(clock.Now()))
			require.ErrorIs(t, e.Health().Err, kv.DegradedError)

			// It tries by itself, ever less often.
			for range 40 {
				before := attempts.Load()
				testkit.Until(t, "an attempt", func() bool {
					clock.Advance(maxRecovery) // the timer may not be there yet
					return attempts.Load() > before
				})
			}
			heal()
			recoversInTime(t, e, clock)
			good := testkit.Await(t, "the good news", seen)
			for good.Err != nil { // an overlay's fold fails and recovers at times of its own
				require.True(t, errors.Is(good.Err, kv.DegradedError) || errors.Is(good.Err, kv.UnfoldedError), good.Err)
				good = testkit.Await(t, "the good news", seen)
			}
			must(t, e, set("g", "k", "v"))
			cancel()
			testkit.Await(t, "the watcher's end", ended)
			closeNow(t, e)
			again := open(t, Config{Path: path})
			require.Equal(t, testkit.Present("v"), value(t, again, "g", "k"))
			require.Equal(t, testkit.Present("v"), value(t, again, "g", "before"))
		})
	}
}

// recoversInTime is recovers by a clock that has to be moved.
func recoversInTime(t *testing.T, e *Engine, clock *testkit.Clock) {
	t.Helper()
	testkit.Until(t, "the recovery", func() bool {
		clock.Advance(maxRecovery)
		return e.Health().Err == nil
	})
}

// maxRecovery is how long after a disk is mended the store writes again.
const maxRecovery = time.Second

// A fault that passes costs one batch: the next is an attempt at once.
func TestOneFaultCostsOneBatch(t *testing.T) {
	e := open(t, Config{Path: filepath.Join(t.TempDir(), "store.db"), Clock: testkit.NewClock()})
	must(t, e, set("g", "k", "v"))
	failDisk(t, times(1, int32(13)), nil) // SQLITE_FULL
	_, err := apply(t, e, set("g", "k", "w"))
	require.ErrorIs(t, err, kv.DegradedError)
	must(t, e, set("g", "k", "x"))
	require.NoError(t, e.Health().Err)
}

// A writer that is started anew while the disk fails goes on trying.
func TestDegradedWriterRestarts(t *testing.T) {
	clock, faults := testkit.NewClock(), testkit.NewFaults()
	e := open(t, Config{Path: filepath.Join(t.TempDir(), "store.db"), Clock: clock, Failpoint: faults.Hook})
	must(t, e, set("g", "k", "v"))
	heal := failDisk(t, times(1<<30, int32(13)), nil)
	_, err := apply(t, e, set("g", "k", "w"))
	require.ErrorIs(t, err, kv.DegradedError)
	faults.Plan("writer.begin", 1)
	_, err = apply(t, e, set("g", "k", "w"))
	require.ErrorIs(t, err, kv.RolledBackError)
	require.ErrorIs(t, e.Health().Err, kv.DegradedError)
	heal()
	recoversInTime(t, e, clock)
	must(t, e, set("g", "k", "x"))
}

// The reaper does not wait for the sweep.
func TestExpiredRowsAfterAFault(t *testing.T) {
	e := open(t, Config{Path: filepath.Join(t.TempDir(), "store.db"), PurgeInterval: time.Millisecond})
	w := e.Watch("", "g", "k")
	must(t, e, ttl(set("g", "k", "v"), 20*time.Millisecond))
	heal := failDisk(t, times(1<<30, int32(13)), nil)
	recoversNot := e.health.Changed()
	testkit.Await(t, "the purge's fault", recoversNot)
	heal()
	for {
		if event := testkit.Await(t, "the expiry", w.Events); event.Type == kv.EventExpire {
			return
		}
	}
}

// What changes nothing writes nothing, and tells nothing about the disk.
func TestNothingWrittenIsNoRecovery(t *testing.T) {
	clock := testkit.NewClock()
	e := open(t, Config{Path: filepath.Join(t.TempDir(), "store.db"), Clock: clock})
	must(t, e, set("g", "k", "v"))
	heal := failDisk(t, times(1<<30, int32(13)), nil)
	_, err := apply(t, e, set("g", "k", "w"))
	require.ErrorIs(t, err, kv.DegradedError)
	must(t, e, kv.Mutation{Kind: kv.Delete, Group: "g", Key: "none"})
	require.ErrorIs(t, e.Health().Err, kv.DegradedError)
	heal()
	clock.AwaitTimer(maxRecovery)
	clock.Advance(maxRecovery)
	recovers(t, e)
}
