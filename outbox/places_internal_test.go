package outbox

import (
	"errors"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// TestATurnIsNotMissed: a turn is told of just before it is known that an address waits
// for one.
func TestATurnIsNotMissed(t *testing.T) {
	store, err := api.New(":memory:")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	require.NoError(t, store.Tell("waits", "m"))
	tried := make(chan struct{}, 1)
	o, err := prepare(store, quietSystem(t), Options{Addresses: 1, Resolve: func(string) (*actor.PID, error) {
		select {
		case tried <- struct{}{}:
		default:
		}
		return nil, errors.New("nobody")
	}})
	require.NoError(t, err)
	o.running.Go(o.serve)
	t.Cleanup(func() { o.cancel(); o.running.Wait() })

	serves := func(state string) func() bool {
		return func() bool {
			for goroutine := range strings.SplitSeq(testkit.Stacks(), "\n\n") {
				if strings.Contains(goroutine, "(*Outbox).serve") && strings.Contains(goroutine, "["+state+"]") {
					return true
				}
			}
			return false
		}
	}
	testkit.Until(t, "it waits for a turn", serves("select"))
	o.mu.Lock()
	o.turn()
	testkit.Until(t, "it has seen the turn and waits for the lock", serves("sync.Mutex.Lock"))
	o.crowd()
	o.mu.missed++
	o.mu.Unlock()
	testkit.Await(t, "the address has its turn", tried)
}
