package quota

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/clock"
	"forge.lthn.ai/core/go-store/internal/failpoint"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// accounts stand for the writer: they note what is asked for.
type accounts struct {
	counts  chan string
	resyncs chan struct{}
}

func (a *accounts) CountNamespace(namespace string) { a.counts <- namespace }
func (a *accounts) Resynchronise()                  { a.resyncs <- struct{}{} }

// expired is a read side that has only expired rows to tell of.
type expired struct {
	sync.Mutex
	usage kv.Usage
	err   error
	asked []kv.Range
	now   int64
}

func (e *expired) Expired(_ context.Context, r kv.Range, now int64) (kv.Usage, error) {
	e.Lock()
	defer e.Unlock()
	e.asked, e.now = append(e.asked, r), now
	return e.usage, e.err
}

// snapshot counts as it is told.
type snapshot struct {
	usage  kv.Usage
	err    error
	closed chan struct{} // closed by Close: a second one panics

	// If not nil, Usage tells the one that it was called and waits for the other.
	entered, hold chan struct{}
}

func newSnapshot(usage kv.Usage, err error) *snapshot {
	return &snapshot{usage: usage, err: err, closed: make(chan struct{})}
}

func (s *snapshot) Usage(kv.Range) (kv.Usage, error) {
	if s.hold != nil {
		close(s.entered)
		<-s.hold
	}
	return s.usage, s.err
}

func (s *snapshot) Close() { close(s.closed) }

// answer is what Usage or a count returned.
type answer struct {
	usage kv.Usage
	err   error
}

// bench is a quota actor alone.
type bench struct {
	Ref
	t       *testing.T
	system  *actor.ActorSystem
	source  *testkit.Clock
	expired *expired
	log     *logged
	counts  chan string   // namespaces that it wants counted
	resyncs chan struct{} // times that it asked for everything
}

// logged is a log that several goroutines may write.
type logged struct {
	sync.Mutex
	buffer bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.buffer.Write(p)
}

// warnings is how often the log was warned.
func (l *logged) warnings() int {
	l.Lock()
	defer l.Unlock()
	return bytes.Count(l.buffer.Bytes(), []byte("level=WARN"))
}

func start(t *testing.T, hook failpoint.Hook) *bench {
	t.Helper()
	system, release := actorsystem.Acquire()
	b := &bench{t: t, system: system, source: testkit.NewClock(), expired: &expired{}, log: &logged{},
		counts: make(chan string, 100), resyncs: make(chan struct{}, 100)}
	var err error
	b.Ref, err = Spawn(system, Config{Reads: b.expired, Clock: clock.New(b.source),
		Logger: slog.New(slog.NewTextHandler(b.log, nil)), Failpoint: hook})
	require.NoError(t, err)
	t.Cleanup(func() {
		testkit.Within(t, "the quota actor's end", b.Stop)
		release()
	})
	b.Connect(&accounts{b.counts, b.resyncs})
	return b
}

// ask asks for a namespace's usage in a goroutine.
func (b *bench) ask(ctx context.Context, namespace string) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		usage, err := b.Usage(ctx, namespace)
		answers <- answer{usage, err}
	}()
	return answers
}

// count has a snapshot counted.
func (b *bench) count(namespace string, s Snapshot) <-chan answer {
	answers := make(chan answer, 2) // room for a second answer, which must not come
	b.Count(namespace, s, func(usage kv.Usage, err error) { answers <- answer{usage, err} })
	return answers
}

// probe comes back when everything before it has been handled.
type probe struct {
	actorsystem.Quiet
	waiting chan int
}

func (p probe) handle(a *Actor) {
	waiting := 0
	for _, all := range a.waiting {
		waiting += len(all)
	}
	p.waiting <- waiting
}

// settle waits for the actor and says how many callers wait for it.
func (b *bench) settle() (waiting int) {
	b.t.Helper()
	p := probe{waiting: make(chan int, 1)}
	b.system.Root.Send(b.to.PID, p)
	return testkit.Await(b.t, "the quota actor", p.waiting)
}

func (b *bench) waitFor(callers int) {
	b.t.Helper()
	testkit.Until(b.t, "the callers' questions", func() bool { return b.settle() == callers })
}

func booked(namespace string, keys, groups int64, quota kv.QuotaConfig) []kv.NamespaceUsage {
	return []kv.NamespaceUsage{{Namespace: namespace, Usage: kv.Usage{Keys: keys, Groups: groups}, Quota: quota}}
}
