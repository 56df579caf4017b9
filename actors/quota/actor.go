// Package quota owns what is known of the namespaces' live usage: it counts
// namespaces on first need, answers Usage, and warns before a limit is met.
//
// It refuses nothing. Whether a write keeps to its quota is decided by the
// writer, inside the transaction; what the writer books is published as facts,
// and this actor keeps the last of each namespace.
package quota

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/clock"
	"forge.lthn.ai/core/go-store/internal/failpoint"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
)

// warnPercent is the share of a limit at which the log is told.
const warnPercent = 80

// errRestarted is what callers get whose question was lost.
var errRestarted = errors.New("the quota actor was started anew; ask again")

// Accounts is where usage is booked. Its methods never block.
type Accounts interface {
	CountNamespace(namespace string) // publishes the namespace's usage
	Resynchronise()                  // publishes everything
}

// Snapshot is a view of the rows at one moment.
type Snapshot interface {
	Usage(kv.Range) (kv.Usage, error)
	Close()
}

// Expired tells which rows of a range still take space though they have
// expired.
type Expired interface {
	Expired(ctx context.Context, r kv.Range, now int64) (kv.Usage, error)
}

// Config is what a quota actor works with. All of it outlives a restart.
type Config struct {
	Reads     Expired
	Clock     *clock.Clock
	Logger    *slog.Logger
	Restarts  *atomic.Uint64  // nil: not counted
	Stopped   func()          // called when the actor has stopped, however that came; may be nil
	Dead      <-chan struct{} // closed when the store has ended, and no actor counts any more
	Failpoint failpoint.Hook
}

// Actor is one incarnation of the quota actor. All of it is owned by Receive.
type Actor struct {
	Config
	done    chan struct{}
	link    *link  // outlives a restart
	board   *board // what is known, read from any goroutine
	warned  map[string]bool
	waiting map[string][]chan reply // callers whose namespace is not known yet
	current *count                  // being counted
}

// link is what the actor knows of the writer.
type link struct {
	accounts Accounts // nil until connect
	missed   bool     // a restart before connect lost what the actor had been told
}

// Receive handles one message.
func (a *Actor) Receive(ctx actor.Context) {
	if actorsystem.Ended(a.done) {
		return
	}
	defer actorsystem.LogPanic(a.Logger, "quota")
	switch m := ctx.Message().(type) {
	case Message:
		m.handle(a)
	case *actor.Restarting:
		actorsystem.Count(a.Restarts)
		a.abandon(errRestarted)
		a.link.missed = true
		a.catchUp()
	case *actor.Stopping:
		a.abandon(kv.ClosedError)
	case *actor.Stopped:
		close(a.done)
		if a.Stopped != nil {
			a.Stopped()
		}
	}
}

func (m connect) handle(a *Actor) {
	a.link.accounts = m.accounts
	a.catchUp()
}

// catchUp asks for what a restart lost, as soon as there is a writer to ask.
func (a *Actor) catchUp() {
	if a.link.missed && a.link.accounts != nil {
		a.link.missed = false
		a.link.accounts.Resynchronise()
	}
}

func (m count) handle(a *Actor) {
	a.current = &m // first of all, so that it is answered whatever happens
	a.Failpoint.Hit("quota.count")
	found, err := m.snapshot.Usage(kv.NamespaceRange(m.namespace))
	a.finish(found, err)
	if err != nil {
		a.answer(m.namespace, err)
	}
}

// finish answers the count in hand, once.
func (a *Actor) finish(found kv.Usage, err error) {
	m := a.current
	if m == nil {
		return
	}
	a.current = nil
	m.snapshot.Close()
	m.answer(found, err)
}

func (m refused) handle(a *Actor) { a.answer(m.namespace, m.err) }

func (m committed) handle(a *Actor) {
	a.Failpoint.Hit("quota.committed")
	for _, n := range m.usage {
		a.learn(n)
	}
}

func (m forgotten) handle(a *Actor) {
	for _, namespace := range m.namespaces {
		a.board.forget(namespace)
		delete(a.warned, namespace)
	}
}

func (m resynchronise) handle(a *Actor) {
	a.Failpoint.Hit("quota.resynchronise")
	a.board.clear()
	for _, n := range m.usage {
		a.learn(n)
	}
	for namespace := range a.waiting {
		a.link.accounts.CountNamespace(namespace)
	}
}

func (a *Actor) learn(n kv.NamespaceUsage) {
	a.board.set(n)
	near := nearLimit(n.Usage.Keys, n.Quota.MaxKeys) || nearLimit(n.Usage.Groups, n.Quota.MaxGroups)
	if near && !a.warned[n.Namespace] {
		a.Logger.Warn("a namespace nears its quota", slog.String("namespace", n.Namespace),
			slog.Int64("keys", n.Usage.Keys), slog.Int("max_keys", n.Quota.MaxKeys),
			slog.Int64("groups", n.Usage.Groups), slog.Int("max_groups", n.Quota.MaxGroups))
	}
	if near {
		a.warned[n.Namespace] = true
	} else {
		delete(a.warned, n.Namespace)
	}
	a.answer(n.Namespace, nil)
}

func nearLimit(used int64, limit int) bool {
	return limit > 0 && used*100 >= int64(limit)*warnPercent
}

func (m usage) handle(a *Actor) {
	a.waiting[m.namespace] = append(a.waiting[m.namespace], m.reply)
	a.Failpoint.Hit("quota.usage")
	if _, known := a.board.of(m.namespace); known {
		a.answer(m.namespace, nil)
		return
	}
	a.link.accounts.CountNamespace(m.namespace)
}

// answer tells the callers that wait for the namespace what is live in it: what is
// booked less what has expired and was not removed yet.
func (a *Actor) answer(namespace string, err error) {
	waiting := a.waiting[namespace]
	if len(waiting) == 0 {
		return
	}
	booked, _ := a.board.of(namespace)
	live := booked.Usage
	if err == nil {
		var dead kv.Usage
		dead, err = a.Reads.Expired(context.Background(), kv.NamespaceRange(namespace), a.Clock.Millis())
		// The reads may be ahead of the facts: rows that expired meanwhile are
		// no reason for a negative figure.
		live.Keys = max(live.Keys-dead.Keys, 0)
		live.Groups = max(live.Groups-dead.Groups, 0)
	}
	if err != nil {
		live = kv.Usage{}
	}
	delete(a.waiting, namespace)
	for _, w := range waiting {
		w <- reply{live, err}
	}
}

// abandon answers every caller that waits.
func (a *Actor) abandon(err error) {
	a.finish(kv.Usage{}, err)
	for namespace := range a.waiting {
		a.answer(namespace, err)
	}
}
