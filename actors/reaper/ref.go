package reaper

import (
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
)

// Ref is how the rest of the store speaks to the reaper. It is safe for use by
// any number of goroutines; none of its methods but Stop waits.
type Ref struct {
	to     actorsystem.Target
	hinted *atomic.Bool
	link   *link
	done   <-chan struct{}
}

// Spawn starts a reaper that purges nothing until it is connected. It fails
// only if the actor can't be spawned.
func Spawn(system *actor.ActorSystem, config Config) (Ref, error) {
	done, hinted, link := make(chan struct{}), new(atomic.Bool), new(link)
	link.earliest.Store(kv.NoDeadline)
	pid, err := actorsystem.Spawn(system, "go-store-reaper-", func() actor.Actor {
		return &Actor{Config: config, done: done, hinted: hinted, link: link, earliest: kv.NoDeadline}
	})
	if err != nil {
		return Ref{}, err
	}
	return Ref{to: actorsystem.TargetOf(system, pid), hinted: hinted, link: link, done: done}, nil
}

// Connect gives the reaper its writer.
func (r Ref) Connect(purger Purger) { r.to.Send(connect{purger: purger}) }

// Committed tells the reaper of a commit.
func (r Ref) Committed(fact *kv.Committed) { r.to.Send(committed{fact: fact}) }

// Resynchronise replaces what the reaper knows.
func (r Ref) Resynchronise(earliest int64) { r.to.Send(resynchronise{earliest: earliest}) }

// Earliest is a moment before which no stored deadline lies, as far as the reaper knows.
func (r Ref) Earliest() int64 { return r.link.earliest.Load() }

// Hint says that a read met an expired row. Any number of hints that the
// reaper has not looked at yet are one message.
func (r Ref) Hint() {
	if r.hinted.CompareAndSwap(false, true) {
		r.to.Send(hint{})
	}
}

// Stop stops the reaper and waits for it.
func (r Ref) Stop() {
	r.to.Poison()
	<-r.done
}
