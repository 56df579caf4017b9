package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestQuotaIsExact: 64 goroutines fill one namespace. As many writes succeed
// as there are slots, whatever the order.
func TestQuotaIsExact(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		e := open(t, Config{Path: path, Durability: kv.DurabilityBuffered})
		for name, c := range map[string]struct {
			quota kv.QuotaConfig
			place func(worker, i int) (group, key string)
			want  kv.Usage
		}{
			"keys":   {kv.QuotaConfig{MaxKeys: 100}, func(w, i int) (string, string) { return "g", fmt.Sprint(w, "-", i) }, kv.Usage{Keys: 100, Groups: 1}},
			"groups": {kv.QuotaConfig{MaxGroups: 50}, func(w, i int) (string, string) { return fmt.Sprint(w, "-", i), "k" }, kv.Usage{Keys: 50, Groups: 50}},
			"shared": {kv.QuotaConfig{MaxKeys: 7}, func(_, i int) (string, string) { return "g", fmt.Sprint(i) }, kv.Usage{Keys: 7, Groups: 1}},
		} {
			var written atomic.Int64
			testkit.Within(t, "the writers", func() {
				var writing sync.WaitGroup
				for worker := range 64 {
					writing.Go(func() {
						for i := range 5 + 5*len(name)%7 {
							group, key := c.place(worker, i)
							_, err := e.Apply(context.Background(), within(set(name+":"+group, key, "v"), name, c.quota))
							if err == nil {
								written.Add(1)
							} else {
								assert.ErrorIs(t, err, kv.QuotaExceededError)
							}
						}
					})
				}
				writing.Wait()
			})
			usage, err := e.Usage(t.Context(), name)
			require.NoError(t, err)
			require.Equal(t, c.want, usage, name)
			counted(t, e, name)
			if name != "shared" { // where updates succeed too
				require.Equal(t, c.want.Keys, written.Load(), name)
			}
		}
	})
}

// TestCountingUnderWrites: namespaces that hold rows already are counted, on
// first need, in the middle of writes to them, over and over.
func TestCountingUnderWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	for round := range 4 {
		e := open(t, Config{Path: path, Durability: kv.DurabilityBuffered, PurgeInterval: time.Millisecond})
		testkit.Within(t, "the writers", func() {
			var writing sync.WaitGroup
			for worker := range 16 {
				writing.Go(func() {
					for i := range 40 {
						n := fmt.Sprint("n", i%4)
						m := set(fmt.Sprint(n, ":", worker%3), fmt.Sprint(round, "-", worker, "-", i%20), "v")
						switch i % 5 {
						case 1:
							m = kv.Mutation{Kind: kv.Delete, Group: m.Group, Key: fmt.Sprint(round, "-", worker, "-", (i-1)%20)}
						case 2:
							m = ttl(m, time.Millisecond)
						case 3:
							m = within(m, n, quotas[roomy])
						}
						_, err := e.Apply(context.Background(), m)
						assert.NoError(t, err)
						if i%7 == 0 {
							_, err = e.Usage(context.Background(), n)
							assert.NoError(t, err)
						}
					}
				})
			}
			writing.Wait()
		})
		for n := range 4 {
			counted(t, e, fmt.Sprint("n", n))
		}
		closeNow(t, e)
	}
}

// TestCountThatFails answers the callers that wait for it, of writes and of Usage, and the
// next try works.
func TestCountThatFails(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		pause, faults := testkit.NewPause("quota.count"), testkit.NewFaults()
		e := open(t, Config{Path: path, Failpoint: func(step string) {
			pause.Hook(step)
			faults.Hook(step)
		}})
		faults.Plan("quota.count", 1)
		write := send(t.Context(), e, within(set("n:g", "k", "v"), "n", quotas[roomy]))
		testkit.Await(t, "the count", pause.Reached)
		asked := make(chan error, 1)
		go func() { asked <- second(e.Usage(context.Background(), "n")) }()
		another := send(t.Context(), e, within(set("n:g", "l", "v"), "n", quotas[roomy]))
		testkit.Until(t, "both writes' admission", func() bool { return e.InFlight() == 2 })
		close(pause.Resume)
		err := testkit.Await(t, "the write", write).err
		require.Error(t, err)
		require.NotErrorIs(t, err, kv.UnknownOutcomeError)
		require.Equal(t, testkit.Absent, value(t, e, "n:g", "k"))
		// These came before or after the failure: they are told of it or counted anew.
		if err := testkit.Await(t, "the other write", another).err; err == nil {
			require.Equal(t, testkit.Present("v"), value(t, e, "n:g", "l"))
		}
		testkit.Await(t, "the asker", asked)
		must(t, e, within(set("n:g", "k", "v"), "n", quotas[roomy]))
		counted(t, e, "n")
	})
}

// TestExpiredKeysDoNotCount, whichever call asks, before they are removed and after.
func TestExpiredKeysDoNotCount(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		source := testkit.NewClock()
		e := open(t, Config{Path: path, Clock: source})
		quota := kv.QuotaConfig{MaxKeys: 3, MaxGroups: 2}
		for i := range 3 {
			must(t, e, ttl(within(set(fmt.Sprint("n:g", i%2), fmt.Sprint(i), "v"), "n", quota), time.Second))
		}
		_, err := apply(t, e, within(set("n:g0", "more", "v"), "n", quota))
		require.ErrorIs(t, err, kv.QuotaExceededError)
		counted(t, e, "n")
		source.Jump(time.Second) // no timer fires: the rows are there still
		usage, err := e.Usage(t.Context(), "n")
		require.NoError(t, err)
		require.Zero(t, usage)
		for i := range 3 {
			must(t, e, within(set(fmt.Sprint("n:h", i%2), fmt.Sprint(i), "v"), "n", quota))
		}
		counted(t, e, "n")
		_, err = apply(t, e, within(set("n:h0", "more", "v"), "n", quota))
		require.ErrorIs(t, err, kv.QuotaExceededError)
	})
}

// TestSetAllIsOneChange: it is refused whole, or there whole in one moment.
func TestSetAllIsOneChange(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		e := open(t, Config{Path: path})
		w := e.Watch("", "*", "*")
		items := func(n int) (all []kv.Operation) {
			for i := range n {
				all = append(all, kv.Operation{Group: "n:g", Key: fmt.Sprint(i), Value: fmt.Sprint(n)})
			}
			return all
		}
		batch := func(n int) error {
			_, err := apply(t, e, within(kv.Mutation{Kind: kv.Batch, Operations: items(n)}, "n", kv.QuotaConfig{MaxKeys: 5}))
			return err
		}
		require.ErrorIs(t, batch(6), kv.QuotaExceededError)
		require.Empty(t, w.Events)
		counted(t, e, "n")
		require.NoError(t, batch(5))
		require.Len(t, w.Events, 5)
		require.ErrorIs(t, batch(6), kv.QuotaExceededError)
		require.Len(t, w.Events, 5)
		for i := range 5 {
			require.Equal(t, testkit.Present("5"), value(t, e, "n:g", fmt.Sprint(i)))
		}

		// Readers see all of a batch or nothing of it.
		var stop atomic.Bool
		torn := make(chan error, 1)
		go func() {
			for !stop.Load() {
				seen := make(map[string]bool)
				for row, err := range e.Scan(context.Background(), GroupQuery("atomic")) {
					if err != nil {
						torn <- err
						return
					}
					seen[row.Value] = true
				}
				if len(seen) > 1 {
					torn <- errors.New("a scan saw parts of two batches")
					return
				}
			}
			torn <- nil
		}()
		for round := range 50 {
			m := kv.Mutation{Kind: kv.Batch}
			for i := range 20 {
				m.Operations = append(m.Operations, kv.Operation{Group: "atomic", Key: fmt.Sprint(i), Value: fmt.Sprint(round)})
			}
			must(t, e, m)
		}
		stop.Store(true)
		require.NoError(t, testkit.Await(t, "the reader", torn))
	})
}
