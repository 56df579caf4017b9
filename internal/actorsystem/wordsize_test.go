package actorsystem

import (
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// Every name can be spawned and found in a system of ours, on a processor of 32 bits too
// (make test-386): of a thousand names the library panics there at some five hundred.
func TestEveryNameHasABucket(t *testing.T) {
	idle := actor.PropsFromFunc(func(actor.Context) {})
	use := func(system *actor.ActorSystem) {
		for i := range 1000 {
			name := fmt.Sprint("name-", i)
			pid, err := system.Root.SpawnNamed(idle, name)
			require.NoError(t, err)
			_, found := system.ProcessRegistry.Get(pid)
			require.True(t, found, name)
			require.NoError(t, system.Root.StopFuture(pid).Wait())
			_, found = system.ProcessRegistry.Get(pid)
			require.False(t, found, name)
		}
	}
	use(New())
	require.True(t, Usable(New()))
	require.NotNil(t, known().future)

	// The mend itself, wherever this runs: what is there already is found still.
	system := New()
	if !narrow {
		require.False(t, oneBucket(system))
		before, err := system.Root.SpawnNamed(idle, "before")
		require.NoError(t, err)
		useOneBucket(system.ProcessRegistry)
		_, found := system.ProcessRegistry.Get(before)
		require.True(t, found)
		require.NoError(t, system.Root.StopFuture(before).Wait())
	}
	require.True(t, oneBucket(system))
	use(system)
	require.Equal(t, narrow, !Usable(actor.NewActorSystem()), "one that a program has made")
}
