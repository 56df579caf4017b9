//go:build unix

package notifier

import (
	"syscall"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// TestAFullMailboxCostsNoProcessor: no goroutine spins for it.
func TestAFullMailboxCostsNoProcessor(t *testing.T) {
	b := start(t, 1, nil)
	s := newStubborn(100)
	b.WatchActor(WatchFilter("", "g", "*"), spawn(b.system, s, actor.WithMailbox(actor.Bounded(2))))
	for range 20 {
		b.deliver(t, set("g", "k", "v"))
	}
	before := processorTime(t)
	time.Sleep(300 * time.Millisecond) // what is measured is that nothing happens
	used := processorTime(t) - before
	require.Less(t, used, 100*time.Millisecond)
	close(s.goOn)
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
