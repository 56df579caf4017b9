package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
)

// Distribution says which of the keys an operation takes.
type Distribution string

// The distributions.
const (
	Uniform    Distribution = "uniform"    // each key as often as any other
	Zipfian    Distribution = "zipfian"    // YCSB's scrambled zipfian: a few keys take most, spread over the key space
	Latest     Distribution = "latest"     // YCSB's skewed latest: the later a key was inserted, the more often
	Sequential Distribution = "sequential" // one key after the other, in the order of their names
)

// Distributions are all there are.
var Distributions = []Distribution{Uniform, Zipfian, Latest, Sequential}

// keyspace names the keys of a data set. Numbers below base are there from the
// start; inserted ones follow.
type keyspace struct {
	names    string // of the first keys, nameSize bytes each: nothing for the collector to follow
	ordered  bool
	inserted atomic.Int64 // numbers handed out for inserts
	visible  atomic.Int64 // numbers below it are acknowledged, as far as a reader may assume
}

// nameSize is how many bytes a key's name has.
const nameSize = 16

// newKeyspace names n keys. Names of 16 hexadecimal digits say nothing about
// the order of their numbers, as YCSB's hashed order, unless ordered.
func newKeyspace(n int, ordered bool) *keyspace {
	k := &keyspace{ordered: ordered}
	var names strings.Builder
	names.Grow(n * nameSize)
	for i := range n {
		names.WriteString(k.format(i))
	}
	k.names = names.String()
	k.inserted.Store(int64(n))
	k.visible.Store(int64(n))
	return k
}

func (k *keyspace) name(i int) string {
	if end := (i + 1) * nameSize; end <= len(k.names) {
		return k.names[end-nameSize : end]
	}
	return k.format(i)
}

func (k *keyspace) format(i int) string {
	number := uint64(i)
	if !k.ordered {
		number = scramble(number)
	}
	return hex(number)
}

// insert hands out the number of a key that is not there yet; acknowledge says
// that it is now. Readers see numbers in order, so one slow insert hides those
// after it: YCSB's acknowledged counter. Here a number becomes visible when as
// many inserts as it counts have been acknowledged, which is the same but for
// the few in flight; a Get that misses one of those is no fault.
func (k *keyspace) insert() int  { return int(k.inserted.Add(1) - 1) }
func (k *keyspace) acknowledge() { k.visible.Add(1) }

// missing is a name that no key has: its digits are upper case.
func missing(random *rand.Rand) string {
	name := []byte(hex(random.Uint64()))
	name[0] = 'G' + name[0]%16
	return string(name)
}

// scramble is the finaliser of SplitMix64, a bijection: no two numbers share a
// name.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

const hexDigits = "0123456789abcdef"

func hex(x uint64) string {
	var name [nameSize]byte
	for i := len(name) - 1; i >= 0; i-- {
		name[i] = hexDigits[x&15]
		x >>= 4
	}
	return string(name[:])
}

// chooser picks key numbers below n. It belongs to one caller.
type chooser interface {
	next(random *rand.Rand, n int) int
}

// chooser returns what one of several callers picks its keys with.
func (d Distribution) chooser(caller, callers int) chooser {
	switch d {
	case Uniform:
		return uniform{}
	case Zipfian:
		return newScrambled()
	case Latest:
		return &latest{}
	case Sequential:
		return &sequential{at: caller, step: callers}
	}
	panic(fmt.Sprintf("bench: distribution %q", d))
}

type uniform struct{}

func (uniform) next(random *rand.Rand, n int) int { return random.IntN(n) }

// sequential has the callers take turns: together they go through all keys.
type sequential struct{ at, step int }

func (s *sequential) next(_ *rand.Rand, n int) int {
	i := s.at % n
	s.at += s.step
	return i
}

// theta is YCSB's zipfian constant.
const theta = 0.99

// zipf draws ranks with probability proportional to 1/(rank+1)^theta, by the
// method of Gray et al., "Quickly generating billion-record synthetic
// databases", SIGMOD 1994, as YCSB's ZipfianGenerator does.
type zipf struct {
	items      float64
	zetan, eta float64
}

var zeta2 = 1 + math.Pow(0.5, theta)

func newZipf(items, zetan float64) zipf {
	return zipf{items, zetan, (1 - math.Pow(2/items, 1-theta)) / (1 - zeta2/zetan)}
}

func (z *zipf) next(random *rand.Rand) uint64 {
	u := random.Float64()
	uz := u * z.zetan
	if uz < 1 {
		return 0
	}
	if uz < zeta2 {
		return 1
	}
	return uint64(z.items * power100(z.eta*u-z.eta+1))
}

// power100 is x^100, and 100 is 1/(1-theta): a tenth of the time of math.Pow.
func power100(x float64) float64 {
	x4 := x * x * x * x
	x16 := x4 * x4 * x4 * x4
	x32 := x16 * x16
	return x32 * x32 * x32 * x4
}

// zeta is the sum of 1/i^theta for i from 1 to n. After the first ten thousand
// it follows the integral, with the first correction of Euler and Maclaurin:
// the error is below 1e-9, and a growing key set costs nothing.
func zeta(n int) float64 {
	const exact = 10_000
	sum := 0.0
	for i := 1; i <= min(n, exact); i++ {
		sum += math.Pow(float64(i), -theta)
	}
	if n <= exact {
		return sum
	}
	from, to := float64(exact), float64(n)
	return sum + (math.Pow(to, 1-theta)-math.Pow(from, 1-theta))/(1-theta) +
		(math.Pow(to, -theta)-math.Pow(from, -theta))/2
}

// scrambled is YCSB's ScrambledZipfianGenerator: a zipfian over ten billion
// items, hashed onto the keys, so that which keys are hot does not depend on
// how many there are.
type scrambled struct{ zipf }

func newScrambled() *scrambled {
	const items, zetan = 10_000_000_000, 26.46902820178302 // YCSB's
	return &scrambled{newZipf(items, zetan)}
}

func (s *scrambled) next(random *rand.Rand, n int) int {
	return int(fnv64(s.zipf.next(random)) % uint64(n))
}

// fnv64 is FNV-1a over the eight octets of a number, made positive: YCSB's
// Utils.fnvhash64.
func fnv64(value uint64) uint64 {
	hash := uint64(0xcbf29ce484222325)
	for range 8 {
		hash ^= value & 0xff
		hash *= 1099511628211
		value >>= 8
	}
	if int64(hash) < 0 {
		return -hash
	}
	return hash
}

// latest is YCSB's SkewedLatestGenerator. The constants of its zipfian follow
// the number of keys in steps of a thousandth.
type latest struct {
	zipf
	computed int
}

func (l *latest) next(random *rand.Rand, n int) int {
	if n > l.computed+l.computed/1000 || n < l.computed {
		l.zipf, l.computed = newZipf(float64(n), zeta(n)), n
	}
	return n - 1 - min(int(l.zipf.next(random)), n-1)
}
