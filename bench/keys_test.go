package bench

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const draws = 200_000

// count draws many times and says how often each key came.
func count(c chooser, n int) []int {
	random, counts := newRandom(1, 2), make([]int, n)
	for range draws {
		counts[c.next(random, n)]++
	}
	return counts
}

func TestUniform(t *testing.T) {
	const n = 100
	chiSquare := 0.0
	for _, c := range count(Uniform.chooser(0, 1), n) {
		chiSquare += math.Pow(float64(c)-draws/n, 2) / (draws / n)
	}
	assert.Less(t, chiSquare, 149.4, "99 degrees of freedom: more than this once in a thousand seeds")
}

func TestZipf_FollowsItsLaw(t *testing.T) {
	const n = 1000
	z := newZipf(n, zeta(n))
	random, counts := newRandom(1, 2), make([]int, n+1)
	for range draws {
		counts[z.next(random)]++
	}
	for _, rank := range []int{0, 1} { // these two the method draws exactly
		want := math.Pow(float64(rank+1), -theta) / zeta(n)
		assert.InEpsilon(t, want, float64(counts[rank])/draws, 0.03, "rank %d", rank)
	}
	for _, ranks := range [][2]int{{2, 10}, {10, 100}, {100, 1000}} { // the others it approximates
		want, got := 0.0, 0
		for rank := ranks[0]; rank < ranks[1]; rank++ {
			want += math.Pow(float64(rank+1), -theta) / zeta(n)
			got += counts[rank]
		}
		assert.InEpsilon(t, want, float64(got)/draws, 0.1, "ranks %v", ranks)
	}
}

func TestScrambledZipfian_IsThatOfYCSB(t *testing.T) {
	const n = 1000
	counts := count(Zipfian.chooser(0, 1), n)
	hottest := int(fnv64(0) % n)
	assert.Equal(t, slices.Max(counts), counts[hottest], "rank 0 is hashed to the hottest key")
	assert.InDelta(t, 1/26.46902820178302, float64(counts[hottest])/draws, 0.003, "YCSB's share of the first of ten billion items")
	assert.NotEqual(t, slices.Max(counts), counts[(hottest+1)%n], "its neighbour is no hot key")

	other := count(Zipfian.chooser(0, 1), 2*n)
	assert.Equal(t, slices.Max(other), other[fnv64(0)%(2*n)])
}

func TestFNV64_IsThatOfTheLibrary(t *testing.T) {
	for _, value := range []uint64{0, 1, 255, 256, 123_456_789, 9_999_999_999} {
		library := fnv.New64a()
		var octets [8]byte
		binary.LittleEndian.PutUint64(octets[:], value)
		library.Write(octets[:])
		want := int64(library.Sum64())
		if want < 0 {
			want = -want // Java's Math.abs
		}
		assert.EqualValues(t, want, fnv64(value), value)
	}
}

func TestZeta(t *testing.T) {
	exact := 0.0
	for i := 1; i <= 100_000; i++ {
		exact += math.Pow(float64(i), -theta)
		if i == 7 || i == 10_000 || i == 10_001 || i == 100_000 {
			assert.InDelta(t, exact, zeta(i), 1e-9, i)
		}
	}
	for _, x := range []float64{0, 0.5, 0.97, 0.9999, 1} {
		assert.InDelta(t, math.Pow(x, 100), power100(x), 1e-12, x)
	}
}

func TestLatest_FollowsInserts(t *testing.T) {
	l := Latest.chooser(0, 1)
	for _, n := range []int{1000, 1001, 5000, 10} {
		counts := count(l, n)
		assert.Equal(t, n-1, slices.Index(counts, slices.Max(counts)), "the newest of %d is the hottest", n)
		assert.Greater(t, counts[n-2], counts[n/2])
	}
}

func TestSequential_CallersTakeTurns(t *testing.T) {
	const n, callers = 12, 4
	seen := make([]int, n)
	for caller := range callers {
		c := Sequential.chooser(caller, callers)
		for range n / callers * 2 {
			seen[c.next(nil, n)]++
		}
	}
	for i, times := range seen {
		assert.Equal(t, 2, times, "key %d", i)
	}
}

func TestKeyspace(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		k := newKeyspace(1000, ordered)
		names := make([]string, 2000)
		for i := range names {
			names[i] = k.name(i) // half of them beyond what was there from the start
			require.Len(t, names[i], nameSize)
		}
		assert.Equal(t, ordered, slices.IsSorted(names))
		slices.Sort(names)
		assert.Len(t, slices.Compact(names), 2000, "names are unique")
	}
	k := newKeyspace(10, false)
	assert.Equal(t, 10, k.insert())
	assert.Equal(t, 11, k.insert())
	assert.EqualValues(t, 10, k.visible.Load(), "not acknowledged yet")
	k.acknowledge()
	assert.EqualValues(t, 11, k.visible.Load())
}

func TestMissing_IsNoName(t *testing.T) {
	random := newRandom(1, 1)
	for range 1000 {
		assert.NotContains(t, hexDigits, missing(random)[:1])
	}
}

func TestParseSizes(t *testing.T) {
	for text, want := range map[string]Sizes{
		"100":            {Least: 100, Most: 100},
		"uniform:10-200": {Least: 10, Most: 200},
		"skewed:16-4096": {Least: 16, Most: 4096, Skewed: true},
	} {
		got, err := ParseSizes(text)
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assert.Equal(t, text, got.String())
	}
	for _, bad := range []string{"", "0", "-1", "x", "uniform:", "uniform:5", "uniform:9-3", "zipf:1-2", "1048577"} {
		_, err := ParseSizes(bad)
		assert.Error(t, err, bad)
	}
}

func TestSizes_Distributed(t *testing.T) {
	random := newRandom(1, 1)
	for _, test := range []struct {
		sizes  Sizes
		middle float64 // of the sizes
	}{{Sizes{Least: 10, Most: 1000}, 505}, {Sizes{Least: 10, Most: 1000, Skewed: true}, 100}} {
		below := 0
		for range 10_000 {
			n := len(test.sizes.value(random))
			require.True(t, n >= test.sizes.Least && n <= test.sizes.Most, n)
			if float64(n) < test.middle {
				below++
			}
		}
		assert.InDelta(t, 5000, below, 200, test.sizes)
	}
}

func TestValues_VaryAndTellTheirTime(t *testing.T) {
	random, sizes := newRandom(1, 1), Sizes{Least: 100, Most: 100}
	assert.NotEqual(t, sizes.value(random), sizes.value(random))
	value := sizes.stamped(random, 123_456_789)
	assert.Len(t, value, 100)
	at, ok := stamp(value)
	assert.True(t, ok)
	assert.EqualValues(t, 123_456_789, at)
	for _, none := range []string{"", "short", "not a number here"} {
		_, ok := stamp(none)
		assert.False(t, ok, none)
	}
}
