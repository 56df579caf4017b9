package writer

import (
	"fmt"
	"log/slog"
	"time"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// A disk that can't be written to makes the store degraded: it answers reads, and
// refuses writes by name until one has succeeded. The first batch after a fault is an
// attempt at once, so that a fault that passes costs one batch; from the second in a
// row on there is a pause, twice as long each time, in which requests are refused
// without touching the disk. The writer tries by itself too: a store that no caller
// writes to recovers as well, and those that wait for its health are woken.
const (
	firstPause = 10 * time.Millisecond
	maxPause   = time.Second
	// idleProbe is the shortest time until the writer tries by itself.
	idleProbe = 100 * time.Millisecond
)

// degraded is the writer's memory of a fault; the zero value: there is none.
type degraded struct {
	cause  error
	faults int         // in a row
	until  time.Time   // requests are refused
	stop   func() bool // the attempt that is to come
}

// tryAgain has the writer try whether it can write again.
type tryAgain struct{ actorsystem.Quiet }

func (tryAgain) handle(a *Actor) {
	if a.degraded.cause == nil {
		return
	}
	if len(a.pending) > 0 { // those are the attempt, if they write anything
		a.tryLater()
		return
	}
	if err := a.Database.Probe(); err != nil {
		_ = a.faulty(fmt.Errorf("probe: %w", err)) // whatever kind of error it is
		return
	}
	a.recovered()
}

// degrade notes a fault of the disk, and names it. Other errors come back explained.
func (a *Actor) degrade(err error) error {
	if !a.Database.IsWriteFault(err) {
		return a.explain(err)
	}
	return a.faulty(err)
}

// explain says what to do about a damaged page.
func (a *Actor) explain(err error) error {
	if err != nil && a.Database.IsDamage(err) {
		return storage.DamagedPage(err)
	}
	return err
}

func (a *Actor) faulty(err error) error {
	d, now := &a.degraded, a.Clock.Now()
	d.faults++
	d.cause, d.until = err, now
	if n := d.faults - 2; n >= 0 {
		d.until = now.Add(min(firstPause<<min(n, 16), maxPause))
	}
	a.tryLater()
	degraded := fmt.Errorf("%w: %w", kv.DegradedError, err)
	a.Health.Fail(degraded, now)
	if d.faults == 1 {
		a.Logger.Error("the store can't write; it answers reads, refuses writes and tries again", slog.Any("error", err))
	}
	return degraded
}

func (a *Actor) tryLater() {
	a.stopTrying()
	self := a.self
	a.degraded.stop = a.Clock.AfterFunc(max(a.degraded.until.Sub(a.Clock.Now()), idleProbe), func() { self(tryAgain{}) })
}

func (a *Actor) stopTrying() {
	if stop := a.degraded.stop; stop != nil {
		stop()
	}
}

// recovered notes that the disk can be written to.
func (a *Actor) recovered() {
	if a.degraded.cause == nil {
		return
	}
	a.stopTrying()
	a.degraded = degraded{}
	since := a.Health.Recover()
	a.Logger.Info("the store writes again", slog.Duration("after", a.Clock.Now().Sub(since)))
	a.Projections.PurgeAgain(a.earliest) // the reaper has waited in vain
}

// pausing answers what is pending during a pause, and reports whether there is one.
// None of it was tried: its outcome is known.
func (a *Actor) pausing() bool {
	d := &a.degraded
	if d.cause == nil {
		return false
	}
	wait := d.until.Sub(a.Clock.Now())
	if wait <= 0 {
		return false
	}
	a.batch = append(a.batch, a.pending...)
	clear(a.pending)
	a.pending = a.pending[:0]
	a.fail(fmt.Errorf("%w, and will try in %v: %w", kv.DegradedError, wait.Round(time.Millisecond), d.cause))
	return true
}
