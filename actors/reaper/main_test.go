package reaper

import (
	"log/slog"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/clock"
	"forge.lthn.ai/core/go-store/internal/failpoint"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const interval = 100 * time.Millisecond

// purger stands for the writer: it notes what the reaper asks for.
type purger struct {
	purges, resyncs chan struct{}
}

func (p *purger) PurgeExpired()  { p.purges <- struct{}{} }
func (p *purger) Resynchronise() { p.resyncs <- struct{}{} }

// bench is a reaper alone, on a clock that stands still.
type bench struct {
	Ref
	*purger
	t      *testing.T
	system *actor.ActorSystem
	source *testkit.Clock
	clock  *clock.Clock
}

func newBench(t *testing.T, hook failpoint.Hook) *bench {
	t.Helper()
	system, release := actorsystem.Acquire()
	b := &bench{t: t, system: system, source: testkit.NewClock(),
		purger: &purger{make(chan struct{}, 100), make(chan struct{}, 100)}}
	b.clock = clock.New(b.source)
	var err error
	b.Ref, err = Spawn(system, Config{Clock: b.clock, Interval: interval, Logger: slog.New(slog.DiscardHandler), Failpoint: hook})
	require.NoError(t, err)
	t.Cleanup(func() {
		testkit.Within(t, "the reaper's end", b.Ref.Stop)
		_, armed := b.source.Next()
		require.False(t, armed, "a timer outlives the reaper")
		release()
	})
	return b
}

// start is a reaper that is connected and has nothing to do.
func start(t *testing.T, hook failpoint.Hook) *bench {
	t.Helper()
	b := newBench(t, hook)
	b.Ref.Connect(b.purger)
	b.tell(kv.NoDeadline)
	b.Ref.Resynchronise(kv.NoDeadline)
	b.idle()
	return b
}

// probe comes back when everything before it has been handled.
type probe struct {
	actorsystem.Quiet
	earliest chan int64
}

func (p probe) handle(a *Actor) { p.earliest <- a.earliest }

func (b *bench) settle() (earliest int64) {
	b.t.Helper()
	p := probe{earliest: make(chan int64, 1)}
	b.system.Root.Send(b.to.PID, p)
	return testkit.Await(b.t, "the reaper", p.earliest)
}

// tell answers what the reaper has asked, as the writer does.
func (b *bench) tell(earliest int64) {
	b.t.Helper()
	for b.settle(); len(b.resyncs) > 0; b.settle() {
		<-b.resyncs
		b.Ref.Resynchronise(earliest)
	}
}

// in is the deadline that lies d ahead.
func (b *bench) in(d time.Duration) int64 { return b.clock.Now().Add(d).UnixMilli() }

// wrote is the fact that a row with a deadline was written.
func (b *bench) wrote(deadline int64) {
	b.Ref.Committed(&kv.Committed{At: b.clock.Now(), Deadline: deadline})
}

// purged is the fact that a purge of the reaper's was committed.
func (b *bench) purged(earliest int64) {
	b.Ref.Committed(&kv.Committed{At: b.clock.Now(), Deadline: kv.NoDeadline, Purged: true, Reaped: true, Earliest: earliest})
}

// sleeps checks when the reaper will wake.
func (b *bench) sleeps(d time.Duration) {
	b.t.Helper()
	b.settle()
	wait, armed := b.source.Next()
	require.True(b.t, armed, "no timer is set")
	require.Equal(b.t, d, wait)
}

// idle checks that nothing will wake the reaper, and that it asks for nothing.
func (b *bench) idle() {
	b.t.Helper()
	b.settle()
	_, armed := b.source.Next()
	require.False(b.t, armed, "a timer is set for nothing")
	require.Empty(b.t, b.purges)
}

// asks checks that the reaper asked for exactly one chunk.
func (b *bench) asks() {
	b.t.Helper()
	b.settle()
	require.Len(b.t, b.purges, 1)
	<-b.purges
}

// pass lets time pass, and the reaper handle each of its timers on the way.
func (b *bench) pass(d time.Duration) {
	b.t.Helper()
	for d > 0 {
		b.settle()
		step := d
		if wait, armed := b.source.Next(); armed && wait < d {
			step = wait
		}
		b.source.Advance(step)
		d -= step
	}
	b.settle()
}

// asksAfter checks that it asks for the first time when d has passed.
func (b *bench) asksAfter(d time.Duration) {
	b.t.Helper()
	b.pass(d - time.Millisecond)
	b.quiet()
	b.pass(time.Millisecond)
	b.asks()
}

// quiet checks that it asked for nothing.
func (b *bench) quiet() {
	b.t.Helper()
	b.settle()
	require.Empty(b.t, b.purges)
}
