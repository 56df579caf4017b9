package engine

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/internal/metrics"
	"forge.lthn.ai/core/go-store/internal/seldom"
	"forge.lthn.ai/core/go-store/kv"
)

// restarts is how often actors were started anew. A gateway counts in its drops.
type restarts struct{ writer, notifier, reaper, quota atomic.Uint64 }

// slowness is what was too slow for the store, or the store for it.
type slowness struct {
	subscribers *atomic.Uint64 // times that a subscriber was too slow for its buffer

	saidSubscriber, saidFull *seldom.Limit
}

// saidEvery is how often an operator is told of the same.
const saidEvery = 10 * time.Second

func newSlowness() slowness {
	return slowness{new(atomic.Uint64), seldom.New(1, saidEvery), seldom.New(1, saidEvery)}
}

// observeGate has the log told when the store is at its limit of requests, and answers to
// messages counted.
func (e *Engine) observeGate(gate *admission.Gate) {
	var told func(*kv.Mutation, error)
	if e.meter != nil {
		told = e.answered
	}
	gate.Observe(func() {
		e.slow.saidFull.Log(e.config.Logger, slog.LevelWarn, "the store is at its limit of requests in flight: more wait",
			slog.Int("limit", gate.Limit()), slog.Uint64("waited", gate.Waited()))
	}, told)
}

// slowSubscriber notes that more events have been waiting for a subscriber than may.
func (e *Engine) slowSubscriber(policy kv.SlowPolicy) {
	n := e.slow.subscribers.Add(1)
	becomes := "it reads the log"
	switch policy {
	case kv.SlowSkip:
		becomes = "it misses some"
	case kv.SlowEnd:
		becomes = "it ends"
	}
	e.slow.saidSubscriber.Log(e.config.Logger, slog.LevelWarn, "a subscriber takes its events too slowly: "+becomes, slog.Uint64("times", n))
}

// countCached counts a Get that was answered without waiting.
func (e *Engine) countCached(found bool) {
	timer := e.meter.Begin(metrics.Get)
	if !found {
		e.meter.Fail(metrics.Get, kv.NotFoundError)
	}
	e.meter.End(metrics.Get, timer)
}

// Metrics is what the store has done, and how it is. It reads the log's extent and looks at
// the files, and waits for no commit.
func (e *Engine) Metrics(ctx context.Context) kv.Metrics {
	if e == nil {
		return kv.Metrics{At: time.Now(), Health: kv.NilStoreError}
	}
	m := kv.Metrics{At: time.Now(), Since: e.opened, Collecting: e.meter != nil, Requests: e.meter.Requests(), Conflicts: e.conflicts.Load()}
	if e.meter != nil {
		m.Queue.Wait, m.Batches, m.Commits = e.meter.Wait.Read(), e.meter.Batch.Read(), e.meter.Commit.Read()
		m.Syncs, m.Checkpoints.Took = e.meter.Sync.Read(), e.meter.Checkpoint.Read()
	}
	e.storageMetrics(ctx, &m)
	if e.cache != nil {
		c := e.cache.Stats()
		m.Cache = kv.CacheMetrics{Hits: c.Hits, Misses: c.Misses, Rows: c.Rows, Bytes: c.Bytes, Limit: c.Limit}
	}
	if e.actors != nil {
		e.actorMetrics(&m)
	} else {
		m.Subscribers = e.pollers.figures(m.Log.Revision)
	}
	m.Callbacks.Drops = e.callbacks.Overflow()
	health := e.Health()
	m.Health, m.Unhealthy, m.Log.Unfolded = health.Err, health.Since, health.Unfolded
	return m
}

func (e *Engine) storageMetrics(ctx context.Context, m *kv.Metrics) {
	f := e.database.Figures()
	m.WAL = kv.WALMetrics{Bytes: f.WALBytes, Frames: f.WALFrames, Behind: f.WALBehind}
	m.Checkpoints.Completed, m.Checkpoints.Failures, m.Checkpoints.Ended = f.Checkpoints, f.CheckpointFailures, f.Ended
	m.Views = kv.ViewMetrics{Open: f.Views, Oldest: f.Oldest}
	if log, err := e.reads.LogExtent(ctx); err == nil {
		m.Log = kv.LogMetrics{Revision: log.Last, OldestRevision: log.First, Bytes: log.End - log.Begin}
		if log.First <= log.Last {
			m.Log.Begins = time.UnixMilli(log.Oldest)
		}
	}
}

func (e *Engine) actorMetrics(m *kv.Metrics) {
	a, r := e.actors, &e.restarts
	m.Queue.Depth, m.Queue.Limit, m.Queue.Waited = a.gate.InFlight(), a.gate.Limit(), a.gate.Waited()
	if earliest, now := a.reaper.Earliest(), e.clock.Millis(); earliest > 0 && earliest < now {
		m.Expiry.Lag = time.Duration(now-earliest) * time.Millisecond
	}
	m.Watchers, m.Subscribers = a.notifier.Figures()
	m.Subscribers.Drops = e.slow.subscribers.Load()
	m.Quotas, m.Namespaces = a.quota.Fullest(kv.MaxQuotaMetrics)
	m.Actors = []kv.ActorMetrics{
		{Name: "gateway", Restarts: e.gateways.drops.Restarts.Load()}, {Name: "notifier", Restarts: r.notifier.Load()},
		{Name: "quota", Restarts: r.quota.Load()}, {Name: "reaper", Restarts: r.reaper.Load()}, {Name: "writer", Restarts: r.writer.Load()},
	}
}

// Quota is what a namespace uses of its quota, if it is counted.
func (e *Engine) Quota(namespace string) (kv.QuotaMetrics, bool) {
	if e == nil || e.actors == nil {
		return kv.QuotaMetrics{}, false
	}
	return e.actors.quota.Of(namespace)
}
