package courier

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/actorsystem"

	"github.com/asynkron/protoactor-go/actor"
)

// Queue is how many messages wait for an actor that takes them slowly, or not at all,
// before more are lost, and QueueBytes how many bytes, and one message more.
const (
	Queue      = 1024
	QueueBytes = 64 << 20
)

// Parcel is a message on its way. Its methods don't block.
type Parcel interface {
	Message() any
	Bytes() int   // roughly what it holds, the same each time
	Wanted() bool // whether it is still to be sent
	Lost()        // it was not sent, though it was wanted
}

// Courier takes messages to one actor, on a goroutine of its own, until Stop. Even the
// message that asks for the actor's end to be told is sent by it: on a synchronised
// dispatcher that runs the actor.
type Courier struct {
	to      Recipient
	watcher *actor.PID
	queue   chan Parcel
	bytes   atomic.Int64  // of what was taken and is not passed
	ended   chan struct{} // closed by Stop
	end     sync.Once
	warn    sync.Once
}

// Start has the watcher told of the recipient's end, by the library.
func Start(to Recipient, watcher *actor.PID) *Courier {
	c := &Courier{to: to, watcher: watcher, queue: make(chan Parcel, Queue), ended: make(chan struct{})}
	go c.run()
	return c
}

// Take has a parcel sent, or loses it. It never blocks.
func (c *Courier) Take(p Parcel) {
	bytes := int64(p.Bytes())
	if c.bytes.Load() < QueueBytes {
		c.bytes.Add(bytes)
		select {
		case c.queue <- p:
			return
		default:
			c.bytes.Add(-bytes)
		}
	}
	p.Lost()
	c.warn.Do(func() {
		c.to.Logger.Warn("an actor takes its messages too slowly: some are dropped", slog.String("pid", c.to.PID.String()))
	})
}

// Stop has the courier end once it has tried to send what it has.
func (c *Courier) Stop() { c.end.Do(func() { close(c.ended) }) }

func (c *Courier) run() {
	if !c.to.Watch(c.watcher, c.ended) && !actorsystem.Ended(c.ended) {
		Recipient{System: c.to.System, PID: c.watcher, Logger: c.to.Logger}.tell(
			&actor.Terminated{Who: c.to.PID, Why: actor.TerminatedReason_NotFound}, c.ended)
	}
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

func (c *Courier) pass(p Parcel) {
	defer c.bytes.Add(-int64(p.Bytes()))
	if !c.to.pass(p.Message(), p.Wanted, c.ended) && p.Wanted() {
		p.Lost()
	}
}

// rest sends what is left, as far as there is room at once.
func (c *Courier) rest() {
	for {
		select {
		case p := <-c.queue:
			c.pass(p) // waits for nothing any more
		default:
			c.to.Unwatch(c.watcher)
			return
		}
	}
}
