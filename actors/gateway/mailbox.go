package gateway

import (
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
)

// mailbox is an unlimited one: nobody who sends to it is ever blocked, and the gateway
// runs on a goroutine of its own, whatever the Props say. It also sees to what the
// library does with messages that nobody takes.
type mailbox struct {
	actor.Mailbox
	begin func(*actor.ActorSystem, *actor.PID) *core // when the actor is spawned
}

// PostUserMessage drops what the library's own mailbox would turn in circles for.
func (m *mailbox) PostUserMessage(message any) {
	if message != nil {
		m.Mailbox.PostUserMessage(message)
	}
}

func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	ctx := invoker.(actor.Context)
	c := m.begin(ctx.ActorSystem(), ctx.Self())
	ctx.Set(c)
	if c.dispatcher != nil {
		dispatcher = c.dispatcher
	} else {
		dispatcher = actor.NewDefaultDispatcher(dispatcher.Throughput())
	}
	m.Mailbox.RegisterHandlers(&invoking{invoker, c}, dispatcher)
}

// invoking stands between the mailbox and the library's part of the actor.
type invoking struct {
	actor.MessageInvoker
	core *core
}

// InvokeUserMessage answers what comes after the actor has stopped, which the library
// would drop without a word.
func (i *invoking) InvokeUserMessage(m any) {
	if !i.core.over {
		i.MessageInvoker.InvokeUserMessage(m)
		return
	}
	_, message, sender := actor.UnwrapEnvelope(m)
	if sender == nil {
		return
	}
	i.core.office.Answer(sender, refusal(message, kv.ClosedError))
}

// EscalateFailure keeps what a message holds from supervisors, and from what the library
// prints when it is told to.
func (i *invoking) EscalateFailure(reason, message any) {
	i.MessageInvoker.EscalateFailure(reason, withheld{})
}

// withheld stands for the message that was in hand when a gateway failed.
type withheld struct{}
