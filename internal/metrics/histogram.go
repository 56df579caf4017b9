package metrics

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/kv"
)

// scale is where a histogram's bounds lie: at powers of two, and half-way between them.
// A value is a whole number of units.
type scale struct {
	shift  int     // the first bound is at 1<<shift units
	unit   float64 // what a unit is
	bounds []float64
}

// octaves is from the first bound to the last, in powers of two.
const octaves = 30

const buckets = 2*octaves + 2

// times is from 64 ns to 69 s, in seconds; a unit is a nanosecond. sizes is from 1 to a
// thousand million, and a unit is one half: so that no bound lies within the first octave.
var (
	times = newScale(6, 1e-9)
	sizes = newScale(1, 0.5)
)

func newScale(shift int, unit float64) *scale {
	s := &scale{shift: shift, unit: unit, bounds: make([]float64, 0, buckets+1)}
	s.bounds = append(s.bounds, 0, float64(int64(1)<<shift)*unit)
	for octave := shift; octave < shift+octaves; octave++ {
		from := float64(int64(1) << octave)
		s.bounds = append(s.bounds, 1.5*from*unit, 2*from*unit)
	}
	s.bounds = append(s.bounds, math.Inf(1))
	return s
}

// bucket is where a value lies: above bounds[i], and at bounds[i+1] or below.
func (s *scale) bucket(v int64) int {
	if v <= 1<<s.shift {
		return 0
	}
	n := uint64(v - 1) // so that what lies on a bound is below it
	octave := bits.Len64(n) - 1
	half := int(n >> (octave - 1) & 1)
	return min(1+2*(octave-s.shift)+half, buckets-1)
}

// Histogram counts values without a lock. A nil one counts nothing.
type Histogram struct {
	scale  *scale
	sum    atomic.Int64 // in units
	counts [buckets]atomic.Uint64
}

// NewTimes is a histogram of durations, NewSizes one of numbers.
func NewTimes() *Histogram { return &Histogram{scale: times} }
func NewSizes() *Histogram { return &Histogram{scale: sizes} }

// Took notes a duration.
func (h *Histogram) Took(d time.Duration) { h.add(int64(d), 1) }

// Had notes a number.
func (h *Histogram) Had(n int) { h.add(2*int64(n), 1) }

func (h *Histogram) add(v int64, weight uint64) {
	if h == nil {
		return
	}
	v = max(v, 0)
	h.counts[h.scale.bucket(v)].Add(weight)
	h.sum.Add(v * int64(weight))
}

// Read is what it has counted.
func (h *Histogram) Read() kv.Histogram {
	if h == nil {
		return kv.Histogram{}
	}
	r := kv.Histogram{Counts: make([]uint64, buckets), Buckets: h.scale.bounds, Sum: float64(h.sum.Load()) * h.scale.unit}
	for i := range h.counts {
		r.Counts[i] = h.counts[i].Load()
	}
	return r
}
