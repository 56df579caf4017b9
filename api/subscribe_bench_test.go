package api_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// BenchmarkSubscribe_Resume reads a log of 100,000 revisions that 64 callers
// wrote, from its beginning. Wanted: at least 500,000 events/s.
func BenchmarkSubscribe_Resume(b *testing.B) {
	for _, each := range []struct{ name, path string }{{"Memory", ":memory:"}, {"File", ""}} {
		b.Run(each.name, func(b *testing.B) {
			revisions := scaled(100_000)
			store := openBench(b, benchDesigns[0], each.path, nil).(*api.Store)
			var writing sync.WaitGroup
			for caller := range benchCallers {
				writing.Go(func() {
					random := newBenchRandom(uint64(caller))
					for i := caller; i < revisions; i += benchCallers {
						if err := store.Set(benchGroup, strconv.Itoa(i), benchValue(random)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			writing.Wait()
			events := 0
			begin := time.Now()
			for b.Loop() {
				for event, err := range store.Subscribe(context.Background(), api.SubscribeOptions{From: 1}) {
					if err != nil {
						b.Fatal(err)
					}
					if events++; event.Revision == uint64(revisions) {
						break
					}
				}
			}
			b.ReportMetric(float64(events)/time.Since(begin).Seconds(), "events/s")
		})
	}
}

// BenchmarkRatio_Subscribers compares Sets in a store with subscribers whose
// filters they don't fit with Sets in a store without any, and reports the
// difference. Wanted: less than 200 ns.
func BenchmarkRatio_Subscribers(b *testing.B) {
	for _, each := range []struct {
		subscribers, callers int
	}{{1, 1}, {1, benchCallers}, {10_000, 1}, {10_000, benchCallers}} {
		b.Run(fmt.Sprintf("MemorySet/subscribers=%d/callers=%d", each.subscribers, each.callers), func(b *testing.B) {
			keys := benchKeys(scaled(manyKeys))
			var sides []side
			for _, subscribers := range []int{scaledAbove1(each.subscribers), 0} {
				store := openBench(b, benchDesigns[0], ":memory:", keys).(*api.Store)
				listen(b, store, subscribers)
				call := setRandom(store, keys)
				sides = append(sides, side{
					fmt.Sprintf("subscribers%d", subscribers),
					func() measurement { return hammer(b, each.callers, call) },
				})
			}
			var differences []float64
			with, without := sides[0], sides[1]
			var last float64
			ratio(b, "a difference under 200 ns",
				side{with.name, func() measurement { m := with.round(); last = m.nanoseconds(); return m }},
				side{without.name, func() measurement {
					m := without.round()
					differences = append(differences, last-m.nanoseconds())
					return m
				}})
			middle, least, most := spread(differences)
			b.ReportMetric(middle, "added-ns/op")
			b.Logf("adds %.0f ns (%.0f to %.0f) to a Set", middle, least, most)
		})
	}
}

func scaledAbove1(n int) int {
	if n == 1 {
		return 1
	}
	return scaled(n)
}

// listen has subscribers of other keys of the benchmark's group wait until the
// benchmark's end.
func listen(b *testing.B, store *api.Store, subscribers int) {
	ctx, cancel := context.WithCancel(context.Background())
	var waiting sync.WaitGroup
	b.Cleanup(func() {
		cancel()
		waiting.Wait()
	})
	for i := range subscribers {
		feed := store.Subscribe(ctx, api.SubscribeOptions{Buffer: 1, Filters: []api.Filter{{Group: api.Exactly(benchGroup), Key: api.Exactly("other-" + strconv.Itoa(i))}}})
		joined := make(chan struct{})
		waiting.Go(func() {
			first := true
			for range feed {
				if first {
					close(joined)
				}
				first = false
			}
		})
		if err := store.Set(benchGroup, "other-"+strconv.Itoa(i), ""); err != nil {
			b.Fatal(err)
		}
		<-joined
	}
}
