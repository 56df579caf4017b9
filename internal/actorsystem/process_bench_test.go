package actorsystem_test

import (
	"log/slog"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/actorsystem"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// BenchmarkPrompt is asked with every message to an actor of the program's.
func BenchmarkPrompt(b *testing.B) {
	system, release := actorsystem.Acquire()
	defer release()
	pid := system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}))
	process, _ := system.ProcessRegistry.Get(pid)
	for b.Loop() {
		if !actorsystem.Prompt(process) {
			b.Fatal("the sample is not prompt")
		}
	}
}

// TestFuture: it is neither prompt nor unknown.
func TestFuture(t *testing.T) {
	system, release := actorsystem.Acquire()
	defer release()
	future := actor.NewFuture(system, time.Minute)
	process, found := system.ProcessRegistry.Get(future.PID())
	require.True(t, found)
	require.True(t, actorsystem.IsFuture(process))
	require.False(t, actorsystem.Prompt(process))
	system.Root.Send(future.PID(), "done")
	require.NoError(t, future.Wait())
	require.False(t, actorsystem.IsFuture(nil))
	pid := system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}))
	defer system.Root.Stop(pid)
	process, _ = system.ProcessRegistry.Get(pid)
	require.False(t, actorsystem.IsFuture(process))
}

// TestElsewhere: an actor of this system is not, whatever the system is called.
func TestElsewhere(t *testing.T) {
	system := actor.NewActorSystem(actor.WithLoggerFactory(
		func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	require.False(t, actorsystem.Elsewhere(system, actor.NewPID("nonhost", "a")))
	require.True(t, actorsystem.Elsewhere(system, actor.NewPID("10.0.0.1:80", "a")))
	system.ProcessRegistry.Address = "10.0.0.1:80"
	require.False(t, actorsystem.Elsewhere(system, actor.NewPID("10.0.0.1:80", "a")))
	require.False(t, actorsystem.Elsewhere(system, actor.NewPID("nonhost", "a")))
}
