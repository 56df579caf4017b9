package courier

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/actorsystem"

	"github.com/asynkron/protoactor-go/actor"
)

// OfficeQueue is how many answers one sender can have coming whose mailbox may block, and
// OfficeBytes how many bytes of them may wait before it can have no more.
const (
	OfficeQueue = 1024
	OfficeBytes = 64 << 20
)

// Office sends answers. Most go to actors to which to send is harmless: those are sent
// at once. For each of the others there is a Box while it has anything coming.
type Office struct {
	system *actor.ActorSystem
	logger *slog.Logger
	ended  chan struct{}
	end    sync.Once

	weigh       func(answer any) int // roughly how many bytes it holds
	undelivered *atomic.Uint64       // counts those whose receiver was gone, or took nothing until the end

	mu struct {
		sync.Mutex
		boxes map[address]*Box
	}
	boxed atomic.Int64 // boxes that there are: an actor that was being spawned keeps its own until it is empty
}

// Sender is an actor that is to be answered, as it was when it asked: one that has its name
// by the time of the answer is another, and gets nothing.
type Sender struct {
	PID     *actor.PID    // nil: there is no sender
	Process actor.Process // nil: it is elsewhere, or was gone
}

// SenderOf is the actor that has the name now.
func SenderOf(system *actor.ActorSystem, pid *actor.PID) Sender {
	s := Sender{PID: pid}
	if pid == nil || actorsystem.Elsewhere(system, pid) { // to find it may run a user's code
		return s
	}
	if process, found := system.ProcessRegistry.Get(pid); found {
		s.Process = process
	}
	return s
}

// Gone reports whether the actor was gone already when it was looked for.
func (s Sender) Gone(system *actor.ActorSystem) bool {
	return s.Process == nil && !actorsystem.Elsewhere(system, s.PID)
}

// address names an actor, and tells it from those that have had its name.
type address struct {
	host, id string
	process  any
}

// NewOffice starts nothing. It counts in undelivered the answers that reached no actor.
func NewOffice(system *actor.ActorSystem, logger *slog.Logger, weigh func(answer any) int, undelivered *atomic.Uint64) *Office {
	o := &Office{system: system, logger: logger, weigh: weigh, undelivered: undelivered, ended: make(chan struct{})}
	o.mu.boxes = make(map[address]*Box)
	return o
}

// Stop has no goroutine wait for room any more.
func (o *Office) Stop() { o.end.Do(func() { close(o.ended) }) }

// Ended is closed when no goroutine is to wait for room any more.
func (o *Office) Ended() <-chan struct{} { return o.ended }

// Box holds what is to be sent to one actor to which to send may block.
type Box struct {
	office *Office
	at     address
	to     Recipient

	// Guarded by the office's lock.
	coming  int      // places that are taken, by what is here or is to come
	bytes   int      // of what is here, or is expected
	queue   []posted // to be sent
	sending bool     // a goroutine is at it
}

// posted is an answer that is to be sent.
type posted struct {
	message any
	bytes   int
}

// Reserve makes room for one answer to a sender. The box is nil for senders that need none:
// to them Post sends at once. It reports false when too much is coming for it already.
// What is reserved is given back by Post or Release.
func (o *Office) Reserve(sender Sender) (*Box, bool) {
	if sender.Gone(o.system) || actorsystem.IsFuture(sender.Process) || o.boxed.Load() == 0 && actorsystem.Prompt(sender.Process) {
		return nil, true
	}
	at := address{sender.PID.Address, sender.PID.Id, actorsystem.Key(sender.Process)}
	o.mu.Lock()
	defer o.mu.Unlock()
	box := o.mu.boxes[at]
	if box == nil && actorsystem.Prompt(sender.Process) {
		return nil, true
	}
	if box == nil {
		box = &Box{office: o, at: at, to: o.recipient(sender)}
		o.mu.boxes[at] = box
		o.boxed.Add(1)
	}
	if box.coming == OfficeQueue || box.bytes >= OfficeBytes {
		return nil, false
	}
	box.coming++
	return box, true
}

// Post sends an answer to the sender that the box was reserved for. It never blocks.
func (o *Office) Post(sender Sender, box *Box, message any) {
	if box != nil {
		box.post(message)
		return
	}
	process, found := o.system.ProcessRegistry.Get(sender.PID)
	switch {
	case !found || !actorsystem.Same(process, sender.Process):
		o.undelivered.Add(1) // not a dead letter: its system is its user's
	case actorsystem.Prompt(process):
		process.SendUserMessage(sender.PID, message)
	default:
		// A future runs whatever waits for it, in the goroutine that answers it.
		go o.recipient(sender).Pass(message, o.ended)
	}
}

func (o *Office) recipient(sender Sender) Recipient {
	return Recipient{o.system, actor.NewPID(sender.PID.Address, sender.PID.Id), o.logger, sender.Process}
}

// Answer is Post to a sender for which nothing was reserved: an answer that it has no
// room for is lost.
func (o *Office) Answer(sender Sender, message any) {
	box, room := o.Reserve(sender)
	if !room {
		o.undelivered.Add(1)
		return
	}
	o.Post(sender, box, message)
}

// Release gives a place back that nothing came for.
func (o *Office) Release(box *Box) {
	if box == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	box.leave(0)
}

// Full reports whether so much waits for the sender that nothing more is to be read for it,
// though it was reserved. No box is full that is none.
func (b *Box) Full() bool {
	if b == nil {
		return false
	}
	b.office.mu.Lock()
	defer b.office.mu.Unlock()
	return b.bytes >= OfficeBytes
}

// Expect counts bytes of an answer that is there and is to be posted, or, below 0, was.
func (b *Box) Expect(bytes int) {
	if b == nil || bytes == 0 {
		return
	}
	b.office.mu.Lock()
	defer b.office.mu.Unlock()
	b.bytes += bytes
}

func (b *Box) post(message any) {
	o := b.office
	bytes := o.weigh(message)
	o.mu.Lock()
	defer o.mu.Unlock()
	b.queue = append(b.queue, posted{message, bytes})
	b.bytes += bytes
	if !b.sending {
		b.sending = true
		go b.send()
	}
}

// send sends what is there, and ends.
func (b *Box) send() {
	for o := b.office; ; {
		o.mu.Lock()
		queue := b.queue
		if b.queue = nil; len(queue) == 0 {
			b.sending = false
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		for i, p := range queue {
			if !b.to.Pass(p.message, o.ended) {
				o.undelivered.Add(1)
			}
			queue[i] = posted{}
			o.mu.Lock()
			b.leave(p.bytes)
			o.mu.Unlock()
		}
	}
}

// leave gives a place back, and the bytes that were in it. The office's lock is held.
func (b *Box) leave(bytes int) {
	b.bytes -= bytes
	if b.coming--; b.coming == 0 {
		delete(b.office.mu.boxes, b.at)
		b.office.boxed.Add(-1)
	}
}

// Boxes is how many senders have anything coming that may block.
func (o *Office) Boxes() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.mu.boxes)
}
