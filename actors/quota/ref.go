package quota

import (
	"context"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
)

// Ref is how the rest of the store speaks to the quota actor. It is safe for
// use by any number of goroutines.
type Ref struct {
	to   actorsystem.Target
	done <-chan struct{}
	dead <-chan struct{}

	board *board
}

// Spawn starts a quota actor; it is of use once it is connected. It fails only
// if the actor can't be spawned.
func Spawn(system *actor.ActorSystem, config Config) (Ref, error) {
	done, link, board := make(chan struct{}), new(link), newBoard()
	pid, err := actorsystem.Spawn(system, "go-store-quota-", func() actor.Actor {
		board.clear()
		return &Actor{Config: config, done: done, link: link, board: board,
			warned:  make(map[string]bool),
			waiting: make(map[string][]chan reply)}
	})
	if err != nil {
		return Ref{}, err
	}
	return Ref{to: actorsystem.TargetOf(system, pid), done: done, dead: config.Dead, board: board}, nil
}

// Connect tells the actor where the accounts are kept.
func (r Ref) Connect(accounts Accounts) { r.to.Send(connect{accounts: accounts}) }

// Committed tells the actor of namespaces that changed, and returns at once.
func (r Ref) Committed(changed []kv.NamespaceUsage) { r.to.Send(committed{usage: changed}) }

// Forget says which namespaces the writer counts no more.
func (r Ref) Forget(namespaces []string) { r.to.Send(forgotten{namespaces: namespaces}) }

// Resynchronise replaces what the actor knows, and returns at once.
func (r Ref) Resynchronise(all []kv.NamespaceUsage) { r.to.Send(resynchronise{usage: all}) }

// Count has a namespace counted in a snapshot, which it takes over, and
// returns at once. answer is called once.
func (r Ref) Count(namespace string, snapshot Snapshot, answer func(kv.Usage, error)) {
	r.to.Send(count{namespace: namespace, snapshot: snapshot, answer: answer})
}

// Refuse tells the callers that wait for a namespace that it can't be counted now, and
// returns at once.
func (r Ref) Refuse(namespace string, err error) {
	r.to.Send(refused{namespace: namespace, err: err})
}

// Usage is what lives in the namespace. It blocks until the namespace has been
// counted, which the first question takes. A question that a failure of the
// actor lost fails and may be asked again.
func (r Ref) Usage(ctx context.Context, namespace string) (kv.Usage, error) {
	answer := make(chan reply, 1)
	r.to.Send(usage{namespace: namespace, reply: answer})
	select {
	case a := <-answer:
		return a.usage, a.err
	case <-ctx.Done():
		return kv.Usage{}, ctx.Err()
	case <-r.done:
		return kv.Usage{}, kv.ClosedError
	case <-r.dead:
		return kv.Usage{}, kv.ClosedError
	}
}

// Stop stops the actor once it has handled what is queued, and waits.
func (r Ref) Stop() {
	r.to.Poison()
	<-r.done
}
