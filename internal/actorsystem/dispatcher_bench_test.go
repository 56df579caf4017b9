package actorsystem_test

import (
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/actorsystem"

	"github.com/asynkron/protoactor-go/actor"
)

type ping struct{ reply chan struct{} }

// BenchmarkRoundTrip is one request and its answer, through the dispatcher
// that Proto.Actor uses by default and through the one that keeps a goroutine.
func BenchmarkRoundTrip(b *testing.B) {
	for _, callers := range []int{1, 64} {
		for _, kind := range []string{"default", "kept"} {
			b.Run(map[int]string{1: "callers=1", 64: "callers=64"}[callers]+"/dispatcher="+kind, func(b *testing.B) {
				system, release := actorsystem.Acquire()
				defer release()
				var options []actor.PropsOption
				if kind == "kept" {
					dispatcher := actorsystem.NewDispatcher()
					defer dispatcher.Stop()
					options = append(options, actor.WithDispatcher(dispatcher))
				}
				pid, err := actorsystem.Spawn(system, "bench-", func() actor.Actor {
					return actor.ReceiveFunc(func(ctx actor.Context) {
						if m, ok := ctx.Message().(ping); ok {
							m.reply <- struct{}{}
						}
					})
				}, options...)
				if err != nil {
					b.Fatal(err)
				}
				defer system.Root.Stop(pid)
				b.ReportAllocs()
				b.ResetTimer()
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						m := ping{make(chan struct{}, 1)}
						for range b.N / callers {
							system.Root.Send(pid, m)
							<-m.reply
						}
					})
				}
				wg.Wait()
			})
		}
	}
}
