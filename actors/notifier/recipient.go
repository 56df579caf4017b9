package notifier

import (
	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/courier"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
)

// parcel is an event on its way to an actor to which to send may block.
type parcel struct {
	watcher *Watcher
	event   kv.Event
}

func (p parcel) Message() any { return Changed{p.event} }
func (p parcel) Bytes() int   { return int(size(&p.event)) }
func (p parcel) Wanted() bool { return !p.watcher.ended.Load() }
func (p parcel) Lost()        { p.watcher.drop() }

// recipient is an actor that watches.
type recipient struct {
	pid      *actor.PID
	process  actor.Process // to which to send is harmless; nil: the courier does
	courier  *courier.Courier
	watchers map[*Watcher]struct{}
}

// listen notes an actor's watcher. The notifier calls it.
func (a *Actor) listen(w *Watcher, self *actor.PID) {
	id := w.pid.String()
	l := a.recipients[id]
	if l == nil {
		l = &recipient{pid: w.pid, process: w.process, watchers: make(map[*Watcher]struct{})}
		a.recipients[id] = l
		if l.process != nil {
			l.process.SendSystemMessage(l.pid, &actor.Watch{Watcher: self})
		} else {
			l.courier = courier.Start(courier.Recipient{System: a.root.ActorSystem(), PID: l.pid, Logger: a.Logger}, self)
		}
	}
	w.recipient = l
	l.watchers[w] = struct{}{}
}

// unlisten forgets an actor's watcher, and the actor with its last one.
func (a *Actor) unlisten(w *Watcher, self *actor.PID) {
	id := w.pid.String()
	l := a.recipients[id]
	if l == nil {
		return
	}
	if delete(l.watchers, w); len(l.watchers) > 0 {
		return
	}
	delete(a.recipients, id)
	if l.courier != nil {
		l.courier.Stop()
	} else {
		l.process.SendSystemMessage(l.pid, &actor.Unwatch{Watcher: self})
	}
}

// send gives an event to the actor, or drops it.
func (l *recipient) send(w *Watcher, event kv.Event) {
	if l.courier != nil {
		l.courier.Take(parcel{w, event})
	} else {
		l.process.SendUserMessage(l.pid, Changed{event})
	}
}

// address notes what can be seen of a watching actor. It runs in the goroutine of the
// caller: to find an actor elsewhere may run code of any program.
func (w *Watcher) address(system *actor.ActorSystem, pid *actor.PID) {
	w.pid = actor.NewPID(pid.Address, pid.Id) // a copy: the caller may change its own
	if process, found := system.ProcessRegistry.Get(w.pid); found && actorsystem.Prompt(process) {
		w.process = process
	}
}
