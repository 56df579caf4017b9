package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/courier"
	"forge.lthn.ai/core/go-store/kv"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
)

// maxSubscriptions is how many one gateway has at a time. Each is a goroutine.
const maxSubscriptions = 1 << 16

// What ends a subscription without there being anything to say.
var (
	errUnsubscribed = errors.New("unsubscribed")
	errGone         = errors.New("the subscriber is gone")
)

// subscriber is an actor that has subscriptions. The gateway owns the map; the rest is
// shared by the goroutines of the subscriptions.
type subscriber struct {
	address address
	process actor.Process // nil: it is not of this system
	prompt  bool
	open    map[uint64]*subscription

	// The library is to tell the gateway of the actor's end from the first subscription
	// to the last. Only goroutines of the same subscriber wait for this lock.
	watch struct {
		sync.Mutex
		by int
	}
}

// subscription sends the events that an actor has subscribed to, on a goroutine of its
// own: what blocks it is that actor's matter alone.
type subscription struct {
	core    *core
	to      courier.Recipient
	by      *subscriber
	id      uint64
	options kv.SubscribeOptions
	ctx     context.Context
	cancel  context.CancelCauseFunc
	ended   atomic.Bool // its last message is being sent: the ID is free
	leaving bool        // the subscriber has asked for that; the gateway's own

	credits atomic.Int64
	more    chan struct{} // capacity 1: there are more
}

func (a *Actor) subscribe(sender courier.Sender, m protocol.Subscribe) {
	refuse := func(err error) {
		a.answer(sender, protocol.Subscribed{ID: m.ID, Err: wrap("Subscribe", err)})
	}
	if a.shut {
		refuse(kv.ClosedError)
		return
	}
	if m.Credits < 0 || m.Credits > protocol.MaxCredits {
		refuse(creditError(m.Credits, 0))
		return
	}
	options := a.confine(m.Options)
	if _, err := options.Complete(); err != nil {
		refuse(err)
		return
	}
	by := a.subscriber(sender)
	if by == nil {
		a.hand.taken = true // it is gone
		return
	}
	if by.process != nil && actorsystem.IsFuture(by.process) {
		refuse(fmt.Errorf("a future takes one message only, subscribe with an actor's PID: %w", kv.InvalidOptionError))
		return
	}
	if old := by.open[m.ID]; old != nil && !old.ended.Load() {
		a.answer(sender, failed(m.ID, m, kv.DuplicateIDError))
		return
	}
	if a.following == maxSubscriptions {
		a.answer(sender, protocol.Busy{ID: m.ID, RetryAfter: time.Second})
		return
	}
	s := &subscription{core: a.core, by: by, id: m.ID, options: options, more: make(chan struct{}, 1),
		to: courier.Recipient{System: a.system, PID: actor.NewPID(sender.PID.Address, sender.PID.Id), Logger: a.Logger, Process: by.process}}
	s.credits.Store(int64(m.Credits))
	s.ctx, s.cancel = context.WithCancelCause(a.ctx)
	by.open[m.ID] = s
	a.subscribers[by.address] = by
	if a.following++; by.prompt {
		a.prompt++
	}
	a.hand.taken = true
	go s.run()
}

// confine has a subscription see its namespace only.
func (a *Actor) confine(options kv.SubscribeOptions) kv.SubscribeOptions {
	filters := options.Filters
	if len(filters) == 0 {
		filters = []kv.Filter{{}}
	}
	options.Filters = make([]kv.Filter, len(filters))
	for i, filter := range filters {
		filter.Group = filter.Group.Within(a.within())
		options.Filters[i] = filter
	}
	return options
}

func creditError(n int, open int64) error {
	return fmt.Errorf("credits %d, beside %d that are open: there can be 1 to %d at a time: %w", n, open, protocol.MaxCredits, kv.InvalidOptionError)
}

// subscriber is what has subscriptions of a sender's, which is not in the map before it has a
// subscription; nil if it is gone.
func (a *Actor) subscriber(sender courier.Sender) *subscriber {
	if sender.Gone(a.system) {
		return nil
	}
	by := &subscriber{address: addressOf(sender.PID), process: sender.Process, prompt: actorsystem.Prompt(sender.Process),
		open: make(map[uint64]*subscription)}
	if old := a.subscribers[by.address]; old != nil {
		if actorsystem.Same(old.process, by.process) {
			return old
		}
		a.lose(old) // another actor has the name now, and the news of the end is on its way
	}
	return by
}

func (a *Actor) find(sender courier.Sender, id uint64) *subscription {
	if by := a.subscribers[addressOf(sender.PID)]; by != nil && actorsystem.Same(by.process, sender.Process) {
		if s := by.open[id]; s != nil && !s.ended.Load() {
			return s
		}
	}
	return nil
}

func (a *Actor) credit(sender courier.Sender, m protocol.Credit) {
	s := a.find(sender, m.ID)
	switch {
	case s == nil:
		a.answer(sender, failed(m.ID, m, kv.NotSubscribedError))
	case m.N < 1 || m.N > protocol.MaxCredits || s.credits.Load()+int64(m.N) > protocol.MaxCredits:
		a.answer(sender, failed(m.ID, m, creditError(m.N, s.credits.Load())))
	default:
		s.add(int64(m.N))
	}
}

func (a *Actor) unsubscribe(sender courier.Sender, m protocol.Unsubscribe) {
	if s := a.find(sender, m.ID); s != nil && !s.leaving {
		s.leaving = true
		s.cancel(errUnsubscribed) // its goroutine says so
	} else {
		a.answer(sender, failed(m.ID, m, kv.NotSubscribedError))
	}
}

// terminated ends what an actor has subscribed to that is no more.
func (a *Actor) terminated(pid *actor.PID) {
	by := a.subscribers[addressOf(pid)]
	if by == nil {
		return
	}
	if by.process != nil {
		if process, found := a.system.ProcessRegistry.Get(pid); found && actorsystem.Same(process, by.process) {
			return // that was the one before it
		}
	}
	a.lose(by)
}

func (c *core) lose(by *subscriber) {
	delete(c.subscribers, by.address)
	for _, s := range by.open {
		s.cancel(errGone)
	}
}

// forget takes a subscription out whose goroutine has nothing more to do.
func (c *core) forget(s *subscription) {
	if c.following--; s.by.prompt {
		c.prompt--
	}
	if s.by.open[s.id] == s {
		delete(s.by.open, s.id)
	}
	if len(s.by.open) == 0 && c.subscribers[s.by.address] == s.by {
		delete(c.subscribers, s.by.address)
	}
}

// add brings credits.
func (s *subscription) add(n int64) {
	s.credits.Add(n)
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// take uses a credit, and waits until there is one.
func (s *subscription) take() bool {
	for s.credits.Load() == 0 {
		select {
		case <-s.more:
		case <-s.ctx.Done():
			return false
		}
	}
	s.credits.Add(-1)
	return true
}

// run sends everything that there is to be sent, its own end last.
func (s *subscription) run() {
	defer s.over()
	if !s.watch() {
		return
	}
	defer s.unwatch()
	err := kv.RolledBackError // if the goroutine ends
	defer func() { s.conclude(err) }()
	err = s.follow()
}

// conclude says that there will be no more, and why.
func (s *subscription) conclude(err error) {
	switch cause := context.Cause(s.ctx); {
	case errors.Is(err, errGone) || errors.Is(cause, errGone):
		return
	case errors.Is(cause, errUnsubscribed):
		err = nil
	case cause != nil && errors.Is(err, context.Canceled):
		err = cause
	}
	s.ended.Store(true)
	s.send(protocol.SubscriptionEnded{ID: s.id, Err: wrap("Subscribe", err)}, s.core.office.Ended())
}

// follow sends events until there are no more.
func (s *subscription) follow() (err error) {
	guarded(func() { err = s.sendAll() }, func(reason any) {
		s.core.failure(reason)
		err = kv.RolledBackError
	})
	return err
}

func (s *subscription) sendAll() error {
	events, err := s.core.Store.Follow(s.ctx, s.options)
	if err != nil {
		s.ended.Store(true)
		s.send(protocol.Subscribed{ID: s.id, Err: wrap("Subscribe", err)}, s.core.office.Ended())
		return errGone
	}
	if !s.send(protocol.Subscribed{ID: s.id}, s.ctx.Done()) {
		return s.unsent()
	}
	for event, err := range events {
		if err != nil {
			return err
		}
		if !s.take() {
			return context.Canceled
		}
		if !s.send(protocol.Event{ID: s.id, Event: event}, s.ctx.Done()) {
			return s.unsent()
		}
	}
	return nil
}

// unsent is why a message was not sent: no actor was there, or it was not to wait longer.
func (s *subscription) unsent() error {
	if s.ctx.Err() != nil {
		return context.Canceled
	}
	return errGone
}

// send reports whether the receiver was alive.
func (s *subscription) send(message any, ended <-chan struct{}) bool {
	if !s.by.prompt {
		return s.to.Pass(message, ended)
	}
	process, found := s.core.system.ProcessRegistry.Get(s.to.PID)
	if !found || !actorsystem.Same(process, s.by.process) {
		return false
	}
	process.SendUserMessage(s.to.PID, message)
	return true
}

// watch has the library tell the gateway of the subscriber's end.
func (s *subscription) watch() bool {
	w := &s.by.watch
	w.Lock()
	defer w.Unlock()
	if w.by == 0 && !s.to.Watch(s.core.self, s.ctx.Done()) {
		return false
	}
	w.by++
	return true
}

// unwatch leaves nothing with the subscriber: a message of its end would find no actor one
// day, and be a dead letter.
func (s *subscription) unwatch() {
	w := &s.by.watch
	w.Lock()
	defer w.Unlock()
	if w.by--; w.by == 0 {
		s.to.Unwatch(s.core.self)
	}
}

// over has the gateway forget the subscription.
func (s *subscription) over() {
	s.cancel(nil)
	c := s.core
	c.mu.Lock()
	c.mu.ended = append(c.mu.ended, s)
	c.wake()
	c.mu.Unlock()
}
