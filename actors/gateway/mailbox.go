package gateway

import (
	"forge.lthn.ai/core/go-store/kv"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
)

// mailbox is an unlimited one: nobody who sends to it is ever blocked, and the gateway
// runs on a goroutine of its own, whatever its Props say. It also sees to what the
// library makes of messages that nobody expects.
type mailbox struct {
	actor.Mailbox
	begin func(*actor.ActorSystem, *actor.PID) *core // when the actor is spawned
}

// PostUserMessage drops what the library's mailbox would turn in circles for, nothing at
// all, and takes batches apart: the library would lose their sender, and deliver what
// held them too.
func (m *mailbox) PostUserMessage(message any) {
	_, inside, sender := actor.UnwrapEnvelope(message)
	if inside == nil {
		return
	}
	batch, ok := inside.(actor.MessageBatch)
	if !ok {
		m.Mailbox.PostUserMessage(message)
		return
	}
	for _, one := range batch.GetMessages() {
		if sender != nil {
			one = &actor.MessageEnvelope{Message: one, Sender: sender}
		}
		m.PostUserMessage(one)
	}
}

// RegisterHandlers makes the actor's core: the library calls it once, when everything
// else is there.
func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	ctx := invoker.(actor.Context)
	c := m.begin(ctx.ActorSystem(), ctx.Self())
	ctx.Set(c)
	if dispatcher = actor.NewDefaultDispatcher(dispatcher.Throughput()); c.dispatcher != nil {
		dispatcher = c.dispatcher
	}
	m.Mailbox.RegisterHandlers(&invoking{invoker, c}, dispatcher)
}

// invoking stands between the mailbox and the library's part of the actor.
type invoking struct {
	actor.MessageInvoker
	core *core
}

// InvokeUserMessage lets requests through, and what the gateway sends to itself. It
// answers what comes after the actor has stopped, which the library would drop without a
// word. The library's own messages of an actor's life don't come this way: who sends one
// has made it. A message that answers itself would run its owner's code in here.
func (i *invoking) InvokeUserMessage(m any) {
	_, inside, sender := actor.UnwrapEnvelope(m)
	own, request := false, false
	switch inside.(type) {
	case message, *actor.PoisonPill, *actor.Touch:
		own = true
	case actor.AutoRespond:
	case protocol.Request:
		request = true
	}
	switch {
	case i.core.over && request && sender != nil:
		i.core.office.Answer(sender, i.core.refusal(inside, kv.ClosedError))
	case own, request:
		i.MessageInvoker.InvokeUserMessage(m)
	default:
		i.core.unknown(sender, inside)
	}
}

// EscalateFailure keeps what a message holds from supervisors, and from what the library
// prints when it is told to.
func (i *invoking) EscalateFailure(reason, _ any) {
	i.MessageInvoker.EscalateFailure(reason, withheld{})
}

// withheld stands for the message that was in hand when a gateway failed.
type withheld struct{}
