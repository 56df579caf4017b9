package actorsystem_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// spawned is an actor with such a mailbox, on a dispatcher that keeps a goroutine.
func spawned(t *testing.T, receive actor.ReceiveFunc) (*actorsystem.Mailbox, actorsystem.Target) {
	t.Helper()
	system, release := actorsystem.Acquire()
	mailbox, dispatcher := new(actorsystem.Mailbox), actorsystem.NewDispatcher()
	stopped := make(chan struct{})
	pid, err := actorsystem.Spawn(system, "mailbox-test-", func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if _, is := ctx.Message().(*actor.Stopped); is {
				close(stopped)
				return
			}
			receive(ctx)
		})
	}, actor.WithDispatcher(dispatcher), actor.WithMailbox(func() actor.Mailbox { return mailbox }))
	require.NoError(t, err)
	target := actorsystem.TargetOf(system, pid)
	t.Cleanup(func() {
		target.Poison()
		testkit.Await(t, "the actor's end", stopped)
		dispatcher.Stop()
		release()
	})
	return mailbox, target
}

// call is work that the actor does.
type call func()

func calls(ctx actor.Context) {
	if f, is := ctx.Message().(call); is {
		f()
	}
}

// settled waits until the actor has nothing to do.
func settled(t *testing.T, target actorsystem.Target) {
	t.Helper()
	done := make(chan struct{})
	target.Send(call(func() { close(done) }))
	testkit.Await(t, "the actor", done)
}

// here calls Here until the actor is found idle: a caller answered by it may be back
// before it has ended.
func here(t *testing.T, m *actorsystem.Mailbox, f func()) (crowded bool) {
	t.Helper()
	for range 10_000 {
		ran, posted := make(chan struct{}), make(chan struct{})
		crowded = m.Here(call(func() { f(); close(ran) }), call(func() { close(posted) }))
		select {
		case <-ran:
			return crowded
		default:
			testkit.Await(t, "what was posted instead", posted)
		}
	}
	t.Error("the actor was never idle")
	return false
}

func TestMailboxIsRunByTheSenderThatFindsItIdle(t *testing.T) {
	m, target := spawned(t, calls)
	settled(t, target)
	var ran string
	require.False(t, here(t, m, func() { ran = goroutine() }))
	require.Equal(t, goroutine(), ran)
	kept := make(chan string, 1)
	target.Send(call(func() { kept <- goroutine() }))
	require.NotEqual(t, ran, testkit.Await(t, "what was sent", kept), "a sender runs nothing")
}

// A sender that runs the actor works for no other, and what has come meanwhile is not forgotten.
func TestMailboxCapturesNobody(t *testing.T) {
	m, target := spawned(t, calls)
	goOn, others := make(chan struct{}), make(chan string, 3)
	defer close(goOn)
	crowded := here(t, m, func() {
		for range 3 {
			target.Send(call(func() { others <- goroutine(); <-goOn }))
		}
	})
	require.True(t, crowded)
	require.NotEqual(t, goroutine(), testkit.Await(t, "the first of the others", others))
	// A message that comes now is posted, and does not wait either.
	var posted atomic.Bool
	require.True(t, m.Here(call(func() { t.Error("it was not idle") }), call(func() { posted.Store(true) })))
	require.False(t, posted.Load())
	goOn <- struct{}{}
	testkit.Await(t, "the second", others)
	goOn <- struct{}{}
	testkit.Await(t, "the third", others)
	goOn <- struct{}{}
	settled(t, target)
	require.True(t, posted.Load())
}

// A failure is the supervisor's, not the sender's, and the actor starts anew elsewhere.
func TestMailboxKeepsFailuresFromItsSender(t *testing.T) {
	m, target, restarted := restarting(t)
	failed := false
	for !failed { // the first may find an actor that is about to end
		posted := make(chan struct{})
		if m.Here(call(func() { failed = true; panic("planned") }), call(func() { close(posted) })); !failed {
			testkit.Await(t, "what was posted instead", posted)
		}
	}
	require.NotEqual(t, goroutine(), testkit.Await(t, "the restart", restarted))
	settled(t, target)
	here(t, m, func() {})
}

// restarting is a spawned actor that tells of its restarts.
func restarting(t *testing.T) (*actorsystem.Mailbox, actorsystem.Target, <-chan string) {
	restarted := make(chan string, 1)
	m, target := spawned(t, func(ctx actor.Context) {
		if _, is := ctx.Message().(*actor.Restarting); is {
			restarted <- goroutine()
		}
		calls(ctx)
	})
	settled(t, target)
	return m, target, restarted
}

// A goroutine that ends while it runs the actor (a test's FailNow, say) is a failure of the
// message, and of nothing else: whose goroutine it is doesn't matter.
func TestMailboxSurvivesTheEndOfAGoroutine(t *testing.T) {
	t.Run("its sender's", func(t *testing.T) {
		m, target, restarted := restarting(t)
		ended := make(chan string, 1)
		go func() {
			name, within := goroutine(), false
			defer func() { ended <- name }()
			for !within {
				posted := make(chan struct{})
				m.Here(call(func() { within = true; runtime.Goexit() }), call(func() { close(posted) }))
				testkit.Await(t, "what was posted instead", posted)
			}
		}()
		name := testkit.Await(t, "the goroutine's end", ended)
		require.NotEqual(t, name, testkit.Await(t, "the restart", restarted))
		settled(t, target)
		here(t, m, func() {})
	})
	t.Run("the kept one, while others wait", func(t *testing.T) {
		m, target, restarted := restarting(t)
		for range 3 {
			goOn, after := make(chan struct{}), make(chan struct{})
			target.Send(call(func() { <-goOn; runtime.Goexit() }))
			target.Send(call(func() { close(after) }))
			close(goOn)
			testkit.Await(t, "the restart", restarted)
			testkit.Await(t, "the message that waited", after)
		}
		settled(t, target)
		here(t, m, func() {})
	})
}

// So it is of every actor of ours, on whatever dispatcher.
func TestSpawnedActorsSurviveTheEndOfAGoroutine(t *testing.T) {
	system, release := actorsystem.Acquire()
	defer release()
	stopped := make(chan struct{})
	pid, err := actorsystem.Spawn(system, "mailbox-test-", func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if _, is := ctx.Message().(*actor.Stopped); is {
				close(stopped)
			}
			calls(ctx)
		})
	})
	require.NoError(t, err)
	target := actorsystem.TargetOf(system, pid)
	target.Send(call(runtime.Goexit))
	settled(t, target)
	target.Poison()
	testkit.Await(t, "the actor's end", stopped)
}

// Every message is handled once, one at a time, and each sender's in their order.
func TestMailboxKeepsTheOrderOfEach(t *testing.T) {
	const senders, each = 8, 2000
	var running atomic.Int32
	last, handled := make([]int, senders), 0
	m, target := spawned(t, calls)
	var all sync.WaitGroup
	for sender := range senders {
		random := rand.New(rand.NewPCG(1, uint64(sender)))
		all.Go(func() {
			for i := 1; i <= each; i++ {
				f := call(func() {
					if running.Add(1) != 1 {
						t.Error("two at a time")
					}
					if last[sender] != i-1 {
						t.Errorf("%d after %d", i, last[sender])
					}
					last[sender], handled = i, handled+1
					running.Add(-1)
				})
				if random.IntN(2) == 0 {
					m.Here(f, f)
				} else {
					target.Send(f)
				}
			}
		})
	}
	all.Wait()
	settled(t, target)
	require.Equal(t, senders*each, handled)
	require.Zero(t, m.UserMessageCount())
}

// kept is an invoker that notes what it is given.
type kept struct{ got []string }

func (k *kept) InvokeSystemMessage(m any) { k.got = append(k.got, fmt.Sprint("system ", m)) }
func (k *kept) InvokeUserMessage(m any)   { k.got = append(k.got, fmt.Sprint("user ", m)) }
func (k *kept) EscalateFailure(_, m any)  { k.got = append(k.got, fmt.Sprint("failed ", m)) }
func (k *kept) Schedule(f func())         { scheduled = append(scheduled, f) }
func (k *kept) Throughput() int           { return 3 }

var scheduled []func()

// What the library tells comes first, and while it has an actor suspended nothing else.
func TestMailboxOfASuspendedActor(t *testing.T) {
	scheduled = nil
	k, m := new(kept), new(actorsystem.Mailbox)
	m.RegisterHandlers(k, k)
	m.Start()
	for i := range 5000 {
		m.PostUserMessage(i)
	}
	m.PostSystemMessage("first")
	m.PostSystemMessage(&actor.SuspendMailbox{})
	m.PostSystemMessage("second")
	require.Len(t, scheduled, 1, "one run at a time")
	require.Equal(t, 5000, m.UserMessageCount())
	scheduled[0]()
	require.Equal(t, []string{"system first", "system second"}, k.got)
	require.True(t, m.Here("now", "later"))
	require.Len(t, scheduled, 2)
	scheduled[1]()
	require.Len(t, k.got, 2)
	m.PostSystemMessage(&actor.ResumeMailbox{})
	scheduled[2]()
	require.Len(t, k.got, 5003)
	for i := range 5000 {
		require.Equal(t, fmt.Sprint("user ", i), k.got[2+i])
	}
	require.Equal(t, "user later", k.got[5002])
	require.False(t, m.Here("now", "later"))
	require.Equal(t, "user now", k.got[5003])
	require.Len(t, scheduled, 3)
}
