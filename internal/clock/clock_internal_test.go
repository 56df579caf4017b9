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
	ahead := start.UnixNano() + int64(time.Hour)
	c.offset.Store(ahead)
	c.last.Store(ahead)
	require.Equal(t, ahead, c.nanos(), "it does not go back")
	source.now = start.Add(10 * time.Second)
	require.Equal(t, ahead+int64(10*time.Second), c.nanos(), "it goes on at the monotonic clock's rate")
	source.now = start.Add(2 * time.Hour)
	require.Equal(t, ahead+int64(2*time.Hour), c.nanos())
}
