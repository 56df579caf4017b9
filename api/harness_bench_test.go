package api_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// What the benchmarks share: the data, the designs, and a way to compare two
// of them on a machine that other work disturbs.

const (
	benchCallers   = 64
	benchGroup     = "bench"
	benchValueSize = 100
	manyKeys       = 100_000
)

// warmUp is how long each side runs before it is measured, until its caches and
// files have their size. That of a WAL matters: a sync takes nearly twice as
// long while it grows as when it is used anew, and the side that was filled
// first sat idle meanwhile and has emptied its own.
const warmUp = 3 * time.Second

var roundLength = flag.Duration("round", 500*time.Millisecond, "how long one round of BenchmarkRatio lasts")

// scaled is n, or a hundredth of it with -short, which proves that a benchmark
// works and measures nothing.
func scaled(n int) int {
	if testing.Short() {
		return max(n/100, 1)
	}
	return n
}

// benchStore is what every design can do.
type benchStore interface {
	Set(group, key, value string) error
	Get(group, key string) (string, error)
	Delete(group, key string) error
	GetAll(group string) (map[string]string, error)
	Close() error
}

type benchDesign struct {
	name string
	open func(path string) (benchStore, error)
}

var benchDesigns = []benchDesign{
	{"store", func(path string) (benchStore, error) { return api.New(path) }},
	{"seed", func(path string) (benchStore, error) { return newSeedStore(path) }},
}

// openBench opens a design on path and puts keys into its benchGroup. An empty
// path is a new file, which must lie on a disk (TMPDIR) for a durable figure.
func openBench(b *testing.B, design benchDesign, path string, keys []string) benchStore {
	b.Helper()
	if path == "" {
		path = filepath.Join(b.TempDir(), design.name+".db")
	}
	store, err := design.open(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	fillBench(b, store, benchGroup, keys)
	return store
}

// fillBench writes keys into a group, by many callers so that a file store can
// commit them in groups.
func fillBench(b testing.TB, store benchStore, group string, keys []string) {
	b.Helper()
	if seed, ok := store.(*seedStore); ok {
		random := newBenchRandom(1)
		if err := seed.load(group, keys, func(int) string { return benchValue(random) }); err != nil {
			b.Fatal(err)
		}
		return
	}
	const fillers = 256
	errs := make(chan error, fillers)
	for filler := range fillers {
		go func() {
			random := newBenchRandom(uint64(filler))
			for i := filler; i < len(keys); i += fillers {
				if err := store.Set(group, keys[i], benchValue(random)); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range fillers {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
}

// benchKeys returns n keys of 16 hexadecimal digits whose order in the slice
// says nothing about their order in the tree.
func benchKeys(n int) []string {
	random := newBenchRandom(uint64(n))
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%016x", random.Uint64())
	}
	return keys
}

var benchNoise = sync.OnceValue(func() string {
	random := newBenchRandom(0)
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = ' ' + byte(random.IntN(95))
	}
	return string(noise)
})

// benchValue returns a new value each time: an upsert of the bytes that are
// there already dirties no page and costs next to nothing. It is a string of
// its own, as a real caller's would be, and not a window into shared memory
// that a cache could keep for nothing.
func benchValue(random *rand.Rand) string {
	noise := benchNoise()
	offset := random.IntN(len(noise) - benchValueSize)
	return strings.Clone(noise[offset : offset+benchValueSize])
}

func newBenchRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x676f2d73746f7265)) }

func pick(random *rand.Rand, keys []string) string { return keys[random.IntN(len(keys))] }

// benchCaller is one goroutine that calls a store over and over.
type benchCaller struct {
	number  int
	calls   int // made so far in this round
	random  *rand.Rand
	zipf    *rand.Zipf    // of callers that draw so; nil until then
	untimed time.Duration // spent on what the round should not count; one caller only
}

// measurement is what one round did.
type measurement struct {
	operations int
	elapsed    time.Duration
}

func (m measurement) nanoseconds() float64 { return float64(m.elapsed) / float64(m.operations) }

// hammer has callers call for one round. A call says how many operations it
// was; each caller makes one at least.
func hammer(b *testing.B, callers int, call func(*benchCaller) (operations int, err error)) measurement {
	b.Helper()
	runtime.GC() // the other side's garbage is not to be collected in this one's time
	var stop atomic.Bool
	var operations, untimed atomic.Int64
	errs := make(chan error, callers)
	begin := time.Now()
	timer := time.AfterFunc(*roundLength, func() { stop.Store(true) })
	defer timer.Stop()
	for number := range callers {
		go func() {
			caller := &benchCaller{number: number, random: rand.New(rand.NewPCG(rand.Uint64(), uint64(number)))}
			var done int
			var err error
			for first := true; err == nil && (first || !stop.Load()); first = false {
				var n int
				n, err = call(caller)
				caller.calls++
				done += n
			}
			operations.Add(int64(done))
			untimed.Add(int64(caller.untimed))
			errs <- err
		}()
	}
	var failed []error
	for range callers {
		if err := <-errs; err != nil {
			stop.Store(true)
			failed = append(failed, err)
		}
	}
	if failed != nil {
		b.Fatal(errors.Join(failed...))
	}
	return measurement{int(operations.Load()), time.Since(begin) - time.Duration(untimed.Load())}
}

// side is one of the two things that a ratio compares.
type side struct {
	name  string
	round func() measurement
}

// ratio runs rounds of two sides in turn, A B A B, and reports the median, the
// least and the greatest time an operation of each, and of their quotient,
// taken pair by pair. Only neighbours in time are compared: two runs one after
// the other would measure what else the machine did in between. One iteration
// of the benchmark is one pair: -benchtime=15x takes 15.
func ratio(b *testing.B, want string, x, y side) {
	b.Helper()
	for range scaled(max(1, int(warmUp / *roundLength))) {
		x.round()
		y.round()
	}
	var xs, ys, quotients []float64
	for b.Loop() {
		one, other := x.round().nanoseconds(), y.round().nanoseconds()
		xs, ys = append(xs, one), append(ys, other)
		quotients = append(quotients, one/other)
	}
	b.ReportMetric(0, "ns/op") // the time of a pair of rounds would mislead
	name := x.name + "/" + y.name
	middle, least, most := spread(quotients)
	b.ReportMetric(middle, name)
	b.ReportMetric(least, name+"-min")
	b.ReportMetric(most, name+"-max")
	report := fmt.Sprintf("%s %.2f (%.2f to %.2f, %d pairs); wanted %s", name, middle, least, most, len(quotients), want)
	for _, each := range []struct {
		name  string
		times []float64
	}{{x.name, xs}, {y.name, ys}} {
		middle, least, most := spread(each.times)
		b.ReportMetric(middle, each.name+"-ns/op")
		report += fmt.Sprintf("\n%-10s %10.0f ns/op (%.0f to %.0f)", each.name, middle, least, most)
	}
	b.Log(report)
}

// spread returns the median, the least and the greatest.
func spread(values []float64) (middle, least, most float64) {
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	middle = sorted[half]
	if len(sorted)%2 == 0 {
		middle = (sorted[half-1] + sorted[half]) / 2
	}
	return middle, sorted[0], sorted[len(sorted)-1]
}

// percentile returns the time that the given share of all calls stayed under.
func percentile(sorted []time.Duration, share float64) time.Duration {
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}
