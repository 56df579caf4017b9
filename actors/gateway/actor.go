// Package gateway is the store's door for actors: it takes the messages of package
// protocol, has them done, and answers each with a message.
//
// It owns what its senders wait for, and their subscriptions. It never waits: a write is
// submitted to the writer, or refused if there is no slot for it; a read that is not
// served from memory goes to one of a few goroutines; answers come back in a queue, with
// one message to say so. To send an answer never blocks it either (internal/courier). It
// holds no data, and what reaches it can't leave its namespace.
//
// # What holds at every moment
//
//   - A request that was accepted is pending until it is answered, which is once.
//   - Whatever is pending is with the writer or the notifier (which answer it, unless
//     both are gone), with a goroutine that reads, in the queue of answers, or in hand.
//   - All of this outlives a failure of the actor: see core.
package gateway

import (
	"fmt"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/courier"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
)

// message is what a gateway sends to itself.
type message interface {
	IgnoreDeadLetterLogging()
	handle(*Actor)
}

// wake says that there is something in the queue of answers.
type wake struct{ actorsystem.Quiet }

// died says that no actor is left to answer what was submitted.
type died struct{ actorsystem.Quiet }

// Actor is one incarnation of a gateway. What it owns outlives it.
type Actor struct{ *core }

// Receive handles one message.
func (a *Actor) Receive(ctx actor.Context) {
	if a.core == nil {
		a.core = coreOf(ctx)
	}
	if a.core == nil {
		if _, started := ctx.Message().(*actor.Started); started {
			panic(&Fault{fmt.Errorf("the actor has another mailbox than its Props: %w", kv.InvalidOptionError)})
		}
		return
	}
	if a.over {
		return
	}
	whole := false
	defer func() {
		if !whole {
			a.failed(recover())
		}
	}()
	switch m := ctx.Message().(type) {
	case message:
		m.handle(a)
	case *actor.Started:
		a.start()
	case *actor.Restarting:
		a.restart()
	case *actor.Stopping:
		a.stop()
	case *actor.Stopped:
		a.over = true
		if a.dispatcher != nil {
			go a.dispatcher.Stop()
		}
		close(a.done)
		if a.Stopped != nil {
			a.Stopped()
		}
		// Of one that was stopped because it had failed the mailbox stands still, with
		// messages in it that would never be answered.
		a.own.SendSystemMessage(a.self, &actor.ResumeMailbox{})
	case *actor.Terminated:
		a.terminated(m.Who)
	default:
		a.hand = hand{sender: a.from, message: m}
		a.serve(a.from, m)
		a.hand = hand{}
	}
	whole = true
}

// hand is the message that is being handled.
type hand struct {
	sender  courier.Sender
	message any
	request *request // that was made of it, until another goroutine has it
	taken   bool     // another goroutine has it, or it was answered
}

// failed answers what was in hand when the actor panicked, whatever its supervisor makes
// of that, and lets the panic go on to it. Without a reason the goroutine ends, which the
// mailbox makes a failure of.
func (a *Actor) failed(reason any) {
	in := a.hand
	a.hand = hand{}
	if in.request != nil {
		a.finish(in.request, a.refusal(in.message, kv.RolledBackError))
	} else if in.sender.PID != nil && !in.taken {
		a.office.Answer(in.sender, a.refusal(in.message, kv.RolledBackError))
	}
	if len(a.batch) > 0 { // the answers that were in hand
		a.own.SendUserMessage(a.self, wake{})
	}
	if _, known := reason.(*Fault); !known {
		a.failure(reason)
	}
	if reason != nil {
		panic(reason)
	}
}

func (wake) handle(a *Actor) { a.work() }

func (died) handle(a *Actor) {
	a.work()
	a.abandon()
	if a.open != nil && !a.shut {
		panic(&Fault{kv.StoppedError})
	}
}
