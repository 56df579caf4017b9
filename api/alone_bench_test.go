package api_test

import (
	"fmt"
	"sync"
	"testing"
)

// BenchmarkAlone_Set is a Set by one caller, and by few and many: one that is alone
// commits in its own goroutine, and no other may be slower for it.
func BenchmarkAlone_Set(b *testing.B) {
	for _, kind := range []struct{ name, path string }{{"memory", ":memory:"}, {"durable", ""}} {
		for _, callers := range []int{1, 2, 8, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", kind.name, callers), func(b *testing.B) {
				keys := benchKeys(scaled(fewKeys))
				store := openBench(b, benchDesigns[0], kind.path, keys)
				b.ReportAllocs()
				b.ResetTimer()
				var all sync.WaitGroup
				for number := range callers {
					set, caller := setRandom(store, keys), &benchCaller{number: number, random: newBenchRandom(uint64(number))}
					all.Go(func() {
						for range b.N / callers {
							if _, err := set(caller); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				all.Wait()
			})
		}
	}
}
