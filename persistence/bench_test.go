package persistence_test

import (
	"flag"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/persistence"

	"github.com/asynkron/protoactor-go/actor"
	library "github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

var roundLength = flag.Duration("round", 500*time.Millisecond, "how long one round of a benchmark lasts")

const benchActors = 1000

// BenchmarkPersist_ManyActors compares 1,000 actors that persist events with one alone:
// how many times as many events a second they write together.
func BenchmarkPersist_ManyActors(b *testing.B) {
	compare(b, "at least 50",
		appending(b, "many", benchActors, newBenchProvider),
		appending(b, "one", 1, newBenchProvider))
}

// BenchmarkPersist_TransactionAnEvent compares them with 1,000 actors on a provider that
// commits each event by itself, on the same SQLite.
func BenchmarkPersist_TransactionAnEvent(b *testing.B) {
	compare(b, "at least 10",
		appending(b, "ours", benchActors, newBenchProvider),
		appending(b, "each", benchActors, newOneByOne))
}

// BenchmarkPersist_Replay is what an actor of 1,000 events waits for at its start, an
// event.
func BenchmarkPersist_Replay(b *testing.B) {
	state := newBenchProvider(b).GetState()
	const events = 1000
	for i := range events {
		state.PersistEvent("a", i, benchEvent(i))
	}
	for b.Loop() {
		n := 0
		if state.GetEvents("a", 0, 0, func(any) { n++ }); n != events {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
}

func newBenchProvider(b *testing.B) library.Provider {
	store, err := api.New(filepath.Join(b.TempDir(), "store.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	provider, err := persistence.New(store)
	if err != nil {
		b.Fatal(err)
	}
	return provider
}

func benchEvent(i int) proto.Message {
	return wrapperspb.String(fmt.Sprintf("%0100d", i)) // another each time: the same would be nearly free
}

// appender is an actor that persists events for as long as a round lasts.
type appender struct {
	library.Mixin
	n int
}

type appendRound struct {
	stop   atomic.Bool
	events atomic.Int64
	done   sync.WaitGroup
}

func (a *appender) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *appendRound:
		self := c.Self()
		a.PersistReceive(benchEvent(a.n))
		a.n++
		m.events.Add(1)
		if m.stop.Load() {
			m.done.Done()
			return
		}
		c.Send(self, m) // behind what else it was sent, as a command would be
	case *wrapperspb.StringValue:
		a.n++
	}
}

type benchSide struct {
	name  string
	round func() float64 // events a second
}

// appending has actors on a provider of their own persist events.
func appending(b *testing.B, name string, actors int, open func(*testing.B) library.Provider) benchSide {
	provider := open(b)
	system := actor.NewActorSystem(actor.WithLoggerFactory(
		func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	var pids []*actor.PID
	for i := range actors {
		pid, err := system.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return &appender{} },
			actor.WithReceiverMiddleware(library.Using(provider))), fmt.Sprint("account-", i))
		if err != nil {
			b.Fatal(err)
		}
		pids = append(pids, pid)
	}
	b.Cleanup(func() {
		for _, pid := range pids {
			_ = system.Root.StopFuture(pid).Wait()
		}
		system.Shutdown()
	})
	return benchSide{name, func() float64 {
		runtime.GC()
		round := &appendRound{}
		round.done.Add(actors)
		begin := time.Now()
		time.AfterFunc(*roundLength, func() { round.stop.Store(true) })
		for _, pid := range pids {
			system.Root.Send(pid, round)
		}
		round.done.Wait()
		return float64(round.events.Load()) / time.Since(begin).Seconds()
	}}
}

// compare runs rounds of two sides in turn, and reports the medians of both and of their
// quotient, which is taken pair by pair: what else the machine does is the same for both.
func compare(b *testing.B, want string, x, y benchSide) {
	if !testing.Short() {
		for range 4 {
			x.round()
			y.round()
		}
	}
	var xs, ys, quotients []float64
	for b.Loop() {
		one, other := x.round(), y.round()
		xs, ys, quotients = append(xs, one), append(ys, other), append(quotients, one/other)
	}
	b.ReportMetric(0, "ns/op") // the time of a pair of rounds would mislead
	b.ReportMetric(median(quotients), x.name+"/"+y.name)
	b.ReportMetric(median(xs), x.name+"/s")
	b.ReportMetric(median(ys), y.name+"/s")
	b.Logf("%s/%s %.1f (%.1f to %.1f); wanted %s", x.name, y.name, median(quotients), slices.Min(quotients), slices.Max(quotients), want)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// oneByOne is a provider as those that are commonly written for SQL databases: one
// connection, one table, each event in a transaction of its own that is synced.
type oneByOne struct {
	library.ProviderState // for what the benchmark does not call
	mu                    sync.Mutex
	connection            *sqlite.Conn
	insert                *sqlite.Stmt
}

func newOneByOne(b *testing.B) library.Provider {
	connection, err := sqlite.OpenConn(filepath.Join(b.TempDir(), "each.db"), sqlite.OpenReadWrite, sqlite.OpenCreate)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = connection.Close() })
	for _, statement := range []string{
		"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA cache_size=-65536",
		`CREATE TABLE events (actor TEXT NOT NULL, event_index INTEGER NOT NULL, type TEXT NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (actor, event_index))`,
	} {
		if err := sqlitex.ExecuteTransient(connection, statement, nil); err != nil {
			b.Fatal(err)
		}
	}
	insert, err := connection.Prepare("INSERT INTO events VALUES (?, ?, ?, ?)")
	if err != nil {
		b.Fatal(err)
	}
	return &oneByOne{connection: connection, insert: insert}
}

func (p *oneByOne) GetState() library.ProviderState { return p }

func (p *oneByOne) Restart()                 {}
func (p *oneByOne) GetSnapshotInterval() int { return 1 << 30 }

func (p *oneByOne) GetSnapshot(string) (any, int, bool)   { return nil, 0, false }
func (p *oneByOne) GetEvents(string, int, int, func(any)) {}
func (p *oneByOne) PersistEvent(name string, index int, event proto.Message) {
	payload, err := proto.Marshal(event)
	if err != nil {
		panic(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.insert.BindText(1, name)
	p.insert.BindInt64(2, int64(index))
	p.insert.BindText(3, string(event.ProtoReflect().Descriptor().FullName()))
	p.insert.BindBytes(4, payload)
	if _, err := p.insert.Step(); err != nil {
		panic(err)
	}
	if err := p.insert.Reset(); err != nil {
		panic(err)
	}
}
