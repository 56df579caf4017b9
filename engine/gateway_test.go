package engine

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// speaker is an actor that a test sends as.
type speaker struct {
	t      *testing.T
	system *actor.ActorSystem
	pid    *actor.PID
	heard  chan any
}

func speak(t *testing.T, system *actor.ActorSystem) *speaker {
	s := &speaker{t: t, system: system, heard: make(chan any, 1<<16)}
	s.pid = system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case protocol.Reply, protocol.Event, *actor.DeadLetterResponse:
			s.heard <- m
		}
	}))
	return s
}

func (s *speaker) send(to *actor.PID, message any) {
	s.system.Root.RequestWithCustomSender(to, message, s.pid)
}

func (s *speaker) next() any {
	s.t.Helper()
	return testkit.Await(s.t, "an answer", s.heard)
}

// gatewaySteps are those of a gateway, and lastOfGateway is the one that comes once.
var (
	gatewaySteps  = []string{"gateway.accept", "gateway.answer", "gateway.start"}
	lastOfGateway = []string{"gateway.stop"}
)

// ending ends the goroutine where a hook panics, as a test's FailNow does.
func ending(hook func(string)) func(string) {
	return func(step string) {
		defer func() {
			if recover() != nil {
				runtime.Goexit()
			}
		}()
		hook(step)
	}
}

// TestGatewayThatFails at each of its steps, many times, with requests under way: each
// of them has one answer, and subscriptions miss nothing.
func TestGatewayThatFails(t *testing.T) {
	gatewayThatFails(t, func(hook func(string)) func(string) { return hook })
}

// TestGatewayWhoseGoroutineEnds is a gateway that fails: nothing in it waits for the
// goroutine that has gone.
func TestGatewayWhoseGoroutineEnds(t *testing.T) { gatewayThatFails(t, ending) }

func gatewayThatFails(t *testing.T, how func(hook func(string)) func(string)) {
	for _, step := range gatewaySteps {
		t.Run(step, func(t *testing.T) {
			system, faults := foreign(), testkit.NewFaults()
			defer system.Shutdown()
			e := open(t, Config{System: system, Failpoint: how(faults.Hook)})
			pid, err := e.PID("", kv.QuotaConfig{})
			require.NoError(t, err)
			listener, s := speak(t, system), speak(t, system)
			const requests, failures = 2000, 25
			listener.send(pid, protocol.Subscribe{ID: 1, Credits: protocol.MaxCredits})
			require.Equal(t, protocol.Subscribed{ID: 1}, listener.next())
			faults.Plan(step, failures)
			if step == "gateway.start" {
				faults.Plan("gateway.accept", 1)
			}
			for i := range requests {
				s.send(pid, protocol.Set{ID: uint64(2*i + 1), Group: "g", Key: fmt.Sprint(i), Value: "v"})
				s.send(pid, protocol.Scan{ID: uint64(2*i + 2), Groups: kv.Exactly("g"), Limit: 1})
			}
			written, answered := 0, map[uint64]bool{}
			for range 2 * requests {
				answer := s.next().(protocol.Reply)
				require.False(t, answered[answer.RequestID()], "answered twice")
				answered[answer.RequestID()] = true
				if set, ok := answer.(protocol.SetDone); ok && set.Err == nil {
					written++
				} else if ok {
					require.ErrorIs(t, set.Err, kv.RolledBackError)
				}
			}
			count, err := e.Count(t.Context(), kv.GroupRange("g"))
			require.NoError(t, err)
			require.Equal(t, count, written, "what was answered with an error was not done")
			last := uint64(0)
			for range written {
				event := listener.next().(protocol.Event)
				require.Equal(t, last+1, event.Event.Revision)
				last++
			}
			_, panics := faults.Hits(step)
			require.Equal(t, failures, panics)
			require.Zero(t, e.InFlight())
			require.Zero(t, e.Dropped())
			closeNow(t, e)
			require.Empty(t, s.heard)
			require.IsType(t, protocol.SubscriptionEnded{}, listener.next())
		})
	}
}

// TestGatewayThatFailsWhileItStops: whatever it has is answered all the same.
func TestGatewayThatFailsWhileItStops(t *testing.T) {
	faults := testkit.NewFaults()
	gatewayThatFailsWhileItStops(t, faults, faults.Hook)
}

func TestGatewayWhoseGoroutineEndsWhileItStops(t *testing.T) {
	faults := testkit.NewFaults()
	gatewayThatFailsWhileItStops(t, faults, ending(faults.Hook))
}

func gatewayThatFailsWhileItStops(t *testing.T, faults *testkit.Faults, hook func(string)) {
	system := foreign()
	defer system.Shutdown()
	pause := testkit.NewPause("writer.begin")
	e := open(t, Config{System: system, Failpoint: func(step string) { pause.Hook(step); hook(step) }})
	pid, err := e.PID("", kv.QuotaConfig{})
	require.NoError(t, err)
	faults.Plan(lastOfGateway[0], 1)
	s := speak(t, system)
	for i := range 10 {
		s.send(pid, protocol.Set{ID: uint64(i + 1), Group: "g", Key: "k"})
	}
	testkit.Await(t, "the writer", pause.Reached)
	testkit.Until(t, "the requests", func() bool { return e.InFlight() == 10 })
	stopped := system.Root.StopFuture(pid)
	close(pause.Resume)
	require.NoError(t, stopped.Wait())
	for range 10 {
		require.NoError(t, s.next().(protocol.SetDone).Err)
	}
}

// TestGatewayStoppedWhileItFails: the stop overtakes the restart. Proto.Actor starts
// what has ended once more; it does nothing.
func TestGatewayStoppedWhileItFails(t *testing.T) {
	for _, step := range []string{"gateway.accept", "gateway.answer"} {
		t.Run(step, func(t *testing.T) {
			system := foreign()
			defer system.Shutdown()
			armed := make(chan *actor.PID, 1)
			e := open(t, Config{System: system, Failpoint: func(hit string) {
				if hit != step {
					return
				}
				select {
				case pid := <-armed:
					system.Root.Stop(pid)
					system.Root.Stop(pid)
					panic(testkit.Injected{Step: step})
				default:
				}
			}})
			pid, err := e.PID("", kv.QuotaConfig{})
			require.NoError(t, err)
			armed <- pid
			s := speak(t, system)
			for i := range 100 {
				s.send(pid, protocol.Set{ID: uint64(i + 1), Group: "g", Key: "k"})
			}
			answered := 0
			testkit.Until(t, "the end", func() bool { _, found := system.ProcessRegistry.Get(pid); return !found })
			limit := time.After(testkit.Patience)
			for answered < 100 { // those that came too late are dead letters, and answered by them
				select {
				case <-s.heard:
					answered++
				case <-limit:
					t.Fatalf("%d of 100 answered", answered)
				}
			}
			again, err := e.PID("", kv.QuotaConfig{})
			require.NoError(t, err)
			require.NotEqual(t, pid.Id, again.Id)
			s.send(again, protocol.Set{Group: "g", Key: "k"})
			require.NoError(t, s.next().(protocol.SetDone).Err)
		})
	}
}

// TestSubscribersOfANotifierThatFails miss nothing.
func TestSubscribersOfANotifierThatFails(t *testing.T) {
	for _, step := range []string{"notifier.deliver", "notifier.delivered", "writer.publish", "writer.committed"} {
		t.Run(step, func(t *testing.T) {
			system, faults := foreign(), testkit.NewFaults()
			defer system.Shutdown()
			e := open(t, Config{System: system, Failpoint: faults.Hook})
			pid, err := e.PID("", kv.QuotaConfig{})
			require.NoError(t, err)
			s := speak(t, system)
			s.send(pid, protocol.Subscribe{ID: 1, Credits: 1 << 10})
			require.Equal(t, protocol.Subscribed{ID: 1}, s.next())
			must(t, e, set("g", "k", "first"))
			require.Equal(t, "first", s.next().(protocol.Event).Event.Value, "the notifier knows it by now")
			faults.Plan(step, 5)
			for i := range 200 {
				must(t, e, set("g", "k", fmt.Sprint(i)))
			}
			for i := range 200 {
				event := s.next().(protocol.Event)
				require.Equal(t, fmt.Sprint(i), event.Event.Value)
			}
			_, panics := faults.Hits(step)
			require.Equal(t, 5, panics)
		})
	}
}

// TestManyGateways: one for each namespace and quota, and none is left.
func TestManyGateways(t *testing.T) {
	system := foreign()
	defer system.Shutdown()
	e := open(t, Config{System: system})
	seen := map[string]bool{}
	for i := range 100 {
		pid, err := e.PID(fmt.Sprint("n", i/2), kv.QuotaConfig{MaxKeys: i % 2})
		require.NoError(t, err)
		require.False(t, seen[pid.Id])
		seen[pid.Id] = true
	}
	require.Len(t, pids(system, "go-store-gateway-"), 100)
	closeNow(t, e)
	require.Empty(t, pids(system, "go-store-"))
	_, err := e.PID("", kv.QuotaConfig{})
	require.ErrorIs(t, err, kv.ClosedError)
}

// TestTooManyGateways: a caller that opens namespaces finds an end, and those that have
// stopped make room.
func TestTooManyGateways(t *testing.T) {
	system := foreign()
	defer system.Shutdown()
	e := open(t, Config{System: system})
	whole, err := e.PID("", kv.QuotaConfig{})
	require.NoError(t, err)
	for i := range maxGateways - 1 {
		_, err := e.PID("n", kv.QuotaConfig{MaxKeys: i})
		require.NoError(t, err)
	}
	s := speak(t, system)
	s.send(whole, protocol.OpenNamespace{ID: 1, Name: "n", Quota: kv.QuotaConfig{MaxGroups: 1}})
	require.ErrorIs(t, s.next().(protocol.NamespaceOpened).Err, kv.TooManyActorsError)
	seven, err := e.PID("n", kv.QuotaConfig{MaxKeys: 7})
	require.NoError(t, err, "it is there already")
	again, err := e.PID("", kv.QuotaConfig{})
	require.NoError(t, err)
	require.Equal(t, whole, again)

	require.NoError(t, system.Root.StopFuture(seven).Wait())
	testkit.Until(t, "room", func() bool {
		_, err := e.PID("n", kv.QuotaConfig{MaxGroups: 1})
		return err == nil
	})
	_, err = e.PID("n", kv.QuotaConfig{MaxKeys: 7})
	require.ErrorIs(t, err, kv.TooManyActorsError)
	closeNow(t, e)
	require.Empty(t, pids(system, "go-store-"))
}

// TestOrderOfOneSender: a request that has to wait for others' remains, or for its
// namespace to be counted, is not overtaken by the sender's next one, nor by those that
// an actor asks for by futures.
func TestOrderOfOneSender(t *testing.T) {
	for _, future := range []bool{false, true} {
		t.Run(fmt.Sprint("future: ", future), func(t *testing.T) {
			system := foreign()
			defer system.Shutdown()
			e := open(t, Config{System: system, PurgeInterval: time.Hour})
			for round := range 3 {
				var rows []kv.Operation
				for i := range 4096 {
					rows = append(rows, kv.Operation{Kind: kv.Set, Group: "n:g", Key: fmt.Sprint(round, "-", i), HasTTL: true, TimeToLive: -time.Hour})
				}
				must(t, e, kv.Mutation{Kind: kv.Batch, Operations: rows})
			}
			pid, err := e.PID("n", kv.QuotaConfig{MaxKeys: 1 << 20})
			require.NoError(t, err)
			s := speak(t, system)
			send := func(message any) {
				if future {
					system.Root.RequestFuture(pid, message, testkit.Patience).PipeTo(s.pid)
				} else {
					s.send(pid, message)
				}
			}
			const rounds = 20
			for i := range rounds {
				send(protocol.Set{Group: "other", Key: "k", Value: fmt.Sprint(i)})
				send(protocol.DeleteGroup{Group: "other"})
				send(protocol.DeleteGroup{Group: "g"})
				send(protocol.Set{Group: "g", Key: "k", Value: fmt.Sprint(i)})
			}
			last := uint64(0)
			for range 4 * rounds {
				answer := s.next().(protocol.Reply)
				require.NoError(t, answer.Failure())
				if set, ok := answer.(protocol.SetDone); ok && !future {
					require.Greater(t, set.Revision, last)
					last = set.Revision
				}
			}
			row, err := e.Get(t.Context(), "n:g", "k")
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(rounds-1), row.Value)
			_, err = e.Get(t.Context(), "n:other", "k")
			require.ErrorIs(t, err, kv.NotFoundError)
		})
	}
}

// TestAnswersOfOneSender come in the order of the writes, also where the notifier has
// those of one commit and no watcher wants the next. A caller does not wait for it.
func TestAnswersOfOneSender(t *testing.T) {
	for _, step := range []string{"notifier.deliver", "notifier.delivered"} {
		t.Run(step, func(t *testing.T) {
			system, pause := foreign(), testkit.NewPause(step)
			defer system.Shutdown()
			e := open(t, Config{System: system, Failpoint: pause.Hook})
			e.Watch("", "w", "k")
			pid, err := e.PID("", kv.QuotaConfig{})
			require.NoError(t, err)
			s := speak(t, system)
			s.send(pid, protocol.Set{ID: 1, Group: "w", Key: "k"})
			testkit.Await(t, "the notifier", pause.Reached)
			for id := range 3 {
				s.send(pid, protocol.Set{ID: uint64(id + 2), Group: "g", Key: fmt.Sprint(id)})
				s.send(pid, protocol.Delete{ID: uint64(id + 10), Group: "g", Key: "none"}) // no event at all
				testkit.Until(t, "the commit", func() bool { _, err := e.Get(t.Context(), "g", fmt.Sprint(id)); return err == nil })
				must(t, e, set("called", "k", "v")) // what was committed before it was answered before
			}
			require.Equal(t, 7, e.InFlight(), "none was answered yet")
			close(pause.Resume)
			for _, id := range []uint64{1, 2, 10, 3, 11, 4, 12} {
				require.Equal(t, id, s.next().(protocol.Reply).RequestID())
			}
			s.send(pid, protocol.Set{ID: 1, Group: "w", Key: "k"})
			require.Equal(t, uint64(1), s.next().(protocol.Reply).RequestID())
			testkit.Until(t, "the notifier's rest", func() bool { return !e.actors.notifier.Answering() })
		})
	}
}

// impostor looks like a request, and must not be asked anything.
type impostor struct{}

func (impostor) RequestID() uint64        { panic("asked") }
func (impostor) IgnoreDeadLetterLogging() {}

// TestFlood: a sender of more than a gateway takes is told so at once, by whichever goroutine
// works, and everything is answered once.
func TestFlood(t *testing.T) {
	const messages, more = 1 << 16, 10
	for name, shape := range map[string]struct {
		value string
		first int
	}{"messages": {"v", messages}, "bytes": {strings.Repeat("v", 1<<20), 64}} {
		t.Run(name, func(t *testing.T) {
			system, pause := foreign(), testkit.NewPause("gateway.accept")
			defer system.Shutdown()
			e := open(t, Config{System: system, MaxInFlight: 64, Failpoint: pause.Hook})
			pid, err := e.PID("", kv.QuotaConfig{})
			require.NoError(t, err)
			s := speak(t, system)
			s.send(pid, protocol.Set{ID: 1, Group: "g", Key: "k"})
			testkit.Await(t, "the gateway", pause.Reached)
			batch := kv.NewWrites([]kv.Operation{{Kind: kv.Set, Group: "g", Key: "k", Value: shape.value}}, nil)
			for i := range shape.first {
				switch i % 3 {
				case 0:
					s.send(pid, protocol.Set{Group: "g", Key: "k", Value: shape.value})
				case 1:
					s.send(pid, &protocol.Set{Group: "g", Key: "k", Value: shape.value})
				default:
					s.send(pid, protocol.Batch{Writes: batch})
				}
			}
			require.Empty(t, s.heard)
			for i := range more {
				s.send(pid, &protocol.Set{ID: uint64(i + 2), Group: "g", Key: "k"})
				busy := s.next().(protocol.Busy)
				require.Equal(t, uint64(i+2), busy.ID)
				require.Equal(t, e.RetryAfter()*time.Duration(1+shape.first/4096), busy.RetryAfter, "the commits that make room")
			}
			s.send(pid, impostor{})
			require.ErrorIs(t, s.next().(protocol.Failed).Err, kv.UnknownMessageError)
			require.Equal(t, Dropped{Flooded: more + 1}, e.Dropped())
			close(pause.Resume)
			for range shape.first + 1 {
				s.next()
			}
			s.send(pid, protocol.Set{ID: 1, Group: "g", Key: "k"})
			require.NoError(t, s.next().(protocol.SetDone).Err, "there is room again")
			require.Empty(t, s.heard)
		})
	}
}

// TestSubscriptionZero: for a subscription 0 is an ID like any other.
func TestSubscriptionZero(t *testing.T) {
	system := foreign()
	defer system.Shutdown()
	e := open(t, Config{System: system})
	pid, err := e.PID("", kv.QuotaConfig{})
	require.NoError(t, err)
	s := speak(t, system)
	s.send(pid, protocol.Subscribe{})
	require.Equal(t, protocol.Subscribed{}, s.next())
	s.send(pid, protocol.Subscribe{})
	require.ErrorIs(t, s.next().(protocol.Failed).Err, kv.DuplicateIDError)
	s.send(pid, protocol.Unsubscribe{})
	require.Equal(t, protocol.SubscriptionEnded{}, s.next())
	s.send(pid, protocol.Subscribe{})
	require.Equal(t, protocol.Subscribed{}, s.next())
}
