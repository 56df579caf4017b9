// Command config has many actors keep a copy of a configuration that changes all the time.
// Each subscribes to the store with credits: first it is sent what there is, then every
// change in the order of the commits, and never more events than it has asked for. Some
// are slow, and give credits seldom: that fills no mailbox and holds no other actor up, since the
// store keeps for them what they have missed in its log.
//
// The invariant: when the last change was made every actor comes to hold exactly what the
// store holds, having seen revisions ascend; no mailbox ever held more events than credits.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/examples/internal/ending"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
)

const (
	fast, slow = 40, 10
	credits    = 16
	settings   = 20
	theEnd     = "end" // a key that is set last
	// between has the changes come some thousand a second, which the slow ones can take.
	between = 200 * time.Microsecond
)

func main() {
	length := flag.Duration("for", 2*time.Second, "how long it changes")
	seed := flag.Uint64("seed", 1, "of what is changed")
	flag.Parse()
	ending.Within(*length + 17*time.Second)
	if err := run(os.Stdout, *length, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "config:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, length time.Duration, seed uint64) error {
	system := actor.NewActorSystem(actor.WithLoggerFactory(
		func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	store, err := api.New(":memory:", api.WithActorSystem(system))
	if err != nil {
		return err
	}
	defer store.Close()
	pid, err := store.PID()
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(seed, 0))
	change := func() error {
		key := fmt.Sprintf("setting-%d", random.IntN(settings))
		if random.IntN(10) == 0 {
			return store.Delete("config", key)
		}
		return store.Set("config", key, fmt.Sprint(random.IntN(1000)))
	}
	for range settings {
		if err := change(); err != nil {
			return err
		}
	}
	copies := make(chan result, fast+slow)
	for i := range fast + slow {
		w := &watcher{store: pid, slow: i >= fast, copies: copies, config: make(map[string]string)}
		system.Root.Spawn(actor.PropsFromFunc(w.Receive))
	}
	changes := 0
	for began := time.Now(); time.Since(began) < length; changes++ {
		if err := change(); err != nil {
			return err
		}
		time.Sleep(between)
	}
	if err := store.Set("config", theEnd, "true"); err != nil {
		return err
	}
	want, err := store.GetAll("config")
	if err != nil {
		return err
	}
	fewest, most, err := compare(copies, want)
	fmt.Fprintf(out, "%d changes, %d watchers: between %d and %d events each, at most %d in a mailbox\n",
		changes, fast+slow, fewest, most, highest.Load())
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "all copies are equal to what the store holds")
	return store.Close()
}

// compare waits for all copies.
func compare(copies <-chan result, want map[string]string) (fewest, most int, err error) {
	for i := range fast + slow {
		r := <-copies
		if r.err == nil && !maps.Equal(r.config, want) {
			r.err = fmt.Errorf("a copy is %v, and the configuration %v", r.config, want)
		}
		if err = errors.Join(err, r.err); i == 0 {
			fewest = r.events
		}
		fewest, most = min(fewest, r.events), max(most, r.events)
	}
	return fewest, most, err
}

// result is a copy of the configuration as of its last change.
type result struct {
	config map[string]string
	events int
	err    error
}

// watcher is an actor that keeps a copy.
type watcher struct {
	store  *actor.PID
	slow   bool
	copies chan<- result

	config   map[string]string
	revision uint64
	synced   bool
	events   int
	credit   int // that the store still has
	thinking bool
	ended    bool
}

// highest is how many credits were ever out at a time, beyond which no mailbox can grow.
var highest atomic.Int64

type pause struct{}

// Receive gives credits back when half of them are used up; a slow watcher thinks for a while
// before.
func (w *watcher) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		w.credit = credits
		c.Request(w.store, protocol.Subscribe{ID: 1, Credits: credits, Options: api.SubscribeOptions{
			Filters: []api.Filter{{Group: api.Exactly("config")}}, State: true, Buffer: 32}})
	case protocol.Subscribed:
		w.end(m.Err)
	case protocol.Event:
		w.take(c, m.Event)
	case pause:
		w.give(c)
	case protocol.SubscriptionEnded:
		w.end(fmt.Errorf("the subscription has ended: %w", m.Err))
	case protocol.Failed:
		w.end(m.Err)
	}
}

func (w *watcher) take(c actor.Context, e api.Event) {
	w.events++
	if w.credit--; w.credit < 0 {
		w.end(errors.New("an event came without credit"))
	}
	switch e.Type {
	case api.EventSet:
		w.config[e.Key] = e.Value
	case api.EventDelete:
		delete(w.config, e.Key)
	case api.EventSynced:
		w.synced = true // what comes next are changes
	}
	if w.synced { // what there was came in the order of the keys
		if e.Revision < w.revision {
			w.end(fmt.Errorf("revision %d came after %d", e.Revision, w.revision))
		}
		w.revision = e.Revision
	}
	if w.complete() {
		w.end(nil)
		c.Stop(c.Self())
		return
	}
	if w.credit > credits/2 || w.thinking {
		return
	}
	if w.slow {
		w.thinking = true
		root, self := c.ActorSystem().Root, c.Self()
		time.AfterFunc(time.Millisecond, func() { root.Send(self, pause{}) })
		return
	}
	w.give(c)
}

func (w *watcher) give(c actor.Context) {
	n := credits - w.credit
	c.Request(w.store, protocol.Credit{ID: 1, N: n})
	w.credit, w.thinking = w.credit+n, false
	highest.Store(max(highest.Load(), int64(w.credit)))
}

// complete reports whether the copy is the whole configuration: what there was when it began, and
// all changes up to the last.
func (w *watcher) complete() bool {
	_, all := w.config[theEnd]
	return w.synced && all
}

// end hands the copy in, once. Being subscribed is none.
func (w *watcher) end(err error) {
	if err == nil && !w.complete() || w.ended {
		return
	}
	w.ended = true
	w.copies <- result{w.config, w.events, err}
}
