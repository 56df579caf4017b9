package engine

import (
	"math/rand/v2"

	"forge.lthn.ai/core/go-store/actors/notifier"
	"forge.lthn.ai/core/go-store/actors/quota"
	"forge.lthn.ai/core/go-store/actors/reaper"
	"forge.lthn.ai/core/go-store/actors/writer"
	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/kv"
)

// start spawns the actors in the order in which facts flow, last first: the
// writer's first fact finds every actor there.
func (e *Engine) start() (_ *actors, err error) {
	system, release := e.config.System, func() {}
	if system == nil {
		system, release = actorsystem.Acquire()
	}
	dead := make(chan struct{}) // closed by the notifier, the last one that answers requests
	a := &actors{gate: admission.NewGate(e.config.MaxInFlight, dead), release: release}
	e.observeGate(a.gate)
	var undo []func()
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
			release()
		}
	}()
	logger, fail := e.config.Logger, e.config.Failpoint
	// Other users of the actor system may stop an actor of ours. A store can't
	// keep its promises without any of them: all end then, and callers are told.
	orphaned := func() {
		if a.connected.Load() {
			logger.Error("an actor of the store was stopped from outside; the store has ended")
			a.writer.Poison()
		}
	}
	if a.notifier, err = notifier.Spawn(system, notifier.Config{
		Callbacks: e.callbacks, Buffer: e.config.WatchBuffer, Logger: logger, Restarts: &e.restarts.notifier, Failpoint: fail}, dead); err != nil {
		return nil, err
	}
	undo = append(undo, func() { a.notifier.Poison(); a.notifier.Wait() })
	if a.reaper, err = reaper.Spawn(system, reaper.Config{
		Clock: e.clock, Interval: e.config.PurgeInterval, Logger: logger, Restarts: &e.restarts.reaper, Stopped: orphaned, Failpoint: fail}); err != nil {
		return nil, err
	}
	undo = append(undo, a.reaper.Stop)
	if a.quota, err = quota.Spawn(system, quota.Config{
		Reads: e.reads, Clock: e.clock, Logger: logger, Restarts: &e.restarts.quota, Stopped: orphaned, Dead: dead, Failpoint: fail}); err != nil {
		return nil, err
	}
	undo = append(undo, a.quota.Stop)
	if a.writer, err = writer.Spawn(system, writer.Config{
		Identity: rand.Uint64(),
		Database: e.writing(), Gate: a.gate, Clock: e.clock, Health: e.health, Logger: logger, Failpoint: fail,
		Metrics: e.meter, Tracing: e.config.Tracer != nil, Restarts: &e.restarts.writer,
		Audience: a.notifier, Projections: projections{a}, Counter: counter{a.quota},
		Retention: e.config.Retention, Announced: &e.announced, LostTimers: &e.lostTimers, BatchBytes: e.config.Limits.Commit, Stopped: a.notifier.Poison}); err != nil {
		return nil, err
	}
	a.reaper.Connect(a.writer)
	a.quota.Connect(a.writer)
	a.connected.Store(true)
	return a, nil
}

// stop ends the actors so that each finds its successors alive: requests
// first, then the writer, the notifier (which the writer's end poisons), and
// those that only listen.
func (a *actors) stop() {
	a.gate.Close()
	a.writer.Poison()
	a.writer.Wait()
	a.notifier.Wait()
	a.connected.Store(false)
	a.reaper.Stop()
	a.quota.Stop()
}

// projections hands each fact to those that it concerns.
type projections struct{ *actors }

func (p projections) Committed(fact *kv.Committed) {
	if fact.Deadline != kv.NoDeadline || fact.Purged {
		p.reaper.Committed(fact)
	}
	if len(fact.Usage) > 0 {
		p.quota.Committed(fact.Usage)
	}
	if len(fact.Forgotten) > 0 {
		p.quota.Forget(fact.Forgotten)
	}
}

func (p projections) PurgeAgain(earliest int64) { p.reaper.Resynchronise(earliest) }

func (p projections) Resynchronise(state kv.Resynchronise) {
	p.reaper.Resynchronise(state.Earliest)
	p.quota.Resynchronise(state.Usage)
	p.notifier.Resynchronise(state.Announced)
}

// counter joins the writer's port to the quota actor's.
type counter struct{ quota quota.Ref }

func (c counter) Count(namespace string, snapshot writer.Snapshot, answer func(kv.Usage, error)) {
	c.quota.Count(namespace, snapshot, answer)
}

func (c counter) Refuse(namespace string, err error) { c.quota.Refuse(namespace, err) }
