package writer

import (
	"context"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
)

// Ref is how the rest of the store speaks to the writer. It is safe for use by
// any number of goroutines.
type Ref struct {
	to         actorsystem.Target
	gate       *admission.Gate
	watched    *watched
	mailbox    *actorsystem.Mailbox
	alone      *alone
	dispatcher *actorsystem.Dispatcher
	done       <-chan struct{}
}

// Spawn starts a writer and returns when it can be sent to. The database must
// not be written to by any other goroutine or process. It fails only if the actor can't be
// spawned.
func Spawn(system *actor.ActorSystem, config Config) (Ref, error) {
	dispatcher := actorsystem.NewDispatcher()
	config.noted = newNoted(config.Metrics)
	done, watched, alone, mailbox := make(chan struct{}), newWatched(), new(alone), new(actorsystem.Mailbox)
	pid, err := actorsystem.Spawn(system, "go-store-writer-",
		func() actor.Actor { return newActor(config, done, watched, alone) },
		actor.WithDispatcher(dispatcher), actor.WithMailbox(func() actor.Mailbox { return mailbox }))
	if err != nil {
		dispatcher.Stop()
		return Ref{}, err
	}
	return Ref{to: actorsystem.TargetOf(system, pid), gate: config.Gate, watched: watched,
		mailbox: mailbox, alone: alone, dispatcher: dispatcher, done: done}, nil
}

// Apply commits one mutation together with others that are waiting, and
// returns when it is as durable as the store promises and its events are with
// their watchers. It blocks while the store is at its limit of requests in
// flight. A context that ends before admission leaves nothing behind; one that
// ends later gets kv.UnknownOutcomeError.
//
// The only caller there is may commit in its own goroutine: see alone.
func (r Ref) Apply(ctx context.Context, m kv.Mutation) (kv.Outcome, error) {
	request, err := r.gate.Admit(ctx, m)
	if err != nil {
		return kv.Outcome{}, err
	}
	if !r.alone.may(ctx, r.gate) {
		r.to.Send(apply{request})
	} else if r.here(request) && r.gate.InFlight() > 1 { // the caller's own is one; a timer's message has no caller
		r.alone.not()
	}
	return request.Wait(ctx)
}

// here has the caller run the writer. Its goroutine may end within (runtime.Goexit in a
// user's Clock): then the request is left, since nothing waits for the answer.
func (r Ref) here(request *admission.Request) (crowded bool) {
	returned := false
	defer func() {
		if !returned {
			request.Leave()
		}
	}()
	crowded = r.mailbox.Here(applyNow{request}, apply{request})
	returned = true
	return crowded
}

// Between has the writer run work between two batches, while nothing else is
// written, and returns its error. Work is not the store's user's: it must neither
// leave a transaction open nor wait for another actor. A panic in it starts the
// writer anew; the error is kv.RolledBackError then.
func (r Ref) Between(ctx context.Context, work func() error) error {
	request, err := r.gate.Admit(ctx, kv.Mutation{})
	if err != nil {
		return err
	}
	r.to.Send(between{request: request, work: work})
	// Work looks at its own context; to leave it alone would not end it.
	_, err = request.Wait(context.WithoutCancel(ctx))
	return err
}

// Watch has what is committed in some ranges noted, until release is called. A snapshot
// that is taken after Watch has returned is judged by it alone, in a mutation that
// names it as its Watched. The ranges are in order and don't overlap.
func (r Ref) Watch(ranges []kv.Range) (_ *kv.Watched, release func()) {
	w := kv.NewWatched(ranges)
	return w, r.watched.add(w)
}

// Watching is how many watch.
func (r Ref) Watching() int { return int(r.watched.some.Load()) }

// PurgeExpired asks for the removal of one chunk of expired rows and returns
// at once.
func (r Ref) PurgeExpired() { r.to.Send(purgeExpired{}) }

// CountNamespace asks for the namespace's usage to be published and returns at
// once.
func (r Ref) CountNamespace(namespace string) {
	r.to.Send(countNamespace{namespace: namespace})
}

// Resynchronise asks for the present state to be published and returns at once.
func (r Ref) Resynchronise() { r.to.Send(resynchronise{}) }

// Poison stops the writer once it has committed what is queued, and returns at
// once.
func (r Ref) Poison() { r.to.Poison() }

// Wait blocks until the writer has stopped.
func (r Ref) Wait() {
	<-r.done
	r.dispatcher.Stop()
}
