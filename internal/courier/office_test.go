package courier

import (
	"log/slog"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// bench is an office and an actor that takes its messages when it is told to.
type bench struct {
	*Office
	system *actor.ActorSystem
	lost   atomic.Uint64
	goOn   chan struct{}
	heard  chan int
}

func start(t *testing.T) *bench {
	system, release := actorsystem.Acquire()
	t.Cleanup(release)
	b := &bench{system: system, goOn: make(chan struct{}), heard: make(chan int, 1<<13)}
	b.Office = NewOffice(system, slog.New(slog.DiscardHandler), weigh, &b.lost)
	return b
}

// weigh is what a message weighs: the large one 1 MiB.
func weigh(message any) int {
	if message == large {
		return 1 << 20
	}
	return 1
}

const large = 1 << 30

func (b *bench) spawn(t *testing.T, options ...actor.PropsOption) *actor.PID {
	pid := b.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if n, ok := ctx.Message().(int); ok {
			<-b.goOn
			b.heard <- n
		}
	}, options...))
	t.Cleanup(func() { require.NoError(t, b.system.Root.StopFuture(pid).Wait()) })
	return pid
}

func TestOffice(t *testing.T) {
	for name, options := range map[string][]actor.PropsOption{
		"prompt":       nil,
		"bounded":      {actor.WithMailbox(actor.Bounded(4))},
		"synchronised": {actor.WithDispatcher(actor.NewSynchronizedDispatcher(300))},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			pid := SenderOf(b.system, b.spawn(t, options...))
			sent := 0
			for n := range 2 * OfficeQueue {
				box, room := b.Reserve(pid)
				require.Equal(t, name == "prompt", box == nil && room)
				if !room {
					require.InDelta(t, OfficeQueue+4, n, 4, "the mailbox may have taken some")
					break
				}
				b.Post(pid, box, n)
				sent++
			}
			close(b.goOn)
			for n := range sent {
				require.Equal(t, n, testkit.Await(t, "a message", b.heard))
			}
			testkit.Until(t, "an empty office", func() bool { return b.Boxes() == 0 })
			b.Answer(pid, 7)
			require.Equal(t, 7, testkit.Await(t, "a message", b.heard))
			testkit.Until(t, "an empty office", func() bool { return b.Boxes() == 0 })
			require.Zero(t, b.lost.Load())
		})
	}
}

// What waits is bounded in bytes too: beyond that nothing is reserved, until some was taken.
func TestOfficeOfLargeAnswers(t *testing.T) {
	b := start(t)
	pid := SenderOf(b.system, b.spawn(t, actor.WithMailbox(actor.Bounded(2))))
	box, room := b.Reserve(pid) // for an answer that comes later
	require.True(t, room)
	require.False(t, box.Full())
	sent := 0
	for {
		box, room := b.Reserve(pid)
		if !room {
			break
		}
		b.Post(pid, box, large)
		sent++
	}
	require.InDelta(t, OfficeBytes>>20+2, sent, 2, "the mailbox may have taken some")
	testkit.Until(t, "a full box", box.Full)
	close(b.goOn)
	for range sent {
		testkit.Await(t, "a message", b.heard)
	}
	testkit.Until(t, "room", func() bool { return !box.Full() })
	b.Post(pid, box, 7)
	require.Equal(t, 7, testkit.Await(t, "a message", b.heard))
	testkit.Until(t, "an empty office", func() bool { return b.Boxes() == 0 })
	require.False(t, (*Box)(nil).Full())
}

// What can't be delivered by the end is counted; no goroutine waits.
func TestOfficeThatStops(t *testing.T) {
	b := start(t)
	pid := SenderOf(b.system, b.spawn(t, actor.WithMailbox(actor.Bounded(8))))
	for n := range 100 {
		b.Answer(pid, n)
	}
	b.Stop()
	b.Stop()
	testkit.Until(t, "the end", func() bool { return b.Boxes() == 0 })
	require.Greater(t, b.lost.Load(), uint64(80))
	close(b.goOn)
}

// A recipient that has gone leaves nothing behind, however it is looked for.
func TestOfficeForNobody(t *testing.T) {
	b := start(t)
	letters := b.system.EventStream.Subscribe(func(event any) {
		if letter, ok := event.(*actor.DeadLetterEvent); ok {
			t.Errorf("a dead letter: %v", letter)
		}
	})
	defer b.system.EventStream.Unsubscribe(letters)
	gone := SenderOf(b.system, b.system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}, actor.WithMailbox(actor.Bounded(2)))))
	box, room := b.Reserve(gone)
	require.True(t, room)
	require.NotNil(t, box)
	require.NoError(t, b.system.Root.StopFuture(gone.PID).Wait())
	b.Post(gone, box, 1)
	elsewhere := SenderOf(b.system, actor.NewPID("10.1.2.3:80", "somebody"))
	b.Answer(elsewhere, 2)
	b.Answer(gone, 3)
	testkit.Until(t, "the count", func() bool { return b.lost.Load() == 3 })
	testkit.Until(t, "an empty office", func() bool { return b.Boxes() == 0 })
	box, _ = b.Reserve(elsewhere)
	require.Equal(t, 1, b.Boxes())
	b.Release(box)
	b.Release(nil)
	require.Zero(t, b.Boxes())
}

// An actor that has the name of one that was to be answered is not sent its answers, whatever
// the mailboxes of the two.
func TestOfficeForAPredecessor(t *testing.T) {
	bounded := actor.WithMailbox(actor.Bounded(4))
	for name, options := range map[string][2][]actor.PropsOption{
		"prompt": {}, "bounded": {{bounded}, {bounded}}, "prompt, then bounded": {nil, {bounded}}, "bounded, then prompt": {{bounded}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			close(b.goOn)
			name := "heir" + b.system.ProcessRegistry.NextId()
			spawn := func(options []actor.PropsOption) Sender {
				pid, err := b.system.Root.SpawnNamed(actor.PropsFromFunc(func(ctx actor.Context) {
					if n, ok := ctx.Message().(int); ok {
						b.heard <- n
					}
				}, options...), name)
				require.NoError(t, err)
				return SenderOf(b.system, pid)
			}
			first := spawn(options[0])
			box, _ := b.Reserve(first)
			require.NoError(t, b.system.Root.StopFuture(first.PID).Wait())
			second := spawn(options[1])
			own, _ := b.Reserve(second)
			b.Post(first, box, 1)
			b.Answer(first, 2)
			b.Post(second, own, 3)
			require.Equal(t, 3, testkit.Await(t, "the answer of its own", b.heard))
			testkit.Until(t, "the count", func() bool { return b.lost.Load() == 2 })
			testkit.Until(t, "an empty office", func() bool { return b.Boxes() == 0 })
			require.NoError(t, b.system.Root.StopFuture(second.PID).Wait())
			require.Empty(t, b.heard)
		})
	}
}
