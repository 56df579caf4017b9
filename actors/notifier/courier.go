package notifier

import (
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
)

const (
	// courierQueue is how many events wait for an actor that takes them slowly, or
	// not at all, before more are dropped.
	courierQueue = 1024
	// A mailbox that is full gives no signal when it is not: it is looked at again
	// after a time, twice as long each time.
	firstLook = time.Millisecond
	lastLook  = 64 * time.Millisecond
)

// courier takes events to an actor to which to send may block, or run anybody's code:
// what is not known to be harmless (see actorsystem.Prompt). It has a goroutine of its
// own, and the notifier never waits for it. Even the message that asks for the actor's
// end to be told is sent by it: on a synchronised dispatcher that runs the actor.
type courier struct {
	root   *actor.RootContext
	pid    *actor.PID
	self   *actor.PID // the notifier's
	room   func() bool
	logger *slog.Logger
	queue  chan parcel
	ended  chan struct{} // closed by the notifier
	end    sync.Once

	warned bool // the notifier's own
}

type parcel struct {
	watcher *Watcher
	event   kv.Event
}

func startCourier(root *actor.RootContext, pid, self *actor.PID, room func() bool, logger *slog.Logger) *courier {
	if room == nil {
		room = func() bool { return true }
	}
	c := &courier{root: root, pid: pid, self: self, room: room, logger: logger,
		queue: make(chan parcel, courierQueue), ended: make(chan struct{})}
	go c.run()
	return c
}

// take has an event sent, or drops it. The notifier calls it; it never blocks.
func (c *courier) take(w *Watcher, event kv.Event) {
	select {
	case c.queue <- parcel{w, event}:
	default:
		w.dropped.Add(1)
		if !c.warned {
			c.warned = true
			c.logger.Warn("a watching actor takes its messages too slowly: events are dropped", slog.String("pid", c.pid.String()))
		}
	}
}

// stop has the courier end once it has tried to send what it has.
func (c *courier) stop() { c.end.Do(func() { close(c.ended) }) }

func (c *courier) run() {
	c.guarded(func() { c.system(&actor.Watch{Watcher: c.self}) })
	for {
		select {
		case p := <-c.queue:
			c.pass(p)
		case <-c.ended:
			c.rest()
			return
		}
	}
}

func (c *courier) pass(p parcel) {
	for wait := firstLook; !p.watcher.ended.Load() && !c.room(); wait = min(2*wait, lastLook) {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.ended:
			timer.Stop()
			p.watcher.dropped.Add(1)
			return
		}
	}
	c.send(p)
}

// rest sends what is left, as far as there is room at once.
func (c *courier) rest() {
	for {
		select {
		case p := <-c.queue:
			if c.room() {
				c.send(p)
			} else {
				p.watcher.dropped.Add(1)
			}
		default:
			c.guarded(func() { c.system(&actor.Unwatch{Watcher: c.self}) })
			return
		}
	}
}

func (c *courier) send(p parcel) {
	if !p.watcher.ended.Load() {
		c.guarded(func() { c.root.Send(c.pid, Changed{p.event}) })
	}
}

func (c *courier) system(message any) {
	process, _ := c.root.ActorSystem().ProcessRegistry.Get(c.pid)
	process.SendSystemMessage(c.pid, message)
}

// guarded keeps the panics of whatever code the actor's mailbox runs.
func (c *courier) guarded(do func()) {
	defer func() {
		if reason := recover(); reason != nil {
			c.logger.Error("the mailbox of a watching actor panicked",
				slog.Any("reason", reason), slog.String("stack", string(debug.Stack())))
		}
	}()
	do()
}

// recipient is an actor that watches.
type recipient struct {
	pid      *actor.PID
	process  actor.Process // to which to send is harmless; nil: the courier does
	courier  *courier
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
			l.courier = startCourier(a.root, l.pid, self, w.room, a.Logger)
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
		l.courier.stop()
	} else {
		l.process.SendSystemMessage(l.pid, &actor.Unwatch{Watcher: self})
	}
}

// send gives an event to the actor, or drops it.
func (l *recipient) send(w *Watcher, event kv.Event) {
	if l.courier != nil {
		l.courier.take(w, event)
	} else {
		l.process.SendUserMessage(l.pid, Changed{event})
	}
}

// address notes what can be seen of a watching actor. It runs in the goroutine of the
// caller: to find an actor elsewhere may be anybody's code.
func (w *Watcher) address(system *actor.ActorSystem, pid *actor.PID) {
	w.pid = actor.NewPID(pid.Address, pid.Id) // a copy: the caller's is his
	process, found := system.ProcessRegistry.Get(w.pid)
	switch {
	case !found:
	case actorsystem.Prompt(process):
		w.process = process
	default:
		w.room = actorsystem.Room(process)
	}
}
