package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/bench"
	"forge.lthn.ai/core/go-store/outbox"
	"forge.lthn.ai/core/go-store/persistence"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
	library "github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func newSystem() *api.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(
		func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
}

func (t *target) shutdown() error {
	if t.system != nil {
		t.system.Shutdown()
	}
	return nil
}

// gateway is the store's actor.
func (t *target) gateway() (*api.PID, error) {
	if t.system == nil {
		return nil, errors.New("bench: the store was opened without actors")
	}
	return t.store.PID()
}

// crowd are actors at work: they count what they have done, and tell the goroutine that waits.
type crowd struct {
	system *api.ActorSystem
	pids   []*api.PID
	ends   sync.WaitGroup // one for each actor at work
	over   atomic.Bool
	done   atomic.Int64
	wanted atomic.Int64
	signal chan struct{} // capacity 1: wanted was reached, or one has failed
	failed atomic.Pointer[error]
}

func newCrowd(system *api.ActorSystem) *crowd {
	return &crowd{system: system, signal: make(chan struct{}, 1)}
}

// did counts one operation, and reports whether the actor is to go on.
func (c *crowd) did(err error) (more bool) {
	if err != nil {
		c.failed.CompareAndSwap(nil, &err)
		c.over.Store(true)
		c.tell()
		return false
	}
	if c.done.Add(1) == c.wanted.Load() {
		c.tell()
	}
	return !c.over.Load()
}

func (c *crowd) tell() {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

// Await counts from now on: between two calls actors don't stand still.
func (c *crowd) Await(ctx context.Context, operations int) error {
	wanted := c.done.Load() + int64(operations)
	c.wanted.Store(wanted)
	// An actor may have come past it before it was known.
	for c.done.Load() < wanted {
		if err := c.failed.Load(); err != nil {
			return *err
		}
		select {
		case <-c.signal:
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (c *crowd) Stop() error {
	c.over.Store(true)
	c.ends.Wait()
	for _, pid := range c.pids {
		_ = c.system.Root.StopFuture(pid).Wait()
	}
	c.pids = nil
	if err := c.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (t *target) keep(c *crowd) *crowd {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.crowds = append(t.mu.crowds, c)
	return c
}

func (t *target) stopCrowds() error {
	t.mu.Lock()
	crowds := t.mu.crowds
	t.mu.crowds = nil
	t.mu.Unlock()
	for _, c := range crowds {
		_ = c.Stop() // the goroutine that awaited it was told
	}
	return nil
}

// begin has an actor begin.
type begin struct{}

// sender is an actor that keeps requests under way.
type sender struct {
	crowd  *crowd
	target *api.PID
	window int
	under  int
	next   func() any
}

func (s *sender) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case begin:
		for s.under = 0; s.under < s.window; s.under++ {
			ctx.Request(s.target, s.next())
		}
	case protocol.Reply:
		if s.crowd.did(check(m)) {
			ctx.Request(s.target, s.next())
		} else if s.under--; s.under == 0 {
			s.crowd.ends.Done()
		}
	}
}

// check is why an answer is not what it must be.
func check(m protocol.Reply) error {
	if got, is := m.(protocol.GetDone); is && got.Err == nil && got.Value == "" {
		return errors.New("bench: an actor was answered with an empty value: an acknowledged write is lost")
	}
	return m.Failure()
}

func (t *target) senders(target *api.PID, actors, window int, next func(actor int) any) (bench.Crowd, error) {
	c := t.keep(newCrowd(t.system))
	c.ends.Add(actors)
	for i := range actors {
		s := &sender{crowd: c, target: target, window: window, next: func() any { return next(i) }}
		c.pids = append(c.pids, t.system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return s })))
	}
	for _, pid := range c.pids {
		t.system.Root.Send(pid, begin{})
	}
	return c, nil
}

func getOf(next func(int) (group, key string)) func(int) any {
	return func(i int) any {
		group, key := next(i)
		return protocol.Get{ID: 1, Group: group, Key: key}
	}
}

func (t *target) Gets(actors int, next func(int) (group, key string)) (bench.Crowd, error) {
	gateway, err := t.gateway()
	if err != nil {
		return nil, err
	}
	return t.senders(gateway, actors, 1, getOf(next))
}

func (t *target) Echoes(actors int, next func(int) (group, key string)) (bench.Crowd, error) {
	if _, err := t.gateway(); err != nil {
		return nil, err
	}
	echo := t.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if m, is := ctx.Message().(protocol.Get); is {
			ctx.Respond(protocol.GetDone{ID: m.ID, Value: m.Key})
		}
	}))
	return t.senders(echo, actors, 1, getOf(next))
}

func (t *target) Sets(window int, next func() (group, key, value string)) (bench.Crowd, error) {
	gateway, err := t.gateway()
	if err != nil {
		return nil, err
	}
	id := uint64(0)
	return t.senders(gateway, 1, window, func(int) any {
		group, key, value := next()
		id++
		return protocol.Set{ID: id, Group: group, Key: key, Value: value}
	})
}

func (t *target) Persist(actors int, next func(int) string) (bench.Crowd, error) {
	if t.system == nil {
		return nil, errors.New("bench: the store was opened without actors")
	}
	provider, err := persistence.New(t.store)
	if err != nil {
		return nil, err
	}
	c, err := Persist(t.system, provider, actors, next)
	if err == nil {
		t.keep(c.(*crowd))
	}
	return c, err
}

// appender is an actor that persists one event after another.
type appender struct {
	library.Mixin
	crowd *crowd
	next  func() string
}

func (a *appender) Receive(ctx actor.Context) {
	if _, is := ctx.Message().(begin); !is {
		return
	}
	a.PersistReceive(wrapperspb.String(a.next()))
	if a.crowd.did(nil) {
		ctx.Send(ctx.Self(), begin{}) // behind whatever else it was sent, as a command would be
	} else {
		a.crowd.ends.Done()
	}
}

// Persist has actors of a system persist events with any provider: see bench.Persister.
// An event that can't be persisted ends its actor, and fails the crowd.
func Persist(system *api.ActorSystem, provider library.Provider, actors int, next func(actor int) string) (bench.Crowd, error) {
	c := newCrowd(system)
	decider := func(reason any) actor.Directive {
		c.did(fmt.Errorf("bench: an event is not persisted: %v", reason))
		c.ends.Done()
		return actor.StopDirective
	}
	guardian := actor.NewOneForOneStrategy(0, 0, decider)
	root := actor.NewRootContext(system, nil).WithGuardian(guardian)
	for i := range actors {
		pid, err := root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor {
			return &appender{crowd: c, next: func() string { return next(i) }}
		}, actor.WithReceiverMiddleware(library.Using(provider))), "account-"+strconv.Itoa(i))
		if err != nil {
			return nil, errors.Join(err, c.Stop())
		}
		c.pids = append(c.pids, pid)
	}
	c.ends.Add(actors)
	for _, pid := range c.pids {
		root.Send(pid, begin{})
	}
	return c, nil
}

// SubscribeActors gives each actor a hundred credits.
func (t *target) SubscribeActors(groups []string, receive func(actor int, value string)) (stop func() error, err error) {
	const credits = 100
	gateway, err := t.gateway()
	if err != nil {
		return nil, err
	}
	subscribed := make(chan error, len(groups))
	pids := make([]*api.PID, len(groups))
	for i, group := range groups {
		pids[i] = t.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case protocol.Subscribed:
				subscribed <- nil
			case protocol.SubscriptionEnded:
				subscribed <- m.Err
			case protocol.Event:
				receive(i, m.Event.Value)
				ctx.Request(gateway, protocol.Credit{ID: m.ID, N: 1})
			}
		}))
		t.system.Root.RequestWithCustomSender(gateway, protocol.Subscribe{ID: 1, Credits: credits,
			Options: api.SubscribeOptions{Filters: []api.Filter{{Group: api.Exactly(group)}}}}, pids[i])
	}
	for range groups {
		err = errors.Join(err, <-subscribed)
	}
	return func() error {
		for _, pid := range pids {
			_ = t.system.Root.StopFuture(pid).Wait()
		}
		return nil
	}, err
}

// closers is how many addresses share the timers.
const closers = 16

func (t *target) SetTimers(items []bench.Item, nanoseconds []int64) error {
	batch := new(api.Batch)
	for i, item := range items {
		address := "closer-" + strconv.Itoa(int(item.Key[len(item.Key)-1])%closers)
		batch.SetWithTTL(item.Group, item.Key, item.Value, time.Duration(nanoseconds[i]), api.NotifyOnExpiry(address))
	}
	_, err := t.store.Batch(batch)
	return err
}

// OnTimer has one actor take what goes to all addresses. What is delivered again is
// acknowledged again, and not told.
func (t *target) OnTimer(receive func(value string)) (stop func() error, err error) {
	if t.system == nil {
		return nil, errors.New("bench: the store was opened without actors")
	}
	seen := make(map[string]struct{}) // the actor's
	closer := t.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		m, is := ctx.Message().(outbox.Message)
		if !is {
			return
		}
		ctx.Respond(m.Ack())
		if _, again := seen[m.ID]; !again && m.Expired != nil {
			seen[m.ID] = struct{}{}
			receive(m.Expired.Value)
		}
	}))
	o, err := outbox.Start(t.store, t.system, outbox.Options{Resolve: func(string) (*actor.PID, error) { return closer, nil }})
	if err != nil {
		return nil, err
	}
	return func() error {
		o.Stop()
		return o.Err()
	}, nil
}
