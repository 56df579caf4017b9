package bench

import (
	"context"
	"testing"
	"time"
)

// BenchmarkHarness is what the harness adds to every operation: 64 callers call
// a target that does nothing. At most 100 ns an operation is wanted, of elapsed
// time; cpu-ns/op is that times the processors.
func BenchmarkHarness(b *testing.B) {
	for _, each := range []struct {
		workload     string
		distribution Distribution
	}{{"set", Uniform}, {"set", Zipfian}, {"get-hot", Uniform}, {"get-hot", Zipfian}, {"mixed", Zipfian}} {
		b.Run(each.workload+"/"+string(each.distribution), func(b *testing.B) {
			plan := DefaultPlan()
			plan.Keys, plan.Distribution = 100_000, each.distribution
			var elapsed, processors float64
			for b.Loop() {
				elapsed, processors = overhead(context.Background(), &plan, each.workload, 50*time.Millisecond)
			}
			b.ReportMetric(elapsed, "ns/op")
			b.ReportMetric(processors, "cpu-ns/op")
		})
	}
}
