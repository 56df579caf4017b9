package storetest_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/storetest"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

type increment struct{}

// counter increments a counter in the store for each message.
func counter(add func(store *api.Store) error) func(m *storetest.Member) *actor.Props {
	return func(m *storetest.Member) *actor.Props {
		return actor.PropsFromFunc(func(ctx actor.Context) {
			if _, ok := ctx.Message().(increment); ok {
				if err := add(m.Store); err != nil {
					m.World.Errorf("%s: %v", m.Name, err)
				}
			}
		})
	}
}

// racy reads, and writes what it makes of that: the planted race.
func racy(store *api.Store) error {
	value, err := store.Get("counters", "n")
	if err != nil && !errors.Is(err, api.NotFoundError) {
		return err
	}
	n, _ := strconv.Atoi(value)
	return store.Set("counters", "n", strconv.Itoa(n+1))
}

func exact(store *api.Store) error {
	_, err := store.Increment("counters", "n", 1)
	return err
}

func countTo(actors ...string) func(w *storetest.World) {
	return func(w *storetest.World) {
		for _, name := range actors {
			w.Send(name, increment{})
			w.Send(name, increment{})
		}
		w.Settle()
		value, err := w.Store.Get("counters", "n")
		require.NoError(w, err)
		require.Equal(w, strconv.Itoa(2*len(actors)), value)
	}
}

func TestRunOfExactCounters(t *testing.T) {
	for name, options := range map[string][]storetest.Option{"file": nil, "memory": {storetest.InMemory()}} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, storetest.Actors{"one": counter(exact), "two": counter(exact)}, countTo("one", "two"), options...)
		})
	}
}

// TestRunFindsAPlantedRace: within a few seeds, and each that finds it finds it again.
func TestRunFindsAPlantedRace(t *testing.T) {
	actors := storetest.Actors{"one": counter(racy), "two": counter(racy)}
	found := 0
	for seed := range uint64(20) {
		first := storetest.Play(t, seed, actors, countTo("one", "two"), storetest.InMemory())
		if len(first.Failures) == 0 {
			continue
		}
		found++
		again := storetest.Play(t, seed, actors, countTo("one", "two"), storetest.InMemory())
		require.Equal(t, first.Trace, again.Trace, "seed %d", seed)
		require.Len(t, again.Failures, 1)
		require.Contains(t, again.Report, fmt.Sprintf("-storetest.seed=%d", seed))
		require.Contains(t, again.Report, "two goes on")
	}
	require.Positive(t, found)
	t.Logf("%d of 20 seeds find it", found)
}

// TestSameSeedSameOrder, and another seed another order.
func TestSameSeedSameOrder(t *testing.T) {
	traces := make(map[string]bool)
	for seed := range uint64(8) {
		var traced [2][]string
		for i := range traced {
			r := storetest.Play(t, seed, ring(4), func(w *storetest.World) {
				for i := range 4 {
					w.Send(fmt.Sprint(i), pass{6})
				}
				w.Advance(time.Minute)
			}, storetest.InMemory())
			require.Empty(t, r.Failures)
			traced[i] = r.Trace
		}
		require.Equal(t, traced[0], traced[1], "seed %d", seed)
		require.Greater(t, len(traced[0]), 30)
		traces[strings.Join(traced[0], "\n")] = true
	}
	require.Greater(t, len(traces), 4)
}

type pass struct{ left int }

// ring is actors that write, pass a message on, watch each other by the store, and set
// timers.
func ring(size int) storetest.Actors {
	actors := make(storetest.Actors)
	for i := range size {
		actors[fmt.Sprint(i)] = func(m *storetest.Member) *actor.Props {
			return actor.PropsFromFunc(func(ctx actor.Context) {
				switch message := ctx.Message().(type) {
				case *actor.Started:
					m.Store.WatchActor(ctx.Self(), "ring", m.Name)
				case pass:
					if err := m.Store.Set("ring", fmt.Sprint((i+1)%size), fmt.Sprint(message.left)); err != nil {
						m.World.Errorf("%v", err)
					}
					if message.left > 0 {
						ctx.Send(m.World.PID(fmt.Sprint((i+1)%size)), pass{message.left - 1})
						root, self := ctx.ActorSystem().Root, ctx.Self()
						time.AfterFunc(time.Duration(message.left)*time.Second, func() { root.Send(self, pass{0}) })
					}
				}
			})
		}
	}
	return actors
}

func TestRunNamesTheSeedThatFails(t *testing.T) {
	r := storetest.Play(t, 7, storetest.Actors{}, func(w *storetest.World) {
		require.Equal(w, uint64(7), w.Seed())
		w.Logf("a line of the test's")
		w.Fatalf("as it should")
	}, storetest.InMemory())
	require.Equal(t, []string{"as it should"}, r.Failures)
	require.Contains(t, r.Report, "go test -run '^TestRunNamesTheSeedThatFails$' -storetest.seed=7")
	require.Contains(t, r.Report, "a line of the test's")
}

func TestPanicInDriveIsAFailure(t *testing.T) {
	r := storetest.Play(t, 1, storetest.Actors{}, func(*storetest.World) { panic("oh") }, storetest.InMemory())
	require.Len(t, r.Failures, 1)
	require.Contains(t, r.Failures[0], "panic: oh")
}

func TestSeedsOfTheFlags(t *testing.T) {
	seeds, err := storetest.ChosenSeeds("", 3)
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 2, 3}, seeds)
	seeds, err = storetest.ChosenSeeds("17", 3)
	require.NoError(t, err)
	require.Equal(t, []uint64{17}, seeds)
	_, err = storetest.ChosenSeeds("x", 3)
	require.Error(t, err)
}

// An actor that fails is started anew by its supervisor, one that waits for another gets
// its answer, children take part, and all end with the run.
func TestRunOfActorsThatFailWaitAndSpawn(t *testing.T) {
	type ask struct{}
	storetest.Run(t, storetest.Actors{
		"failing": func(*storetest.Member) *actor.Props {
			return actor.PropsFromFunc(func(ctx actor.Context) {
				if _, ok := ctx.Message().(ask); ok {
					panic("as it likes")
				}
				if ctx.Sender() != nil {
					ctx.Respond("alive")
				}
			})
		},
		"parent": func(m *storetest.Member) *actor.Props {
			return actor.PropsFromFunc(func(ctx actor.Context) {
				switch ctx.Message().(type) {
				case *actor.Started:
					ctx.Spawn(m.World.Props("child", actor.PropsFromFunc(func(ctx actor.Context) {
						if _, ok := ctx.Message().(*actor.Started); ok {
							if err := m.World.Store.Set("g", "child", "started"); err != nil {
								m.World.Errorf("%v", err)
							}
						}
					})))
				case ask:
					answer, err := ctx.RequestFuture(m.World.PID("failing"), "well?", time.Second).Result()
					if err != nil || answer != "alive" {
						m.World.Errorf("%v, %v", answer, err)
					}
				}
			})
		},
	}, func(w *storetest.World) {
		w.Send("failing", ask{})
		w.Send("parent", ask{})
		w.Settle()
		value, err := w.Store.Get("g", "child")
		require.NoError(w, err)
		require.Equal(w, "started", value)
		require.Contains(w, w.Trace(), "child gets *actor.Started")
		require.Contains(w, w.Trace(), "failing fails: as it likes")
	}, storetest.InMemory())
}

func TestRunSeesAReceiveThatDoesNotEnd(t *testing.T) {
	stop := make(chan struct{})
	r := storetest.Play(t, 1, storetest.Actors{"stuck": func(*storetest.Member) *actor.Props {
		stop = make(chan struct{}) // in the bubble
		return actor.PropsFromFunc(func(ctx actor.Context) {
			if _, ok := ctx.Message().(increment); ok {
				<-stop
			}
		})
	}}, func(w *storetest.World) {
		w.Send("stuck", increment{})
		w.Settle()
		time.AfterFunc(61*time.Second, func() { close(stop) })
	}, storetest.InMemory())
	require.Len(t, r.Failures, 1)
	require.Contains(t, r.Failures[0], "stuck is still in Receive")
}

// A program that counts what it has done before it is done is wrong after a kill; one that
// does both at once is not. The actors are made anew, and what they had in mind is gone.
func TestRunThatIsKilled(t *testing.T) {
	type work struct{}
	worker := func(do func(store *api.Store) error) storetest.Actors {
		return storetest.Actors{"worker": func(m *storetest.Member) *actor.Props {
			handled := 0
			return actor.PropsFromFunc(func(ctx actor.Context) {
				if _, ok := ctx.Message().(work); ok {
					if handled++; handled > 3 {
						m.World.Errorf("it was not made anew")
					}
					if err := do(m.Store); err != nil {
						m.World.Errorf("%v", err)
					}
				}
			})
		}}
	}
	drive := func(w *storetest.World) {
		point := []string{"writer.commit", "writer.committed", "writer.accept"}[w.Rand().IntN(3)]
		w.Store.At(point, 1+w.Rand().IntN(5), storetest.Crash)
		for range 2 {
			for range 3 {
				w.Send("worker", work{})
			}
			w.Settle()
			w.Kill()
			require.False(w, w.Killed())
		}
		done, err := w.Store.GetAll("work")
		require.NoError(w, err)
		require.Equal(w, done["planned"], done["done"])
	}
	increment := func(store *api.Store, key string) error {
		_, err := store.Increment("work", key, 1)
		return err
	}
	wrong := 0
	for seed := range uint64(8) {
		r := storetest.Play(t, seed, worker(func(store *api.Store) error {
			return errors.Join(increment(store, "planned"), increment(store, "done"))
		}), drive)
		wrong += len(r.Failures)
		r = storetest.Play(t, seed, worker(func(store *api.Store) error {
			batch := new(api.Batch).Increment("work", "planned", 1).Increment("work", "done", 1)
			_, err := store.Batch(batch)
			return err
		}), drive)
		require.Empty(t, r.Failures, r.Report)
	}
	require.Positive(t, wrong)
}
