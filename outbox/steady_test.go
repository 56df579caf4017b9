package outbox_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/outbox"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// TestAReceiverThatAnswersIsNotGivenUp: of what it answers steadily nothing is dead, however
// often in all it was sent again.
func TestAReceiverThatAnswersIsNotGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(outbox.Message) any
		reason string
	}{
		"acknowledges": {answer: func(m outbox.Message) any { return m.Ack() }},
		"refuses":      {answer: func(m outbox.Message) any { return m.Reject("no") }, reason: "rejected: no"},
	} {
		t.Run("slowly and "+name, func(t *testing.T) {
			store, system := openStore(t, ":memory:"), newSystem(t)
			backlog(t, store)
			next, had := 0, false // answers the next one when it comes again: a lapse before each
			slow := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
				m, ok := ctx.Message().(outbox.Message)
				switch {
				case !ok || m.Payload != fmt.Sprint(next):
				case !had:
					had = true
				default:
					next, had = next+1, false
					ctx.Respond(c.answer(m))
				}
			}))
			// Pauses that double give the receiver time, however slow the machine is.
			start(t, store, system, outbox.Options{
				Window: 20, Timeout: time.Millisecond, FirstPause: time.Millisecond,
				Resolve: func(string) (*actor.PID, error) { return slow, nil },
			})
			emptied(t, store)
			require.NoError(t, system.Root.StopFuture(slow).Wait())
			dead, err := store.DeadPage("orders", "", 1000)
			require.NoError(t, err)
			for _, m := range dead {
				require.Equal(t, c.reason, m.Reason)
			}
			require.Equal(t, 100, next)
		})
	}
	t.Run("and is away in between", func(t *testing.T) {
		store, system := openStore(t, ":memory:"), newSystem(t)
		backlog(t, store)
		tries := 0 // of one address's goroutine at a time
		// Fewer than four lives have. Pauses double until it is known what a life has answered.
		start(t, store, system, outbox.Options{
			Attempts: 12, Timeout: time.Hour, FirstPause: time.Millisecond,
			Resolve: func(string) (*actor.PID, error) {
				if tries++; tries%4 != 0 {
					return nil, errors.New("away")
				}
				answered := false // one, and ends
				return system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
					if m, ok := ctx.Message().(outbox.Message); ok && !answered {
						answered = true
						ctx.Respond(m.Ack())
						ctx.Stop(ctx.Self())
					}
				})), nil
			},
		})
		emptied(t, store)
		dead, err := store.DeadPage("orders", "", 1000)
		require.NoError(t, err)
		require.Zero(t, len(dead))
	})
}

func backlog(t *testing.T, store *api.Store) {
	batch := new(api.Batch)
	for i := range 100 {
		batch.Tell("orders", fmt.Sprint(i))
	}
	_, err := store.Batch(batch)
	require.NoError(t, err)
}
