package writer

import (
	"sync"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/kv"
)

// watched are the ranges of transactions that had to run again. They outlive a restart
// of the writer.
//
// A transaction begins to watch before it takes its snapshot, and the writer looks here
// after COMMIT and before it begins the next transaction. So what the snapshot does not
// show was committed after the watching began, and is noted before the writer is asked
// about it; but for what a writer that failed in between had committed: the next one
// breaks all that there are when it starts.
type watched struct {
	some atomic.Int32 // how many there are
	mu   struct {
		sync.Mutex
		all map[*kv.Watched]struct{}
	}
}

func newWatched() *watched {
	w := new(watched)
	w.mu.all = make(map[*kv.Watched]struct{})
	return w
}

func (w *watched) add(ranges *kv.Watched) (remove func()) {
	w.mu.Lock()
	w.mu.all[ranges] = struct{}{}
	w.mu.Unlock()
	w.some.Add(1)
	return func() {
		w.mu.Lock()
		// A mutation whose caller has left may be on its way still, behind commits that
		// are no longer noted for it.
		ranges.Break()
		delete(w.mu.all, ranges)
		w.mu.Unlock()
		w.some.Add(-1)
	}
}

func (w *watched) note(events []kv.Event) {
	w.each(func(ranges *kv.Watched) { ranges.Note(events) })
}

// lose says that it is not known what was committed.
func (w *watched) lose() { w.each((*kv.Watched).Break) }

func (w *watched) each(do func(*kv.Watched)) {
	if w.some.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for ranges := range w.mu.all {
		do(ranges)
	}
}
