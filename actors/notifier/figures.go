package notifier

import (
	"log/slog"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/internal/seldom"
	"forge.lthn.ai/core/go-store/kv"
)

// drops is the events that all watchers together have missed.
type drops struct {
	events atomic.Uint64
	logger *slog.Logger
	said   *seldom.Limit
}

func newDrops(logger *slog.Logger) *drops {
	return &drops{logger: logger, said: seldom.New(1, 10*time.Second)}
}

// one counts an event, and has the log told now and then. Which watcher's it was is not said: no
// reader of the log could tell watchers apart by their patterns, and the pattern may be a secret.
func (d *drops) one() {
	n := d.events.Add(1)
	d.said.Log(d.logger, slog.LevelWarn, "a watcher takes its events too slowly: some are dropped", slog.Uint64("dropped", n))
}

// Figures is how many watchers and subscribers there are, and how far they lag. It waits for
// no actor; of those that come or go meanwhile it may miss some.
func (r Ref) Figures() (watchers, subscribers kv.ListenerMetrics) {
	r.index.all(func(w *Watcher) { note(&watchers, len(w.events), false) })
	r.subscribed.visit(func(s *Subscription) bool {
		note(&subscribers, s.waiting(), s.Behind() != 0)
		return true
	})
	watchers.Drops = r.drops.events.Load()
	return watchers, subscribers
}

func note(m *kv.ListenerMetrics, waiting int, behind bool) {
	m.Open++
	m.Waiting += waiting
	m.Most = max(m.Most, waiting)
	if behind {
		m.Behind++
	}
}

// waiting is how many events wait for the subscriber, in memory or in the log.
func (s *Subscription) waiting() int {
	n := s.queued.Load()
	if s.Behind() != 0 {
		n += max(s.past.Load()-s.read.Load(), 0)
	}
	return int(max(n, 0))
}
