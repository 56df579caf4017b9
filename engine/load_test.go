package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// load is many goroutines that do everything at once, each with a model of the
// keys that it alone writes.
type load struct {
	ending  context.Context // of what waits for others
	end     context.CancelFunc
	t       *testing.T
	workers []*worker
	watcher *Watcher
	events  func() []kv.Event
	feeds   []*follower
	ops     atomic.Int64
	stop    atomic.Bool
	running sync.WaitGroup

	complaints struct { // of the workers, that may outlive a test that fails
		sync.Mutex
		all []string
	}
}

type worker struct {
	load   *load
	e      *Engine
	id     int
	random *rand.Rand
	model  *testkit.Model
	serial int

	acknowledged, undone []string // values of sets that were, and that were rolled back
	fresh                []string // namespaces that it was the first to ask about

	lenient atomic.Bool // the store may end meanwhile, or its disk fail: its calls may say so
}

const (
	roomy = "roomy" // a namespace whose quota is never met
	tight = "tight" // one whose quota is always met
)

var quotas = map[string]kv.QuotaConfig{roomy: {MaxKeys: 1 << 20}, tight: {MaxKeys: 10, MaxGroups: 3}}

// startLoad has workers work until finish.
func startLoad(t *testing.T, e *Engine, workers int, seed uint64) *load {
	l := &load{t: t, watcher: e.Watch("", "*", "*")}
	l.ending, l.end = context.WithCancel(context.Background())
	l.events = collect(l.watcher)
	for _, options := range []kv.SubscribeOptions{
		{From: 1, Buffer: 1, Progress: time.Millisecond},
		{From: 1, Progress: time.Millisecond},
		{From: 1, Filters: []kv.Filter{{Group: kv.Prefix(tight)}, {Group: kv.Exactly("loose1"), Key: kv.Prefix("1")}}},
	} {
		l.feeds = append(l.feeds, follow(t, e, options))
	}
	for id := range workers {
		w := &worker{load: l, e: e, id: id, random: rand.New(rand.NewPCG(seed, uint64(id))), model: testkit.NewModel()}
		l.workers = append(l.workers, w)
		l.running.Go(w.run)
	}
	return l
}

// more waits until as many operations more were done.
func (l *load) more(operations int) {
	l.t.Helper()
	until := l.ops.Load() + int64(operations)
	testkit.Until(l.t, "progress of the load", func() bool { return l.ops.Load() >= until })
}

// finish ends the load. What it did then stands in the models.
func (l *load) finish() {
	l.t.Helper()
	l.stop.Store(true)
	l.end()
	testkit.Within(l.t, "the load's end", l.running.Wait)
	for _, complaint := range l.complaints.all {
		l.t.Error(complaint)
	}
}

// settle ends the load, and compares what the store shows with what was done.
func (l *load) settle(e *Engine) {
	l.t.Helper()
	l.finish()
	l.verify(e)
	verifyFeeds(l.t, e, l.feeds)
	verifyReplay(l.t, e)
}

func (l *load) complain(format string, values ...any) {
	l.complaints.Lock()
	defer l.complaints.Unlock()
	if len(l.complaints.all) < 20 {
		l.complaints.all = append(l.complaints.all, fmt.Sprintf(format, values...))
	}
}

func (w *worker) run() {
	for !w.load.stop.Load() {
		w.step()
		w.load.ops.Add(1)
	}
}

func (w *worker) next() string {
	w.serial++
	return fmt.Sprintf("%d.%d", w.id, w.serial)
}

// step is one operation.
func (w *worker) step() {
	place := kv.Key{Group: fmt.Sprint([]string{"loose", roomy + ":g", tight + ":g"}[w.random.IntN(3)], w.random.IntN(3)),
		Key: fmt.Sprintf("%d-%d", w.id, w.random.IntN(4))}
	switch w.random.IntN(20) {
	default:
		w.write(place, set(place.Group, place.Key, w.next()))
	case 0, 1:
		w.write(place, ttl(set(place.Group, place.Key, w.next()), time.Hour))
	case 2, 3:
		w.write(place, kv.Mutation{Kind: kv.Delete, Group: place.Group, Key: place.Key})
	case 4, 5:
		w.batch()
	case 6, 7:
		w.read(place)
	case 8, 9: // in no worker's model: it is gone at once, or soon
		w.try(ttl(set("short:g", fmt.Sprint(w.id), "v"), time.Duration(w.random.IntN(3))*time.Millisecond))
		_, _ = w.e.Get(context.Background(), "short:g", fmt.Sprint(w.id))
	case 10:
		w.watch(place)
	case 11:
		_, _ = w.e.Usage(context.Background(), []string{roomy, tight, "short"}[w.random.IntN(3)])
	case 12:
		namespace := fmt.Sprintf("fresh-%d-%d", w.id, w.serial)
		w.fresh = append(w.fresh, namespace)
		_, _ = w.e.Usage(context.Background(), namespace)
	case 13:
		namespace := fmt.Sprintf("fresh-%d-%d", w.id, w.serial)
		w.fresh = append(w.fresh, namespace)
		p := kv.Key{Group: namespace + ":g", Key: "k"}
		w.write(p, within(set(p.Group, p.Key, w.next()), namespace, quotas[roomy]))
	case 14:
		_, _ = w.e.PurgeExpired(context.Background(), kv.PrefixRange(""))
	case 15:
		w.subscribe(place)
	}
}

// subscribe follows one key until its own write comes, or another's if its own was
// refused, or the load or the store ends.
func (w *worker) subscribe(p kv.Key) {
	feed := w.e.Subscribe(w.load.ending, context.Background(), kv.SubscribeOptions{
		Filters: []kv.Filter{{Group: kv.Exactly(p.Group), Key: kv.Exactly(p.Key)}}, Progress: time.Millisecond})
	if err := w.write(p, set(p.Group, p.Key, w.next())); errors.Is(err, kv.DegradedError) {
		return // so may every worker's be for the moment
	}
	for _, err := range feed {
		if err != nil && w.load.ending.Err() == nil && !w.lenient.Load() {
			w.load.complain("worker %d: Subscribe: %v", w.id, err)
		}
		return
	}
}

// write applies a mutation of one key and notes what its answer says of it.
func (w *worker) write(p kv.Key, m kv.Mutation) error {
	namespace, scoped := kv.NamespaceOf(p.Group)
	if scoped && m.Kind == kv.Set && !m.Quota.Limited() && w.random.IntN(4) > 0 {
		m = within(m, namespace, quotas[namespace])
	}
	after := testkit.Absent
	if m.Kind == kv.Set {
		after = testkit.Present(m.Value)
	}
	err := w.try(m)
	w.note(err, p, after)
	return err
}

func (w *worker) batch() {
	group := fmt.Sprint(roomy, ":g", w.random.IntN(3))
	m := within(kv.Mutation{Kind: kv.Batch}, roomy, quotas[roomy])
	for i := range 1 + w.random.IntN(3) {
		m.Operations = append(m.Operations, kv.Operation{Group: group, Key: fmt.Sprintf("%d-%d", w.id, i), Value: w.next()})
	}
	err := w.try(m)
	for _, item := range m.Operations {
		w.note(err, kv.Key{Group: item.Group, Key: item.Key}, testkit.Present(item.Value))
	}
}

// try applies a mutation and knows every answer that there can be.
func (w *worker) try(m kv.Mutation) error {
	_, err := w.e.Apply(context.Background(), m)
	switch {
	case err == nil, errors.Is(err, kv.RolledBackError), errors.Is(err, kv.UnknownOutcomeError):
	case errors.Is(err, kv.QuotaExceededError):
		if m.Namespace != tight {
			w.load.complain("%s is refused, though it has no limit: %v", m.Group, err)
		}
	case m.Quota.Limited(): // its namespace could not be counted
	case w.lenient.Load():
	default:
		w.load.complain("%+v: %v", m, err)
	}
	return err
}

func (w *worker) note(err error, p kv.Key, v testkit.Value) {
	switch {
	case err == nil:
		w.model.Wrote(p, v)
		if v.Present {
			w.acknowledged = append(w.acknowledged, v.Text)
		}
	case errors.Is(err, kv.UnknownOutcomeError):
		w.model.MayHaveWritten(p, v)
	default:
		w.undone = append(w.undone, v.Text)
	}
}

func (w *worker) read(p kv.Key) {
	found, err := look(w.e, p.Group, p.Key)
	if err != nil && !errors.Is(err, kv.ClosedError) {
		w.load.complain("Get %q/%q: %v", p.Group, p.Key, err)
	} else if err == nil {
		if err := w.model.Saw(p, found); err != nil {
			w.load.complain("%v", err)
		}
	}
}

// watch checks that a watcher has the event when the write returns.
func (w *worker) watch(p kv.Key) {
	watcher := w.e.Watch("", p.Group, p.Key)
	m := set(p.Group, p.Key, w.next())
	err := w.try(m)
	w.note(err, p, testkit.Present(m.Value))
	received := len(watcher.Events) + int(watcher.Dropped())
	if w.lenient.Load() {
		received = 1 // it may have been closed, at any moment
	}
	if err == nil && received != 1 || !w.lenient.Load() && errors.Is(err, kv.RolledBackError) && received != 0 {
		w.load.complain("a write returned %v when its watcher had %d events", err, received)
	}
	w.e.Unwatch(watcher)
	for range watcher.Events { // ends: it is closed
	}
}

// verify checks the store against the models, and its figures.
func (l *load) verify(e *Engine) {
	l.t.Helper()
	l.verifyKeys(e)
	namespaces := []string{roomy, tight, "short"}
	for _, w := range l.workers {
		if len(w.fresh) > 0 {
			namespaces = append(namespaces, w.fresh[len(w.fresh)-1])
			break
		}
	}
	for _, namespace := range namespaces {
		counted(l.t, e, namespace)
	}
}

func (l *load) verifyKeys(e *Engine) {
	l.t.Helper()
	for _, w := range l.workers {
		for _, p := range w.model.Places() {
			if err := w.model.Saw(p, value(l.t, e, p.Group, p.Key)); err != nil {
				l.t.Errorf("worker %d: %v", w.id, err)
			}
		}
	}
}

// verifyEvents checks what the watcher of everything saw, once it is closed.
func (l *load) verifyEvents() {
	l.t.Helper()
	var events []kv.Event
	testkit.Within(l.t, "the end of the events", func() { events = l.events() })
	seen := make(map[string]int)
	for _, event := range events {
		if event.Type == kv.EventSet {
			seen[event.Value]++
		}
	}
	missed := 0
	for _, w := range l.workers {
		for _, v := range w.acknowledged {
			switch seen[v] {
			case 0:
				missed++
			case 1:
			default:
				l.t.Errorf("value %s was announced %d times", v, seen[v])
			}
		}
		for _, v := range slices.DeleteFunc(w.undone, func(v string) bool { return v == "" }) {
			if seen[v] > 0 {
				l.t.Errorf("value %s was announced and rolled back", v)
			}
		}
	}
	require.LessOrEqual(l.t, uint64(missed), l.watcher.Dropped(), "events are missing and were not counted")
}
