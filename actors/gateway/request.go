package gateway

import (
	"errors"
	"fmt"
	"hash/maphash"
	"strings"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/internal/courier"
	"forge.lthn.ai/core/go-store/kv"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
)

// address names an actor.
type address struct {
	host, id string
	request  uint32
}

func addressOf(pid *actor.PID) address { return address{pid.Address, pid.Id, pid.RequestId} }

// key names a request by what its sender calls it. An actor that has the name of an earlier
// one may begin anew.
type key struct {
	address
	process any
	number  uint64
}

func keyOf(sender courier.Sender, id uint64) key {
	return key{addressOf(sender.PID), actorsystem.Key(sender.Process), id}
}

// request is one that is pending. The gateway owns it, but for what is said of a field.
type request struct {
	core   *core
	sender courier.Sender
	box    *courier.Box // for its answer; nil for most
	id     uint64

	// Of a write:
	reply     reply              // makes its answer; nil for a read
	admission *admission.Request // nil until it is submitted
	outcome   kv.Outcome         // this and err are the writer's, until it is in the queue
	err       error

	// Of a read: the reader's, until it is in the queue.
	read   func()
	answer any
	bytes  int    // of the answer, for which the box is told to expect them
	long   bool   // it is of more than a key
	turn   uint64 // the pool's: those that wait are in this order

	next, previous *request // of those that are pending
}

// reply makes the answer to a write.
type reply func(id uint64, outcome kv.Outcome, err error) any

// list is those that are pending.
type list struct{ first *request }

func (l *list) empty() bool { return l.first == nil }

func (l *list) add(r *request) {
	if r.next = l.first; r.next != nil {
		r.next.previous = r
	}
	l.first = r
}

func (l *list) remove(r *request) {
	if r.next != nil {
		r.next.previous = r.previous
	}
	if r.previous != nil {
		r.previous.next = r.next
	} else {
		l.first = r.next
	}
	r.next, r.previous = nil, nil
}

// begin makes a request that is pending, or answers that there can be none: then it is
// nil.
func (a *Actor) begin(sender courier.Sender, id uint64) *request {
	box, room := a.office.Reserve(sender)
	if !room {
		a.dropped(&a.Drops.Crowded, "its sender does not take its answers", a.hand.message)
		a.hand.taken = true
		return nil
	}
	r := &request{core: a.core, sender: sender, box: box, id: id}
	if id != 0 && !sender.Gone(a.system) {
		k := keyOf(sender, id)
		if _, used := a.ids[k]; used {
			a.hand.taken = true
			a.office.Post(sender, box, failed(id, a.hand.message, kv.DuplicateIDError))
			return nil
		}
		a.ids[k] = struct{}{}
	}
	a.pending.add(r)
	a.hand.request = r
	a.Failpoint.Hit("gateway.accept")
	return r
}

// submitted says that the request is with a goroutine that answers it.
func (a *Actor) submitted() { a.hand.request, a.hand.taken = nil, true }

// finish answers a request.
func (c *core) finish(r *request, answer any) {
	c.pending.remove(r)
	if r.id != 0 {
		delete(c.ids, keyOf(r.sender, r.id))
	}
	if c.hand.request == r {
		c.hand.request, c.hand.taken = nil, true
	}
	c.office.Post(r.sender, r.box, answer)
	r.box.Expect(-r.bytes)
}

// Answered brings the outcome of a write: the writer calls it, or the notifier.
func (r *request) Answered(outcome kv.Outcome, err error) {
	r.outcome, r.err = outcome, err
	r.core.bring(r)
}

// futures is what the names of futures begin with.
const futures = "future$"

var laneSeed = maphash.MakeSeed()

// Lane is the sender's. Futures have one in common: each is a sender of its own, and
// requests by them, one after the other, are one too.
func (r *request) Lane() uint64 {
	name := r.sender.PID.Id
	if strings.HasPrefix(name, futures) {
		name = futures
	}
	var h maphash.Hash
	h.SetSeed(laneSeed)
	h.WriteString(r.sender.PID.Address)
	h.WriteByte(0)
	h.WriteString(name)
	return h.Sum64() | 1
}

// bring puts a request into the queue of answers. Any goroutine may call it.
func (c *core) bring(r *request) {
	c.mu.Lock()
	c.mu.answered = append(c.mu.answered, r)
	c.wake()
	c.mu.Unlock()
}

// wake has the actor look into the queue: one message does for all that is in it. The
// lock is held.
func (c *core) wake() {
	if !c.mu.woken {
		c.mu.woken = true
		c.own.SendUserMessage(c.self, wake{})
	}
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

// work answers what is in the queue. What is in hand when it fails is still there
// afterwards.
func (c *core) work() {
	c.mu.Lock()
	if len(c.batch) == 0 { // the memory goes back and forth
		c.batch, c.mu.answered = c.mu.answered, c.batch[:0]
	} else {
		c.batch = append(c.batch, c.mu.answered...)
		c.mu.answered = c.mu.answered[:0]
	}
	ended := c.mu.ended
	c.mu.ended, c.mu.woken = nil, false
	c.mu.Unlock()
	for _, s := range ended {
		c.forget(s)
	}
	for i, r := range c.batch {
		if r == nil {
			continue
		}
		c.Failpoint.Hit("gateway.answer")
		c.batch[i] = nil
		c.settle(r)
	}
	c.batch = c.batch[:0]
}

// settle answers a request that has its outcome.
func (c *core) settle(r *request) {
	if r.reply == nil {
		c.finish(r, r.answer)
		return
	}
	r.admission.Recycle()
	c.finish(r, r.reply(r.id, r.outcome, r.err))
}

// abandon answers the writes that no actor will answer any more.
func (c *core) abandon() {
	for r := c.pending.first; r != nil; {
		next := r.next
		if r.reply != nil && r.admission.Abandon() {
			c.finish(r, r.reply(r.id, kv.Outcome{}, fmt.Errorf("%w: %w", kv.UnknownOutcomeError, kv.ClosedError)))
		}
		r = next
	}
}

// write submits a mutation.
func (a *Actor) write(sender courier.Sender, id uint64, m kv.Mutation, reply reply) {
	r := a.begin(sender, id)
	if r == nil {
		return
	}
	r.reply = reply
	submitted, err := a.submit(m, r)
	switch {
	case err == nil:
		r.admission = submitted
		a.submitted()
	case errors.Is(err, kv.BusyError):
		a.finish(r, protocol.Busy{ID: id, RetryAfter: a.Store.RetryAfter()})
	default:
		a.finish(r, reply(id, kv.Outcome{}, err))
	}
}

func (a *Actor) submit(m kv.Mutation, r *request) (*admission.Request, error) {
	if a.shut {
		return nil, kv.ClosedError
	}
	return a.Store.Submit(m, r)
}

// read has something read by another goroutine: something long, or a key.
func (a *Actor) read(sender courier.Sender, id uint64, long bool, read func() any) {
	r := a.begin(sender, id)
	if r == nil {
		return
	}
	r.long = long
	if a.shut {
		a.finish(r, a.refusal(a.hand.message, kv.ClosedError))
		return
	}
	message := a.hand.message
	r.read = func() {
		if r.box.Full() { // its sender takes nothing: what is read would be kept
			r.answer = protocol.Busy{ID: id, RetryAfter: maxWait}
			return
		}
		guarded(func() { r.answer = read() }, func(reason any) {
			a.failure(reason)
			r.answer = a.refusal(message, kv.RolledBackError)
		})
		if r.box != nil {
			r.bytes = weighAnswer(r.answer)
			r.box.Expect(r.bytes) // it may be a while until the actor posts it
		}
	}
	if wait, busy := a.reads.take(r); busy {
		a.finish(r, protocol.Busy{ID: id, RetryAfter: wait})
		return
	}
	a.submitted()
}
