package engine

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/internal/testkit/report"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// prefixes of the names of our actors.
var prefixes = []string{"go-store-writer-", "go-store-notifier-", "go-store-reaper-", "go-store-quota-"}

// pids are the actors of a system whose names begin with a prefix.
func pids(system *actor.ActorSystem, prefix string) (found []*actor.PID) {
	for _, bucket := range system.ProcessRegistry.LocalPIDs.LocalPIDs {
		bucket.IterCb(func(name string, _ any) {
			if strings.HasPrefix(name, prefix) {
				found = append(found, system.NewLocalPID(name))
			}
		})
	}
	return found
}

// ours is how many actors of go-store are in a system.
func ours(system *actor.ActorSystem) (n int) {
	for _, prefix := range prefixes {
		n += len(pids(system, prefix))
	}
	return n
}

// foreign is a system of the user's.
func foreign() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(
		func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
}

// TestTwoStoresInTheUsersSystem: each goes without the other, and the system
// stays.
func TestTwoStoresInTheUsersSystem(t *testing.T) {
	system := foreign()
	defer system.Shutdown()
	a, b := open(t, Config{System: system}), open(t, Config{System: system})
	require.Equal(t, 8, ours(system))
	must(t, a, set("g", "k", "a"))
	must(t, b, set("g", "k", "b"))
	closeNow(t, a)
	require.Equal(t, 4, ours(system))
	require.Equal(t, testkit.Present("b"), value(t, b, "g", "k"))
	must(t, b, set("g", "k", "c"))
	expires(t, b, "still")
	closeNow(t, b)
	require.Zero(t, ours(system))
	require.False(t, system.IsStopped())
	echo := make(chan string, 1)
	pid := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if m, ok := ctx.Message().(string); ok {
			echo <- m
		}
	}))
	system.Root.Send(pid, "alive")
	require.Equal(t, "alive", testkit.Await(t, "the user's own actor", echo))
	require.NoError(t, system.Root.PoisonFuture(pid).Wait())
}

// TestSystemThatIsShutDownFirst: the user did it in the wrong order.
func TestSystemThatIsShutDownFirst(t *testing.T) {
	system := foreign()
	e := open(t, Config{System: system, PurgeInterval: time.Millisecond})
	must(t, e, set("g", "k", "v"))
	system.Shutdown()
	noneHangs(t, e)
	closeNow(t, e)
}

// TestOneSystemForTheProcess: stores that bring none share one, which is let go
// of with the last of them.
func TestOneSystemForTheProcess(t *testing.T) {
	system, release := actorsystem.Acquire()
	testkit.Within(t, "opening and closing", func() {
		var using sync.WaitGroup
		for range 4 {
			using.Go(func() {
				for range 4 {
					e, err := Open(Config{Path: ":memory:"})
					if !assert.NoError(t, err) {
						return
					}
					_, err = e.Apply(context.Background(), set("g", "k", "v"))
					assert.NoError(t, err)
					assert.NoError(t, e.Close())
				}
			})
		}
		using.Wait()
	})
	require.Zero(t, ours(system))
	release()
	e := open(t, Config{})
	must(t, e, set("g", "k", "v"))
	require.Zero(t, ours(system), "the next store starts another")
}

// TestActorStoppedFromOutside: the user's system is the user's, whose code may stop
// any actor in it. No caller hangs, the store closes, and what was acknowledged
// is there.
func TestActorStoppedFromOutside(t *testing.T) {
	for _, prefix := range prefixes {
		for name, stop := range map[string]func(*actor.RootContext, *actor.PID){
			"stop": (*actor.RootContext).Stop, "poison": (*actor.RootContext).Poison,
		} {
			t.Run(strings.TrimPrefix(prefix, "go-store-")+name, func(t *testing.T) {
				path := t.TempDir() + "/store.db"
				system := foreign()
				defer system.Shutdown()
				e := open(t, Config{Path: path, Durability: kv.DurabilityBuffered, System: system, PurgeInterval: time.Millisecond, WatchBuffer: 1 << 14})
				l := startLoad(t, e, 16, 2)
				for _, w := range l.workers {
					w.lenient.Store(true)
				}
				l.more(40)
				stop(system.Root, pids(system, prefix)[0])
				l.more(200)
				l.finish()
				noneHangs(t, e)
				closeNow(t, e)
				require.Zero(t, ours(system))
				if prefix != "go-store-notifier-" { // which took the watchers with it
					l.verifyEvents()
				}
				l.verifyKeys(open(t, Config{Path: path}))
			})
		}
	}
}

// noneHangs calls everything once more, each in a goroutine of its own.
func noneHangs(t *testing.T, e *Engine) {
	t.Helper()
	for name, call := range everything {
		testkit.Within(t, name, func() { _ = call(e) })
	}
}

// TestActorStoppedWhileItFails at each of its steps: the stop overtakes the
// restart, twice.
func TestActorStoppedWhileItFails(t *testing.T) {
	for _, step := range steps {
		if slices.Contains(afterRestart, step) {
			continue
		}
		t.Run(step, func(t *testing.T) {
			system := foreign()
			defer system.Shutdown()
			name, _, _ := strings.Cut(step, ".")
			armed := make(chan struct{}, 1)
			e := open(t, Config{System: system, PurgeInterval: time.Millisecond, WatchBuffer: 1 << 14, Failpoint: func(hit string) {
				if hit != step {
					return
				}
				select {
				case <-armed:
					for _, pid := range pids(system, "go-store-"+name+"-") {
						system.Root.Stop(pid)
						system.Root.Stop(pid)
					}
					panic(testkit.Injected{Step: step})
				default:
				}
			}})
			l := startLoad(t, e, 16, 3)
			for _, w := range l.workers {
				w.lenient.Store(true)
			}
			l.more(20)
			armed <- struct{}{}
			if !slices.Contains(last, step) {
				testkit.Until(t, "the failure", func() bool { return len(armed) == 0 })
			}
			l.more(report.Rounds(40, 80, 200))
			l.finish()
			l.verifyKeys(e) // reads pass no actor
			noneHangs(t, e)
			closeNow(t, e)
			require.Empty(t, armed)
			if name != "notifier" { // which took the watchers with it
				l.verifyEvents()
			}
		})
	}
}

// TestNamesThatAreTaken: an actor of the user's may have any name, one of the store's too, and has
// nothing of it.
func TestNamesThatAreTaken(t *testing.T) {
	for _, prefix := range []string{"go-store-notifier-", "go-store-reaper-", "go-store-quota-", "go-store-writer-", "go-store-gateway-"} {
		t.Run(prefix, func(t *testing.T) {
			system := foreign()
			defer system.Shutdown()
			sequence := system.ProcessRegistry.SequenceID
			for range 20 { // whatever number it would get
				_, err := system.Root.SpawnNamed(actor.PropsFromFunc(func(actor.Context) {}), prefix+system.ProcessRegistry.NextId())
				require.NoError(t, err)
			}
			system.ProcessRegistry.SequenceID = sequence
			e := open(t, Config{Path: t.TempDir() + "/store.db", System: system})
			must(t, e, set("g", "k", "v"))
			_, err := e.PID("", kv.QuotaConfig{})
			require.NoError(t, err)
			closeNow(t, e)
			require.Len(t, pids(system, prefix), 20, "the user's are left")
		})
	}
}

// TestWatchingActorInTheUsersSystem gets events as messages until it stops.
func TestWatchingActorInTheUsersSystem(t *testing.T) {
	system := foreign()
	defer system.Shutdown()
	e := open(t, Config{System: system})
	seen := make(chan kv.Event, 10)
	pid := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if changed, ok := ctx.Message().(Changed); ok {
			seen <- changed.Event
		}
	}))
	w := e.WatchActor(pid, "n", "*", "*")
	must(t, e, set("n:g", "k", "v"))
	must(t, e, set("other", "k", "v"))
	require.Equal(t, "n:g", testkit.Await(t, "the actor", seen).Group)
	e.Unwatch(w)
	must(t, e, set("n:g", "k", "w"))
	again := e.WatchActor(pid, "", "g", "*")
	must(t, e, set("g", "k", "v"))
	require.Equal(t, "g", testkit.Await(t, "the actor", seen).Group)
	require.NoError(t, system.Root.PoisonFuture(pid).Wait())
	must(t, e, set("g", "k", "w"))
	e.Unwatch(again)
	closeNow(t, e)
	_, open := <-e.WatchActor(pid, "", "g", "*").Events
	require.False(t, open, "a watcher of a closed store is closed")
}

// TestActorStoppedFromOutsideWhileClosing: Close waits for writes that wait for
// a count that no actor will make.
func TestActorStoppedFromOutsideWhileClosing(t *testing.T) {
	for _, prefix := range prefixes {
		t.Run(prefix, func(t *testing.T) {
			system := foreign()
			defer system.Shutdown()
			pause := testkit.NewPause("quota.count")
			e := open(t, Config{System: system, Failpoint: pause.Hook})
			inHand := send(t.Context(), e, within(set("a:g", "k", "v"), "a", quotas[roomy]))
			testkit.Await(t, "the count", pause.Reached)
			queued := send(t.Context(), e, within(set("b:g", "k", "v"), "b", quotas[roomy]))
			testkit.Until(t, "both writes' admission", func() bool { return e.InFlight() == 2 })
			must(t, e, set("c:g", "k", "v")) // behind them: the count of b was asked for
			usage := make(chan error, 1)
			go func() { usage <- second(e.Usage(context.Background(), "d")) }()
			closed := make(chan error, 1)
			go func() { closed <- e.Close() }()
			testkit.Until(t, "the closing", e.closed.Load)
			system.Root.Stop(pids(system, prefix)[0])
			close(pause.Resume)
			testkit.Await(t, "the write whose count was in hand", inHand)
			testkit.Await(t, "the write whose count was queued", queued)
			testkit.Await(t, "Usage", usage)
			require.NoError(t, testkit.Await(t, "Close", closed))
			require.Zero(t, ours(system))
		})
	}
}
