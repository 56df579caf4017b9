package gateway

import (
	"testing"

	"forge.lthn.ai/core/go-store/internal/actorsystem"

	"github.com/asynkron/protoactor-go/actor"
)

// systemOf is an actor system of a test's.
func systemOf(t *testing.T) *actor.ActorSystem {
	system, release := actorsystem.Acquire()
	t.Cleanup(release)
	return system
}
