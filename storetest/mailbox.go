package storetest

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/actorsystem"

	"github.com/asynkron/protoactor-go/actor"
)

// mailbox is Proto.Actor's default one but for this: it hands out a message only when the
// world says so. The store may send to it as to the default one, in its own goroutine.
type mailbox struct {
	world   *World
	name    string
	invoker actor.MessageInvoker
	dead    atomic.Bool // its process was killed
	mu      struct {
		sync.Mutex
		system, user []any
		suspended    bool
		handling     string        // the goroutine that handles a message; empty: none
		paused       chan struct{} // of a handler that waits for its turn
	}
}

func init() { actorsystem.Vouch(&mailbox{}) }

func (b *mailbox) PostUserMessage(message any) {
	b.world.queue()
	if b.dead.Load() {
		return
	}
	b.mu.Lock()
	b.mu.user = append(b.mu.user, message)
	b.mu.Unlock()
	b.world.stir()
}

func (b *mailbox) PostSystemMessage(message any) {
	b.world.queue()
	if b.dead.Load() {
		return
	}
	b.mu.Lock()
	b.mu.system = append(b.mu.system, message)
	b.mu.Unlock()
	b.world.stir()
}

func (b *mailbox) RegisterHandlers(invoker actor.MessageInvoker, _ actor.Dispatcher) {
	b.invoker = invoker
}

func (b *mailbox) Start() {}

func (b *mailbox) UserMessageCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.mu.user)
}

// ready reports whether next has something to do.
func (b *mailbox) ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.handling != "" {
		return b.mu.paused != nil
	}
	return len(b.mu.system) > 0 || !b.mu.suspended && len(b.mu.user) > 0
}

func (b *mailbox) busy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.handling != ""
}

// next has the handler go on, or hands out a message, and says which.
func (b *mailbox) next() (what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.paused != nil {
		close(b.mu.paused)
		b.mu.paused = nil
		return b.name + " goes on"
	}
	queue, invoke := &b.mu.user, b.invoker.InvokeUserMessage
	if len(b.mu.system) > 0 {
		queue, invoke = &b.mu.system, b.invokeSystem
	}
	message := (*queue)[0]
	*queue = (*queue)[1:]
	b.mu.handling = "one that is about to start"
	go b.handle(message, invoke)
	return fmt.Sprintf("%s gets %T", b.name, actor.UnwrapEnvelopeMessage(message))
}

func (b *mailbox) handle(message any, invoke func(any)) {
	self := goroutine()
	b.world.handles(b, self)
	b.mu.Lock()
	b.mu.handling = self
	b.mu.Unlock()
	defer func() {
		if reason := recover(); reason != nil {
			b.world.note(fmt.Sprintf("%s fails: %v", b.name, reason))
			b.invoker.EscalateFailure(reason, message)
		}
		b.world.handles(nil, self)
		b.mu.Lock()
		b.mu.handling = ""
		b.mu.Unlock()
		b.world.stir()
	}()
	invoke(message)
}

func (b *mailbox) invokeSystem(message any) {
	switch message.(type) {
	case *actor.SuspendMailbox, *actor.ResumeMailbox:
		_, suspended := message.(*actor.SuspendMailbox)
		b.mu.Lock()
		b.mu.suspended = suspended
		b.mu.Unlock()
	default:
		b.invoker.InvokeSystemMessage(message)
	}
}

// pause has a handler wait for its turn, if it is the handler that asks.
func (b *mailbox) pause() {
	if b.world.over() {
		return
	}
	b.mu.Lock()
	if b.mu.handling != goroutine() {
		b.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	b.mu.paused = turn
	b.mu.Unlock()
	b.world.stir()
	<-turn
	b.leaveIfDead()
}

// die has the actor vanish, with what it is at.
func (b *mailbox) die() {
	b.dead.Store(true)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.system, b.mu.user = nil, nil
	if b.mu.paused != nil {
		close(b.mu.paused)
		b.mu.paused = nil
	}
}

// leaveIfDead ends the goroutine of a handler whose process is dead.
func (b *mailbox) leaveIfDead() {
	if b.dead.Load() {
		runtime.Goexit()
	}
}

// moment is the context of an actor's calls of the store. The store asks it whether it has
// ended before it begins with anything, in the goroutine of the call: that is the moment
// at which another may go first.
type moment struct {
	context.Context
	box *mailbox
}

func (m *moment) Err() error {
	m.box.pause()
	return m.Context.Err()
}

// goroutine names the one that asks.
func goroutine() string {
	buffer := make([]byte, 64)
	buffer = buffer[:runtime.Stack(buffer, false)]
	name, _, _ := bytes.Cut(buffer, []byte(" ["))
	return string(name)
}
