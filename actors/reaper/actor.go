// Package reaper owns the expiry schedule: when the next row is to be removed.
//
// It never touches the database. It asks the writer for one chunk at a time and
// learns from Committed, like every projection, what came of it; so no write
// waits behind a big purge, and a request that is lost is asked again.
package reaper

import (
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/clock"
	"forge.lthn.ai/core/go-store/internal/failpoint"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
)

const (
	// sweep is the longest sleep while a deadline lies ahead: the clock may
	// have jumped over it.
	sweep = 60 * time.Second
	// retry is how long the reaper waits for news of a purge: a purge that
	// failed (a full disk, say) leaves no fact behind.
	retry = time.Second
)

// Purger removes one chunk of expired rows. Its methods never block.
type Purger interface {
	PurgeExpired()
	Resynchronise()
}

// Config is what a reaper works with. All of it outlives a restart.
type Config struct {
	Clock     *clock.Clock
	Interval  time.Duration // how long after its deadline a row is removed
	Logger    *slog.Logger
	Restarts  *atomic.Uint64 // nil: not counted
	Stopped   func()         // called when the actor has stopped, however that came; may be nil
	Failpoint failpoint.Hook
}

// Actor is one incarnation of the reaper. All of it is owned by Receive.
type Actor struct {
	Config
	done   chan struct{}
	hinted *atomic.Bool // a hint is in the mailbox; shared with Ref
	self   func(Message)

	link     *link       // outlives a restart
	earliest int64       // no stored deadline lies before this, as far as is known
	stop     func() bool // of the timer; nil if there is none
	timers   uint64      // timers started so far: the last one counts
	due      time.Time   // when the timer fires; zero if there is none
	asked    bool        // a purge is on its way; the timer is for another try
}

// link is what the reaper knows of the writer.
type link struct {
	purger   Purger       // nil until connect
	missed   bool         // a restart before connect lost what the reaper had been told
	earliest atomic.Int64 // written by the actor, read from any goroutine
}

// Receive handles one message.
func (a *Actor) Receive(ctx actor.Context) {
	if actorsystem.Ended(a.done) {
		return
	}
	defer actorsystem.LogPanic(a.Logger, "reaper")
	switch m := ctx.Message().(type) {
	case Message:
		m.handle(a)
		a.link.earliest.Store(a.earliest)
	case *actor.Started:
		self := actorsystem.TargetOf(ctx.ActorSystem(), ctx.Self())
		a.self = func(m Message) { self.Send(m) }
	case *actor.Restarting:
		actorsystem.Count(a.Restarts)
		a.disarm()
		a.link.missed = true
		a.catchUp()
		a.hinted.Store(false)
	case *actor.Stopping:
		a.disarm()
	case *actor.Stopped:
		close(a.done)
		if a.Stopped != nil {
			a.Stopped()
		}
	}
}

func (m connect) handle(a *Actor) {
	a.link.purger = m.purger
	a.catchUp()
	a.arm()
}

// catchUp asks for what a restart lost, as soon as there is a writer to ask.
func (a *Actor) catchUp() {
	if a.link.missed && a.link.purger != nil {
		a.link.missed = false
		a.link.purger.Resynchronise()
	}
}

func (m resynchronise) handle(a *Actor) {
	a.Failpoint.Hit("reaper.resynchronise")
	a.earliest = m.earliest
	a.asked = false // the writer that was asked may be gone
	a.arm()
}

func (m committed) handle(a *Actor) {
	a.Failpoint.Hit("reaper.committed")
	fact := m.fact
	if fact.Reaped {
		a.asked = false
	}
	if fact.Reaped && fact.Earliest <= a.Clock.Millis() {
		a.earliest = fact.Earliest
		a.purge() // the chunk was full: there is more
		return
	}
	// A row is left alone for the interval after it has expired, or after this
	// commit if it had expired by then: a PurgeExpired just afterwards
	// still finds it.
	at := fact.At.UnixMilli()
	if fact.Purged {
		a.earliest = max(fact.Earliest, at)
	} else {
		a.earliest = min(a.earliest, max(fact.Deadline, at))
	}
	a.arm()
}

// handle looks again soon. Usually the timer is set for it already; it is not
// after the clock has jumped.
func (hint) handle(a *Actor) {
	a.hinted.Store(false)
	a.Failpoint.Hit("reaper.hint")
	a.earliest = min(a.earliest, a.Clock.Millis())
	a.arm()
}

func (m wake) handle(a *Actor) {
	if m.timer != a.timers {
		return
	}
	a.Failpoint.Hit("reaper.wake")
	a.due, a.asked = time.Time{}, false
	if wait := a.wait(); wait > 0 {
		a.set(wait)
		return
	}
	a.purge()
}

// purge asks for one chunk, and for another try should no answer come.
func (a *Actor) purge() {
	a.link.purger.PurgeExpired()
	a.set(retry)
	a.asked = true
}

// arm sets the timer for the earliest deadline, unless it fires before that
// anyway: an earlier wake finds out and sets it again. A timer that ought to
// have fired by now is of no use: the clock has jumped over it.
func (a *Actor) arm() {
	if a.earliest == kv.NoDeadline || a.link.purger == nil {
		a.disarm()
		return
	}
	if a.asked {
		return // its news, or the next try, are on their way
	}
	now, wait := a.Clock.Now(), a.wait()
	if !a.due.Before(now) && !a.due.After(now.Add(wait)) {
		return
	}
	if wait == 0 {
		a.purge()
		return
	}
	a.set(wait)
}

// wait is how long to sleep. A deadline may lie as far away as an int64 goes, on
// either side: in milliseconds, and more so in nanoseconds, the way there would
// overflow.
func (a *Actor) wait() time.Duration {
	now := a.Clock.Millis()
	if a.earliest >= now {
		ahead := min(uint64(a.earliest)-uint64(now), uint64(sweep/time.Millisecond))
		return min(time.Duration(ahead)*time.Millisecond+a.Interval, sweep)
	}
	late := min(uint64(now)-uint64(a.earliest), uint64(math.MaxInt64/time.Millisecond))
	return min(max(a.Interval-time.Duration(late)*time.Millisecond, 0), sweep)
}

func (a *Actor) set(wait time.Duration) {
	a.disarm()
	a.timers++
	self, m := a.self, wake{timer: a.timers}
	a.due = a.Clock.Now().Add(wait)
	a.stop = a.Clock.AfterFunc(wait, func() { self(m) })
}

func (a *Actor) disarm() {
	if a.stop != nil {
		a.stop()
		a.stop = nil
	}
	a.timers++ // a wake that is on its way is stale
	a.due, a.asked = time.Time{}, false
}
