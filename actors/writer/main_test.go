package writer

import (
	"context"
	"log/slog"
	"math"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/internal/clock"
	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/internal/failpoint"
	"forge.lthn.ai/core/go-store/internal/health"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/sqlite"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// bench is a writer on real storage; those that it speaks to are the test.
type bench struct {
	Ref
	t         *testing.T
	system    *actor.ActorSystem
	source    *testkit.Clock
	database  storage.Database
	faulty    *faulty
	gate      *admission.Gate
	dead      chan struct{}
	log       *slog.Logger
	announced atomic.Uint64

	mu struct {
		sync.Mutex
		usage      map[string]kv.Usage // as the facts say
		resyncs    int
		facts      []kv.Committed
		background []kv.Event
		deaf       bool // no callback is registered
		watching   bool // watchers want everything
	}
	delivered chan admission.Delivery // answered by the test's notifier
	counts    chan pendingCount       // counted at once unless held
	held      bool
}

// pendingCount is a namespace that waits to be counted.
type pendingCount struct {
	namespace string
	snapshot  Snapshot
	answer    func(kv.Usage, error)
}

func (p pendingCount) count() {
	usage, err := p.snapshot.Usage(kv.NamespaceRange(p.namespace))
	p.snapshot.Close()
	p.answer(usage, err)
}

// options of a bench.
type options struct {
	path  string
	hook  failpoint.Hook
	hold  bool // counts wait for the test
	batch int  // bytes
	log   slog.Handler

	retention kv.Retention // default: more than any test writes
	crowded   bool         // nothing shows yet that a caller is alone
}

// overlaid is the name of a file whose commits go into an overlay.
const overlaid = "overlaid.db"

func start(t *testing.T, o options) *bench {
	t.Helper()
	if o.path == "" {
		o.path = ":memory:"
	}
	if o.batch == 0 {
		o.batch = 32 << 20
	}
	if o.retention == (kv.Retention{}) {
		o.retention = endless()
	}
	if o.log == nil {
		o.log = slog.DiscardHandler
	}
	system, release := actorsystem.Acquire()
	config := sqlite.Config{Path: o.path}
	if filepath.Base(o.path) == overlaid {
		config.Overlay = 64 << 10
		config.Events = func(row kv.LogRow) ([]kv.Event, error) { return commitlog.Decode(nil, row) }
	}
	database, err := sqlite.Open(config)
	require.NoError(t, err)
	b := &bench{t: t, system: system, source: testkit.NewClock(), database: database, dead: make(chan struct{}),
		counts: make(chan pendingCount, 100), held: o.hold, delivered: make(chan admission.Delivery, 1000), log: slog.New(o.log)}
	b.faulty = &faulty{Writer: database.Writer(), fail: make(map[string]int)}
	b.mu.usage = make(map[string]kv.Usage)
	b.gate = admission.NewGate(64, b.dead)
	b.Ref, err = Spawn(system, Config{Database: b.faulty, Gate: b.gate, Clock: clock.New(b.source), Health: health.NewState(),
		Audience: b, Projections: b, Counter: b, Logger: b.log, BatchBytes: o.batch, Announced: &b.announced, Retention: o.retention,
		Stopped: sync.OnceFunc(func() { close(b.dead) }), Failpoint: o.hook})
	require.NoError(t, err)
	if !o.crowded {
		b.alone.commits.Store(enoughAlone) // what is applied alone is, as far as it can be, in the caller's goroutine
	}
	t.Cleanup(func() {
		b.close()
		release()
	})
	return b
}

// close ends writer and database as the engine does.
func (b *bench) close() {
	b.t.Helper()
	testkit.Within(b.t, "the writer's end", func() {
		b.gate.Close()
		b.Poison()
		b.Wait()
	})
	require.NoError(b.t, b.database.Close())
}

func (b *bench) HasCallbacks() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.mu.deaf
}

func (b *bench) Watched([]kv.Event) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.watching
}

func (b *bench) Answering() bool { return false }

func (b *bench) Deliver(d admission.Delivery) { b.delivered <- d }

func (b *bench) CallInBackground(events []kv.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.background = append(b.mu.background, events...)
}

func (b *bench) Committed(fact *kv.Committed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.facts = append(b.mu.facts, *fact)
	for _, n := range fact.Usage {
		b.mu.usage[n.Namespace] = n.Usage
	}
	for _, namespace := range fact.Forgotten {
		delete(b.mu.usage, namespace)
	}
}

// Resynchronise is both ports' method: of Projections here, of Ref for asking.
func (b *bench) PurgeAgain(int64) {}

func (b *bench) Resynchronise(state kv.Resynchronise) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.resyncs++
	clear(b.mu.usage)
	for _, n := range state.Usage {
		b.mu.usage[n.Namespace] = n.Usage
	}
}

func (b *bench) Refuse(string, error) {}

func (b *bench) Count(namespace string, s Snapshot, answer func(kv.Usage, error)) {
	p := pendingCount{namespace, s, answer}
	if b.held {
		b.counts <- p
		return
	}
	p.count()
}

// told is the usage that the facts say a namespace has.
func (b *bench) told(namespace string) (kv.Usage, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	usage, known := b.mu.usage[namespace]
	return usage, known
}

func (b *bench) resyncs() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.resyncs
}

// stored is what really takes rows, expired or not.
func (b *bench) stored(namespace string) kv.Usage {
	b.t.Helper()
	usage, err := b.database.Reads().Usage(b.t.Context(), kv.NamespaceRange(namespace), math.MinInt64)
	require.NoError(b.t, err)
	return usage
}

// probe comes back when everything before it has been handled.
type probe struct {
	actorsystem.Quiet
	done chan struct{}
}

func (p probe) handle(*Actor) { close(p.done) }

func (b *bench) settle() {
	b.t.Helper()
	p := probe{done: make(chan struct{})}
	b.system.Root.Send(b.to.PID, p)
	testkit.Await(b.t, "the writer", p.done)
}

// result is what Apply returned.
type result struct {
	kv.Outcome
	err error
}

// apply has one mutation applied, within the test's patience.
func (b *bench) apply(m kv.Mutation) result {
	b.t.Helper()
	results := make(chan result, 1)
	go func() {
		outcome, err := b.Apply(context.Background(), m)
		results <- result{outcome, err}
	}()
	return testkit.Await(b.t, "a mutation", results)
}

// send puts a mutation into the writer's mailbox before it returns, as Apply
// does, and waits for the answer in a goroutine.
func (b *bench) send(m kv.Mutation) <-chan result {
	b.t.Helper()
	results := make(chan result, 1)
	request, err := b.gate.Admit(context.Background(), m)
	require.NoError(b.t, err)
	b.to.Send(apply{request})
	go func() {
		outcome, err := request.Wait(context.Background())
		results <- result{outcome, err}
	}()
	return results
}

func set(group, key string) kv.Mutation {
	return kv.Mutation{Kind: kv.Set, Group: group, Key: key, Value: "v"}
}

func within(m kv.Mutation, namespace string, quota kv.QuotaConfig) kv.Mutation {
	m.Namespace, m.Quota = namespace, quota
	return m
}

func ttl(m kv.Mutation, d time.Duration) kv.Mutation {
	m.HasTTL, m.TimeToLive = true, d
	return m
}

// kinds is what the events say, in short.
func kinds(events []kv.Event) (short []string) {
	for _, e := range events {
		short = append(short, e.Type.String()+" "+e.Group+"/"+e.Key)
	}
	return short
}

func file(t *testing.T) string { return filepath.Join(t.TempDir(), "store.db") }
