package engine

import (
	"context"
	"errors"
	"iter"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// Health is what is wrong with a store.
type Health struct {
	Err   error     // nil: nothing
	Since time.Time // the zero time if nothing is

	Unfolded int64 // bytes of what was committed and is not in a file's table yet
}

// faults are the kinds of what can be wrong. Their texts change with each attempt.
var faults = []error{kv.FileLostError, kv.DegradedError, kv.UnfoldedError, kv.CheckpointError}

func (h Health) equal(o Health) bool {
	for _, fault := range faults {
		if errors.Is(h.Err, fault) != errors.Is(o.Err, fault) {
			return false
		}
	}
	return h.Since.Equal(o.Since) && (h.Err == nil) == (o.Err == nil)
}

// Health looks at the store's files, and then at what the writer and the fold have met.
func (e *Engine) Health() Health {
	if err := e.usable(); err != nil {
		return Health{Err: err}
	}
	since, err := e.database.Health()
	if !errors.Is(err, kv.FileLostError) { // else whatever the writer has met comes of that
		writerSince, writer := e.health.Get()
		since, err = storage.BothFaults(writerSince, writer, since, err)
	}
	return Health{err, since, e.database.Unfolded()}
}

// WatchHealth yields the present health, and each that follows, until the context or
// the store ends. Of those that follow each other while the loop's body runs it yields
// the last.
func (e *Engine) WatchHealth(ctx context.Context) iter.Seq[Health] {
	return func(yield func(Health) bool) {
		for last, first := (Health{}), true; ; {
			if ctx.Err() != nil || e.usable() != nil {
				return
			}
			changed := e.health.Changed() // before the look
			if now := e.Health(); first || !now.equal(last) {
				if last, first = now, false; !yield(now) {
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			case <-e.ended:
				return
			}
		}
	}
}
