package bench

import (
	"context"
	"slices"
	"sync"
)

// observeBatches has callers write for one more round, which is not counted,
// and finds out which writes were committed together: the observer's callback
// costs the callers time.
func (r *runner) observeBatches(ctx context.Context, w *Workload, contender *Contender, callers int) []Bucket {
	place, _, err := r.enter(ctx, w, contender)
	if err != nil {
		return nil // the rounds before it have said so
	}
	defer place.leave(w) //nolint:errcheck // as above
	observer, ok := place.target.(CommitObserver)
	if !ok {
		return nil
	}
	s := &session{ctx: ctx, plan: r.plan, target: place.target, keys: place.keys, sizes: place.data.sizes, callers: callers}
	job, err := w.begin(s)
	if err != nil {
		return nil
	}
	var mu sync.Mutex
	commits := make(map[int64]int)
	stop := observer.OnCommit(func(commit int64) {
		mu.Lock()
		defer mu.Unlock()
		commits[commit]++
	})
	_, err = drive(ctx, r.makeCallers(w, callers, r.plan.Rounds), phase{r.plan.Round, r.plan.Rate, job.step, job.burst})
	stop()
	if err != nil {
		return nil
	}
	sizes := make(map[int]int64)
	for _, size := range commits {
		sizes[size]++
	}
	buckets := make([]Bucket, 0, len(sizes))
	for size, count := range sizes {
		buckets = append(buckets, Bucket{size, count})
	}
	slices.SortFunc(buckets, func(a, b Bucket) int { return a.Size - b.Size })
	return buckets
}
