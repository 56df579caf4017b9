// Package courier takes messages to actors that the program has spawned, to which to
// send may block its sender, or run the program's code.
//
// A goroutine that must not wait hands a message over and goes on. The package owns the
// goroutines that wait instead, and what they have still to send; it keeps no message
// for longer than it takes, sends each at most once, in order, and never to an actor
// that is gone.
package courier

import (
	"log/slog"
	"runtime/debug"
	"time"

	"forge.lthn.ai/core/go-store/internal/actorsystem"

	"github.com/asynkron/protoactor-go/actor"
)

// A mailbox that is full gives no signal when it is not, nor does an actor once it has been
// spawned: it is looked at again after a
// time, twice as long each time.
const (
	firstLook = time.Millisecond
	lastLook  = 64 * time.Millisecond
)

// Recipient is an actor that may block its senders.
type Recipient struct {
	System *actor.ActorSystem
	PID    *actor.PID
	Logger *slog.Logger
	// Process is the one that is meant: to another that has its name by then nothing is sent.
	// Nil: whichever has the name.
	Process actor.Process
}

// Pass sends a message once the actor is there and has room for it, unless ended is closed before. It
// blocks for as long as the actor's mailbox, or whatever code stands before it, blocks
// it. It reports whether there was an actor to send it to.
func (r Recipient) Pass(message any, ended <-chan struct{}) bool {
	return r.pass(message, always, ended)
}

func always() bool { return true }

// pass is Pass of a message for as long as it is wanted.
func (r Recipient) pass(message any, wanted func() bool, ended <-chan struct{}) bool {
	process := r.once(hasRoom, wanted, ended)
	if process == nil {
		return false
	}
	r.guarded(func() { process.SendUserMessage(r.PID, message) })
	return true
}

// Watch has the watcher told of the actor's end, by the library, once the actor is there,
// unless ended is closed before. It may block as Pass does.
func (r Recipient) Watch(watcher *actor.PID, ended <-chan struct{}) bool {
	return r.tell(&actor.Watch{Watcher: watcher}, ended)
}

// Unwatch ends that. It waits for nothing: an actor that is only being spawned is another one.
func (r Recipient) Unwatch(watcher *actor.PID) {
	if process, found := r.process(); found && actorsystem.Ready(process) {
		r.guarded(func() { process.SendSystemMessage(r.PID, &actor.Unwatch{Watcher: watcher}) })
	}
}

// tell sends a message to the library's part of the actor.
func (r Recipient) tell(message any, ended <-chan struct{}) bool {
	process := r.once(actorsystem.Ready, always, ended)
	if process == nil {
		return false
	}
	r.guarded(func() { process.SendSystemMessage(r.PID, message) })
	return true
}

// once is the actor as soon as it is fit for a message; nil: it is gone, or the message is
// not to be sent any more.
func (r Recipient) once(fit func(actor.Process) bool, wanted func() bool, ended <-chan struct{}) actor.Process {
	for wait := firstLook; wanted(); wait = min(2*wait, lastLook) {
		process, found := r.process()
		if !found {
			return nil
		}
		if fit(process) {
			return process
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ended:
			timer.Stop()
			return nil
		}
	}
	return nil
}

func hasRoom(process actor.Process) bool {
	if !actorsystem.Ready(process) {
		return false
	}
	room := actorsystem.Room(process)
	return room == nil || room()
}

// process looks the actor up each time: an actor that has stopped must get nothing, since
// whatever it does not take would be a dead letter.
func (r Recipient) process() (process actor.Process, found bool) {
	r.guarded(func() { process, found = r.System.ProcessRegistry.Get(r.PID) })
	return process, found && (r.Process == nil || actorsystem.Same(process, r.Process))
}

// guarded keeps the panics of whatever code stands before the actor.
func (r Recipient) guarded(do func()) {
	defer func() {
		if reason := recover(); reason != nil {
			r.Logger.Error("the mailbox of an actor panicked", slog.String("pid", r.PID.String()),
				slog.Any("reason", reason), slog.String("stack", string(debug.Stack())))
		}
	}()
	do()
}
