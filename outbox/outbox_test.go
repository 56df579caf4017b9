package outbox_test

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/outbox"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	faultfs.Install()
	testkit.Main(m)
}

func newSystem(t testing.TB) *actor.ActorSystem {
	t.Helper()
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	t.Cleanup(system.Shutdown)
	return system
}

func openStore(t testing.TB, path string, options ...api.Option) *api.Store {
	t.Helper()
	store, err := api.New(path, options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

func start(t testing.TB, store *api.Store, system *actor.ActorSystem, options outbox.Options) *outbox.Outbox {
	t.Helper()
	o, err := outbox.Start(store, system, options)
	require.NoError(t, err)
	t.Cleanup(func() { testkit.Within(t, "Stop", o.Stop) })
	return o
}

// inbox is a receiver that keeps what it gets.
type inbox struct {
	ignore func(outbox.Message) bool // not acknowledged
	got    chan outbox.Message
	mu     struct {
		sync.Mutex
		seen map[string]bool
		all  []string // payloads, repeats dropped
	}
}

func newInbox() *inbox {
	i := &inbox{got: make(chan outbox.Message, 1<<16)}
	i.mu.seen = make(map[string]bool)
	return i
}

func (i *inbox) Receive(ctx actor.Context) {
	m, ok := ctx.Message().(outbox.Message)
	if !ok {
		return
	}
	i.mu.Lock()
	if !i.mu.seen[m.ID] {
		i.mu.seen[m.ID] = true
		i.mu.all = append(i.mu.all, m.Payload)
	}
	i.mu.Unlock()
	ignored := i.ignore != nil && i.ignore(m)
	i.got <- m // before it is acknowledged, and so before the outbox is empty
	if !ignored {
		ctx.Respond(m.Ack())
	}
}

func (i *inbox) payloads() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.mu.all)
}

func spawn(t testing.TB, system *actor.ActorSystem, name string, i *inbox, options ...actor.PropsOption) *actor.PID {
	t.Helper()
	pid, err := system.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return i }, options...), name)
	require.NoError(t, err)
	t.Cleanup(func() { _ = system.Root.StopFuture(pid).Wait() })
	return pid
}

func waiting(t testing.TB, store *api.Store) int {
	t.Helper()
	n, err := store.CountAll(api.OutboxPrefix)
	require.NoError(t, err)
	return n
}

func emptied(t testing.TB, store *api.Store) {
	t.Helper()
	testkit.Until(t, "the outbox is empty", func() bool { return waiting(t, store) == 0 })
}

func TestDeliversInOrderAndRemoves(t *testing.T) {
	for _, window := range []int{1, 3, 256} {
		t.Run(fmt.Sprint("window ", window), func(t *testing.T) {
			store, system, orders := openStore(t, ":memory:"), newSystem(t), newInbox()
			spawn(t, system, "orders", orders)
			var want []string
			tell := func(n int) {
				for range n {
					want = append(want, fmt.Sprint(len(want)))
					require.NoError(t, store.Tell("orders", want[len(want)-1]))
				}
			}
			tell(700) // before
			o := start(t, store, system, outbox.Options{Window: window})
			tell(300) // and meanwhile
			emptied(t, store)
			require.Equal(t, want, orders.payloads())
			require.Len(t, orders.got, 1000, "each once, where nothing fails")
			o.Stop()
			require.NoError(t, o.Err())
		})
	}
}

// TestTimersAreDelivered: also of keys that expired while no process had the store open.
func TestTimersAreDelivered(t *testing.T) {
	path, clock := filepath.Join(t.TempDir(), "store.db"), testkit.NewClock()
	store, err := api.New(path, api.WithClock(clock))
	require.NoError(t, err)
	scope, err := api.NewScoped(store, "acme")
	require.NoError(t, err)
	require.NoError(t, scope.SetWithTTL("sessions", "ada", "state", time.Minute, api.NotifyOnExpiry("closer")))
	require.NoError(t, store.Close())
	clock.Advance(time.Hour)

	store, err = api.New(path, api.WithClock(clock))
	require.NoError(t, err)
	system, closer := newSystem(t), newInbox()
	spawn(t, system, "acme:closer", closer)
	o := start(t, store, system, outbox.Options{})
	_, err = store.PurgeExpired()
	require.NoError(t, err)
	m := testkit.Await(t, "the timer", closer.got)
	require.Equal(t, "acme:closer", m.Address)
	require.Equal(t, 1, m.Attempt)
	require.Equal(t, "acme:sessions/ada=state", m.Expired.Group+"/"+m.Expired.Key+"="+m.Expired.Value)
	require.WithinDuration(t, clock.Now().Add(-59*time.Minute), m.Expired.ExpiresAt, time.Millisecond)
	emptied(t, store)
	require.NoError(t, store.Close())
	testkit.Await(t, "the end of the outbox with its store", o.Done())
	require.ErrorIs(t, o.Err(), api.ClosedError)
}

// TestResumesWhatWasNotAcknowledged: after a restart everything that was not, with the
// IDs that it had.
func TestResumesWhatWasNotAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	store, err := api.New(path)
	require.NoError(t, err)
	system, orders := newSystem(t), newInbox()
	orders.ignore = func(m outbox.Message) bool { return m.Payload > "4" }
	spawn(t, system, "orders", orders)
	for i := range 10 {
		require.NoError(t, store.Tell("orders", fmt.Sprint(i)))
	}
	o := start(t, store, system, outbox.Options{})
	ids := make(map[string]string)
	for range 10 {
		m := testkit.Await(t, "a message", orders.got)
		ids[m.Payload] = m.ID
	}
	testkit.Until(t, "the acknowledged are removed", func() bool { return waiting(t, store) == 5 })
	o.Stop()
	require.NoError(t, store.Close())

	store = openStore(t, path)
	again := newInbox()
	start(t, store, system, outbox.Options{Resolve: func(string) (*actor.PID, error) {
		return spawn(t, system, "elsewhere", again), nil
	}})
	emptied(t, store)
	require.Equal(t, []string{"5", "6", "7", "8", "9"}, again.payloads())
	for range 5 {
		m := testkit.Await(t, "a message", again.got)
		require.Equal(t, ids[m.Payload], m.ID)
	}
}

// TestASilentReceiverGetsItAgain: go-back-N, from the oldest on, in order.
func TestASilentReceiverGetsItAgain(t *testing.T) {
	store, system, orders := openStore(t, ":memory:"), newSystem(t), newInbox()
	orders.ignore = func(m outbox.Message) bool { return m.Attempt < 3 }
	spawn(t, system, "orders", orders)
	for i := range 5 {
		require.NoError(t, store.Tell("orders", fmt.Sprint(i)))
	}
	start(t, store, system, outbox.Options{Timeout: 5 * time.Millisecond, FirstPause: time.Millisecond})
	emptied(t, store)
	require.Equal(t, []string{"0", "1", "2", "3", "4"}, orders.payloads())
}

func TestDeadAddresses(t *testing.T) {
	quick := outbox.Options{Timeout: 2 * time.Millisecond, FirstPause: time.Millisecond, LastPause: 2 * time.Millisecond, Attempts: 3}
	for name, c := range map[string]struct {
		resolve func(string) (*actor.PID, error)
		deaf    bool
		reason  string
	}{
		"nobody":    {reason: "there is no actor"},
		"unknown":   {resolve: func(string) (*actor.PID, error) { return nil, errors.New("no such tenant") }, reason: "no such tenant"},
		"nil":       {resolve: func(string) (*actor.PID, error) { return nil, nil }, reason: "knows no actor"},
		"panicking": {resolve: func(string) (*actor.PID, error) { panic("oops") }, reason: "panicked: oops"},
		"deaf":      {deaf: true, reason: "not acknowledged"},
	} {
		t.Run(name, func(t *testing.T) {
			store, system := openStore(t, ":memory:"), newSystem(t)
			if c.deaf {
				deaf := newInbox()
				deaf.ignore = func(outbox.Message) bool { return true }
				spawn(t, system, "orders", deaf)
			}
			for i := range 3 {
				require.NoError(t, store.Tell("orders", fmt.Sprint(i)))
			}
			options := quick
			options.Resolve = c.resolve
			o := start(t, store, system, options)
			emptied(t, store)
			page, err := store.DeadPage("orders", "", 10)
			require.NoError(t, err)
			require.Len(t, page, 3)
			for i, m := range page {
				require.Equal(t, fmt.Sprint(i), m.Payload)
				require.Contains(t, m.Reason, c.reason)
				require.Equal(t, 3, m.Attempts)
				require.False(t, m.DiedAt.IsZero())
			}
			o.Stop()

			// Revived they are delivered in their order, under their IDs.
			orders := newInbox()
			for _, m := range page {
				require.NoError(t, store.Revive(m))
				require.ErrorIs(t, store.Revive(m), api.NotFoundError)
			}
			start(t, store, system, outbox.Options{Resolve: func(string) (*actor.PID, error) {
				return spawn(t, system, "revived", orders), nil
			}})
			emptied(t, store)
			require.Equal(t, []string{"0", "1", "2"}, orders.payloads())
			require.Equal(t, page[0].ID, testkit.Await(t, "a message", orders.got).ID)
		})
	}
}

// TestRowsThatAreNoMessages: whatever a program writes there stops no other message.
func TestRowsThatAreNoMessages(t *testing.T) {
	store, system, orders := openStore(t, ":memory:"), newSystem(t), newInbox()
	spawn(t, system, "orders", orders)
	require.NoError(t, store.Set(api.OutboxPrefix+"orders", "", "nonsense"))
	require.NoError(t, store.Set(api.OutboxPrefix+"orders", "zz", "x1"))
	require.NoError(t, store.Set(api.OutboxPrefix, "", "to nobody"))
	require.NoError(t, store.Tell("orders", "sense"))
	start(t, store, system, outbox.Options{FirstPause: time.Millisecond, LastPause: time.Millisecond, Attempts: 2})
	emptied(t, store)
	require.Equal(t, []string{"sense"}, orders.payloads())
	page, err := store.DeadPage("orders", "", 10)
	require.NoError(t, err)
	require.Len(t, page, 2)
	require.True(t, page[0].Broken)
	require.Equal(t, "nonsense", page[0].Payload)
}

// TestMoreAddressesThanPlaces: each has its turn, and one without a receiver keeps
// no other up for longer than it takes to give it up.
func TestMoreAddressesThanPlaces(t *testing.T) {
	store, system, all := openStore(t, ":memory:"), newSystem(t), newInbox()
	pid := spawn(t, system, "all", all)
	for i := range 100 {
		require.NoError(t, store.Tell(fmt.Sprint("address ", i), fmt.Sprint(i)))
	}
	start(t, store, system, outbox.Options{Addresses: 3, Resolve: func(string) (*actor.PID, error) { return pid, nil }})
	for i := range 100 {
		require.NoError(t, store.Tell(fmt.Sprint("later ", i), fmt.Sprint("later ", i)))
	}
	emptied(t, store)
	require.Len(t, all.payloads(), 200)
}

// TestABoundedMailboxBlocksNobodyElse: an address whose receiver takes nothing does not
// keep others from being served, nor Stop from returning.
func TestABoundedMailboxBlocksNobodyElse(t *testing.T) {
	store, system, orders, stuck := openStore(t, ":memory:"), newSystem(t), newInbox(), newInbox()
	release := make(chan struct{})
	stuck.ignore = func(outbox.Message) bool { <-release; return false }
	spawn(t, system, "stuck", stuck, actor.WithMailbox(actor.Bounded(4)))
	spawn(t, system, "orders", orders)
	o := start(t, store, system, outbox.Options{})
	for i := range 50 {
		require.NoError(t, store.Tell("stuck", fmt.Sprint(i)))
	}
	for i := range 50 {
		require.NoError(t, store.Tell("orders", fmt.Sprint(i)))
	}
	testkit.Until(t, "the others are served", func() bool { return len(orders.payloads()) == 50 })
	testkit.Within(t, "Stop", o.Stop)
	close(release)
}

// TestAReceiverThatIsReplaced: what was in the mailbox of the one that has ended comes to
// the next, without waiting for the timeout.
func TestAReceiverThatIsReplaced(t *testing.T) {
	store, system, first, second := openStore(t, ":memory:"), newSystem(t), newInbox(), newInbox()
	first.ignore = func(outbox.Message) bool { return true }
	pid := spawn(t, system, "orders", first)
	for i := range 5 {
		require.NoError(t, store.Tell("orders", fmt.Sprint(i)))
	}
	start(t, store, system, outbox.Options{Timeout: time.Hour, FirstPause: time.Millisecond})
	for range 5 {
		testkit.Await(t, "a message", first.got)
	}
	require.NoError(t, system.Root.StopFuture(pid).Wait())
	spawn(t, system, "orders", second)
	emptied(t, store)
	require.Equal(t, []string{"0", "1", "2", "3", "4"}, second.payloads())
}

// TestAcknowledgementsOfNothing: late, forged and foreign messages are counted.
func TestAcknowledgementsOfNothing(t *testing.T) {
	store, system, orders := openStore(t, ":memory:"), newSystem(t), newInbox()
	orders.ignore = func(outbox.Message) bool { return true }
	spawn(t, system, "orders", orders)
	require.NoError(t, store.Tell("orders", "m"))
	var self *actor.PID
	catch := actor.PropsFromFunc(func(ctx actor.Context) {
		if m, ok := ctx.Message().(outbox.Message); ok {
			self = ctx.Sender()
			orders.got <- m
		}
	})
	pid := system.Root.Spawn(catch)
	o := start(t, store, system, outbox.Options{Resolve: func(string) (*actor.PID, error) { return pid, nil }})
	m := testkit.Await(t, "the message", orders.got)
	for _, junk := range []any{outbox.Ack{}, outbox.Ack{ID: m.ID, Address: "other"}, outbox.Ack{ID: "x", Address: "orders"}, "text", 7} {
		system.Root.Send(self, junk)
	}
	testkit.Until(t, "the count", func() bool { return o.Unknown() == 5 })
	require.Equal(t, 1, waiting(t, store))
	system.Root.Send(self, &outbox.Ack{ID: m.ID})
	emptied(t, store)
	require.NoError(t, system.Root.StopFuture(pid).Wait())
}

func TestStartRefuses(t *testing.T) {
	store, system := openStore(t, ":memory:"), newSystem(t)
	_, err := outbox.Start(store, nil, outbox.Options{})
	require.ErrorIs(t, err, api.InvalidOptionError)
	_, err = outbox.Start(store, system, outbox.Options{Window: -1})
	require.ErrorIs(t, err, api.InvalidOptionError)
	_, err = outbox.Start(nil, system, outbox.Options{})
	require.ErrorIs(t, err, api.NilStoreError)
	require.NoError(t, store.Close())
	_, err = outbox.Start(store, system, outbox.Options{})
	require.ErrorIs(t, err, api.ClosedError)
	// Beside the owner everything would be delivered twice, and nothing ever removed.
	path := filepath.Join(t.TempDir(), "store.db")
	openStore(t, path)
	reader := openStore(t, path, api.WithReadOnly())
	_, err = outbox.Start(reader, system, outbox.Options{})
	require.ErrorIs(t, err, api.ReadOnlyError)
}

// TestAResolveThatEndsItsGoroutine: the address is tried again, as after any failure.
func TestAResolveThatEndsItsGoroutine(t *testing.T) {
	store, system, orders := openStore(t, ":memory:"), newSystem(t), newInbox()
	pid := spawn(t, system, "orders", orders)
	require.NoError(t, store.Tell("orders", "m"))
	calls := 0
	start(t, store, system, outbox.Options{FirstPause: time.Millisecond, Resolve: func(string) (*actor.PID, error) {
		if calls++; calls == 1 { // of one address's goroutine at a time
			runtime.Goexit()
		}
		return pid, nil
	}})
	emptied(t, store)
	require.Equal(t, []string{"m"}, orders.payloads())
}
