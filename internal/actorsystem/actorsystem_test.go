package actorsystem_test

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestSharedSystemLivesAsLongAsItsUsers(t *testing.T) {
	first, releaseFirst := actorsystem.Acquire()
	second, releaseSecond := actorsystem.Acquire()
	require.Same(t, first, second)
	releaseFirst()
	third, releaseThird := actorsystem.Acquire()
	require.Same(t, first, third, "it is still in use")
	releaseThird()
	releaseSecond()

	fresh, release := actorsystem.Acquire()
	require.NotSame(t, first, fresh, "the last one let it go")
	again, releaseAgain := actorsystem.Acquire()
	require.Same(t, fresh, again)
	release()
	releaseAgain()
}

func TestSharedSystemUnderConcurrentUse(t *testing.T) {
	held, release := actorsystem.Acquire()
	var using sync.WaitGroup
	for range 16 {
		using.Go(func() {
			for range 20 {
				system, release := actorsystem.Acquire()
				if system != held {
					t.Error("two systems at a time")
				}
				release()
			}
		})
	}
	using.Wait()
	release()
}

// probe is an actor that reports what it is told and fails on demand.
type probe struct {
	events chan<- string
	logger *slog.Logger
}

type fail struct{}

func (p *probe) Receive(ctx actor.Context) {
	defer actorsystem.LogPanic(p.logger, "probe")
	switch m := ctx.Message().(type) {
	case *actor.Started:
		p.events <- "started"
	case *actor.Restarting:
		p.events <- "restarting"
	case *actor.Stopped:
		p.events <- "stopped"
	case string:
		p.events <- m
	case fail:
		panic("as told")
	}
}

func TestSpawnedActorIsRestartedHoweverOften(t *testing.T) {
	system, release := actorsystem.Acquire()
	defer release()
	dispatcher := actorsystem.NewDispatcher()
	defer dispatcher.Stop()
	var logged bytes.Buffer // written by the actor, read after it has stopped
	logger := slog.New(slog.NewTextHandler(&logged, nil))
	events := make(chan string, 16)
	next := func() string { return testkit.Await(t, "the actor", events) }
	produced := make(chan struct{}, 100)
	pid, err := actorsystem.Spawn(system, "probe-", func() actor.Actor {
		produced <- struct{}{}
		return &probe{events: events, logger: logger}
	}, actor.WithDispatcher(dispatcher))
	require.NoError(t, err)
	require.Regexp(t, `^probe-\$`, pid.Id)
	require.Equal(t, "started", next())

	const failures = 30 // Proto.Actor's own strategy gives up after ten
	for range failures {
		system.Root.Send(pid, fail{})
	}
	system.Root.Send(pid, "alive")
	for range failures {
		require.Equal(t, "restarting", next())
		require.Equal(t, "started", next())
	}
	require.Equal(t, "alive", next(), "a message behind a failure is handled after it")
	require.Len(t, produced, failures+1)
	system.Root.Poison(pid)
	require.Equal(t, "stopped", next())
	testkit.Await(t, "the actor's end", ended(system, pid))
	require.Contains(t, logged.String(), "as told")
	require.Contains(t, logged.String(), "actor=probe")
	require.Contains(t, logged.String(), "stack=")
}

// ended is closed when the PID is no actor's any more.
func ended(system *actor.ActorSystem, pid *actor.PID) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = system.Root.PoisonFuture(pid).Wait()
	}()
	return done
}

// A name that an actor of the system's user has is not taken, and none is started twice.
func TestSpawnPassesOverTakenNames(t *testing.T) {
	system, release := actorsystem.Acquire()
	defer release()
	// The names are a sequence, so that what comes next is known.
	next := system.ProcessRegistry.SequenceID + 2
	events := make(chan string, 4)
	taken, err := system.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor {
		return &probe{events: events}
	}), "clash-"+idOf(system, next))
	require.NoError(t, err)
	system.ProcessRegistry.SequenceID = next - 1
	spawned, err := actorsystem.Spawn(system, "clash-", func() actor.Actor { return &probe{events: events} })
	require.NoError(t, err)
	require.NotEqual(t, taken.Id, spawned.Id)
	require.NoError(t, system.Root.PoisonFuture(spawned).Wait())
	require.NoError(t, system.Root.PoisonFuture(taken).Wait())
}

func idOf(system *actor.ActorSystem, sequence uint64) string {
	before := system.ProcessRegistry.SequenceID
	system.ProcessRegistry.SequenceID = sequence - 1
	id := system.ProcessRegistry.NextId()
	system.ProcessRegistry.SequenceID = before
	return id
}

func TestQuietMessagesStayOutOfTheLog(t *testing.T) {
	var quiet any = actorsystem.Quiet{}
	_, marked := quiet.(actor.IgnoreDeadLetterLogging)
	require.True(t, marked)
	actorsystem.Quiet{}.IgnoreDeadLetterLogging()
}

func TestLogPanicWithoutPanic(t *testing.T) {
	var logged bytes.Buffer
	func() {
		defer actorsystem.LogPanic(slog.New(slog.NewTextHandler(&logged, nil)), "calm")
	}()
	require.Empty(t, logged.String())
}
