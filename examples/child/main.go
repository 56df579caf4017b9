// Command child keeps a store as a child of one of its own actors: it is spawned, watched
// over and stopped like any other. The program lets it fail in two ways, again and again:
// at first another store owns the file, so that it can't be opened; later the program stops
// an actor inside it. Each time its parent's supervisor is told the reason and starts it
// anew, while workers go on sending to the same address.
//
// The invariant: what was acknowledged is there at the end, whatever failed meanwhile; of
// what was not, no more than was asked for.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/examples/internal/ending"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
)

const (
	workers  = 8
	backOff  = 10 * time.Millisecond
	patience = 5 * time.Second // of a worker: what is not answered by then counts as unknown
)

func main() {
	length := flag.Duration("for", 2*time.Second, "how long it runs")
	seed := flag.Uint64("seed", 1, "of what fails")
	flag.Parse()
	ending.Within(*length + 17*time.Second)
	if err := run(os.Stdout, *length, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, length time.Duration, seed uint64) (err error) {
	folder, err := os.MkdirTemp("", "go-store-child-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "store.db")
	system := actor.NewActorSystem(actor.WithLoggerFactory(
		func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))

	other, err := api.New(path)
	if err != nil {
		return err
	}
	watch := supervisor{reasons: make(chan error, 1000)}
	reports := make(chan report, workers)
	parent := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
		return &owner{path: path, reports: reports}
	}, actor.WithSupervisor(watch)))

	if err := watch.await("the lock", func(err error) bool { var locked *api.LockedError; return errors.As(err, &locked) }); err != nil {
		return errors.Join(err, other.Close())
	}
	fmt.Fprintln(out, "the file is another's: the parent is told so, and tries again")
	if err := other.Close(); err != nil {
		return err
	}
	random, failures := rand.New(rand.NewPCG(seed, 0)), 0
	for began := time.Now(); time.Since(began) < length; {
		time.Sleep(time.Duration(50+random.IntN(100)) * time.Millisecond)
		if !stopSomebody(system, random) {
			continue // it is starting
		}
		if err := watch.await("the stop", func(err error) bool { return errors.Is(err, api.StoppedError) }); err != nil {
			return err
		}
		failures++
	}
	fmt.Fprintf(out, "%d times an actor of the store was stopped, and the parent was told\n", failures)

	system.Root.Send(parent, finish{})
	found := make([]report, workers)
	for range workers {
		r := <-reports
		found[r.worker] = r
	}
	if err := ending.Stop(system, parent); err != nil { // and its children before it
		return err
	}
	return check(out, path, found)
}

// check opens the file, which the parent has left closed.
func check(out io.Writer, path string, found []report) error {
	store, err := api.New(path)
	if err != nil {
		return err
	}
	defer store.Close()
	acknowledged, unknown := 0, 0
	for i, r := range found {
		value, err := store.Get("work", worker{number: i}.key())
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		if n < r.acknowledged || n > r.acknowledged+r.unknown {
			return fmt.Errorf("worker %d: %d increments are there; %d were acknowledged, of %d it is not known", i, n, r.acknowledged, r.unknown)
		}
		acknowledged, unknown = acknowledged+r.acknowledged, unknown+r.unknown
	}
	fmt.Fprintf(out, "%d increments were acknowledged, and are there; of %d nobody could tell\n", acknowledged, unknown)
	return store.Close()
}

// stopSomebody stops one of the actors that a store consists of, as a program should not.
func stopSomebody(system *actor.ActorSystem, random *rand.Rand) bool {
	var inside []string
	for _, bucket := range system.ProcessRegistry.LocalPIDs.LocalPIDs {
		for _, id := range bucket.Keys() {
			for _, name := range []string{"go-store-writer-", "go-store-notifier-", "go-store-reaper-", "go-store-quota-"} {
				if strings.HasPrefix(id, name) {
					inside = append(inside, id)
				}
			}
		}
	}
	if len(inside) < 4 {
		return false
	}
	system.Root.Stop(system.NewLocalPID(inside[random.IntN(len(inside))]))
	return true
}

// supervisor starts a child anew after a while, and passes the reason on.
type supervisor struct{ reasons chan error }

func (s supervisor) HandleFailure(_ *actor.ActorSystem, parent actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	err, ok := reason.(error)
	if !ok {
		err = fmt.Errorf("%v", reason)
	}
	select {
	case s.reasons <- err:
	default:
	}
	time.AfterFunc(backOff, func() { parent.RestartChildren(child) })
}

// await waits until a child has failed for a reason.
func (s supervisor) await(what string, is func(error) bool) error {
	for err := range s.reasons {
		if is(err) {
			return nil
		}
	}
	return fmt.Errorf("the parent was not told of %s", what)
}

// owner is the parent of the store and of its workers.
type owner struct {
	path     string
	reports  chan<- report
	children []*actor.PID
}

type finish struct{}

// Receive spawns the children, and passes on that it is time to end.
func (o *owner) Receive(c actor.Context) {
	switch c.Message().(type) {
	case *actor.Started:
		store := c.SpawnPrefix(api.Props(o.path), "store")
		for i := range workers {
			o.children = append(o.children, c.Spawn(actor.PropsFromProducer(func() actor.Actor {
				return &worker{number: i, store: store, reports: o.reports}
			})))
		}
	case finish:
		for _, child := range o.children {
			c.Send(child, finish{})
		}
	}
}

// worker counts in the store, one step after the other.
type worker struct {
	number    int
	store     *actor.PID
	reports   chan<- report
	id        uint64 // of the request under way
	finishing bool
	report    report
}

// report is what a worker was told.
type report struct{ worker, acknowledged, unknown int }

func (w worker) key() string { return fmt.Sprintf("worker-%d", w.number) }

// Receive asks again when there is an answer, or none for too long.
func (w *worker) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		w.next(c)
	case protocol.IncrementDone:
		if m.ID != w.id {
			return // too late: it counts as unknown
		}
		switch {
		case m.Err == nil:
			w.report.acknowledged++
		case errors.Is(m.Err, api.UnknownOutcomeError):
			w.report.unknown++
		}
		w.next(c)
	case protocol.Busy:
		w.next(c)
	case late:
		if m.id == w.id {
			w.report.unknown++
			w.next(c)
		}
	case finish:
		w.finishing = true
	}
}

// late says that a request was not answered for long.
type late struct{ id uint64 }

func (w *worker) next(c actor.Context) {
	if w.id++; w.finishing {
		w.report.worker = w.number
		w.reports <- w.report
		w.id = 0
		return
	}
	c.Request(w.store, protocol.Increment{ID: w.id, Group: "work", Key: w.key(), Delta: 1})
	root, self, id := c.ActorSystem().Root, c.Self(), w.id
	time.AfterFunc(patience, func() { root.Send(self, late{id}) })
}
