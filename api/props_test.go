package api_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// parent is an actor whose child is a store. It is its supervisor too.
type parent struct {
	props  *api.ActorProps
	child  chan *api.PID
	gone   chan *api.PID // the child, once the parent has heard of its end: it stops it no more
	faults chan error    // why the child has failed
	decide func(error) actor.Directive
}

func newParent(props *api.ActorProps, decide func(error) actor.Directive) *parent {
	return &parent{props: props, child: make(chan *api.PID, 1), gone: make(chan *api.PID, 1), faults: make(chan error, 100), decide: decide}
}

func (p *parent) spawn(system *api.ActorSystem) *api.PID {
	return system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return p }, actor.WithSupervisor(p.strategy())))
}

func (p *parent) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		pid, err := ctx.SpawnNamed(p.props, "store")
		if err != nil {
			panic(err)
		}
		p.child <- pid
	case *actor.Terminated:
		p.gone <- m.Who
	}
}

func (p *parent) strategy() actor.SupervisorStrategy {
	return actor.NewOneForOneStrategy(100, testkit.Patience, func(reason any) actor.Directive {
		err, _ := reason.(error)
		if err == nil {
			err = fmt.Errorf("%v", reason)
		}
		p.faults <- err
		return p.decide(err)
	})
}

func always(d actor.Directive) func(error) actor.Directive {
	return func(error) actor.Directive { return d }
}

// family is a parent and its child in a system.
func family(t *testing.T, system *api.ActorSystem, decide func(error) actor.Directive, path string, options ...api.Option) (*parent, *api.PID, *client) {
	p := newParent(api.Props(path, options...), decide)
	pid := p.spawn(system)
	child := testkit.Await(t, "the child", p.child)
	t.Cleanup(func() {
		if _, found := system.ProcessRegistry.Get(pid); found {
			assert.NoError(t, system.Root.StopFuture(pid).Wait())
		}
	})
	return p, pid, newClient(t, system, child)
}

// A store is an actor's child: it opens, works and stops with its parent, and answers
// what it has taken before.
func TestStoreAsAChild(t *testing.T) {
	forEachPath(t, func(t *testing.T, path string) {
		for name, stop := range map[string]func(*actor.RootContext, *actor.PID) *actor.Future{
			"stop": (*actor.RootContext).StopFuture, "poison": (*actor.RootContext).PoisonFuture,
		} {
			t.Run(name, func(t *testing.T) {
				system := newQuiet(t)
				pause := testkit.NewPause("writer.begin")
				p, pid, c := family(t, system.ActorSystem, always(actor.StopDirective), path, withFailpoint(pause.Hook))
				require.True(t, strings.HasSuffix(c.store.Id, "/store"), "its name is the parent's choice")
				for i := range 50 {
					c.send(protocol.Set{ID: uint64(i + 1), Group: name, Key: fmt.Sprint(i), Value: secret})
				}
				c.send(protocol.Subscribe{ID: 1})
				testkit.Await(t, "the writer", pause.Reached)
				require.Equal(t, protocol.Subscribed{ID: 1}, c.next())
				c.settle()
				stopped := stop(system.Root, pid)
				c.send(protocol.Set{ID: 51, Group: name, Key: "late"}) // before the end, or after it
				close(pause.Resume)
				require.NoError(t, stopped.Wait())
				written := 0
				for range 52 {
					switch answer := c.next().(type) {
					case protocol.SetDone:
						if answer.Err == nil {
							written++
						} else {
							require.EqualValues(t, 51, answer.ID)
							require.ErrorIs(t, answer.Err, api.ClosedError)
						}
					case protocol.SubscriptionEnded:
						require.ErrorIs(t, answer.Err, api.ClosedError)
					default:
						t.Fatalf("%#v", answer)
					}
				}
				require.GreaterOrEqual(t, written, 50)
				require.Empty(t, c.heard)
				require.Empty(t, p.faults)
				if path != ":memory:" {
					requireCount(t, openStore(t, path), name, written) // the file is free
				}
			})
			if path != ":memory:" {
				path = newPath(t)
			}
		}
	})
}

// What was sent to a child before it was to stop is done, though it lies in the mailbox yet.
func TestAChildDrains(t *testing.T) {
	const sent = 300
	for name, stop := range map[string]func(*actor.RootContext, *actor.PID) *actor.Future{
		"stop": (*actor.RootContext).StopFuture, "poison": (*actor.RootContext).PoisonFuture,
	} {
		t.Run(name, func(t *testing.T) {
			path, system, pause := newPath(t), newQuiet(t), testkit.NewPause("gateway.start")
			_, pid, c := family(t, system.ActorSystem, always(actor.StopDirective), path, withFailpoint(pause.Hook))
			testkit.Await(t, "the child's start", pause.Reached)
			for i := range sent {
				c.send(protocol.Set{ID: uint64(i + 1), Group: "g", Key: fmt.Sprint(i), Value: "v"})
			}
			c.send(protocol.Get{ID: sent + 1, Group: "g", Key: "none"})
			c.send("no message of the protocol")
			stopped := stop(system.Root, pid)
			close(pause.Resume)
			require.NoError(t, stopped.Wait())
			done, others := 0, map[string]int{}
			for range sent + 2 {
				switch answer := c.next().(type) {
				case protocol.SetDone:
					require.NoError(t, answer.Err)
					done++
				default:
					others[fmt.Sprintf("%T", answer)]++
				}
			}
			require.Equal(t, sent, done)
			require.Equal(t, map[string]int{"protocol.GetDone": 1, "protocol.Failed": 1}, others)
			requireCount(t, openStore(t, path), "g", sent)
		})
	}
}

// WithOpened has the store of a child, each time that it is opened; one whose function fails is
// closed, and its file free.
func TestWithOpened(t *testing.T) {
	path, system := newPath(t), newQuiet(t)
	opened := make(chan *api.Store, 2)
	_, pid, c := family(t, system.ActorSystem, always(actor.RestartDirective), path, api.WithOpened(func(s *api.Store) { opened <- s }))
	store := testkit.Await(t, "the store", opened)
	require.NoError(t, store.Set("g", "k", "v"))
	c.send(protocol.Get{ID: 1, Group: "g", Key: "k"})
	require.Equal(t, "v", c.next().(protocol.GetDone).Value)
	require.NoError(t, system.Root.StopFuture(pid).Wait())
	require.ErrorIs(t, store.Set("g", "k", "w"), api.ClosedError)

	require.PanicsWithValue(t, "oops", func() { _, _ = api.New(path, api.WithOpened(func(*api.Store) { panic("oops") })) })
	again, err := api.New(path, api.WithOpened(func(s *api.Store) { opened <- s }))
	require.NoError(t, err)
	value, err := testkit.Await(t, "the store", opened).Get("g", "k")
	require.NoError(t, err)
	require.Equal(t, "v", value)
	require.NoError(t, again.Close())
	_, err = api.New(path, api.WithOpened(nil))
	require.ErrorIs(t, err, api.InvalidOptionError)
}

// That a store can't be opened is a fault of the child, with its reason.
func TestChildThatCannotOpen(t *testing.T) {
	path := newPath(t)
	owner := openStore(t, path)
	require.NoError(t, owner.Set("g", "k", "v"))
	broken := newPath(t)
	require.NoError(t, os.WriteFile(broken, []byte(strings.Repeat("no database", 1000)), 0o600))
	for name, each := range map[string]struct {
		path    string
		options []api.Option
		is      error
	}{
		"locked":       {path, nil, nil},
		"not ours":     {broken, nil, api.NotADatabaseError},
		"option":       {":memory:", []api.Option{api.WithMaxInFlight(-1)}, api.InvalidOptionError},
		"nil option":   {":memory:", []api.Option{nil}, api.InvalidOptionError},
		"other system": {":memory:", []api.Option{api.WithActorSystem(newSystem(t))}, api.InvalidOptionError},
	} {
		t.Run(name, func(t *testing.T) {
			system := newQuiet(t)
			p, _, c := family(t, system.ActorSystem, always(actor.StopDirective), each.path, each.options...)
			reason := testkit.Await(t, "the fault", p.faults)
			require.ErrorContains(t, reason, "store.Props: ")
			if each.is != nil {
				require.ErrorIs(t, reason, each.is)
			} else {
				var locked *api.LockedError
				require.ErrorAs(t, reason, &locked)
			}
			require.Equal(t, c.store, testkit.Await(t, "the end", p.gone))
			require.Empty(t, p.faults)
		})
	}
	t.Run("stopped with messages", func(t *testing.T) {
		system := newSystem(t)
		goOn := make(chan struct{})
		_, _, c := family(t, system, func(error) actor.Directive { <-goOn; return actor.StopDirective }, path)
		for i := range 10 {
			c.send(protocol.Set{ID: uint64(i + 1)})
		}
		close(goOn)
		for range 10 {
			require.ErrorIs(t, c.next().(protocol.SetDone).Err, api.ClosedError)
		}
	})
	t.Run("restarted until it can", func(t *testing.T) {
		system := newQuiet(t)
		p, _, c := family(t, system.ActorSystem, func(error) actor.Directive {
			if owner != nil {
				assert.NoError(t, owner.Close())
				owner = nil
			}
			return actor.RestartDirective
		}, path)
		var locked *api.LockedError
		require.ErrorAs(t, testkit.Await(t, "the fault", p.faults), &locked)
		require.Equal(t, "v", done[protocol.GetDone](c, protocol.Get{Group: "g", Key: "k"}).Value, "messages have waited")
	})
}

// storeActors are those that a store has started in a system.
func storeActors(system *api.ActorSystem, prefix string) (pids []*actor.PID) {
	for _, bucket := range system.ProcessRegistry.LocalPIDs.LocalPIDs {
		bucket.IterCb(func(name string, _ any) {
			if strings.HasPrefix(name, prefix) {
				pids = append(pids, system.NewLocalPID(name))
			}
		})
	}
	return pids
}

// An actor of a store that is a child is stopped from outside: that is a fault. Whatever was sent
// has an answer, and what was acknowledged is there afterwards.
func TestActorOfAChildStoppedFromOutside(t *testing.T) {
	for _, prefix := range []string{"go-store-writer-", "go-store-notifier-", "go-store-reaper-", "go-store-quota-"} {
		for name, stop := range map[string]func(*actor.RootContext, *actor.PID){
			"stop": (*actor.RootContext).Stop, "poison": (*actor.RootContext).Poison,
		} {
			t.Run(prefix+name, func(t *testing.T) {
				system := newQuiet(t)
				p, _, c := family(t, system.ActorSystem, always(actor.RestartDirective), newPath(t), api.WithDurability(api.DurabilityBuffered))
				done[protocol.Subscribed](c, protocol.Subscribe{ID: 1})
				for i := range 100 {
					c.send(protocol.Set{ID: uint64(i + 1), Group: "g", Key: fmt.Sprint(i), Value: secret})
				}
				require.NoError(t, c.next().(protocol.SetDone).Err)
				stop(system.Root, storeActors(system.ActorSystem, prefix)[0])
				require.ErrorIs(t, testkit.Await(t, "the fault", p.faults), api.StoppedError)
				acknowledged := 1
				for range 99 + 1 {
					switch answer := c.next().(type) {
					case protocol.SetDone:
						if answer.Err == nil {
							acknowledged++
						} else {
							require.ErrorIs(t, answer.Err, api.ClosedError)
						}
					case protocol.SubscriptionEnded:
						require.ErrorIs(t, answer.Err, api.ClosedError)
					default:
						t.Fatalf("%#v", answer)
					}
				}
				page := done[protocol.ScanDone](c, protocol.Scan{KeysOnly: true})
				require.GreaterOrEqual(t, len(page.Entries), acknowledged)
				done[protocol.SetDone](c, protocol.Set{ID: 1, Group: "g", Key: "again"})
				require.Len(t, storeActors(system.ActorSystem, "go-store-"), 4, "the old ones are gone")
				require.Empty(t, p.faults)
			})
		}
	}
}

// A failure inside the child's own actor leaves its store open: one in memory keeps what
// it has, and subscriptions go on.
func TestChildThatFails(t *testing.T) {
	for name, directive := range map[string]actor.Directive{"restart": actor.RestartDirective, "resume": actor.ResumeDirective} {
		t.Run(name, func(t *testing.T) {
			system, faults := newQuiet(t), testkit.NewFaults()
			p, _, c := family(t, system.ActorSystem, always(directive), ":memory:", withFailpoint(faults.Hook))
			done[protocol.SetDone](c, protocol.Set{ID: 1, Group: "g", Key: "k", Value: "before"})
			done[protocol.Subscribed](c, protocol.Subscribe{ID: 9, Credits: 10})
			faults.Plan("gateway.accept", 1)
			answer := c.ask(protocol.Set{ID: 2, Group: "g", Key: "k", Value: secret}).(protocol.SetDone)
			require.EqualValues(t, 2, answer.ID)
			require.ErrorIs(t, answer.Err, api.RolledBackError)
			require.ErrorContains(t, testkit.Await(t, "the fault", p.faults), "injected at gateway.accept")
			require.Equal(t, "before", done[protocol.GetDone](c, protocol.Get{ID: 2, Group: "g", Key: "k"}).Value)
			c.send(protocol.Set{ID: 2, Group: "g", Key: "k", Value: "after"})
			for range 2 {
				switch m := c.next().(type) {
				case protocol.SetDone:
					require.NoError(t, m.Err)
				case protocol.Event:
					require.Equal(t, "after", m.Event.Value)
				default:
					t.Fatalf("%#v", m)
				}
			}
		})
	}
}

// A namespace of a child is asked for by message, and ends with it.
func TestNamespaceOfAChild(t *testing.T) {
	system := newQuiet(t)
	_, pid, c := family(t, system.ActorSystem, always(actor.StopDirective), ":memory:")
	opened := done[protocol.NamespaceOpened](c, protocol.OpenNamespace{ID: 1, Name: "tenant", Quota: api.QuotaConfig{MaxKeys: 1}})
	n := newClient(t, system.ActorSystem, opened.PID)
	done[protocol.SetDone](n, protocol.Set{Group: "g", Key: "k", Value: "v"})
	require.ErrorIs(t, n.ask(protocol.Set{Group: "g", Key: "l"}).(protocol.SetDone).Err, api.QuotaExceededError)
	require.Equal(t, "v", done[protocol.GetDone](c, protocol.Get{Group: "tenant:g", Key: "k"}).Value)
	require.NoError(t, system.Root.StopFuture(pid).Wait())
	require.Empty(t, storeActors(system.ActorSystem, "go-store-"))
}

// The mailbox is part of what keeps a child's promises.
func TestChildWithAnotherMailbox(t *testing.T) {
	system := newQuiet(t)
	p := newParent(api.Props(":memory:").Configure(actor.WithMailbox(actor.Bounded(1))), always(actor.StopDirective))
	pid := p.spawn(system.ActorSystem)
	require.ErrorIs(t, testkit.Await(t, "the fault", p.faults), api.InvalidOptionError)
	testkit.Await(t, "the end", p.gone)
	require.NoError(t, system.Root.StopFuture(pid).Wait())
}
