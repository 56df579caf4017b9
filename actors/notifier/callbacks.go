package notifier

import (
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/internal/seldom"
	"forge.lthn.ai/core/go-store/kv"
)

// backlog is how many batches of events that no caller waits for wait for the background
// goroutine before more are dropped.
const backlog = 64

// Callbacks is the registry of OnChange. Nothing in it waits for a callback.
type Callbacks struct {
	registered atomic.Pointer[[]*callback] // immutable; replaced whole
	queue      chan []kv.Event
	stop       chan struct{}
	once       sync.Once
	overflow   atomic.Uint64
	logger     *slog.Logger
	said       *seldom.Limit // of those that are too slow
}

type callback struct{ function func(kv.Event) }

// NewCallbacks starts the goroutine that runs callbacks for changes that no
// goroutine of the caller's asked for. Stop ends it.
func NewCallbacks(logger *slog.Logger) *Callbacks {
	c := &Callbacks{queue: make(chan []kv.Event, backlog), stop: make(chan struct{}), logger: logger, said: seldom.New(1, 10*time.Second)}
	c.registered.Store(new([]*callback))
	go c.background()
	return c
}

// Register adds a callback; the function returned removes it, once.
func (c *Callbacks) Register(function func(kv.Event)) (unregister func()) {
	entry := &callback{function}
	c.update(func(old []*callback) []*callback { return append(slices.Clip(old), entry) })
	return sync.OnceFunc(func() {
		c.update(func(old []*callback) []*callback {
			return slices.DeleteFunc(slices.Clone(old), func(e *callback) bool { return e == entry })
		})
	})
}

func (c *Callbacks) update(change func([]*callback) []*callback) {
	for {
		old := c.registered.Load()
		next := change(*old)
		if c.registered.CompareAndSwap(old, &next) {
			return
		}
	}
}

// Any reports whether a callback is registered.
func (c *Callbacks) Any() bool { return len(*c.registered.Load()) > 0 }

// Run calls every callback with every event, in the caller's goroutine. A
// panic in one is the caller's.
func (c *Callbacks) Run(events []kv.Event) {
	for _, event := range events {
		for _, entry := range *c.registered.Load() {
			entry.function(event)
		}
	}
}

// CallInBackground has the background goroutine run the callbacks, unless its queue is
// full: then the events are counted in Overflow. It never blocks.
func (c *Callbacks) CallInBackground(events []kv.Event) {
	if len(events) == 0 || !c.Any() {
		return
	}
	select {
	case c.queue <- events:
	default:
		n := c.overflow.Add(uint64(len(events)))
		c.said.Log(c.logger, slog.LevelWarn, "OnChange callbacks are too slow for the purges: events are dropped", slog.Uint64("dropped", n))
	}
}

// Overflow is how many of those events were dropped.
func (c *Callbacks) Overflow() uint64 { return c.overflow.Load() }

// Stop ends the background goroutine after the callback that it is in.
func (c *Callbacks) Stop() { c.once.Do(func() { close(c.stop) }) }

func (c *Callbacks) background() {
	for {
		select {
		case <-c.stop:
			return
		case events := <-c.queue:
			for _, event := range events {
				c.runRecovered(event)
			}
		}
	}
}

// runRecovered calls every callback with one event; a panic in one is logged
// and does not keep the event from the others.
func (c *Callbacks) runRecovered(event kv.Event) {
	for _, entry := range *c.registered.Load() {
		func() {
			defer func() {
				if reason := recover(); reason != nil {
					c.logger.Error("an OnChange callback panicked",
						slog.Any("reason", reason), slog.String("stack", string(debug.Stack())))
				}
			}()
			entry.function(event)
		}()
	}
}

// Len is how many callbacks are registered.
func (c *Callbacks) Len() int { return len(*c.registered.Load()) }
