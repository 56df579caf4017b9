package courier

import (
	"log/slog"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// load is a parcel of 4 MiB.
type load struct{ lost *atomic.Int64 }

func (load) Message() any { return large }
func (load) Bytes() int   { return 4 << 20 }
func (load) Wanted() bool { return true }
func (l load) Lost()      { l.lost.Add(1) }

// What waits for an actor is bounded in bytes too, and what was taken is room again.
func TestCourierOfLargeMessages(t *testing.T) {
	b := start(t)
	pid := b.spawn(t, actor.WithMailbox(actor.Bounded(2)))
	c := Start(Recipient{System: b.system, PID: pid, Logger: slog.New(slog.DiscardHandler)}, actor.NewPID("nonhost", "watcher"))
	var lost atomic.Int64
	const parcels = 150
	for range parcels {
		c.Take(load{&lost})
	}
	kept := parcels - int(lost.Load())
	require.InDelta(t, QueueBytes/(4<<20)+2, kept, 2, "the mailbox may have taken some")
	close(b.goOn)
	for range kept {
		testkit.Await(t, "a message", b.heard)
	}
	testkit.Until(t, "room", func() bool { return c.bytes.Load() == 0 })
	c.Take(load{&lost})
	testkit.Await(t, "a message", b.heard)
	require.EqualValues(t, parcels-kept, lost.Load())
	c.Stop()
}
