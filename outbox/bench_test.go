package outbox_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/outbox"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// BenchmarkTimers: 100,000 durable timers that fall due within one second, beside 64
// goroutines that write as fast as they can. It reports how long after the last of them
// was due the last was delivered, and how many writes there were meanwhile.
//
//	go test ./outbox -run '^$' -bench Timers -benchtime 1x
func BenchmarkTimers(b *testing.B) {
	for range b.N {
		b.StopTimer()
		late, writes := timers(b, 100_000, 64)
		b.ReportMetric(late.Seconds(), "s-after-due")
		b.ReportMetric(float64(writes), "writes/s")
	}
}

func timers(b *testing.B, n, writers int) (late time.Duration, writes int64) {
	store := openStore(b, filepath.Join(b.TempDir(), "store.db"))
	system := newSystem(b)
	due := time.Now().Add(60 * time.Second) // to set them takes a while
	random := rand.New(rand.NewPCG(1, 1))
	for i := 0; i < n; i += 1000 {
		batch := new(api.Batch)
		for j := range 1000 {
			until := time.Until(due) + time.Duration(random.Int64N(int64(time.Second)))
			batch.SetWithTTL("sessions", fmt.Sprintf("%016x", random.Uint64()), fmt.Sprintf("session %d", i+j), until,
				api.NotifyOnExpiry(fmt.Sprint("closer ", random.IntN(16))))
		}
		_, err := store.Batch(batch)
		require.NoError(b, err)
	}
	require.Greater(b, time.Until(due), time.Duration(0), "the machine was too slow to set them all")
	var got atomic.Int64
	all := make(chan struct{})
	closer := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if m, ok := ctx.Message().(outbox.Message); ok {
			ctx.Respond(m.Ack())
			if got.Add(1) == int64(n) {
				close(all)
			}
		}
	}))
	start(b, store, system, outbox.Options{Resolve: func(string) (*actor.PID, error) { return closer, nil }})
	time.Sleep(time.Until(due))
	b.StartTimer()
	var writing sync.WaitGroup
	var count atomic.Int64
	stop := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if store.Set("load", fmt.Sprint(w, " ", i%1000), fmt.Sprint(i)) == nil {
					count.Add(1)
				}
			}
		})
	}
	<-all
	took := time.Since(due)
	b.StopTimer()
	close(stop)
	writing.Wait()
	return took - time.Second, int64(float64(count.Load()) / took.Seconds())
}
