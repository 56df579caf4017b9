package clock

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scripted shows what the test says.
type scripted struct{ now time.Time }

func (s *scripted) Now() time.Time                              { return s.now }
func (s *scripted) AfterFunc(time.Duration, func()) func() bool { return nil }

// TestWallClockSetBack is the case of a machine whose date is set back: the
// monotonic clock goes on, and so does the store's.
func TestWallClockSetBack(t *testing.T) {
	start := time.Now()
	source := &scripted{now: start}
	c := New(source)
	// Package time lets no test set a wall clock back under its monotonic
	// reading, so the hour that the clock was ahead is put into it instead.
	ahead := start.Add(time.Hour).UnixNano()
	c.span.Load().offset.Store(int64(time.Hour))
	c.span.Load().last.Store(int64(time.Hour))
	require.Equal(t, ahead, c.Now().UnixNano(), "it does not go back")
	source.now = start.Add(10 * time.Second)
	require.Equal(t, ahead+int64(10*time.Second), c.Now().UnixNano(), "it goes on at the monotonic clock's rate")
	source.now = start.Add(2 * time.Hour)
	require.Equal(t, ahead+int64(2*time.Hour), c.Now().UnixNano())
}

// TestAnyYear: where Unix nanoseconds end, and where milliseconds of a time.Time's
// own arithmetic would, a clock goes on to show what its source does.
func TestAnyYear(t *testing.T) {
	moments := []time.Time{
		{}, time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), time.Date(1600, 2, 29, 1, 2, 3, 4000, time.UTC),
		time.Date(1969, 12, 31, 23, 59, 59, 999_999_999, time.UTC), time.Unix(0, 0), time.Date(2026, 1, 1, 0, 0, 0, 1, time.UTC),
		time.Date(2262, 4, 11, 23, 47, 17, 0, time.UTC), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	for i, from := range moments {
		source := &scripted{now: from}
		c := New(source)
		require.True(t, c.Now().Equal(from), "%v: %v", from, c.Now())
		require.Equal(t, from.UnixMilli(), c.Millis())
		for _, to := range moments[i:] {
			source.now = to
			require.True(t, c.Now().Equal(to), "from %v to %v: %v", from, to, c.Now())
			source.now = to.Add(-time.Hour)
			require.True(t, c.Now().Equal(to), "it does not go back")
			source.now = from
			require.True(t, c.Now().Equal(to), "nor far back")
		}
	}
	for _, beyond := range []struct{ source, shown time.Time }{
		{time.Date(-500, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)},
		{time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)},
		{time.Unix(1<<60, 0), time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)},
		{time.Unix(-1<<60, 0), time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		require.Equal(t, beyond.shown.UnixMilli(), New(&scripted{now: beyond.source}).Now().UnixMilli(), beyond.source)
	}
	source := &scripted{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	c := New(source)
	source.now = time.Unix(1<<60, 0)
	require.Equal(t, 9999, c.Now().UTC().Year())
	source.now = source.now.Add(time.Hour)
	require.Equal(t, 9999, c.Now().UTC().Year())
}
