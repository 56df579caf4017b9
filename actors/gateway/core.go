package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/courier"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/ctxext"
)

// Opener opens the store of a gateway that has one of its own.
type Opener func(*actor.ActorSystem) (Config, error)

// Fault is why a store that is another actor's child has failed: its parent's supervisor is
// given it as the reason.
type Fault struct{ Err error }

func (f *Fault) Error() string { return fmt.Sprintf("store.Props: %v", f.Err) }

// Unwrap is for errors.Is and errors.As.
func (f *Fault) Unwrap() error { return f.Err }

// core is what a gateway owns. It outlives failures of the actor: senders of requests
// that are under way, and subscribers, don't notice them.
type core struct {
	Config
	system *actor.ActorSystem
	self   *actor.PID
	own    actor.Process // self's
	box    *mailbox
	open   Opener // not nil: the store is the actor's own, a child of a program's actor
	// dispatcher keeps a goroutine for the actor; nil: there is none.
	dispatcher *actorsystem.Dispatcher
	office     *courier.Office
	desk       atomic.Pointer[desk] // the office and the counts, for senders
	done       chan struct{}        // closed when the actor has stopped
	signal     chan struct{}        // capacity 1: something was brought

	// Of the store that is open.
	ctx    context.Context // of what reads and subscribes
	cancel context.CancelCauseFunc
	reads  *pool

	// Owned by Receive.
	over        bool           // it has stopped
	shut        bool           // there is no store, or none any more
	from        courier.Sender // of the message that comes next
	hand        hand
	pending     list
	ids         map[key]struct{} // of those that are pending and have one
	subscribers map[address]*subscriber
	following   int        // subscriptions that have not ended
	prompt      int        // of those that end at once when they are to
	batch       []*request // answers in hand

	mu struct { // what others bring
		sync.Mutex
		answered []*request
		ended    []*subscription
		woken    bool // a wake is in the mailbox
	}
}

func newCore(system *actor.ActorSystem, self *actor.PID) *core {
	c := &core{system: system, self: self, done: make(chan struct{}), signal: make(chan struct{}, 1), shut: true,
		ids: make(map[key]struct{}), subscribers: make(map[address]*subscriber)}
	c.own, _ = system.ProcessRegistry.Get(self)
	c.Logger, c.Drops = slog.New(slog.DiscardHandler), new(Drops)
	c.office = courier.NewOffice(system, c.Logger, weighAnswer, &c.Drops.Undelivered)
	c.desk.Store(&desk{c.office, c.Drops, nil})
	return c
}

// The context of an actor keeps the core across restarts.
var extension = ctxext.NextContextExtensionID()

// ExtensionID is for the library.
func (*core) ExtensionID() ctxext.ContextExtensionID { return extension }

// coreOf is the actor's, which its mailbox has made; nil if its props have another
// mailbox.
func coreOf(ctx actor.Context) *core {
	c, _ := ctx.Get(extension).(*core)
	return c
}

// use takes a store.
func (c *core) use(config Config) {
	c.Config = config
	c.office = courier.NewOffice(c.system, config.Logger, weighAnswer, &c.Drops.Undelivered)
	c.desk.Store(&desk{c.office, c.Drops, config.Store})
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.reads = newPool(config.Readers)
	c.shut = false
	if dead := config.Store.Dead(); dead != nil {
		go func() {
			select {
			case <-dead:
				c.own.SendUserMessage(c.self, died{})
			case <-c.ctx.Done():
			}
		}()
	}
}

// start opens the store of an actor that has its own, unless it has outlived a failure.
func (c *core) start() {
	if c.open != nil && c.shut {
		config, err := c.open(c.system)
		if err != nil {
			panic(&Fault{err})
		}
		c.use(config)
	}
	c.Failpoint.Hit("gateway.start")
}

// restart goes on with everything, unless the store has ended: then the next incarnation
// opens it anew.
func (c *core) restart() {
	c.work()
	if c.open == nil || c.shut {
		return
	}
	select {
	case <-c.Store.Dead():
		c.close()
	default:
	}
}

// stop must not fail: a panic in Stopping would start the actor anew. So it has a goroutine
// of its own, which may end (runtime.Goexit in what is the store's user's).
func (c *core) stop() {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		defer c.close()
		c.drain()
		guarded(func() { c.Failpoint.Hit("gateway.stop") }, c.failure)
	}()
	<-stopped
}

// drain does what was sent to a store that is an actor's child before it was to stop: it is in the
// mailbox, which the actor has left to this goroutine meanwhile.
func (c *core) drain() {
	if c.open == nil || c.shut {
		return
	}
	for n := c.box.UserMessageCount(); n > 0; n-- {
		message := c.box.Take()
		if message == nil {
			return
		}
		guarded(func() { c.box.invoker.InvokeUserMessage(message) }, func(any) {}) // it was answered, and noted
	}
}

// guarded calls f, and failed if f panics, with the reason, or ends the goroutine, without one.
func guarded(f func(), failed func(reason any)) {
	whole := false
	defer func() {
		if reason := recover(); !whole {
			failed(reason)
		}
	}()
	f()
	whole = true
}

// close ends everything with the store, which it closes if it is the actor's own. What
// it waits for depends on no actor but those of the store: each request that is pending
// has its answer, or never will.
func (c *core) close() {
	if c.shut {
		return
	}
	c.shut = true
	if c.open != nil {
		if err := c.Store.Close(); err != nil {
			c.Logger.Error("the store of an actor was not closed well", slog.Any("error", err))
		}
	}
	c.cancel(kv.ClosedError)
	for dead := c.Store.Dead(); ; {
		c.work()
		if c.pending.empty() && c.prompt == 0 {
			break
		}
		select {
		case <-c.signal:
		case <-dead:
			dead = nil
			c.work() // what was answered before
			c.abandon()
		}
	}
	c.office.Stop()
}
