package metrics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/kv"
)

// TestBuckets: every value lies above its bucket's lower bound, and at its upper one or below.
func TestBuckets(t *testing.T) {
	for name, s := range map[string]*scale{"times": times, "sizes": sizes} {
		require.Len(t, s.bounds, buckets+1, name)
		require.Zero(t, s.bounds[0])
		require.True(t, math.IsInf(s.bounds[buckets], 1))
		for i := range buckets {
			require.Less(t, s.bounds[i], s.bounds[i+1], "%s %d", name, i)
		}
		check := func(v int64) {
			i := s.bucket(v)
			value := float64(v) * s.unit
			require.GreaterOrEqual(t, s.bounds[i+1], value, "%s %d", name, v)
			if i > 0 {
				require.Less(t, s.bounds[i], value, "%s %d", name, v)
			}
		}
		for shift := range 62 {
			for _, near := range []int64{-1, 0, 1} {
				check(max(int64(1)<<shift+near, 1))
				check(max(int64(3)<<shift>>1+near, 1))
			}
		}
		for range 10_000 {
			check(rand.Int64N(math.MaxInt64>>rand.IntN(62)) + 1)
		}
	}
}

func TestHistogram(t *testing.T) {
	h := NewTimes()
	for i := range 1000 {
		h.Took(time.Duration(i+1) * time.Microsecond)
	}
	read := h.Read()
	require.EqualValues(t, 1000, read.Count())
	require.InDelta(t, 500.5e-6, read.Mean(), 1e-9)
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 1} {
		require.InEpsilon(t, q*1e-3, read.Quantile(q), 0.17, "quantile %v", q)
	}
	require.Zero(t, new(kv.Histogram).Quantile(0.5))
	require.Zero(t, read.Quantile(math.NaN()))
	h.Took(time.Hour)
	h.Took(-time.Second) // a clock may do that
	last := h.Read()
	require.Equal(t, last.Buckets[len(last.Buckets)-2], last.Quantile(1))
	d := last.Since(read)
	require.EqualValues(t, 2, d.Count())
	require.InDelta(t, 3600, d.Sum, 1e-6)

	sizes := NewSizes()
	for n := range 5 {
		sizes.Had(n + 1)
	}
	read = sizes.Read()
	require.InDelta(t, 15, read.Sum, 1e-9)
	require.EqualValues(t, 1, read.Counts[0], "a batch of one has a bucket of its own")

	var none *Histogram
	none.Took(time.Second)
	require.Empty(t, none.Read().Counts)
}

// TestRequests: what many goroutines count at the same time is all there, whichever stripes
// they use; and what is measured by lot counts as many as there were, nearly.
func TestRequests(t *testing.T) {
	r := New(true)
	const goroutines, each = 16, 20_000
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for i := range each {
				k := Get
				if i%4 == 0 {
					k = Of(kv.Set)
				}
				timer := r.Begin(k)
				if i%10 == 1 {
					r.Fail(k, kv.NotFoundError)
				}
				if i%1000 == 7 {
					r.Fail(k, fmt.Errorf("wrapped: %w", kv.ClosedError))
				}
				r.End(k, timer)
			}
		})
	}
	all.Wait()
	requests := r.Requests()
	require.Len(t, requests, 2)
	get, set := requests[0], requests[1]
	require.Equal(t, []string{"get", "set"}, []string{get.Kind, set.Kind})
	require.EqualValues(t, goroutines*each*3/4, get.Count())
	require.EqualValues(t, goroutines*each/4, set.Count())
	require.EqualValues(t, goroutines*each/10, get.Results[kv.ResultNotFound]+set.Results[kv.ResultNotFound])
	require.EqualValues(t, goroutines*each/1000, get.Results[kv.ResultClosed]+set.Results[kv.ResultClosed])
	require.Equal(t, get.Failed(), get.Results[kv.ResultClosed])
	require.InEpsilon(t, get.Count(), get.Took.Count(), 0.1)
	require.InEpsilon(t, set.Count(), set.Took.Count(), 0.1)
}

// TestFewRequestsAreAllMeasured.
func TestFewRequestsAreAllMeasured(t *testing.T) {
	r := New(false)
	for range 100 {
		r.End(Get, r.Begin(Get))
	}
	require.EqualValues(t, 100, r.Requests()[0].Took.Count())
}

// TestLotFallsInStepWithNothing: whatever period a caller's requests have, each of its phases
// is measured about as often as the others.
func TestLotFallsInStepWithNothing(t *testing.T) {
	for _, period := range []uint64{2, 3, 10, 64, 100, 128, 1000} {
		phases := make([]int, period)
		rounds := 64 * 40 * period
		for n := uint64(measuredFirst + 1); n <= measuredFirst+rounds; n++ {
			if n*odd>>(64-getShift) == 0 {
				phases[n%period]++
			}
		}
		for phase, n := range phases {
			require.InDelta(t, 40, n, 20, "phase %d of %d", phase, period)
		}
	}
}

func TestResults(t *testing.T) {
	for want, errs := range map[string][]error{
		kv.ResultOK:        {nil},
		kv.ResultNotFound:  {kv.NotFoundError, fmt.Errorf("x: %w", kv.NotFoundError)},
		kv.ResultConflict:  {&kv.RevisionMismatchError{}, &kv.ConflictError{Last: kv.ChangedError}, kv.ChangedError},
		kv.ResultQuota:     {fmt.Errorf("x: %w", kv.QuotaExceededError)},
		kv.ResultInvalid:   {kv.TooLargeError, kv.InvalidCursorError, kv.ReadOnlyError, kv.NotANumberError},
		kv.ResultBusy:      {kv.BusyError, kv.TooManySnapshotsError},
		kv.ResultCancelled: {context.Canceled, fmt.Errorf("x: %w", context.DeadlineExceeded)},
		kv.ResultUnknown:   {fmt.Errorf("%w: %w", kv.UnknownOutcomeError, context.Canceled), fmt.Errorf("%w: %w", kv.UnknownOutcomeError, kv.DegradedError)},
		kv.ResultDegraded:  {fmt.Errorf("%w: %w", kv.DegradedError, errors.New("disk full")), kv.FileLostError},
		kv.ResultClosed:    {kv.ClosedError, kv.SnapshotExpiredError},
		kv.ResultError:     {errors.New("anything"), kv.RolledBackError},
	} {
		for _, err := range errs {
			require.Equal(t, want, Result(err), "%v", err)
		}
	}
}

func TestEveryKindHasAName(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range Kinds() {
		require.NotEmpty(t, name)
		require.False(t, seen[name], name)
		seen[name] = true
	}
	require.Len(t, ordered, int(kinds))
}

func BenchmarkBegin(b *testing.B) {
	r := New(false)
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			r.End(Get, r.Begin(Get))
		}
	})
	b.Run("together", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				r.End(Get, r.Begin(Get))
			}
		})
	})
}
