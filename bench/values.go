package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
)

// Sizes is how many bytes values have: always Least, if Most is the same, or
// distributed between the two, both included.
type Sizes struct {
	Least, Most int
	Skewed      bool // each doubling of the size as often as any other; else uniform
}

// MaxValueSize is the largest value that every contender takes as it is.
const MaxValueSize = 1 << 20

// ParseSizes reads "100", "uniform:10-1000" or "skewed:10-1000".
func ParseSizes(text string) (Sizes, error) {
	kind, bounds, distributed := strings.Cut(text, ":")
	if !distributed {
		n, err := strconv.Atoi(text)
		if err != nil {
			return Sizes{}, fmt.Errorf("%q: use a number of bytes, uniform:LEAST-MOST or skewed:LEAST-MOST", text)
		}
		return Sizes{Least: n, Most: n}.valid(text)
	}
	least, most, _ := strings.Cut(bounds, "-")
	from, err1 := strconv.Atoi(least)
	to, err2 := strconv.Atoi(most)
	if err1 != nil || err2 != nil || kind != "uniform" && kind != "skewed" {
		return Sizes{}, fmt.Errorf("%q: use a number of bytes, uniform:LEAST-MOST or skewed:LEAST-MOST", text)
	}
	return Sizes{Least: from, Most: to, Skewed: kind == "skewed"}.valid(text)
}

func (s Sizes) valid(text string) (Sizes, error) {
	if s.Least < 1 || s.Most < s.Least || s.Most > MaxValueSize {
		return s, fmt.Errorf("%q: sizes go from 1 to %d, the least first", text, MaxValueSize)
	}
	return s, nil
}

// String is what ParseSizes reads.
func (s Sizes) String() string {
	switch {
	case s.Least == s.Most:
		return strconv.Itoa(s.Least)
	case s.Skewed:
		return fmt.Sprintf("skewed:%d-%d", s.Least, s.Most)
	}
	return fmt.Sprintf("uniform:%d-%d", s.Least, s.Most)
}

func (s Sizes) next(random *rand.Rand) int {
	if s.Least == s.Most {
		return s.Least
	}
	if !s.Skewed {
		return s.Least + random.IntN(s.Most-s.Least+1)
	}
	ratio := float64(s.Most) / float64(s.Least)
	return int(float64(s.Least) * math.Pow(ratio, random.Float64()))
}

// noiseBits makes for 65,536 values of a size, in memory that stays in the
// processor's cache: to fetch them from farther away would be the harness's time.
const noiseBits = 16

var noise = sync.OnceValue(func() string {
	random := newRandom(0, 0)
	bytes := make([]byte, MaxValueSize+1<<noiseBits)
	for i := range bytes {
		bytes[i] = ' ' + byte(random.Uint32()%95)
	}
	return string(bytes)
})

// value returns one that was not there before: an upsert of the bytes that are
// there already dirties no page and costs next to nothing. It is a string of
// its own, as a real caller's would be, and not a window into shared memory
// that a cache could keep for nothing.
func (s Sizes) value(random *rand.Rand) string {
	n := s.next(random)
	from := int(random.Uint64() >> (64 - noiseBits))
	return strings.Clone(noise()[from : from+n])
}

// stampSize is how many bytes of a value tell when it was written.
const stampSize = 16

// stamped is a value that begins with a moment, in nanoseconds.
func (s Sizes) stamped(random *rand.Rand, at int64) string {
	n := max(s.next(random)-stampSize, 0)
	from := int(random.Uint64() >> (64 - noiseBits))
	return hex(uint64(at)) + noise()[from:from+n]
}

// stamp reads the moment from a value that stamped returned.
func stamp(value string) (at int64, ok bool) {
	if len(value) < stampSize {
		return 0, false
	}
	bits, err := strconv.ParseUint(value[:stampSize], 16, 64)
	return int64(bits), err == nil
}

func newRandom(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }
