package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// A disk that refuses writes to the database file alone is told, though every write is
// acknowledged; it is tried once a second, and what was committed is moved once it can be.
func TestHealthTellsThatNothingIsMoved(t *testing.T) {
	e := open(t, Config{Path: filepath.Join(t.TempDir(), "store.db")})
	must(t, e, set("g", "before", "v"))
	var attempts atomic.Int32
	heal := faultfs.Inject(t, func(o faultfs.Operation) error {
		if o.Kind == "database" && o.Call == "write" {
			attempts.Add(1)
			return syscall.EIO
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	began := time.Now()
	for health := range e.WatchHealth(ctx) {
		if health.Err != nil {
			require.ErrorIs(t, health.Err, kv.CheckpointError)
			require.False(t, health.Since.IsZero())
			break
		}
		for i := range 40 {
			must(t, e, set("g", fmt.Sprint(i), strings.Repeat("v", 1<<20)))
		}
	}
	require.NoError(t, ctx.Err(), "no watcher is told")
	must(t, e, set("g", "k", "v"))
	require.NoError(t, e.Fold(ctx))
	require.ErrorIs(t, e.Health().Err, kv.CheckpointError)
	require.LessOrEqual(t, int(attempts.Load()), 3+int(time.Since(began)/time.Second))
	heal()
	recovers(t, e)
	testkit.Until(t, "all is moved", func() bool {
		m := e.Metrics(ctx)
		return m.WAL.Behind == 0 && m.WAL.Bytes > 0
	})
}

// A fault of the fold comes beside the writer's: each is told for as long as it lasts,
// both have the time of the older, and a watcher is told of each change once.
func TestHealthTellsEveryFault(t *testing.T) {
	clock := testkit.NewClock()
	e := open(t, Config{Path: filepath.Join(t.TempDir(), "store.db"), Clock: clock, Overlay: 1 << 20})
	must(t, e, set("g", "before", "v"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen, ended := make(chan Health, 64), make(chan struct{})
	go func() {
		defer close(ended)
		for health := range e.WatchHealth(ctx) {
			seen <- health
		}
	}()
	require.NoError(t, testkit.Await(t, "the present health", seen).Err)
	heal := faultfs.Inject(t, faultfs.Failing("write", "wal", syscall.ENOSPC))
	_, err := apply(t, e, set("g", "k", "v"))
	require.ErrorIs(t, err, kv.DegradedError)
	refused := clock.Now()

	require.ErrorIs(t, e.Fold(t.Context()), kv.UnfoldedError)
	health := e.Health()
	require.ErrorIs(t, health.Err, kv.DegradedError)
	require.ErrorIs(t, health.Err, kv.UnfoldedError)
	require.False(t, health.Since.After(refused))
	for health = testkit.Await(t, "the writer's fault", seen); ; health = testkit.Await(t, "both faults", seen) {
		require.Error(t, health.Err)
		if errors.Is(health.Err, kv.DegradedError) && errors.Is(health.Err, kv.UnfoldedError) {
			break
		}
	}
	for range 4 { // each fails again, and none of it is news
		require.ErrorIs(t, e.Fold(t.Context()), kv.UnfoldedError)
		_, err = apply(t, e, set("g", "k", "v"))
		require.ErrorIs(t, err, kv.DegradedError)
	}
	require.Empty(t, seen)

	heal()
	testkit.Until(t, "the recovery", func() bool {
		clock.Advance(maxRecovery)
		return e.Fold(t.Context()) == nil && e.Health().Err == nil
	})
	for health = testkit.Await(t, "the news", seen); health.Err != nil; {
		health = testkit.Await(t, "the good news", seen)
	}
	cancel()
	testkit.Await(t, "the watcher's end", ended)
	require.Empty(t, seen)
}
