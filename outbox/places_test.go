package outbox_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/outbox"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// TestDeadAddressesStarveNobody: one that pauses has no place, however many do.
func TestDeadAddressesStarveNobody(t *testing.T) {
	for name, deaf := range map[string]bool{"nobody": false, "deaf": true} {
		t.Run(name, func(t *testing.T) {
			store, system, live, silent := openStore(t, ":memory:"), newSystem(t), newInbox(), newInbox()
			silent.ignore = func(outbox.Message) bool { return true }
			alive, none := spawn(t, system, "alive", live), spawn(t, system, "silent", silent)
			for i := range 50 {
				require.NoError(t, store.Tell(fmt.Sprint("gone ", i), "m"))
			}
			require.NoError(t, store.Tell("live", "first")) // behind them all
			start(t, store, system, outbox.Options{Addresses: 4, Timeout: time.Millisecond, FirstPause: time.Hour, LastPause: time.Hour,
				Resolve: func(address string) (*actor.PID, error) {
					switch {
					case address == "live":
						return alive, nil
					case deaf:
						return none, nil
					default:
						return nil, errors.New("nobody")
					}
				}})
			require.Equal(t, "first", testkit.Await(t, "what was there", live.got).Payload)
			require.NoError(t, store.Tell("live", "second"))
			require.Equal(t, "second", testkit.Await(t, "what came later", live.got).Payload)
			testkit.Until(t, "the living has nothing left", func() bool { return waiting(t, store) == 50 })
		})
	}
}

// TestAttemptsOutlastAPlace: those that have none are given up no later for it, and an
// acknowledgement that comes while they have none is taken.
func TestAttemptsOutlastAPlace(t *testing.T) {
	store, system := openStore(t, ":memory:"), newSystem(t)
	for i := range 20 {
		require.NoError(t, store.Tell(fmt.Sprint("gone ", i), "m"))
	}
	start(t, store, system, outbox.Options{Addresses: 2, FirstPause: time.Millisecond, LastPause: 2 * time.Millisecond, Attempts: 4})
	emptied(t, store)
	for i := range 20 {
		page, err := store.DeadPage(fmt.Sprint("gone ", i), "", 10)
		require.NoError(t, err)
		require.Len(t, page, 1)
		require.Equal(t, 4, page[0].Attempts)
	}
}

// TestAnAnswerDuringAPause: the one that comes while its address has no place.
func TestAnAnswerDuringAPause(t *testing.T) {
	t.Run("acknowledgement", func(t *testing.T) {
		store := answerDuringAPause(t, func(m outbox.Message) any { return m.Ack() })
		dead, err := store.DeadPage("a slow one", "", 10)
		require.NoError(t, err)
		require.Empty(t, dead)
	})
	t.Run("refusal", func(t *testing.T) {
		store := answerDuringAPause(t, func(m outbox.Message) any { return m.Reject("no use") })
		dead, err := store.DeadPage("a slow one", "", 10)
		require.NoError(t, err)
		require.Len(t, dead, 1)
		require.Equal(t, "rejected: no use", dead[0].Reason)
		require.Equal(t, 1, dead[0].Attempts, "it was not sent again")
	})
}

func answerDuringAPause(t *testing.T, answer func(outbox.Message) any) *api.Store {
	store, system, live := openStore(t, ":memory:"), newSystem(t), newInbox()
	alive := spawn(t, system, "alive", live)
	late := make(chan func(), 1)
	slow := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if m, ok := ctx.Message().(outbox.Message); ok {
			to := ctx.Sender()
			late <- func() { system.Root.Send(to, answer(m)) }
		}
	}))
	require.NoError(t, store.Tell("a slow one", "m"))
	require.NoError(t, store.Tell("live", "m"))
	start(t, store, system, outbox.Options{Addresses: 1, Timeout: time.Millisecond, FirstPause: time.Hour, LastPause: time.Hour,
		Resolve: func(address string) (*actor.PID, error) {
			if address == "live" {
				return alive, nil
			}
			return slow, nil
		}})
	acknowledge := testkit.Await(t, "the slow one has it", late)
	testkit.Await(t, "the other one has its turn", live.got)
	acknowledge()
	emptied(t, store)
	require.NoError(t, system.Root.StopFuture(slow).Wait())
	return store
}

// TestALongBacklogStarvesNobody: after a window the next address has its turn.
func TestALongBacklogStarvesNobody(t *testing.T) {
	store, system, long, live := openStore(t, ":memory:"), newSystem(t), newInbox(), newInbox()
	batch := new(api.Batch)
	for i := range 1000 {
		batch.Tell("a long one", fmt.Sprint(i))
	}
	_, err := store.Batch(batch.Tell("live", "m"))
	require.NoError(t, err)
	turn := make(chan struct{})
	long.ignore = func(m outbox.Message) bool {
		if m.Payload == "500" {
			<-turn
		}
		return false
	}
	spawn(t, system, "a long one", long)
	spawn(t, system, "live", live)
	start(t, store, system, outbox.Options{Addresses: 1, Window: 8, Timeout: time.Hour})
	testkit.Await(t, "the other one has its turn", live.got)
	close(turn)
	emptied(t, store)
	require.Len(t, long.got, 1000, "each once")
	require.Len(t, long.payloads(), 1000)
	require.Equal(t, "999", long.payloads()[999])
}

// TestTheBacklogOfADeadAddress: what follows a message for which no actor was there as
// often as it takes is not tried as often again.
func TestTheBacklogOfADeadAddress(t *testing.T) {
	for name, c := range map[string]struct {
		deaf   bool
		others int
		reason string
	}{"nobody": {false, 0, "nobody"}, "nobody, crowded": {false, 3, "nobody"}, "deaf": {true, 0, "not acknowledged"}, "deaf, crowded": {true, 3, "not acknowledged"}} {
		t.Run(name, func(t *testing.T) {
			store, system, silent := openStore(t, ":memory:"), newSystem(t), newInbox()
			silent.ignore = func(outbox.Message) bool { return true }
			deaf := spawn(t, system, "silent", silent)
			const backlog = 2000
			batch := new(api.Batch)
			for i := range backlog {
				batch.Tell("gone", fmt.Sprint(i))
			}
			for i := range c.others {
				batch.Tell(fmt.Sprint("other ", i), "m")
			}
			_, err := store.Batch(batch)
			require.NoError(t, err)
			var tries atomic.Int64
			start(t, store, system, outbox.Options{Window: 20, Addresses: 1, Timeout: time.Millisecond,
				FirstPause: time.Millisecond, LastPause: time.Millisecond, Attempts: 3,
				Resolve: func(string) (*actor.PID, error) {
					tries.Add(1)
					if c.deaf {
						return deaf, nil
					}
					return nil, errors.New("nobody")
				}})
			emptied(t, store)
			require.LessOrEqual(t, tries.Load(), int64(3+backlog/20+4*(c.others+1)))
			last := ""
			for n := 0; n < backlog; n++ {
				page, err := store.DeadPage("gone", last, 1)
				require.NoError(t, err)
				require.Len(t, page, 1)
				require.Equal(t, fmt.Sprint(n), page[0].Payload)
				require.Contains(t, page[0].Reason, c.reason)
				last = page[0].ID + "\x00"
			}
			// Later ones are tried as often as the first.
			testkit.Until(t, "the backlog to be over", func() bool {
				require.NoError(t, store.Tell("gone", "later"))
				emptied(t, store)
				page, err := store.DeadPage("gone", last, 1)
				require.NoError(t, err)
				require.Len(t, page, 1)
				require.Equal(t, "later", page[0].Payload)
				last = page[0].ID + "\x00"
				return page[0].Attempts >= 3
			})
		})
	}
}

// TestAnAddressThatComesBack: what is left of a backlog that is being given up reaches
// the actor that is there by then.
func TestAnAddressThatComesBack(t *testing.T) {
	store, system, live := openStore(t, ":memory:"), newSystem(t), newInbox()
	alive := spawn(t, system, "alive", live)
	batch := new(api.Batch)
	for i := range 100 {
		batch.Tell("gone", fmt.Sprint(i))
	}
	_, err := store.Batch(batch)
	require.NoError(t, err)
	var tries atomic.Int64
	start(t, store, system, outbox.Options{Window: 10, FirstPause: time.Millisecond, LastPause: time.Millisecond, Attempts: 2,
		Resolve: func(string) (*actor.PID, error) {
			if tries.Add(1) > 5 { // two attempts, and three pages
				return alive, nil
			}
			return nil, errors.New("nobody")
		}})
	emptied(t, store)
	require.Len(t, live.payloads(), 60)
	require.Equal(t, "40", live.payloads()[0])
}

// TestReject: what the receiver will never take is given up at once.
func TestReject(t *testing.T) {
	store, system := openStore(t, ":memory:"), newSystem(t)
	picky, err := system.Root.SpawnNamed(actor.PropsFromFunc(func(ctx actor.Context) {
		if m, ok := ctx.Message().(outbox.Message); ok && m.Payload == "bad" {
			ctx.Respond(m.Reject("I can't read it"))
		} else if ok {
			ctx.Respond(m.Ack())
		}
	}), "picky")
	require.NoError(t, err)
	for _, payload := range []string{"good", "bad", "good"} {
		require.NoError(t, store.Tell("picky", payload))
	}
	start(t, store, system, outbox.Options{Timeout: time.Hour})
	emptied(t, store)
	page, err := store.DeadPage("picky", "", 10)
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Equal(t, "rejected: I can't read it", page[0].Reason)
	require.Equal(t, 1, page[0].Attempts)
	require.NoError(t, system.Root.StopFuture(picky).Wait())
}

// TestReceiversAreLocal: an actor elsewhere is refused by name.
func TestReceiversAreLocal(t *testing.T) {
	store, system := openStore(t, ":memory:"), newSystem(t)
	require.NoError(t, store.Tell("orders", "m"))
	start(t, store, system, outbox.Options{Attempts: 1, Resolve: func(string) (*actor.PID, error) {
		return actor.NewPID("elsewhere:80", "orders"), nil
	}})
	emptied(t, store)
	page, err := store.DeadPage("orders", "", 10)
	require.NoError(t, err)
	require.Contains(t, page[0].Reason, "local only")
}
