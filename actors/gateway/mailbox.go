package gateway

import (
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/courier"
	"forge.lthn.ai/core/go-store/kv"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
)

// What may wait in the mailbox of one gateway, before more is refused.
const (
	maxWaiting      = 1 << 16  // messages
	maxWaitingBytes = 64 << 20 // of what they hold, and one message more
)

// What is refused by the mailbox is to be tried again when the store has had the time for some
// commits: as many as it takes to make room, of floodBatch requests each. Where nothing is known
// yet of a commit's time, after floodWait.
const (
	floodBatch = maxWaiting / 16
	floodWait  = 10 * time.Millisecond
	floodMost  = time.Second
)

// mailbox never blocks its senders, and the gateway runs on a goroutine of its
// own, whatever its Props say. It refuses what would be too much. It also sees to what
// the library makes of messages that no receiver expects. Behind it is ours and not the
// library's, which stands still for good if the goroutine ends that handles a message.
type mailbox struct {
	*actorsystem.Mailbox
	begin func(*actor.ActorSystem, *actor.PID) *core // when the actor is spawned
	core  atomic.Pointer[core]

	invoker *invoking
	waiting waiting
}

// waiting is what is in the mailbox, but for what the gateway sends to itself.
type waiting struct{ messages, bytes atomic.Int64 }

func (w *waiting) full() bool {
	return w.messages.Load() >= maxWaiting || w.bytes.Load() >= maxWaitingBytes
}

func (w *waiting) add(messages, bytes int) {
	w.messages.Add(int64(messages))
	if bytes != 0 {
		w.bytes.Add(int64(bytes))
	}
}

// letter is a message that waits, with what may be another later: its weight, and which actor
// has its sender's name.
type letter struct {
	message any
	bytes   int
	sender  courier.Sender
}

// weigh is roughly what a message holds. What is none of the protocol counts as nothing: no
// code of the sender's is run.
func weigh(message any) (bytes int, known bool) {
	switch m := message.(type) {
	case protocol.Set:
		return len(m.Group) + len(m.Key) + len(m.Value), true
	case protocol.SetWithTTL:
		return len(m.Group) + len(m.Key) + len(m.Value) + len(m.NotifyOnExpiry), true
	case protocol.Tell:
		return len(m.Address) + len(m.Message), true
	case protocol.CompareAndSet:
		return len(m.Group) + len(m.Key) + len(m.Value), true
	case protocol.Get:
		return len(m.Group) + len(m.Key), true
	case protocol.Delete:
		return len(m.Group) + len(m.Key), true
	case protocol.DeleteGroup:
		return len(m.Group), true
	case protocol.Increment:
		return len(m.Group) + len(m.Key), true
	case protocol.Scan:
		return len(m.Groups.Text()) + len(m.From) + len(m.To) + len(m.Cursor), true
	case protocol.Batch:
		return m.Writes.Size(), true // to go through it once is enough
	case protocol.GetMany:
		bytes = len(m.Group)
		for _, key := range m.Keys {
			bytes += len(key) + 16
		}
		return bytes, true
	case protocol.Usage:
		return len(m.Namespace), true
	case protocol.OpenNamespace:
		return len(m.Name), true
	case protocol.Subscribe:
		for i := range m.Options.Filters {
			f := &m.Options.Filters[i]
			bytes += len(f.Group.Text()) + len(f.Key.Text()) + 48
		}
		return bytes, true
	case protocol.Credit, protocol.Unsubscribe:
		return 0, true
	default:
		if behind := behindPointer(message); behind != nil {
			bytes, _ = weigh(behind)
			return bytes, true
		}
		return 0, false
	}
}

// weighAnswer is roughly what an answer holds, beside what it was asked with.
func weighAnswer(answer any) (bytes int) {
	switch m := answer.(type) {
	case protocol.GetDone:
		return len(m.Value)
	case protocol.GetManyDone:
		for key, value := range m.Values {
			bytes += len(key) + len(value) + 32
		}
	case protocol.ScanDone:
		for i := range m.Entries {
			e := &m.Entries[i]
			bytes += len(e.Group) + len(e.Key) + len(e.Value) + 96
		}
	}
	return bytes
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
		m.post(message, inside, sender)
		return
	}
	for _, message := range batch.GetMessages() {
		if sender != nil {
			message = &actor.MessageEnvelope{Message: message, Sender: sender}
		}
		m.PostUserMessage(message)
	}
}

// post lets a message in, unless too much waits already.
func (m *mailbox) post(envelope, inside any, sender *actor.PID) {
	if its(inside) {
		m.Mailbox.PostUserMessage(envelope)
		return
	}
	if m.waiting.full() {
		if c := m.core.Load(); c != nil {
			c.flooded(sender, inside, m.waiting.messages.Load())
		}
		return
	}
	l := &letter{message: envelope}
	l.bytes, _ = weigh(inside)
	if c := m.core.Load(); c != nil { // else it is looked for when the actor is there
		l.sender = courier.SenderOf(c.system, sender)
	}
	m.waiting.add(1, l.bytes)
	m.Mailbox.PostUserMessage(l)
}

// its reports whether a message is none that others send by the thousand.
func its(inside any) bool {
	switch inside.(type) {
	case message, *actor.PoisonPill:
		return true
	default:
		return false
	}
}

// leave says that a message is not in the mailbox any more, and is the message.
func (w *waiting) leave(m any) (message any, sender courier.Sender) {
	if l, ok := m.(*letter); ok {
		w.add(-1, -l.bytes)
		return l.message, l.sender
	}
	return m, sender
}

// flooded refuses a message, in the goroutine that has sent it: nothing in here may
// block, or be the store's user's, not even the log.
func (c *core) flooded(pid *actor.PID, message any, waiting int64) {
	desk := c.desk.Load()
	desk.drops.Flooded.Add(1)
	if pid == nil {
		return
	}
	sender := courier.SenderOf(c.system, pid)
	if _, touch := message.(*actor.Touch); touch {
		desk.office.Answer(sender, &actor.Touched{Who: c.self})
		return
	}
	if _, known := weigh(message); !known {
		desk.office.Answer(sender, failed(0, message, unknownError(message)))
		return
	}
	if behind := behindPointer(message); behind != nil {
		message = behind
	}
	desk.office.Answer(sender, protocol.Busy{ID: message.(protocol.Request).RequestID(), RetryAfter: desk.retryAfter(waiting)})
}

// desk is what answers are given with where the actor is not.
type desk struct {
	office *courier.Office
	drops  *Drops
	store  Store // nil: there is none yet
}

// retryAfter is when a mailbox with so many messages is likely to have room.
func (d *desk) retryAfter(waiting int64) time.Duration {
	if d.store == nil {
		return floodWait
	}
	return min(d.store.RetryAfter()*time.Duration(1+waiting/floodBatch), floodMost)
}

// RegisterHandlers makes the actor's core: the library calls it once, when everything
// else is there.
func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	ctx := invoker.(actor.Context)
	c := m.begin(ctx.ActorSystem(), ctx.Self())
	ctx.Set(c)
	m.core.Store(c)
	if dispatcher = actor.NewDefaultDispatcher(dispatcher.Throughput()); c.dispatcher != nil {
		dispatcher = c.dispatcher
	}
	c.box, m.invoker = m, &invoking{invoker, c, &m.waiting}
	m.Mailbox.RegisterHandlers(m.invoker, dispatcher)
}

// invoking stands between the mailbox and the library's part of the actor.
type invoking struct {
	actor.MessageInvoker
	core    *core
	waiting *waiting
}

// InvokeUserMessage lets requests through, and what the gateway sends to itself. It
// answers what comes after the actor has stopped, which the library would drop without a
// word. The library's own messages of an actor's life don't come this way: a sender of one
// has made it. A message that answers itself would run its owner's code in here.
func (i *invoking) InvokeUserMessage(m any) {
	m, sender := i.waiting.leave(m)
	_, inside, pid := actor.UnwrapEnvelope(m)
	if sender.PID == nil {
		sender = courier.SenderOf(i.core.system, pid)
	}
	i.core.from = sender
	own, request := false, false
	switch inside.(type) {
	case message, *actor.PoisonPill, *actor.Touch:
		own = true
	case actor.AutoRespond:
	case protocol.Request:
		request = true
	}
	switch {
	case i.core.over && request && sender.PID != nil:
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
