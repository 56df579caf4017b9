package engine

import (
	"context"
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

// TestFailureAtOpen: the first thing that each actor does fails, before it
// knows of the others. What was stored with a deadline is removed all the same.
func TestFailureAtOpen(t *testing.T) {
	for _, step := range afterRestart {
		for _, times := range []int{1, 3} {
			t.Run(fmt.Sprint(step, "/", times), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "store.db")
				before := open(t, Config{Path: path})
				must(t, before, ttl(set("g", "k", "v"), time.Millisecond))
				must(t, before, set("n:g", "k", "v"))
				closeNow(t, before)
				faults := testkit.NewFaults()
				faults.Plan(step, times)
				e := open(t, Config{Path: path, Failpoint: faults.Hook, PurgeInterval: time.Millisecond})
				testkit.Until(t, "the removal of what had expired before", func() bool {
					_, found, err := e.reads.Get(context.Background(), "g", "k")
					return err == nil && !found
				})
				counted(t, e, "n")
				expires(t, e, "new")
			})
		}
	}
}

// TestExpiryUnderLoad: keys with deadlines are written without pause. Those
// that have expired are removed meanwhile, not when the load ends.
func TestExpiryUnderLoad(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		e := open(t, Config{Path: path, Durability: kv.DurabilityBuffered, PurgeInterval: time.Millisecond, WatchBuffer: 1 << 10})
		w := e.Watch("", "first", "*")
		var stop atomic.Bool
		var writing sync.WaitGroup
		for id := range 16 {
			writing.Go(func() {
				for i := 0; !stop.Load(); i++ {
					_, err := e.Apply(context.Background(), ttl(set("g", fmt.Sprint(id, "-", i%100), "v"), time.Millisecond))
					assert.NoError(t, err)
				}
			})
		}
		for i := range 20 {
			must(t, e, ttl(set("first", fmt.Sprint(i), "v"), time.Millisecond))
			for testkit.Await(t, "the event of an expiry", w.Events).Type != kv.EventExpire {
			}
		}
		stop.Store(true)
		testkit.Within(t, "the writers", writing.Wait)
	})
}

func TestLastValueOfEachKeyAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	model := testkit.NewModel()
	for round := range 3 {
		e := open(t, Config{Path: path})
		for i := range 20 {
			p := kv.Key{Group: "g", Key: fmt.Sprint(i * (round + 1))}
			must(t, e, set(p.Group, p.Key, fmt.Sprint(round)))
			model.Wrote(p, testkit.Present(fmt.Sprint(round)))
		}
		closeNow(t, e)
	}
	e := open(t, Config{Path: path})
	for _, p := range model.Places() {
		require.NoError(t, model.Saw(p, value(t, e, p.Group, p.Key)))
	}
}

// TestRevisionAtOnce: a store knows its revision before its writer does.
func TestRevisionAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	before := open(t, Config{Path: path})
	must(t, before, set("g", "k", "v"))
	closeNow(t, before)
	pause := testkit.NewPause("writer.start")
	e := open(t, Config{Path: path, Failpoint: pause.Hook})
	testkit.Await(t, "the writer's start", pause.Reached)
	defer close(pause.Resume)
	revision, err := e.Revision(context.Background())
	require.NoError(t, err)
	require.EqualValues(t, 1, revision)
}
