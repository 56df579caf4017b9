package engine

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/clock"
	"forge.lthn.ai/core/go-store/kv"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/stretchr/testify/require"
)

// fatal is a clock of the store's user that ends the goroutine which asks it, so many times.
type fatal struct {
	clock.Source
	left atomic.Int64
}

func (f *fatal) Now() time.Time {
	if f.left.Load() > 0 && f.left.Add(-1) >= 0 {
		runtime.Goexit()
	}
	return f.Source.Now()
}

// TestReadsWhoseGoroutineEnds have an answer, those that wait behind them too, and leave the
// goroutines that read as many as they were.
func TestReadsWhoseGoroutineEnds(t *testing.T) {
	system, clock := foreign(), &fatal{Source: clock.System()}
	defer system.Shutdown()
	e := open(t, Config{System: system, Clock: clock, Readers: 1})
	must(t, e, set("g", "k", "v"))
	pid, err := e.PID("", kv.QuotaConfig{})
	require.NoError(t, err)
	s := speak(t, system)
	const reads, ends = 40, 5
	clock.left.Store(ends)
	for id := range reads {
		s.send(pid, protocol.Scan{ID: uint64(id + 1), Groups: kv.Exactly("g"), Limit: 1})
	}
	failed := 0
	for range reads {
		if answer := s.next().(protocol.ScanDone); answer.Err != nil {
			require.ErrorIs(t, answer.Err, kv.RolledBackError)
			failed++
		}
	}
	require.Equal(t, ends, failed)
}

// TestSubscriptionsWhoseGoroutineEnds say so to the actor that has subscribed.
func TestSubscriptionsWhoseGoroutineEnds(t *testing.T) {
	system, clock := foreign(), &fatal{Source: clock.System()}
	defer system.Shutdown()
	e := open(t, Config{System: system, Clock: clock})
	pid, err := e.PID("", kv.QuotaConfig{})
	require.NoError(t, err)
	s := speak(t, system)
	clock.left.Store(1)
	s.send(pid, protocol.Subscribe{ID: 1, Credits: 10, Options: kv.SubscribeOptions{State: true}})
	require.Equal(t, protocol.Subscribed{ID: 1}, s.next())
	require.ErrorIs(t, s.next().(protocol.SubscriptionEnded).Err, kv.RolledBackError)
	s.send(pid, protocol.Subscribe{ID: 1, Credits: 10, Options: kv.SubscribeOptions{State: true}})
	require.Equal(t, protocol.Subscribed{ID: 1}, s.next(), "its ID is free again")
	require.Equal(t, kv.EventSynced, s.next().(protocol.Event).Event.Type)
}
