package gateway

import (
	"forge.lthn.ai/core/go-store/internal/actorsystem"

	"github.com/asynkron/protoactor-go/actor"
)

// Ref is how the rest of the store speaks to a gateway.
type Ref struct {
	PID  *actor.PID
	core *core
}

// Spawn starts a gateway of a store that is open and outlives it. It fails only if the
// actor can't be spawned.
func Spawn(system *actor.ActorSystem, config Config) (Ref, error) {
	dispatcher := actorsystem.NewDispatcher()
	var c *core
	begin := func(system *actor.ActorSystem, self *actor.PID) *core {
		c = newCore(system, self)
		c.dispatcher = dispatcher
		c.use(config)
		return c
	}
	pid, err := actorsystem.Spawn(system, "go-store-gateway-", produce, actor.WithMailbox(withMailbox(begin)))
	if err != nil {
		dispatcher.Stop()
		return Ref{}, err
	}
	return Ref{PID: pid, core: c}, nil
}

// Props are those of an actor that opens a store of its own in Started, and closes it in
// Stopping. It panics with a *Fault if it can't open it, or if the store ends by itself.
func Props(open Opener) *actor.Props {
	return actor.PropsFromProducer(produce, actor.WithMailbox(withMailbox(func(system *actor.ActorSystem, self *actor.PID) *core {
		c := newCore(system, self)
		c.open = open
		return c
	})))
}

func produce() actor.Actor { return &Actor{} }

func withMailbox(begin func(*actor.ActorSystem, *actor.PID) *core) actor.MailboxProducer {
	return func() actor.Mailbox { return &mailbox{Mailbox: new(actorsystem.Mailbox), begin: begin} }
}

// Reachable reports whether messages get there: a gateway that is just being stopped has no
// address any more.
func (r Ref) Reachable() bool {
	if actorsystem.Ended(r.core.done) {
		return false
	}
	_, found := r.core.system.ProcessRegistry.Get(r.PID)
	return found
}

// Done is closed when the gateway has stopped.
func (r Ref) Done() <-chan struct{} { return r.core.done }

// Stop has the gateway answer what it has, and returns when it has stopped.
func (r Ref) Stop() {
	actorsystem.TargetOf(r.core.system, r.PID).Poison()
	<-r.core.done
}
