package api_test

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit/report"
)

// Ten goroutines, a hundred operations each: no SQLITE_BUSY, and each
// reads its own writes at once.
func TestConcurrentReadWrite(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		require.NoError(t, together(10, func(i int) error {
			for j := range 100 {
				key, value := fmt.Sprint(i, "-", j), strconv.Itoa(j)
				if err := store.Set("g", key, value); err != nil {
					return err
				}
				got, err := store.Get("g", key)
				if err != nil || got != value {
					return fmt.Errorf("%s: %q, %w", key, got, err)
				}
				if j%2 == 1 {
					continue
				}
				if err := store.Delete("g", key); err != nil {
					return err
				}
				if exists, err := store.Exists("g", key); err != nil || exists {
					return fmt.Errorf("%s: %v after its deletion, %w", key, exists, err)
				}
			}
			return nil
		}))
		count, err := store.Count("g")
		require.NoError(t, err)
		require.Equal(t, 500, count)
	})
}

// A read never shows an older value than a read, by any goroutine, that ended before
// it began.
func TestReadsNeverGoBack(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		last := int64(report.Rounds(100, 250, 500))
		require.NoError(t, store.Set("g", "k", "0"))
		var latest atomic.Int64 // seen by any reader
		require.NoError(t, together(8, func(i int) error {
			if i == 0 {
				for n := int64(1); n <= last; n++ {
					if err := store.Set("g", "k", strconv.FormatInt(n, 10)); err != nil {
						return err
					}
				}
				return nil
			}
			for latest.Load() < last {
				before := latest.Load()
				value, err := store.Get("g", "k")
				if err != nil {
					return err
				}
				n, err := strconv.ParseInt(value, 10, 64)
				if err != nil {
					return err
				}
				if n < before {
					return fmt.Errorf("%d was read after %d", n, before)
				}
				for {
					seen := latest.Load()
					if seen >= n || latest.CompareAndSwap(seen, n) {
						break
					}
				}
			}
			return nil
		}))
	})
}

// Of several writers of one key one is the last, and all agree which.
func TestConcurrentWritersOfOneKey(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open(api.WithWatchBuffer(2000))
		watcher := store.Watch("g", "k")
		require.NoError(t, together(64, func(i int) error {
			for j := range 10 {
				if err := store.Set("g", "k", fmt.Sprint(i, "-", j)); err != nil {
					return err
				}
			}
			return nil
		}))
		events := delivered(watcher)
		require.Len(t, events, 640)
		requireValue(t, store, "g", "k", events[639].Value)
	})
}
