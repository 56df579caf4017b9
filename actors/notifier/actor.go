// Package notifier owns the watchers, the OnChange callbacks and the actors
// that watch.
//
// It learns of events after they were committed, in commit order, and gives
// each to its audience without ever waiting for a listener: a watcher whose
// channel is full loses the event and is told how many it lost. Requests whose
// events it was handed are answered by it, after its sends. It runs no
// callback: those run in the goroutine that made the change.
package notifier

import (
	"log/slog"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/internal/failpoint"

	"github.com/asynkron/protoactor-go/actor"
)

// Config is what a notifier works with. All of it outlives a restart.
type Config struct {
	Callbacks *Callbacks
	Buffer    int // capacity of a watcher's channel
	Logger    *slog.Logger
	Restarts  *atomic.Uint64 // nil: not counted
	Failpoint failpoint.Hook

	*drops // made by Spawn
}

// Actor is one incarnation of the notifier. The watchers outlive it: they are
// handles in other people's hands.
type Actor struct {
	Config
	index      *index[*Watcher]
	subscribed *subscriptions
	root       *actor.RootContext
	done       chan struct{}
	answering  *atomic.Int64 // deliveries that have Answerers to be told, here or on their way

	// Owned by Receive.
	recipients map[string]*recipient // watching actors, by PID; outlives a restart too
	current    *admission.Delivery   // being delivered, its requests not yet released
	sent       int                   // sends of the current delivery that were made
}

// Receive handles one message.
func (a *Actor) Receive(ctx actor.Context) {
	if actorsystem.Ended(a.done) {
		return
	}
	defer actorsystem.LogPanic(a.Logger, "notifier")
	switch m := ctx.Message().(type) {
	case Message:
		m.handle(a, ctx)
	case *actor.Terminated:
		a.forgetActor(m.Who)
	case *actor.Restarting:
		actorsystem.Count(a.Restarts)
		a.passCurrent()
		a.send()
		a.release()
	case *actor.Stopping:
		a.stop()
	case *actor.Stopped:
		close(a.done)
	}
}

func (m watch) handle(a *Actor, ctx actor.Context) {
	w := m.watcher
	if !w.open { // a restart may bring nothing back, but nothing happens twice
		w.open = true
		a.index.add(w.filter, w)
	}
	if w.pid != nil {
		a.listen(w, ctx.Self())
	}
	close(m.done)
	a.Failpoint.Hit("notifier.watch")
}

func (m unwatch) handle(a *Actor, ctx actor.Context) {
	a.remove(m.watcher)
	m.watcher.ended.Store(true)
	if m.watcher.pid != nil {
		a.unlisten(m.watcher, ctx.Self())
	}
	close(m.done)
	a.Failpoint.Hit("notifier.unwatch")
}

func (m subscribe) handle(a *Actor, _ actor.Context) {
	a.subscribed.add(m.subscription)
	close(m.done)
	a.Failpoint.Hit("notifier.subscribe")
}

func (m unsubscribe) handle(a *Actor, _ actor.Context) {
	a.subscribed.remove(m.subscription)
	close(m.done)
	a.Failpoint.Hit("notifier.unsubscribe")
}

func (m mark) handle(a *Actor, _ actor.Context) {
	m.subscription.mark(m.progress)
	a.Failpoint.Hit("notifier.mark")
}

func (m resynchronise) handle(a *Actor, _ actor.Context) {
	a.subscribed.passAll(m.sent)
	a.Failpoint.Hit("notifier.resynchronise")
}

// remove takes the watcher out and closes it, unless that has been done.
func (a *Actor) remove(w *Watcher) {
	if !w.open {
		return
	}
	w.open = false
	a.index.remove(w.filter, w)
	if w.events != nil {
		close(w.events)
	}
}

// forgetActor ends what a stopped actor watched.
func (a *Actor) forgetActor(pid *actor.PID) {
	l := a.recipients[pid.String()]
	if l == nil {
		return
	}
	for w := range l.watchers {
		w.ended.Store(true)
		a.remove(w)
	}
	delete(a.recipients, pid.String())
	if l.courier != nil {
		l.courier.Stop()
	}
}

func (m deliver) handle(a *Actor, _ actor.Context) {
	a.current, a.sent = &m.delivery, 0 // first of all, so that it is seen through whatever happens
	a.Failpoint.Hit("notifier.deliver")
	if len(m.delivery.Events) > 0 {
		a.subscribed.deliver(m.delivery.Events, m.delivery.Lost)
	}
	a.send()
	a.Failpoint.Hit("notifier.delivered")
	a.release()
}

// send gives the events of the delivery in hand to their audience. After a
// failure it goes on where it was: the order of sends is the same each time,
// since the index changes only between deliveries.
func (a *Actor) send() {
	if a.current == nil {
		return
	}
	n := 0
	for _, event := range a.current.Events {
		a.index.each(event.Group, event.Key, func(watchers []*Watcher) bool {
			for _, w := range watchers {
				if n++; n <= a.sent {
					continue
				}
				a.sent = n
				if a.current.Lost {
					w.drop()
				} else {
					w.send(event)
				}
			}
			return true
		})
	}
}

// passCurrent has subscribers read the delivery in hand in the log, whatever of
// it they have had.
func (a *Actor) passCurrent() {
	if a.current != nil && len(a.current.Events) > 0 {
		a.subscribed.passAll(a.current.Events[0].Revision - 1)
	}
}

// release answers the requests of the delivery in hand.
func (a *Actor) release() {
	if a.current == nil {
		return
	}
	requests := a.current.Requests
	if a.current.Told {
		defer a.answering.Add(-1) // behind the last answer
	}
	a.current = nil
	for _, r := range requests {
		if outcome, received := r.Release(); !received {
			a.Callbacks.CallInBackground(outcome.Events)
		}
	}
}

// stop closes every watcher. It must not fail: a panic in Stopping would start
// the actor anew.
func (a *Actor) stop() {
	defer func() {
		if reason := recover(); reason != nil {
			a.Logger.Error("the notifier failed while stopping", slog.Any("reason", reason))
		}
		a.send()
		a.release()
		for _, l := range a.recipients {
			if l.courier != nil {
				l.courier.Stop()
			}
		}
		a.index.all(a.remove)
	}()
	a.Failpoint.Hit("notifier.stop")
}
