package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/api"

	"github.com/asynkron/protoactor-go/actor"
)

// Outbox is a delivery that was started. It is safe for use by any number of goroutines.
type Outbox struct {
	store   *api.Store
	system  *actor.ActorSystem
	options Options

	ctx     context.Context
	cancel  context.CancelFunc
	self    *actor.PID    // takes acknowledgements
	gone    chan struct{} // closed when that has stopped
	done    chan struct{} // closed when everything has ended
	running sync.WaitGroup
	unknown atomic.Uint64

	crowded atomic.Bool   // an address found no place; set with the lock held
	turns   chan struct{} // capacity 1: there may be a place for it

	mu struct {
		sync.Mutex
		lanes     map[string]*lane
		resting   map[string]*rest    // of addresses without a lane; bounded by remembered
		forgotten bool                // there were more
		cursor    string              // the address whose turn it is
		missed    uint64              // how often an address found no place
		next      time.Time           // the end of the first pause, at the earliest
		watched   map[string]*watched // by receiver
		err       error
	}
}

// Start begins to deliver. The system is that of the receivers, whether the store uses it
// too or not. The outbox ends with Stop, when the store is closed, or when the system
// shuts down.
//
// Errors: InvalidOptionError, NilStoreError, ClosedError, and ReadOnlyError for a store that is
// open WithReadOnly: the process that owns the file delivers.
func Start(store *api.Store, system *actor.ActorSystem, options Options) (*Outbox, error) {
	o, err := prepare(store, system, options)
	if err != nil {
		return nil, fmt.Errorf("outbox.Start: %w", err)
	}
	props := actor.PropsFromProducer(func() actor.Actor { return &receiver{o} },
		actor.WithSupervisor(actor.NewOneForOneStrategy(10, time.Second, actor.DefaultDecider)))
	o.self = actor.NewRootContext(system, nil).SpawnPrefix(props, "outbox-")
	o.running.Go(o.follow)
	o.running.Go(o.serve)
	go func() {
		<-o.ctx.Done()
		o.running.Wait()
		select {
		case <-o.gone:
		default:
			actor.NewRootContext(system, nil).Stop(o.self)
			<-o.gone
		}
		close(o.done)
	}()
	return o, nil
}

// prepare makes an outbox of which nothing runs yet.
func prepare(store *api.Store, system *actor.ActorSystem, options Options) (*Outbox, error) {
	options, err := options.complete(system)
	if err != nil {
		return nil, err
	}
	if _, err := store.Revision(); err != nil {
		return nil, err
	}
	if _, err := store.Batch(nil); errors.Is(err, api.ReadOnlyError) { // what is acknowledged could not be removed
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := &Outbox{store: store.WithContext(ctx), system: system, options: options, ctx: ctx, cancel: cancel,
		gone: make(chan struct{}), done: make(chan struct{}), turns: make(chan struct{}, 1)}
	o.mu.lanes, o.mu.resting, o.mu.watched = make(map[string]*lane), make(map[string]*rest), make(map[string]*watched)
	return o, nil
}

func (o Options) complete(system *actor.ActorSystem) (Options, error) {
	if system == nil {
		return o, fmt.Errorf("the actor system is nil: %w", api.InvalidOptionError)
	}
	if o.Window < 0 || o.Window > 1<<16 || o.Attempts < 0 || o.Addresses < 0 || o.Timeout < 0 || o.FirstPause < 0 || o.LastPause < 0 {
		return o, fmt.Errorf("a negative option, or a window over 65,536: %w", api.InvalidOptionError)
	}
	if o.Resolve == nil {
		o.Resolve = func(address string) (*actor.PID, error) { return actor.NewPID(system.Address(), address), nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Window, o.Attempts, o.Addresses = cmp.Or(o.Window, 256), cmp.Or(o.Attempts, 20), cmp.Or(o.Addresses, 1024)
	o.Timeout, o.FirstPause = cmp.Or(o.Timeout, 10*time.Second), cmp.Or(o.FirstPause, 100*time.Millisecond)
	o.LastPause = max(cmp.Or(o.LastPause, time.Minute), o.FirstPause)
	return o, nil
}

// Stop ends the delivery and returns when nothing of it is left. What was acknowledged
// until then is removed; everything else stays in the store, for the next one. It blocks
// for as long as a receiver's mailbox blocks its senders. Further calls wait for
// the first.
func (o *Outbox) Stop() {
	o.cancel()
	<-o.done
}

// Done is closed when the outbox has ended, whatever ended it; Err says what.
func (o *Outbox) Done() <-chan struct{} { return o.done }

// Err is why the outbox ended by itself: api.ClosedError, or that of whatever failed; nil
// while it runs and after Stop.
func (o *Outbox) Err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.err
}

// Unknown is how many messages the outbox's actor got that were no acknowledgement of
// anything on its way: late ones, mostly.
func (o *Outbox) Unknown() uint64 { return o.unknown.Load() }

func (o *Outbox) fail(err error) {
	o.mu.Lock()
	if o.mu.err == nil && o.ctx.Err() == nil {
		o.mu.err = err
	}
	o.mu.Unlock()
	o.cancel()
}

// follow wakes the lanes of addresses that have messages. Events only wake: what there
// is, is read.
func (o *Outbox) follow() {
	filters := []api.Filter{{Group: api.Prefix(api.OutboxPrefix)}}
	for wait := time.Millisecond; o.ctx.Err() == nil; wait = min(2*wait, time.Second) {
		events := o.store.Subscribe(o.ctx, api.SubscribeOptions{Filters: filters, Slow: api.SlowSkip})
		o.scan() // what there is by now; what comes after it is an event
		for event, err := range events {
			if err != nil {
				o.ended(err)
				break
			}
			switch event.Type {
			case api.EventSet:
				o.wake(event.Group[len(api.OutboxPrefix):], event.Key)
			case api.EventGap:
				o.scan()
			}
		}
		o.pause(wait)
	}
}

// ended ends the outbox with its store; other failures are tried again.
func (o *Outbox) ended(err error) {
	switch {
	case errors.Is(err, api.ClosedError), errors.Is(err, api.NilStoreError):
		o.fail(err)
	case o.ctx.Err() == nil:
		o.options.Logger.Error("the outbox can't follow the store; it tries again", slog.Any("error", err))
	}
}

// pause waits, or returns at once when the outbox ends.
func (o *Outbox) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-o.ctx.Done():
	}
}

// receiver takes acknowledgements. It only hands them on.
type receiver struct{ outbox *Outbox }

func (r *receiver) Receive(ctx actor.Context) {
	o := r.outbox
	switch m := ctx.Message().(type) {
	case Ack:
		o.acknowledge(m)
	case *Ack:
		o.acknowledge(*m)
	case Reject:
		o.reject(m)
	case *Reject:
		o.reject(*m)
	case *actor.Terminated:
		o.terminated(m.Who)
	case *actor.Stopped:
		close(o.gone)
		o.fail(errors.New("the outbox's actor was stopped: was the actor system shut down?"))
	case actor.SystemMessage, actor.AutoReceiveMessage:
	default:
		o.unknown.Add(1)
	}
}

func (o *Outbox) reject(r Reject) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.mu.lanes[r.Address]; l != nil {
		if !l.rejected(r.ID, r.Reason) {
			o.unknown.Add(1)
		}
		return
	}
	if rested := o.mu.resting[r.Address]; rested != nil && rested.rejected(r.ID, r.Reason, o.options.Window) {
		o.mu.next = rested.until
		o.turn()
		return
	}
	o.unknown.Add(1)
}

func (o *Outbox) acknowledge(ack Ack) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.mu.lanes[ack.Address]; l != nil {
		if !l.acknowledged(ack.ID) {
			o.unknown.Add(1)
		}
		return
	}
	if r := o.mu.resting[ack.Address]; r != nil && r.acknowledged(ack.ID, o.options.Window) {
		o.mu.next = r.until
		o.turn()
		return
	}
	if ack.Address == "" {
		for _, l := range o.mu.lanes {
			if l.acknowledged(ack.ID) {
				return
			}
		}
	}
	o.unknown.Add(1)
}
