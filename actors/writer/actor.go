// Package writer owns the only read-write connection and serialises every
// mutation of the store.
//
// It gathers the requests that are already queued, commits them as one
// transaction, and answers each of them after COMMIT. It publishes what it
// committed as facts and never waits on another actor; it never runs code of
// the store's user.
//
// # What holds at every moment
//
//   - A request is in exactly one place: pending, batch, aside, parked with an
//     account, with the notifier, or answered. A panic anywhere leaves it in
//     one of the first four, where abandon finds and answers it.
//   - Between two messages no transaction is open.
//   - The ledger's figures are what the database holds, plus the open
//     transaction's changes; its journal is empty between transactions.
package writer

import (
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/internal/clock"
	"forge.lthn.ai/core/go-store/internal/failpoint"
	"forge.lthn.ai/core/go-store/internal/health"
	"forge.lthn.ai/core/go-store/internal/metrics"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
)

// PurgeChunk is how many expired rows one PurgeExpired removes: few enough
// that a write behind it waits some milliseconds only.
const PurgeChunk = 256

// Audience tells whether any watcher or subscriber listens. Its methods never block.
type Audience interface {
	// HasCallbacks reports whether OnChange callbacks are registered: then each caller
	// needs the events of its request.
	HasCallbacks() bool
	// Watched reports whether a watcher or subscriber wants one of the events.
	Watched(events []kv.Event) bool
	// Answering reports whether a delivery is on its way that has Answerers to be told.
	Answering() bool
	// Deliver takes over a delivery: its events and requests.
	Deliver(admission.Delivery)
	// CallInBackground has callbacks run for events whose request no caller waits for.
	CallInBackground(events []kv.Event)
}

// Projections are told what was committed. Their methods never block.
type Projections interface {
	Committed(*kv.Committed)
	Resynchronise(kv.Resynchronise)
	// PurgeAgain says that a purge that was refused can be tried again; no deadline lies
	// before the earliest.
	PurgeAgain(earliest int64)
}

// Snapshot is a view of what was committed at one moment, for counting.
type Snapshot interface {
	Usage(kv.Range) (kv.Usage, error)
	Close()
}

// Counter counts a namespace elsewhere. Its methods never block.
type Counter interface {
	// Count takes the snapshot over and calls answer once, from any goroutine.
	Count(namespace string, snapshot Snapshot, answer func(kv.Usage, error))
	// Refuse says that a namespace can't be counted now.
	Refuse(namespace string, err error)
}

// Config is what a writer works with. All of it outlives a restart.
type Config struct {
	Database    storage.Writer
	Identity    uint64 // a random number: no other store that was ever opened makes the same messages
	Gate        *admission.Gate
	Clock       *clock.Clock
	Health      *health.State // the writer says whether it can write
	Audience    Audience
	Projections Projections
	Counter     Counter
	Logger      *slog.Logger
	Metrics     *metrics.Recorder // nil: nothing is counted
	Tracing     bool              // requests are told which batch they were in
	Restarts    *atomic.Uint64    // nil: not counted
	Retention   kv.Retention      // bounds of the log
	LostTimers  *atomic.Uint64    // timers of keys that have expired, of which no actor can be told
	Announced   *atomic.Uint64    // the last one whose events were handed on; the writer alone sets it
	BatchBytes  int               // a batch is committed once its mutations weigh this much
	Stopped     func()            // called when the writer has stopped, however that came
	Failpoint   failpoint.Hook

	*noted // made by Spawn
}

// phase says how far the batch in hand has come, for abandon.
type phase int

const (
	idle       phase = iota
	applying         // a transaction may be open; nothing of it is committed
	committing       // COMMIT was called and has not returned
	committed        // COMMIT succeeded; the outcomes stand in the requests
)

// job is one mutation in hand; request is nil when no caller waits for it.
type job struct {
	request  *admission.Request
	mutation *kv.Mutation
	ahead    *ahead // not nil: expired rows are to be removed before it
}

// Actor is one incarnation of the writer. All of it is owned by Receive.
type Actor struct {
	Config
	done    chan struct{}
	watched *watched      // outlives a restart
	alone   *alone        // as well
	self    func(Message) // sends to the writer's own mailbox

	pending  []job // waiting for the flush
	flushing bool  // a flush is in the mailbox
	company  company

	aside    []job // wait for expired rows to be removed; empty between flushes
	lanes    lanes // of those that wait, here or with an account
	batch    []job // being committed
	phase    phase
	events   []kv.Event // committed, and not announced yet
	log      history
	logKnown bool       // log is what the database holds
	buffer   []byte     // for the log's records
	scratch  []kv.Event // for the events of a batch; empty between batches
	earliest int64      // no stored deadline lies before this
	timers   bool       // there may be a timer
	ledger   *ledger
	tx       transaction
	degraded degraded
	resting  resting
	commits  int // batches, since this incarnation began

	committing time.Duration   // how long the last COMMIT took
	traced     *kv.TracedBatch // the batch in hand; nil if there is no tracer
}

func newActor(config Config, done chan struct{}, watched *watched, alone *alone) *Actor {
	return &Actor{Config: config, done: done, watched: watched, alone: alone, ledger: newLedger(), earliest: math.MinInt64}
}

// Receive handles one message.
func (a *Actor) Receive(ctx actor.Context) {
	if actorsystem.Ended(a.done) {
		return
	}
	defer actorsystem.LogPanic(a.Logger, "writer")
	switch m := ctx.Message().(type) {
	case Message:
		m.handle(a)
	case *actor.Started:
		self := actorsystem.TargetOf(ctx.ActorSystem(), ctx.Self())
		a.self = func(m Message) { self.Send(m) }
		a.start()
	case *actor.Restarting:
		actorsystem.Count(a.Restarts)
		a.abandon()
	case *actor.Stopping:
		a.drainAside() // a queued flush may sit behind the poison pill
	case *actor.Stopped:
		close(a.done)
		a.Stopped()
	}
}

// start reads what the writer must know and tells the projections.
func (a *Actor) start() {
	a.Failpoint.Hit("writer.start")
	a.watched.lose() // the one before may have committed what it did not note
	earliest, err := a.Database.Earliest()
	if err != nil {
		// Judging every row by its own deadline is slower and as right.
		a.Logger.Error("the earliest deadline can't be read", slog.Any("error", err))
		earliest = math.MinInt64
	}
	a.earliest = earliest
	if a.timers, err = hasTimers(a.Database); err != nil {
		a.timers = true // as slow, and as right
	}
	if _, err := a.Health.Get(); err != nil { // the incarnation before this one met a fault
		a.degraded.cause = err
		a.tryLater()
	}
	// If the log can't be read now it is tried again by every commit.
	_ = a.readLog()
	if again := a.Database.Fold(false); again > 0 {
		a.restIn(again) // what was found at opening, or the one before has left
	}
	a.publishState()
	a.Announced.Store(a.log.Last) // not before: what was lost on the way is made up for first
}

func (a *Actor) publishState() {
	a.Projections.Resynchronise(kv.Resynchronise{Announced: a.Announced.Load(), Earliest: a.earliest, Usage: a.ledger.usage()})
}

func (m apply) handle(a *Actor) {
	a.accept(job{request: m.request, mutation: &m.request.Mutation})
}

func (m applyNow) handle(a *Actor) {
	a.record(job{request: m.request, mutation: &m.request.Mutation})
	a.flush()
}

func (m between) handle(a *Actor) {
	err := error(kv.RolledBackError) // what a panic leaves behind
	defer func() {
		m.request.Resolve(kv.Outcome{}, err)
		m.request.Release()
	}()
	a.flush() // what was admitted before comes before
	err = m.work()
}

// purge is the reaper's mutation: the same every time, so one serves all.
var purge = kv.Mutation{Kind: kv.PurgeExpired, Range: kv.PrefixRange(""), Limit: PurgeChunk}

func (purgeExpired) handle(a *Actor) { a.accept(job{mutation: &purge}) }

// accept has jobs committed with what is in the mailbox by now.
func (a *Actor) accept(jobs ...job) {
	a.record(jobs...)
	if len(a.pending) > 0 && !a.flushing {
		a.flushing = true
		a.self(flush{})
	}
}

// record comes first of all, so that jobs are answered whatever happens.
func (a *Actor) record(jobs ...job) {
	a.pending = append(a.pending, jobs...)
	a.Failpoint.Hit("writer.accept")
}

func (resynchronise) handle(a *Actor) { a.publishState() }
