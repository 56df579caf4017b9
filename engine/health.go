package engine

import (
	"context"
	"iter"
	"time"
)

// Health is what is wrong with a store.
type Health struct {
	Err   error     // nil: nothing
	Since time.Time // the zero time if nothing is

	Unfolded int64 // bytes of what was committed and is not in a file's table yet
}

func (h Health) equal(o Health) bool {
	return h.Since.Equal(o.Since) && (h.Err == nil) == (o.Err == nil)
}

// Health looks at the store's files, and then at what the writer has met.
func (e *Engine) Health() Health {
	if err := e.usable(); err != nil {
		return Health{Err: err}
	}
	since, err := e.database.Health()
	if err == nil {
		since, err = e.health.Get()
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
