package storetest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/actorsystem"

	"github.com/asynkron/protoactor-go/actor"
)

// World is one run: the store, the actors, and the test that drives them. It takes the
// place of a *testing.T in drive, also for testify: Errorf, Fatalf, FailNow, Logf. But for
// those, Send and PID its methods are for drive's goroutine alone.
type World struct {
	// Store is the store, for the test itself: to prepare and to check, to have its disk
	// fail and its process die at a point. Actors use Member.Store.
	Store *Store

	t      *testing.T // for what is said at once
	seed   uint64
	chance *rand.Rand // which step is next; drive's goroutine
	random *rand.Rand // for the test
	actors Actors
	system *actor.ActorSystem
	pids   map[string]*actor.PID
	wake   chan struct{} // something is there to be done; capacity 1

	mu struct {
		sync.Mutex
		boxes    []*mailbox
		names    map[string]int
		trace    []string
		failures []string
		ended    bool                // no handler is to pause any more
		handlers map[string]*mailbox // by the goroutine that handles a message
		sending  []sender            // handlers that wait with a message
	}
}

// Member is what an actor of a run is given.
type Member struct {
	// Name is the actor's in Actors.
	Name string
	// Store is the store for this actor. Within Receive each call of it that writes, and
	// each that asks the disk, is a moment at which another actor may go first: so two
	// actors that read and then write collide as they might in earnest, though messages are
	// delivered one at a time.
	Store *api.Store
	// World is the run: for other actors' PIDs, for Props and Rand.
	World *World
}

func newWorld(t *testing.T, seed uint64, actors Actors, options []Option) *World {
	w := &World{seed: seed, actors: actors, pids: make(map[string]*actor.PID), wake: make(chan struct{}, 1),
		chance: rand.New(rand.NewPCG(seed, 0)), random: rand.New(rand.NewPCG(seed, 1))}
	w.mu.names, w.mu.handlers = make(map[string]int), make(map[string]*mailbox)
	w.t = t
	w.system = actorsystem.New()
	w.Store = New(t, append([]Option{RealClock(), With(api.WithActorSystem(w.system))}, options...)...)
	return w
}

// spawn starts the actors.
func (w *World) spawn() {
	for _, name := range slices.Sorted(maps.Keys(w.actors)) {
		m := &Member{Name: name, World: w}
		box := w.newBox(name)
		m.Store = w.Store.WithContext(&moment{Context: context.Background(), box: box})
		props := w.actors[name](m).Configure(actor.WithMailbox(func() actor.Mailbox { return box }))
		pid, err := w.system.Root.SpawnNamed(props, name)
		if err != nil {
			w.Fatalf("storetest: spawn %s: %v", name, err)
		}
		w.pids[name] = pid
	}
}

// Props has an actor that an actor of the run spawns be one of the run too: its messages
// are delivered when the seed says. Its name is for the trace.
func (w *World) Props(name string, props *actor.Props) *actor.Props {
	return props.Configure(actor.WithMailbox(func() actor.Mailbox { return w.newBox(name) }))
}

// System is the actor system of the run, which the store's actors are in too.
func (w *World) System() *actor.ActorSystem { return w.system }

// PID is an actor's; of a name that there is none it is nil.
func (w *World) PID(name string) *actor.PID { return w.pids[name] }

// Send puts a message into an actor's mailbox. It is delivered by Settle or Advance.
func (w *World) Send(name string, message any) {
	pid := w.pids[name]
	if pid == nil {
		w.Fatalf("storetest: Send: there is no actor %q", name)
	}
	w.system.Root.Send(pid, message)
}

// Kill is the end of the whole program, and its new start: the store's process is killed
// (Store.Kill), what lay in mailboxes is lost, and the actors are made anew by the functions
// in Actors. A handler that was under way does not come back from the call of the store at
// which it waits. See Store.At for a death at a certain point: from then on no actor runs, and
// what actors have reported since does not count, until Kill.
func (w *World) Kill() {
	w.Store.Crash()
	w.mu.Lock()
	boxes, waiting := w.mu.boxes, w.mu.sending
	w.mu.boxes, w.mu.sending = nil, nil
	clear(w.mu.names)
	w.mu.Unlock()
	for _, box := range boxes {
		box.die()
	}
	for _, sender := range waiting {
		close(sender.turn)
	}
	synctest.Wait()
	w.note("the program is killed, and starts again")
	w.system = actorsystem.New()
	w.Store.settings.options = append(w.Store.settings.options, api.WithActorSystem(w.system))
	w.Store.Kill()
	clear(w.pids)
	w.spawn()
}

// Killed reports whether the store's process has died at a point (Crash), and Kill was not
// called since.
func (w *World) Killed() bool { return w.Store.folder != nil && w.Store.folder.Dead() }

// Seed is the run's seed.
func (w *World) Seed() uint64 { return w.seed }

// Rand is chance for the test, the same for the same seed.
func (w *World) Rand() *rand.Rand { return w.random }

// Trace is what was done so far, a line each: which message was delivered to which actor, and
// whose call of the store went on.
func (w *World) Trace() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.mu.trace)
}

// mostSteps is where a run that does not come to rest ends.
const mostSteps = 100_000

// Settle delivers messages, one at a time, until there is none that could be delivered now.
// What only time brings about is left: see Advance. It fails the run if there is no end to
// it.
func (w *World) Settle() {
	for steps := 0; w.step(); steps++ {
		if steps == mostSteps {
			w.Fatalf("storetest: the actors do not come to rest: %d messages were delivered since the test called Settle", steps)
		}
	}
}

// Advance lets time pass, and delivers messages as they come, until there is none left at
// its end. Timers of the actors and of the store fire at their time.
func (w *World) Advance(d time.Duration) {
	end := time.NewTimer(d)
	defer end.Stop()
	for {
		w.Settle()
		select {
		case <-w.wake:
		case <-end.C:
			w.Settle()
			return
		}
	}
}

// step does one thing that can be done, by chance, and waits for all that comes of it. It
// reports whether there was one.
func (w *World) step() bool {
	w.calm()
	if w.Killed() && !w.over() {
		return false
	}
	w.mu.Lock()
	boxes := slices.Clone(w.mu.boxes)
	w.mu.Unlock()
	boxes = slices.DeleteFunc(boxes, func(b *mailbox) bool { return !b.ready() })
	if len(boxes) == 0 {
		return false
	}
	what := boxes[w.chance.IntN(len(boxes))].next()
	w.note(what)
	w.calm()
	return true
}

// calm waits until no actor is at work. Handlers that have a message to send are let go on
// one after the other, each when all that was under way has come to its end: so that what
// the store sends because of a handler comes before what that sends after it, and not
// either way. No choice is left in it, so it is no step.
func (w *World) calm() {
	for {
		synctest.Wait()
		w.mu.Lock()
		if len(w.mu.sending) == 0 {
			w.mu.Unlock()
			return
		}
		first := slices.MinFunc(w.mu.sending, func(a, b sender) int { return strings.Compare(a.box.name, b.box.name) })
		w.mu.sending = slices.DeleteFunc(w.mu.sending, func(s sender) bool { return s == first })
		w.mu.Unlock()
		close(first.turn)
	}
}

// sender is a handler that waits with a message until every other is at rest.
type sender struct {
	box  *mailbox
	turn chan struct{}
}

// queue has a handler wait for its turn to send. Others don't.
func (w *World) queue() {
	w.mu.Lock()
	box := w.mu.handlers[goroutine()]
	if box == nil {
		w.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	w.mu.sending = append(w.mu.sending, sender{box, turn})
	w.mu.Unlock()
	w.stir()
	<-turn
	box.leaveIfDead()
}

func (w *World) handles(box *mailbox, goroutine string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if box == nil {
		delete(w.mu.handlers, goroutine)
	} else {
		w.mu.handlers[goroutine] = box
	}
}

func (w *World) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.mu.ended {
		w.mu.trace = append(w.mu.trace, what)
	}
}

// newBox makes a mailbox with a name of its own.
func (w *World) newBox(name string) *mailbox {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.names[name]++; w.mu.names[name] > 1 {
		name = fmt.Sprintf("%s#%d", name, w.mu.names[name])
	}
	b := &mailbox{world: w, name: name}
	w.mu.boxes = append(w.mu.boxes, b)
	slices.SortFunc(w.mu.boxes, func(a, b *mailbox) int { return strings.Compare(a.name, b.name) })
	return b
}

// stir wakes Advance.
func (w *World) stir() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Errorf notes a failure and goes on. Of an actor whose process is dead it notes none.
func (w *World) Errorf(format string, arguments ...any) {
	self := goroutine()
	w.mu.Lock()
	defer w.mu.Unlock()
	if box := w.mu.handlers[self]; box != nil && (box.dead.Load() || w.Killed()) {
		return
	}
	w.mu.failures = append(w.mu.failures, strings.TrimRight(fmt.Sprintf(format, arguments...), "\n"))
}

// FailNow ends drive, from whose goroutine it is to be called.
func (w *World) FailNow() {
	w.mu.Lock()
	if len(w.mu.failures) == 0 {
		w.mu.failures = append(w.mu.failures, "FailNow")
	}
	w.mu.Unlock()
	runtime.Goexit()
}

// Fatalf is Errorf and FailNow.
func (w *World) Fatalf(format string, arguments ...any) {
	w.Errorf(format, arguments...)
	w.FailNow()
}

// Logf adds a line to the trace.
func (w *World) Logf(format string, arguments ...any) { w.note(fmt.Sprintf(format, arguments...)) }

// Helper is there for helpers that call it.
func (w *World) Helper() {}

// Failed reports whether anything has failed.
func (w *World) Failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.mu.failures) > 0
}

func (w *World) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.ended
}

// recover is deferred around drive.
func (w *World) recover() {
	if reason := recover(); reason != nil {
		w.Errorf("panic: %v\n%s", reason, debug.Stack())
	}
}

// end stops the actors, so that none is at work when the store is closed.
func (w *World) end() {
	w.mu.Lock()
	w.mu.ended = true
	w.mu.Unlock()
	for _, pid := range w.pids {
		w.system.Root.Stop(pid)
	}
	for w.step() {
	}
	time.Sleep(time.Minute) // Receives that wait for an answer that won't come give up
	for w.step() {
	}
	for _, box := range w.mu.boxes {
		if box.busy() {
			w.Errorf("storetest: %s is still in Receive, a minute after the end", box.name)
			w.t.Logf("storetest: seed %d: %s is still in Receive, a minute after the end; if it stays there, synctest calls it a deadlock", w.seed, box.name)
		}
	}
}
