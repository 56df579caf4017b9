// Package actorsystem holds what the four actors share of Proto.Actor: the
// process-wide actor system, the supervision rule, spawning, and the marker
// that keeps our messages out of dead-letter logs.
//
// It never shuts down a system that it did not start.
package actorsystem

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// shared is the system of all stores in this process that brought none of
// their own: one costs 3 MB and 3 ms.
var shared struct {
	sync.Mutex
	system *actor.ActorSystem
	users  int
}

// Acquire returns the process-wide system, started by its first user and let go
// of by release of its last. Release is to be called exactly once.
//
// Letting go is enough: the system runs nothing of its own. Its Shutdown only
// closes a channel that no goroutine waits on, and would panic if the last user were
// in another testing/synctest bubble than the first.
func Acquire() (system *actor.ActorSystem, release func()) {
	shared.Lock()
	defer shared.Unlock()
	if shared.users == 0 {
		shared.system = New()
	}
	shared.users++
	return shared.system, func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.users--; shared.users == 0 {
			shared.system = nil
		}
	}
}

// New is a system of its own. The library's default logger writes whole messages to
// stderr; this one logs nothing: the actors log through their store's logger.
func New() *actor.ActorSystem {
	system := actor.NewActorSystem(actor.WithLoggerFactory(
		func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	mended(system.ProcessRegistry)
	return system
}

// alwaysRestart is the supervision of every actor of ours: start it anew,
// however often. The message that failed is not repeated, so this can't loop
// on it. (Proto.Actor's own strategies give up after some failures, which would
// leave callers waiting, and remember the time of each.)
type alwaysRestart struct{}

func (alwaysRestart) HandleFailure(_ *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID,
	_ *actor.RestartStatistics, _, _ any) {
	supervisor.RestartChildren(child)
}

// Spawn starts an actor under a name of its own that begins with prefix.
// The producer is called again at every restart and must acquire nothing. Its mailbox is
// one of ours unless an option brings another: the library's never wakes again once a
// goroutine has ended within.
func Spawn(system *actor.ActorSystem, prefix string, producer actor.Producer, options ...actor.PropsOption) (*actor.PID, error) {
	props := actor.PropsFromProducer(producer, actor.WithMailbox(func() actor.Mailbox { return new(Mailbox) }), actor.WithGuardian(alwaysRestart{})).
		Configure(options...)
	name := prefix + system.ProcessRegistry.NextId()
	for taken(system, name) { // by an actor of the system's user
		name = prefix + system.ProcessRegistry.NextId()
	}
	pid, err := Root(system).SpawnNamed(props, name)
	if err != nil {
		return nil, fmt.Errorf("actor %s: %w", name, err)
	}
	return pid, nil
}

func taken(system *actor.ActorSystem, name string) bool {
	_, found := system.ProcessRegistry.GetLocal(name)
	return found
}

// Target is an actor of the store's own, as others of the store send to it. What comes
// after the actor has stopped is for no actor: to send it by PID would make it a dead letter
// of a system that is its user's, values included. It may be copied.
type Target struct {
	PID     *actor.PID
	process actor.Process
}

// TargetOf is the actor that was spawned as pid.
func TargetOf(system *actor.ActorSystem, pid *actor.PID) Target {
	process, found := system.ProcessRegistry.Get(pid)
	if !found { // it has ended already
		process = deadProcess{}
	}
	return Target{pid, process}
}

// Send sends a message.
func (t Target) Send(message any) { t.process.SendUserMessage(t.PID, message) }

// Poison has the actor stop once it has handled what was sent before.
func (t Target) Poison() { t.Send(poison) }

var poison = &actor.PoisonPill{}

// deadProcess takes messages for an actor that was gone before anything could be sent to it.
type deadProcess struct{}

func (deadProcess) SendUserMessage(*actor.PID, any)   {}
func (deadProcess) SendSystemMessage(*actor.PID, any) {}
func (deadProcess) Stop(*actor.PID)                   {}

// LogPanic is deferred by every Receive: it logs a panic with its stack and
// lets it go on to the supervisor.
func LogPanic(logger *slog.Logger, name string) {
	if reason := recover(); reason != nil {
		logger.Error("actor failed and is started anew",
			slog.String("actor", name), slog.Any("reason", reason), slog.String("stack", string(debug.Stack())))
		panic(reason)
	}
}

// Quiet is embedded in messages: whole messages, values included, would
// otherwise be logged when they reach a stopped actor.
type Quiet struct{}

// IgnoreDeadLetterLogging marks the message for Proto.Actor.
func (Quiet) IgnoreDeadLetterLogging() {}

// Ended reports whether done is closed. An actor asks before anything else: a
// stop that overtakes a restart ends the actor, and then Proto.Actor restarts
// what has ended. Such an incarnation must do nothing.
func Ended(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// Count adds 1, if there is a counter.
func Count(n *atomic.Uint64) {
	if n != nil {
		n.Add(1)
	}
}
