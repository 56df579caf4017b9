package actorsystem

import (
	"errors"
	"runtime"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// Mailbox is a mailbox without limit whose actor a sender can run itself: a sender that finds
// it idle has its message handled in its own goroutine, which saves two changes of
// goroutines, and nothing else. What has come meanwhile is the dispatcher's: no sender works
// for others. One message is handled at a time, in the order in which they were posted;
// what the library tells the actor comes before.
//
// A panic never comes out of it: it is told to the supervisor, which starts the actor anew on the
// dispatcher's goroutine. So is the end of a goroutine while it handles a message
// (runtime.Goexit, of which a test's FailNow is made): the actor may call what is its
// user's, and any goroutine may run it.
type Mailbox struct {
	invoker    actor.MessageInvoker
	dispatcher actor.Dispatcher

	mu waiting
}

// waiting is what is in a mailbox.
type waiting struct {
	sync.Mutex
	system, user fifo
	running      bool // messages are being handled, or are about to be
	suspended    bool // only what the library tells is handled
}

func (w *waiting) waits() bool { return w.system.len() > 0 || w.user.len() > 0 }

// Take takes the next message that waits, but for the library's own; nil: there is none. The actor
// itself may call it, while it handles a message.
func (m *Mailbox) Take() any {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.user.len() == 0 {
		return nil
	}
	return m.mu.user.pop()
}

// RegisterHandlers, Start and the following are the library's.
func (m *Mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.invoker, m.dispatcher = invoker, dispatcher
}

// Start does nothing.
func (m *Mailbox) Start() {}

// UserMessageCount is how many messages wait, but for the library's own.
func (m *Mailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.user.len()
}

// PostUserMessage has a message handled on the dispatcher's goroutine.
func (m *Mailbox) PostUserMessage(message any) { m.post(&m.mu.user, message) }

// PostSystemMessage is PostUserMessage for what the library tells.
func (m *Mailbox) PostSystemMessage(message any) { m.post(&m.mu.system, message) }

func (m *Mailbox) post(queue *fifo, message any) {
	m.mu.Lock()
	queue.push(message)
	start := !m.mu.running && m.dispatcher != nil // what comes by name before that waits for Started
	m.mu.running = m.mu.running || start
	m.mu.Unlock()
	if start {
		m.dispatcher.Schedule(m.run)
	}
}

// Here has now handled in the caller's goroutine if the actor has nothing to do, and
// otherwise posts later. It reports whether others have brought something meanwhile, or
// had before. It must not be called by the actor itself.
func (m *Mailbox) Here(now, later any) (crowded bool) {
	if !m.begin() {
		m.PostUserMessage(later)
		return true
	}
	defer func() { crowded = m.handOver() }() // the goroutine may end in handle
	m.handle(now, false)
	return false
}

// handOver leaves what waits, if anything does, to the dispatcher's goroutine.
func (m *Mailbox) handOver() (waits bool) {
	m.mu.Lock()
	waits = m.mu.waits()
	m.mu.running = waits
	m.mu.Unlock()
	if waits {
		m.dispatcher.Schedule(m.run)
	}
	return waits
}

// begin reports whether the actor had nothing to do, and is the caller's now. An actor that has
// nothing left to do is about to end: a caller that was answered is here before that.
func (m *Mailbox) begin() bool {
	for range endings {
		m.mu.Lock()
		busy := m.mu.suspended || m.mu.waits()
		if !busy && !m.mu.running {
			m.mu.running = true
			m.mu.Unlock()
			return true
		}
		m.mu.Unlock()
		if busy {
			return false
		}
		runtime.Gosched()
	}
	return false
}

// endings is how often begin looks again.
const endings = 16

// run handles messages until there are none.
func (m *Mailbox) run() {
	done := false
	defer func() {
		if !done { // the goroutine ends
			m.handOver()
		}
	}()
	for n := 1; ; n++ {
		message, system := m.next()
		if message == nil {
			done = true
			return
		}
		m.handle(message, system)
		if n%m.dispatcher.Throughput() == 0 {
			runtime.Gosched()
		}
	}
}

// next takes the next message, and says whether the library has sent it; nil: there is
// none, and no goroutine runs the actor any more.
func (m *Mailbox) next() (message any, system bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.mu.system.len() > 0 {
		message := m.mu.system.pop()
		switch message.(type) {
		case *actor.SuspendMailbox:
			m.mu.suspended = true
		case *actor.ResumeMailbox:
			m.mu.suspended = false
		default:
			return message, true
		}
	}
	if m.mu.suspended || m.mu.user.len() == 0 {
		m.mu.running = false
		return nil, false
	}
	return m.mu.user.pop(), false
}

// handle handles one message. A failure is the supervisor's.
func (m *Mailbox) handle(message any, system bool) {
	handled := false
	defer func() {
		switch reason := recover(); {
		case reason != nil:
			m.invoker.EscalateFailure(reason, message)
		case !handled:
			m.invoker.EscalateFailure(errGoroutineEnded, message)
		}
	}()
	if system {
		m.invoker.InvokeSystemMessage(message)
	} else {
		m.invoker.InvokeUserMessage(message)
	}
	handled = true
}

var errGoroutineEnded = errors.New("the goroutine has ended while it handled a message (runtime.Goexit, or a test's FailNow)")

// fifo is a queue that keeps its memory as long as that is little.
type fifo struct {
	messages []any
	first    int
}

func (q *fifo) len() int { return len(q.messages) - q.first }

func (q *fifo) push(message any) { q.messages = append(q.messages, message) }

func (q *fifo) pop() any {
	message := q.messages[q.first]
	q.messages[q.first] = nil
	q.first++
	switch n := q.len(); {
	case n == 0 && cap(q.messages) > keptMessages:
		*q = fifo{}
	case n == 0:
		q.messages, q.first = q.messages[:0], 0
	case q.first > n && q.first >= keptMessages: // what is left moves at most once for each that has gone
		clear(q.messages[copy(q.messages, q.messages[q.first:]):])
		q.messages, q.first = q.messages[:n], 0
	}
	return message
}

const keptMessages = 1024
