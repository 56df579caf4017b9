package engine

import (
	"fmt"
	"sync"

	"forge.lthn.ai/core/go-store/actors/gateway"
	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
)

// ActorProps is Proto.Actor's.
type ActorProps = actor.Props

// handle is what a gateway is for: one answers everybody who has the same.
type handle struct {
	namespace string // "": the whole store
	quota     kv.QuotaConfig
}

// gateways are those of an open store. There is none before somebody asks for one.
type gateways struct {
	mu struct {
		sync.Mutex
		open    map[handle]gateway.Ref
		release func() // of the actor system
		closed  bool
	}
}

// PID is the address of the gateway for a namespace, or for the whole store. One that
// has been stopped is replaced.
func (e *Engine) PID(namespace string, quota kv.QuotaConfig) (*actor.PID, error) {
	if err := e.usable(); err != nil {
		return nil, err
	}
	g := &e.gateways
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.closed {
		return nil, kv.ClosedError
	}
	of := handle{namespace, quota}
	if ref, found := g.mu.open[of]; found && !actorsystem.Ended(ref.Done()) {
		return ref.PID, nil
	}
	if g.mu.open == nil {
		g.mu.open = make(map[handle]gateway.Ref)
	}
	ref, err := gateway.Spawn(e.system(), e.gatewayConfig(namespace, quota))
	if err != nil {
		return nil, fmt.Errorf("start actor: %w", err)
	}
	g.mu.open[of] = ref
	return ref.PID, nil
}

// system is the one that the store's actors run in. The caller has the lock.
func (e *Engine) system() *actor.ActorSystem {
	if e.config.System != nil {
		return e.config.System
	}
	if e.gateways.mu.release == nil {
		_, e.gateways.mu.release = actorsystem.Acquire()
	}
	system, release := actorsystem.Acquire() // the same, since it has a user
	release()
	return system
}

func (e *Engine) gatewayConfig(namespace string, quota kv.QuotaConfig) gateway.Config {
	if e.actors != nil {
		e.actors.gate.Measure()
	}
	return gateway.Config{Store: e, Namespace: namespace, Quota: quota, Readers: e.config.Readers,
		Logger: e.config.Logger, Failpoint: e.config.Failpoint}
}

// stop ends all of them, and whoever would start one more. Everything that they have
// submitted has been answered by then.
func (g *gateways) stop() {
	g.mu.Lock()
	open, release := g.mu.open, g.mu.release
	g.mu.open, g.mu.release, g.mu.closed = nil, nil, true
	g.mu.Unlock()
	for _, ref := range open {
		ref.Stop()
	}
	if release != nil {
		release()
	}
}

// Dropped counts messages to the store's actors that came to nothing.
type Dropped struct{ Unknown, Unsent, Crowded, Undelivered uint64 }

// Dropped is how many there were.
func (e *Engine) Dropped() (all Dropped) {
	if e == nil {
		return all
	}
	e.gateways.mu.Lock()
	defer e.gateways.mu.Unlock()
	for _, ref := range e.gateways.mu.open {
		unknown, unsent, crowded, undelivered := ref.Dropped()
		all.Unknown += unknown
		all.Unsent += unsent
		all.Crowded += crowded
		all.Undelivered += undelivered
	}
	return all
}

// Props are those of an actor that opens a store of its own. configure runs each time
// that it does.
func Props(configure func() (Config, error)) *ActorProps {
	return gateway.Props(func(system *actor.ActorSystem) (gateway.Config, error) {
		config, err := configure()
		if err != nil {
			return gateway.Config{}, err
		}
		if config.System != nil && config.System != system {
			return gateway.Config{}, fmt.Errorf("the actor is spawned in another system than its store's: %w", kv.InvalidOptionError)
		}
		config.System = system
		e, err := Open(config)
		if err != nil {
			return gateway.Config{}, err
		}
		return e.gatewayConfig("", kv.QuotaConfig{}), nil
	})
}

var _ gateway.Store = (*Engine)(nil)
