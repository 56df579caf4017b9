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

// handle is what a gateway is for: one serves all that have the same.
type handle struct {
	namespace string // "": the whole store
	quota     kv.QuotaConfig
}

// gateways are those of an open store. There is none before PID is called.
type gateways struct {
	drops gateway.Drops

	mu struct {
		sync.Mutex
		open   map[handle]gateway.Ref
		closed bool
	}
}

// maxGateways is how many gateways of namespaces one store has at a time: each is an
// actor with a goroutine.
const maxGateways = 4096

// PID is the address of the gateway for a namespace, or for the whole store, in the
// system that the caller has given. A gateway that was stopped is replaced.
func (e *Engine) PID(namespace string, quota kv.QuotaConfig) (*actor.PID, error) {
	if err := e.usable(); err != nil {
		return nil, err
	}
	if e.config.System == nil { // no actor could send anything to it
		return nil, fmt.Errorf("the store's actors run in a system of their own; open it WithActorSystem: %w", kv.InvalidOptionError)
	}
	g := &e.gateways
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.closed {
		return nil, kv.ClosedError
	}
	of := handle{namespace, quota}
	old, found := g.mu.open[of]
	if found && old.Reachable() {
		return old.PID, nil
	}
	if g.mu.open == nil {
		g.mu.open = make(map[handle]gateway.Ref)
	}
	if !found && namespace != "" && len(g.mu.open) >= maxGateways {
		return nil, fmt.Errorf("namespace %q, after %d actors: %w", namespace, len(g.mu.open), kv.TooManyActorsError)
	}
	config := e.gatewayConfig(namespace, quota)
	config.Stopped = func() { g.forget(of) }
	ref, err := gateway.Spawn(e.config.System, config)
	if err != nil {
		return nil, fmt.Errorf("start actor: %w", err)
	}
	g.mu.open[of] = ref
	return ref.PID, nil
}

func (e *Engine) gatewayConfig(namespace string, quota kv.QuotaConfig) gateway.Config {
	if e.actors != nil {
		e.actors.gate.Measure()
	}
	return gateway.Config{Store: e, Namespace: namespace, Quota: quota, Readers: e.config.Readers,
		Drops: &e.gateways.drops, Logger: e.config.Logger, Failpoint: e.config.Failpoint}
}

// forget makes room for another one, unless it has a successor already.
func (g *gateways) forget(of handle) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ref, found := g.mu.open[of]; found && actorsystem.Ended(ref.Done()) {
		delete(g.mu.open, of)
	}
}

// stop ends all of them, and refuses more. Everything that they have
// submitted has been answered by then.
func (g *gateways) stop() {
	g.mu.Lock()
	open := g.mu.open
	g.mu.open, g.mu.closed = nil, true
	g.mu.Unlock()
	for _, ref := range open {
		ref.Stop()
	}
}

// Dropped counts messages to the store's actors that came to nothing.
type Dropped struct{ Unknown, Unsent, Crowded, Undelivered, Flooded, LostTimers uint64 }

// Dropped is how many there were.
func (e *Engine) Dropped() Dropped {
	if e == nil {
		return Dropped{}
	}
	d := &e.gateways.drops
	return Dropped{Unknown: d.Unknown.Load(), Unsent: d.Unsent.Load(), Crowded: d.Crowded.Load(), Undelivered: d.Undelivered.Load(),
		Flooded: d.Flooded.Load(), LostTimers: e.lostTimers.Load()}
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
