// Package ending is how the examples come to an end: their actors, and the programs
// themselves should they hang. What they claim they judge by what happens, and never by how
// long it takes.
package ending

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Within ends the program with exit code 1, and says what every goroutine is doing, if it has
// not ended by itself by then.
func Within(limit time.Duration) {
	time.AfterFunc(limit, func() {
		stacks := make([]byte, 1<<20)
		fmt.Fprintf(os.Stderr, "it does not come to an end within %v\n\n%s\n", limit, stacks[:runtime.Stack(stacks, true)])
		os.Exit(1)
	})
}

// Stop stops an actor, and returns when it and its children have ended, however long that
// takes: the library's StopFuture gives up after ten seconds.
func Stop(system *actor.ActorSystem, pid *actor.PID) error {
	ended := actor.NewFuture(system, -1) // no limit
	process, _ := system.ProcessRegistry.Get(pid)
	process.SendSystemMessage(pid, &actor.Watch{Watcher: ended.PID()})
	system.Root.Stop(pid)
	return ended.Wait()
}
