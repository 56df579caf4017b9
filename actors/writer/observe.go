package writer

import (
	"log/slog"
	"time"

	"forge.lthn.ai/core/go-store/internal/metrics"
	"forge.lthn.ai/core/go-store/internal/seldom"
	"forge.lthn.ai/core/go-store/kv"
)

// slowCommit is how long a COMMIT may take until an operator is told. A disk that is well
// syncs in milliseconds. Only tests change it.
var slowCommit = time.Second

// noted is what outlives a restart.
type noted struct {
	slow *seldom.Limit // of what is said of slow commits

	// Owned by the writer.
	batches uint64      // that were traced
	lot     metrics.Lot // of those that are measured
	weight  uint64      // of the batch in hand; 0: it is not measured
}

func newNoted(m *metrics.Recorder) *noted {
	n := &noted{slow: seldom.New(1, 10*time.Second)}
	if m != nil {
		n.lot = m.Commits()
	}
	return n
}

// observe notes what is about to be committed. What waited for something else meanwhile, and
// comes again, has been noted.
func (a *Actor) observe() {
	if m := a.Metrics; m != nil {
		if a.weight = a.lot.Draw(); a.weight != 0 {
			m.Batched(len(a.batch), a.weight)
		}
		now := int64(0)
		for i := range a.batch {
			if j := &a.batch[i]; j.mutation.Weight != 0 && j.ahead == nil {
				if now == 0 {
					now = metrics.Now()
				}
				m.Waited(now, j.mutation.Began, j.mutation.Weight)
			}
		}
	}
	if a.Tracing {
		a.batches++
		a.traced = &kv.TracedBatch{Number: a.batches, Requests: len(a.batch), Began: time.Now()}
	}
}

// observeCommit notes a COMMIT that has returned.
func (a *Actor) observeCommit(began time.Time) {
	if a.weight != 0 && len(a.tx.events) > 0 { // else nothing was written, which takes no time
		a.Metrics.Committed(a.committing, a.weight)
	}
	if a.traced != nil {
		a.traced.Committing, a.traced.Ended = began, began.Add(a.committing)
	}
	if a.committing >= slowCommit {
		a.slow.Log(a.Logger, slog.LevelWarn, "a commit took long: the disk is slow, and all writes wait for it",
			slog.Duration("took", a.committing), slog.Int("requests", len(a.batch)))
	}
}

// endTraced notes the end of a batch that came to nothing.
func (a *Actor) endTraced() {
	if a.traced != nil && a.traced.Ended.IsZero() {
		a.traced.Ended = time.Now()
	}
}
