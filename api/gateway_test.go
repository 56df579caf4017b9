package api_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// quiet is an actor system in which nothing may happen that is not its user's: no dead
// letter, and no value in its log.
type quiet struct {
	*api.ActorSystem
	mu      sync.Mutex
	letters []string
	logged  strings.Builder
}

const secret = "a value that nobody may log"

func newQuiet(t *testing.T) *quiet {
	q := &quiet{}
	q.ActorSystem = actor.NewActorSystem(actor.WithDeadLetterThrottleCount(1<<30), actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(q, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}))
	q.EventStream.Subscribe(func(event any) {
		if letter, ok := event.(*actor.DeadLetterEvent); ok {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.letters = append(q.letters, fmt.Sprintf("%T to %v", letter.Message, letter.PID))
		}
	})
	t.Cleanup(func() {
		q.Shutdown()
		q.mu.Lock()
		defer q.mu.Unlock()
		assert.Empty(t, q.letters)
		assert.NotContains(t, q.logged.String(), secret)
	})
	return q
}

func (q *quiet) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.logged.Write(line)
}

// logText is a store's own log.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// held is a store whose writer stands still at a step until it is let go.
func held(t *testing.T, step string, options ...api.Option) (store *api.Store, reached, letGo func()) {
	pause := testkit.NewPause(step)
	store = openStore(t, ":memory:", append(options, withFailpoint(pause.Hook))...)
	letGo = sync.OnceFunc(func() { close(pause.Resume) })
	t.Cleanup(letGo) // before the store closes
	return store, func() { t.Helper(); testkit.Await(t, "the writer", pause.Reached) }, letGo
}

func TestRequestFuture(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		system := newQuiet(t)
		store := open(api.WithActorSystem(system.ActorSystem))
		pid := pidOf(t, store)
		var all sync.WaitGroup
		for i := range 32 {
			all.Go(func() {
				key := fmt.Sprint(i)
				answer, err := system.Root.RequestFuture(pid, protocol.Set{ID: 1, Group: "g", Key: key, Value: key}, testkit.Patience).Result()
				if assert.NoError(t, err) {
					assert.NoError(t, answer.(protocol.SetDone).Err)
				}
				answer, err = system.Root.RequestFuture(pid, protocol.Get{ID: 1, Group: "g", Key: key}, testkit.Patience).Result()
				if assert.NoError(t, err) {
					assert.Equal(t, key, answer.(protocol.GetDone).Value)
				}
			})
		}
		all.Wait()
		answer, err := system.Root.RequestFuture(pid, protocol.Subscribe{ID: 1, Credits: 1}, testkit.Patience).Result()
		require.NoError(t, err)
		require.ErrorIs(t, answer.(protocol.Subscribed).Err, api.InvalidOptionError, "a future takes one message only")
	})
}

// Whatever a future has been piped to, or an actor does when it comes, is not done in
// the store's goroutines.
func TestFutureThatBlocksItsSender(t *testing.T) {
	system := newSystem(t)
	store := openStore(t, ":memory:", api.WithActorSystem(system))
	pid := pidOf(t, store)
	goOn := make(chan struct{})
	defer close(goOn)
	stuck := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(protocol.GetDone); ok {
			<-goOn
		}
	}, actor.WithDispatcher(actor.NewSynchronizedDispatcher(1))))
	future := actor.NewFuture(system, testkit.Patience)
	future.PipeTo(stuck) // before the answer, or the test's own goroutine would deliver it
	system.Root.RequestWithCustomSender(pid, protocol.Get{Group: "g", Key: "k"}, future.PID())
	c := newClient(t, system, pid)
	done[protocol.SetDone](c, protocol.Set{Group: "g", Key: "k"})
}

// An ID is in use from the request to its answer.
func TestIDInUse(t *testing.T) {
	system := newQuiet(t)
	store, reached, letGo := held(t, "writer.begin", api.WithActorSystem(system.ActorSystem))
	pid := pidOf(t, store)
	c, other := newClient(t, system.ActorSystem, pid), newClient(t, system.ActorSystem, pid)
	c.send(protocol.Set{ID: 1, Group: "g", Key: "k", Value: "first"})
	reached()
	for _, request := range []any{protocol.Set{ID: 1, Group: "g", Key: "k", Value: "other content"}, protocol.Get{ID: 1, Group: "g", Key: "k"},
		protocol.Scan{ID: 1}, protocol.Increment{ID: 1}} {
		answer := c.ask(request).(protocol.Failed)
		require.ErrorIs(t, answer.Err, api.DuplicateIDError)
		require.EqualValues(t, 1, answer.ID)
		require.Equal(t, fmt.Sprintf("%T", request), answer.Type)
	}
	require.ErrorIs(t, c.ask(protocol.Get{ID: 2, Group: "g", Key: "k"}).(protocol.GetDone).Err, api.NotFoundError, "the Set was not answered yet")
	require.ErrorIs(t, other.ask(protocol.Get{ID: 1, Group: "g", Key: "k"}).(protocol.GetDone).Err, api.NotFoundError, "an ID is its sender's own")
	c.send(protocol.Set{Group: "g", Key: "a"}) // 0 is none
	c.send(protocol.Set{Group: "g", Key: "b"})
	letGo()
	require.Equal(t, protocol.SetDone{ID: 1, Revision: 1}, c.next())
	require.NoError(t, c.next().(protocol.SetDone).Err)
	require.NoError(t, c.next().(protocol.SetDone).Err)
	require.Equal(t, "first", done[protocol.GetDone](c, protocol.Get{ID: 1, Group: "g", Key: "k"}).Value)
	requireValue(t, store, "g", "k", "first")
}

type stranger struct{ Text string }

// automatic is a message that answers itself, with its owner's code.
type automatic struct{ t testing.TB }

func (a automatic) GetAutoResponse(actor.Context) any {
	a.t.Error("the store has run code of a message")
	return nil
}

type batched []any

func (b batched) GetMessages() []any { return b }

// What is no request is counted, and answered if it can be. The store goes on.
func TestMessagesThatAreNone(t *testing.T) {
	system, logged := newQuiet(t), &logText{}
	store := openStore(t, ":memory:", api.WithActorSystem(system.ActorSystem), api.WithLogger(slog.New(slog.NewTextHandler(logged, nil))))
	c := newClient(t, system.ActorSystem, pidOf(t, store))
	unknown := []any{stranger{secret}, &stranger{secret}, secret, 7, protocol.SetDone{}, protocol.Busy{}, &actor.Stopping{}, &actor.Stopped{},
		&actor.Started{}, &actor.Restarting{}, &actor.Terminated{}, &actor.Terminated{Who: c.pid}, &actor.ReceiveTimeout{}, &actor.Failure{},
		automatic{t}, map[string]string{secret: secret}}
	for i, message := range unknown {
		answer, ok := c.ask(message).(protocol.Failed)
		require.True(t, ok)
		require.ErrorIs(t, answer.Err, api.UnknownMessageError)
		require.Equal(t, fmt.Sprintf("%T", message), answer.Type)
		require.EqualValues(t, i+1, store.DroppedMessages().Unknown)
	}
	unsent := []any{protocol.Set{Group: "g", Key: "k", Value: secret}, protocol.Get{}, protocol.Subscribe{}, stranger{secret}, secret}
	for _, message := range unsent {
		system.Root.Send(c.store, message)
	}
	system.Root.Send(c.store, nil) // which the library's mailbox never gets over
	c.send(nil)
	requireNotFound(t, store, "g", "k")
	c.send(batched{protocol.Set{ID: 1, Group: "g", Key: "k", Value: "v"}, nil, protocol.Get{ID: 2, Group: "other", Key: "k"}, secret})
	var answers []string
	for range 3 {
		answers = append(answers, fmt.Sprintf("%T", c.next()))
	}
	slices.Sort(answers)
	require.Equal(t, []string{"protocol.Failed", "protocol.GetDone", "protocol.SetDone"}, answers)
	require.EqualValues(t, len(unsent), store.DroppedMessages().Unsent)
	requireValue(t, store, "g", "k", "v")
	require.NoError(t, store.Close())
	require.Contains(t, logged.String(), "stranger")
	require.NotContains(t, logged.String(), secret)
	require.NotContains(t, logged.String(), "failed")
}

// A sender that dies with requests under way costs nothing: no dead letter, no slot.
func TestSenderThatDies(t *testing.T) {
	system := newQuiet(t)
	store, reached, letGo := held(t, "writer.begin", api.WithActorSystem(system.ActorSystem), api.WithMaxInFlight(8))
	pid := pidOf(t, store)
	c := newClient(t, system.ActorSystem, pid)
	for i := range 8 {
		c.send(protocol.Set{ID: uint64(i + 1), Group: "g", Key: fmt.Sprint(i), Value: secret})
	}
	reached()
	testkit.Until(t, "the requests", func() bool { return store.InFlight() == 8 })
	require.NoError(t, system.Root.StopFuture(c.pid).Wait())
	letGo()
	testkit.Until(t, "the slots", func() bool { return store.InFlight() == 0 })
	testkit.Until(t, "the answers", func() bool { return store.DroppedMessages().Undelivered == 8 })
	requireCount(t, store, "g", 8)
	again := newClient(t, system.ActorSystem, pid)
	for range 20 {
		done[protocol.SetDone](again, protocol.Set{ID: 1, Group: "g", Key: "k"})
	}
}

// An actor that is spawned under the name of one that has stopped gets none of its answers, and
// has its IDs to itself: whether the request was under way by then, or waited in the mailbox.
func TestAnswersOfAPredecessor(t *testing.T) {
	for _, step := range []string{"writer.begin", "gateway.accept"} {
		for name, options := range map[string][]actor.PropsOption{"": nil, ", bounded": {actor.WithMailbox(actor.Bounded(8))}} {
			t.Run(step+name, func(t *testing.T) {
				system := newQuiet(t)
				store, reached, letGo := held(t, step, api.WithActorSystem(system.ActorSystem))
				pid := pidOf(t, store)
				newClient(t, system.ActorSystem, pid).send(protocol.Set{Group: "g", Key: "before"})
				reached()
				first := newClientAs(t, system.ActorSystem, pid, "account-7", options...)
				first.send(protocol.Set{ID: 1, Group: "g", Key: "first", Value: "v"})
				first.send(protocol.Subscribe{ID: 1})
				require.NoError(t, system.Root.StopFuture(first.pid).Wait())
				second := newClientAs(t, system.ActorSystem, pid, "account-7", options...)
				second.send(protocol.Set{ID: 1, Group: "g", Key: "second", Value: strings.Repeat("v", 17<<20)})
				letGo()
				require.ErrorIs(t, second.next().(protocol.SetDone).Err, api.TooLargeError)
				testkit.Until(t, "the answer of the first", func() bool { return store.DroppedMessages().Undelivered == 1 })
				done[protocol.GetDone](second, protocol.Get{ID: 1, Group: "g", Key: "first"})
				require.Empty(t, second.heard)
			})
		}
	}
}

// Without a slot a write is answered at once, by the time that commits take, and
// nothing grows.
func TestBusy(t *testing.T) {
	system := newQuiet(t)
	const commit = 30 * time.Millisecond
	pause := testkit.NewPause("writer.begin")
	slow := make(chan struct{})
	store := openStore(t, ":memory:", api.WithActorSystem(system.ActorSystem), api.WithMaxInFlight(4), withFailpoint(func(step string) {
		select {
		case <-slow:
			pause.Hook(step)
		default:
			if step == "writer.commit" {
				time.Sleep(commit) // a slow disk
			}
		}
	}))
	c := newClient(t, system.ActorSystem, pidOf(t, store))
	for range 3 {
		done[protocol.SetDone](c, protocol.Set{Group: "g", Key: "k"})
	}
	close(slow)
	for i := range 4 {
		c.send(protocol.Set{ID: uint64(i + 1), Group: "g", Key: fmt.Sprint(i)})
	}
	testkit.Await(t, "the writer", pause.Reached)
	testkit.Until(t, "the requests", func() bool { return store.InFlight() == 4 })
	for i := range 1000 {
		c.send(protocol.Set{ID: uint64(i + 5), Group: "g", Key: "refused"})
	}
	for i := range 1000 {
		busy, ok := c.next().(protocol.Busy)
		require.True(t, ok)
		require.EqualValues(t, i+5, busy.ID)
		require.GreaterOrEqual(t, busy.RetryAfter, commit)
		require.LessOrEqual(t, busy.RetryAfter, time.Second)
		require.ErrorIs(t, busy.Failure(), api.BusyError)
	}
	require.Equal(t, 4, store.InFlight())
	require.Error(t, c.ask(protocol.Get{Group: "g", Key: "refused"}).(protocol.GetDone).Err, "reads go on")
	close(pause.Resume)
	for range 4 {
		require.NoError(t, c.next().(protocol.SetDone).Err)
	}
	requireNotFound(t, store, "g", "refused")
	// A request that was answered has given its slot back.
	for range 100 {
		done[protocol.SetDone](c, protocol.Set{ID: 1, Group: "g", Key: "k"})
	}
}

// Writes of one sender are committed in the order in which they were sent, and so are the
// answers to them.
func TestOrderOfOneSendersWrites(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		system := newQuiet(t)
		store := open(api.WithActorSystem(system.ActorSystem), api.WithMaxInFlight(1<<16))
		pid := pidOf(t, store)
		const senders, writes = 4, 1000
		var all sync.WaitGroup
		for i := range senders {
			c := newClient(t, system.ActorSystem, pid)
			all.Go(func() {
				for n := range writes {
					c.send(protocol.Set{ID: uint64(n + 1), Group: "g", Key: fmt.Sprint(i), Value: fmt.Sprint(n)})
				}
				last := uint64(0)
				for n := range writes {
					answer := (<-c.heard).(protocol.SetDone)
					assert.NoError(t, answer.Err)
					assert.EqualValues(t, n+1, answer.ID)
					assert.Greater(t, answer.Revision, last)
					last = answer.Revision
				}
			})
		}
		testkit.Within(t, "the writes", all.Wait)
		for i := range senders {
			requireValue(t, store, "g", fmt.Sprint(i), fmt.Sprint(writes-1))
		}
		revision, err := store.Revision()
		require.NoError(t, err)
		require.EqualValues(t, senders*writes, revision)
	})
}

// A sender whose mailbox takes nothing, or whose dispatcher runs it in its sender's
// goroutine, costs others nothing, and has its answers in the end, in order.
func TestSendersThatBlock(t *testing.T) {
	for name, options := range map[string][]actor.PropsOption{
		"bounded":      {actor.WithMailbox(actor.Bounded(4))},
		"dropping":     {actor.WithMailbox(actor.BoundedDropping(8))},
		"synchronised": {actor.WithDispatcher(actor.NewSynchronizedDispatcher(300))},
	} {
		t.Run(name, func(t *testing.T) {
			system := newSystem(t)
			store := openStore(t, ":memory:", api.WithActorSystem(system))
			pid := pidOf(t, store)
			goOn, heard := make(chan struct{}), make(chan any, 1<<12)
			stuck := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
				if m, ok := ctx.Message().(protocol.Reply); ok {
					<-goOn
					heard <- m
				}
			}, options...))
			const requests = 2000
			for i := range requests {
				system.Root.RequestWithCustomSender(pid, protocol.Set{ID: uint64(i + 1), Group: "g", Key: fmt.Sprint(i)}, stuck)
			}
			c := newClient(t, system, pid)
			done[protocol.SetDone](c, protocol.Set{Group: "other", Key: "k"})
			testkit.Until(t, "the writes", func() bool { return store.InFlight() == 0 })
			dropped := store.DroppedMessages()
			require.Positive(t, dropped.Crowded, "what it had no room for was not done")
			close(goOn)
			last := uint64(0)
			for range requests - int(dropped.Crowded) {
				answer := testkit.Await(t, "an answer", heard).(protocol.SetDone)
				require.NoError(t, answer.Err)
				require.Greater(t, answer.ID, last)
				last = answer.ID
			}
			require.Empty(t, heard)
			requireCount(t, store, "g", requests-int(dropped.Crowded))
		})
		t.Run(name+", until the end", func(t *testing.T) {
			system := newSystem(t)
			store := openStore(t, ":memory:", api.WithActorSystem(system))
			goOn := make(chan struct{})
			stuck := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
				if _, ok := ctx.Message().(protocol.Reply); ok {
					<-goOn
				}
			}, options...))
			for range 100 {
				system.Root.RequestWithCustomSender(pidOf(t, store), protocol.Set{Group: "g", Key: "k"}, stuck)
			}
			testkit.Within(t, "Close", func() { assert.NoError(t, store.Close()) })
			close(goOn)
		})
	}
}

// What is read for a sender that takes nothing is bounded in bytes: the rest is Busy, or is not
// done and counted.
func TestSendersOfLargeReadsThatBlock(t *testing.T) {
	system := newSystem(t)
	store := openStore(t, ":memory:", api.WithActorSystem(system), api.WithReaders(2))
	pid := pidOf(t, store)
	for i := range 4 {
		require.NoError(t, store.Set("g", fmt.Sprint(i), strings.Repeat("v", 1<<20)))
	}
	goOn, heard := make(chan struct{}), make(chan any, 1000)
	stuck := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if m, ok := ctx.Message().(protocol.Reply); ok {
			<-goOn
			heard <- m
		}
	}, actor.WithMailbox(actor.Bounded(1))))
	const scans = 400
	for i := range scans {
		system.Root.RequestWithCustomSender(pid, protocol.Scan{ID: uint64(i + 1), Groups: api.Exactly("g")}, stuck)
	}
	done[protocol.ScanDone](newClient(t, system, pid), protocol.Scan{Groups: api.Exactly("g")}) // those before it were read
	close(goOn)
	pages := 0
	for n := scans - int(store.DroppedMessages().Crowded); n > 0; n-- {
		switch m := testkit.Await(t, "an answer", heard).(type) {
		case protocol.ScanDone:
			pages++
			require.NoError(t, m.Err)
		default:
			require.ErrorIs(t, m.(protocol.Busy).Failure(), api.BusyError)
		}
	}
	require.InDelta(t, 16, pages, 8, "64 MiB, and what the actor and the readers had in hand")
}

// Senders that are gone, or somewhere that there is not.
func TestSendersThatAreNobody(t *testing.T) {
	system := newQuiet(t)
	store := openStore(t, ":memory:", api.WithActorSystem(system.ActorSystem))
	pid := pidOf(t, store)
	for _, sender := range []*api.PID{actor.NewPID("nonhost", "never was"), actor.NewPID("elsewhere:80", "somebody"), actor.NewPID("", "")} {
		for _, request := range []any{protocol.Get{ID: 1}, protocol.Set{ID: 1, Group: "g", Key: "k"}, protocol.Scan{ID: 1}, protocol.Subscribe{ID: 1, Credits: 9},
			protocol.Credit{ID: 1, N: 1}, protocol.Unsubscribe{ID: 1}, secret} {
			system.Root.RequestWithCustomSender(pid, request, sender)
		}
	}
	c := newClient(t, system.ActorSystem, pid)
	done[protocol.SetDone](c, protocol.Set{Group: "g", Key: "k"})
	testkit.Until(t, "the answers", func() bool {
		return store.DroppedMessages().Undelivered >= 3*4 // each Get, Set, Scan and whatever is no request
	})
}

// An OnChange callback sees writes that actors made.
func TestOnChangeOfWritesByMessage(t *testing.T) {
	system := newQuiet(t)
	store := openStore(t, ":memory:", api.WithActorSystem(system.ActorSystem))
	seen := make(chan api.Event, 10)
	defer store.OnChange(func(event api.Event) { seen <- event })()
	watcher := store.Watch("g", "*")
	c := newClient(t, system.ActorSystem, pidOf(t, store))
	done[protocol.SetDone](c, protocol.Set{Group: "g", Key: "k", Value: "v"})
	require.Len(t, watcher.Events, 1, "an answer implies that its events are with their watchers")
	require.Equal(t, "v", testkit.Await(t, "the callback", seen).Value)
}

// Close answers what was taken; what comes later has an answer too, from the gateway or, once
// that has gone, from the library.
func TestCloseAnswersEveryRequest(t *testing.T) {
	system := newSystem(t)
	store, reached, letGo := held(t, "writer.begin", api.WithActorSystem(system))
	scope := newScope(t, store, "n")
	c, s := newClient(t, system, pidOf(t, store)), newClient(t, system, pidOf(t, scope))
	const requests = 100
	for i := range requests {
		c.send(protocol.Set{ID: uint64(i + 1), Group: "g", Key: fmt.Sprint(i)})
		s.send(protocol.Scan{ID: uint64(i + 1)})
		s.send(protocol.Set{ID: uint64(i + 1 + requests), Group: "g", Key: fmt.Sprint(i)})
	}
	reached()
	testkit.Until(t, "the requests", func() bool { return store.InFlight() == 2*requests })
	closed := make(chan error, 1)
	go func() { closed <- store.Close() }()
	testkit.Until(t, "the closing", func() bool { return errorOf(store.PID()) != nil })
	require.EqualError(t, c.ask(protocol.Set{ID: 1 << 20}).(protocol.SetDone).Err, "store.Set: store is closed")
	letGo()
	require.NoError(t, testkit.Await(t, "Close", closed))
	for range requests {
		require.NoError(t, c.next().(protocol.SetDone).Err)
		s.next()
		s.next()
	}
	require.Empty(t, c.heard)
	require.Empty(t, s.heard)
	_, err := system.Root.RequestFuture(c.store, protocol.Get{}, testkit.Patience).Result()
	require.ErrorIs(t, err, actor.ErrDeadLetter)
}

// Requests race with Close: each has exactly one answer, or is a dead letter.
func TestCloseUnderRequests(t *testing.T) {
	for range 20 {
		system := newSystem(t)
		store := openStore(t, ":memory:", api.WithActorSystem(system))
		pid := pidOf(t, store)
		var senders sync.WaitGroup
		for range 4 {
			senders.Go(func() {
				for range 200 {
					_, err := system.Root.RequestFuture(pid, protocol.Set{ID: 1, Group: "g", Key: "k"}, testkit.Patience).Result()
					if err != nil {
						assert.ErrorIs(t, err, actor.ErrDeadLetter)
						return
					}
				}
			})
		}
		require.NoError(t, store.Close())
		testkit.Within(t, "the senders", senders.Wait)
	}
}

// A gateway that was stopped from outside answers what it has; the store goes on and has
// another one.
func TestGatewayStoppedFromOutside(t *testing.T) {
	for name, stop := range map[string]func(*actor.RootContext, *actor.PID) *actor.Future{
		"stop": (*actor.RootContext).StopFuture, "poison": (*actor.RootContext).PoisonFuture,
	} {
		t.Run(name, func(t *testing.T) {
			system := newSystem(t)
			store, reached, letGo := held(t, "writer.begin", api.WithActorSystem(system))
			c := newClient(t, system, pidOf(t, store))
			done[protocol.Subscribed](c, protocol.Subscribe{ID: 1})
			for i := range 10 {
				c.send(protocol.Set{ID: uint64(i + 1), Group: "g", Key: "k"})
			}
			reached()
			testkit.Until(t, "the requests", func() bool { return store.InFlight() == 10 })
			stopped := stop(system.Root, c.store)
			letGo()
			require.NoError(t, stopped.Wait())
			answers := map[string]int{}
			for range 11 {
				answers[fmt.Sprintf("%T", c.next())]++
			}
			require.Equal(t, map[string]int{"protocol.SetDone": 10, "protocol.SubscriptionEnded": 1}, answers)
			again := newClient(t, system, pidOf(t, store))
			require.NotEqual(t, c.store.Id, again.store.Id)
			done[protocol.SetDone](again, protocol.Set{Group: "g", Key: "k"})
		})
	}
}

// The program shut its actor system down first.
func TestSystemShutDownFirst(t *testing.T) {
	system := actor.NewActorSystem(actor.WithLoggerFactory(
		func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	path := newPath(t)
	store := openStore(t, path, api.WithActorSystem(system))
	c := newClient(t, system, pidOf(t, store))
	acknowledged := 0
	for i := range 10 {
		done[protocol.SetDone](c, protocol.Set{Group: "g", Key: fmt.Sprint(i)})
		acknowledged++
		if i == 4 {
			system.Shutdown()
		}
	}
	testkit.Within(t, "Close", func() { assert.NoError(t, store.Close()) })
	requireCount(t, openStore(t, path), "g", acknowledged)
}

// Several stores in one system have each its own actors, whatever they are called.
func TestStoresInOneSystem(t *testing.T) {
	system := newQuiet(t)
	seen := map[string]bool{}
	for i := range 5 {
		store := openStore(t, ":memory:", api.WithActorSystem(system.ActorSystem))
		c := newClient(t, system.ActorSystem, pidOf(t, store))
		require.False(t, seen[c.store.Id])
		seen[c.store.Id] = true
		require.Equal(t, pidOf(t, store).Id, c.store.Id)
		done[protocol.SetDone](c, protocol.Set{Group: "g", Key: "k", Value: fmt.Sprint(i)})
		require.Equal(t, fmt.Sprint(i), done[protocol.GetDone](c, protocol.Get{Group: "g", Key: "k"}).Value)
		if i == 2 {
			require.NoError(t, store.Close())
		}
	}
}
