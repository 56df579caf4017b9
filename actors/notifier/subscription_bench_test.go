package notifier

import (
	"fmt"
	"testing"

	"forge.lthn.ai/core/go-store/kv"
)

// BenchmarkWatched is what subscribers that an event does not concern add to the
// write that made it: the writer asks whether any subscriber wants it.
func BenchmarkWatched(b *testing.B) {
	for _, subscribers := range []int{0, 1, 10_000} {
		b.Run(fmt.Sprintf("subscribers=%d", subscribers), func(b *testing.B) {
			r := Ref{index: newIndex[*Watcher](), subscribed: newSubscriptions(), callbacks: NewCallbacks(nil)}
			defer r.callbacks.Stop()
			for i := range subscribers {
				r.subscribed.add(newSubscription([]kv.Filter{{Group: kv.Exactly("g"), Key: kv.Exactly(fmt.Sprint(i))}}, 1))
			}
			events := make([]kv.Event, 64)
			for i := range events {
				events[i] = set("bench", fmt.Sprintf("%016x", uint64(i)*2654435761), "v")
			}
			for b.Loop() {
				if r.Watched(events) {
					b.Fatal("a subscriber wants them")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
		})
	}
}
