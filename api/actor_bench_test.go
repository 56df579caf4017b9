package api_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
)

// inActorSystem is the store under test, in a system for its senders.
func inActorSystem(b *testing.B) (system *api.ActorSystem, design benchDesign) {
	b.Helper()
	system = actor.NewActorSystem(actor.WithLoggerFactory(
		func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	b.Cleanup(system.Shutdown)
	return system, benchDesign{"store", func(path string) (benchStore, error) { return api.New(path, api.WithActorSystem(system)) }}
}

// begin has a sender begin a round.
type begin struct{ window int }

// sender is an actor that keeps a window of requests under way.
type sender struct {
	target   *api.PID
	request  func(*rand.Rand) any
	stop     *atomic.Bool
	random   *rand.Rand
	under    int
	finished int
	err      error
	over     chan<- *sender
}

func (s *sender) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case begin:
		s.finished = 0
		for range m.window {
			s.under++
			ctx.Request(s.target, s.request(s.random))
		}
	case protocol.Reply:
		s.under--
		s.finished++
		if err := m.Failure(); err != nil {
			s.err = err
		}
		switch {
		case s.err == nil && !s.stop.Load():
			s.under++
			ctx.Request(s.target, s.request(s.random))
		case s.under == 0:
			s.over <- s
		}
	}
}

// hammerByMessage is hammer by actors, each with a window of requests under way.
func hammerByMessage(b *testing.B, system *api.ActorSystem, target *api.PID, senders, window int, request func(*rand.Rand) any) func() measurement {
	b.Helper()
	var stop atomic.Bool
	over := make(chan *sender, senders)
	pids := make([]*api.PID, senders)
	for i := range pids {
		s := &sender{target: target, request: request, stop: &stop, random: newBenchRandom(uint64(i)), over: over}
		pids[i] = system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return s }))
	}
	return func() measurement {
		runtime.GC()
		stop.Store(false)
		began := time.Now()
		timer := time.AfterFunc(*roundLength, func() { stop.Store(true) })
		defer timer.Stop()
		for _, pid := range pids {
			system.Root.Send(pid, begin{window})
		}
		total := 0
		var errs error
		for range pids {
			s := <-over
			total += s.finished
			errs = errors.Join(errs, s.err)
		}
		if errs != nil {
			b.Fatal(errs)
		}
		return measurement{total, time.Since(began)}
	}
}

// BenchmarkRatio_ActorGet is the way from an actor to the store and back, 64 of them at
// a time, for a key in memory, beside that to an actor that only answers. Wanted: at
// most 2,000 ns.
func BenchmarkRatio_ActorGet(b *testing.B) {
	for _, senders := range []int{1, benchCallers} {
		b.Run(fmt.Sprintf("Memory/senders=%d", senders), func(b *testing.B) {
			system, design := inActorSystem(b)
			keys := benchKeys(scaled(manyKeys))
			store := openBench(b, design, ":memory:", keys).(*api.Store)
			echo := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
				if m, ok := ctx.Message().(protocol.Get); ok {
					ctx.Respond(protocol.GetDone{ID: m.ID})
				}
			}))
			get := func(random *rand.Rand) any {
				return protocol.Get{ID: 1, Group: benchGroup, Key: pick(random, keys)}
			}
			ratio(b, "store at most 2000 ns/op",
				side{"store", hammerByMessage(b, system, pidOf(b, store), senders, 1, get)},
				side{"echo", hammerByMessage(b, system, echo, senders, 1, get)})
		})
	}
}

// BenchmarkRatio_ActorSet compares Sets of one actor, 1,000 of them under way, with
// those of 1,000 goroutines that call the store.
func BenchmarkRatio_ActorSet(b *testing.B) {
	for _, each := range []struct{ name, path string }{{"Durable", ""}, {"Memory", ":memory:"}} {
		b.Run(each.name+"/inflight=1000", func(b *testing.B) {
			const inFlight = 1000
			system, design := inActorSystem(b)
			keys := benchKeys(scaled(manyKeys))
			store := openBench(b, design, each.path, keys).(*api.Store)
			call := setRandom(store, keys)
			var id atomic.Uint64
			set := func(random *rand.Rand) any {
				return protocol.Set{ID: id.Add(1), Group: benchGroup, Key: pick(random, keys), Value: benchValue(random)}
			}
			ratio(b, "at most 1.11",
				side{"actor", hammerByMessage(b, system, pidOf(b, store), 1, inFlight, set)},
				side{"goroutines", func() measurement { return hammer(b, inFlight, call) }})
		})
	}
}

// BenchmarkRatio_SubscriberPIDs compares Sets in a store with 1,000 subscribed actors,
// each to a group of its own, with Sets in a store with none: to another group, and to
// those groups. Actors give a credit for each event, or for fifty at once.
func BenchmarkRatio_SubscriberPIDs(b *testing.B) {
	const subscribers = 1000
	for _, each := range []struct{ name, path string }{{"Durable", ""}, {"Memory", ":memory:"}} {
		for _, to := range []struct {
			groups  string
			credits int
		}{{"another", 1}, {"theirs", 1}, {"theirs", 50}} {
			b.Run(fmt.Sprintf("%sSet/groups=%s/credits=%d", each.name, to.groups, to.credits), func(b *testing.B) {
				keys := benchKeys(scaled(manyKeys))
				var sides []side
				for _, n := range []int{scaled(subscribers), 0} {
					system, design := inActorSystem(b)
					store := openBench(b, design, each.path, keys).(*api.Store)
					var subscribed sync.WaitGroup
					for i := range n {
						subscribed.Add(1)
						taken := 0
						pid := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
							switch m := ctx.Message().(type) {
							case protocol.Subscribed:
								subscribed.Done()
							case protocol.Event:
								if taken++; taken == to.credits {
									ctx.Request(pidOf(b, store), protocol.Credit{ID: m.ID, N: taken})
									taken = 0
								}
							}
						}))
						system.Root.RequestWithCustomSender(pidOf(b, store), protocol.Subscribe{ID: 1, Credits: 100, Options: api.SubscribeOptions{
							Filters: []api.Filter{{Group: api.Exactly(fmt.Sprint("own-", i))}}}}, pid)
					}
					subscribed.Wait()
					call := setRandom(store, keys)
					if to.groups == "theirs" {
						call = func(caller *benchCaller) (int, error) {
							return 1, store.Set(fmt.Sprint("own-", caller.random.IntN(scaled(subscribers))), pick(caller.random, keys), benchValue(caller.random))
						}
					}
					sides = append(sides, side{fmt.Sprintf("subscribers%d", n), func() measurement { return hammer(b, benchCallers, call) }})
				}
				ratio(b, "at most 1.2", sides[0], sides[1])
			})
		}
	}
}
