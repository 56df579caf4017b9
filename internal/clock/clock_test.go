package clock_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"forge.lthn.ai/core/go-store/internal/clock"
	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestFollowsItsSource(t *testing.T) {
	source := testkit.NewClock()
	c := clock.New(source)
	require.True(t, c.Now().Equal(source.Now()))
	require.Equal(t, source.Now().UnixMilli(), c.Millis())
	source.Advance(1500 * time.Millisecond)
	require.True(t, c.Now().Equal(source.Now()))
	source.Jump(time.Hour)
	require.True(t, c.Now().Equal(source.Now()), "a date that is set forward is followed")
	require.Equal(t, source.Now().UnixMilli(), c.Millis())
}

func TestStandsWhenItsSourceGoesBack(t *testing.T) {
	source := testkit.NewClock()
	c := clock.New(source)
	source.Advance(time.Minute)
	latest := c.Now()
	source.Jump(-time.Hour)
	require.True(t, c.Now().Equal(latest))
	source.Advance(30 * time.Minute)
	require.True(t, c.Now().Equal(latest), "without a monotonic reading nothing else is known")
	source.Advance(31 * time.Minute)
	require.True(t, c.Now().Equal(source.Now()), "it goes on once the source has caught up")
	require.True(t, c.Now().After(latest))
}

func TestAfterFuncIsTheSources(t *testing.T) {
	source := testkit.NewClock()
	c := clock.New(source)
	called := 0
	c.AfterFunc(time.Second, func() { called++ })
	stop := c.AfterFunc(2*time.Second, func() { called += 10 })
	source.Advance(999 * time.Millisecond)
	require.Zero(t, called)
	source.Advance(time.Millisecond)
	require.Equal(t, 1, called)
	require.True(t, stop())
	require.False(t, stop())
	source.Advance(time.Minute)
	require.Equal(t, 1, called)
}

// shifted is the machine's clock, both wall and monotonic, moved by an offset.
// (Package time lets no test move one without the other; the case of a wall
// clock that is set back alone is in clock_internal_test.go.)
type shifted struct{ offset time.Duration }

func (s *shifted) Now() time.Time { return time.Now().Add(s.offset) }

func (s *shifted) AfterFunc(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }

func TestMonotonicReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(clock.System())
		start := c.Now()
		time.Sleep(90 * time.Second)
		require.Equal(t, 90*time.Second, c.Now().Sub(start))
		require.Equal(t, start.Add(90*time.Second).UnixMilli(), c.Millis())

		// A source whose monotonic clock itself goes back is held as well.
		source := &shifted{}
		c = clock.New(source)
		time.Sleep(time.Minute)
		latest := c.Now()
		source.offset = -time.Hour
		require.True(t, c.Now().Equal(latest))
		source.offset = time.Hour
		require.Equal(t, time.Hour, c.Now().Sub(latest))
	})
}

func TestSystemAfterFunc(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system, start := clock.System(), time.Now()
		called := make(chan time.Time, 1)
		stop := system.AfterFunc(time.Minute, func() { called <- system.Now() })
		require.Equal(t, time.Minute, (<-called).Sub(start))
		require.False(t, stop())
		stop = system.AfterFunc(time.Minute, func() { t.Error("called though stopped") })
		require.True(t, stop())
		time.Sleep(time.Hour)
	})
}

func TestNeverRunsBackwardsForAnybody(t *testing.T) {
	source := testkit.NewClock()
	c := clock.New(source)
	stop := make(chan struct{})
	var reading sync.WaitGroup
	for range 4 {
		reading.Go(func() {
			previous, millis := c.Now(), c.Millis()
			for {
				select {
				case <-stop:
					return
				default:
				}
				now := c.Now()
				assert.False(t, now.Before(previous), "%v came after %v", now, previous)
				ms := c.Millis()
				assert.GreaterOrEqual(t, ms, millis)
				previous, millis = now, ms
			}
		})
	}
	for i := range 2000 {
		source.Jump(time.Duration(i%7-3) * time.Millisecond)
		source.Advance(time.Microsecond)
	}
	close(stop)
	reading.Wait()
}

// ticking is a millisecond later each time that a goroutine looks.
type ticking struct{ ms atomic.Int64 }

func (s *ticking) Now() time.Time { return time.UnixMilli(s.ms.Add(1)) }

func (s *ticking) AfterFunc(time.Duration, func()) func() bool { return func() bool { return false } }

// TestReadsDoNotGoBack: while the clock is frozen no read is earlier than one that had
// ended before, nor later than the batch.
func TestReadsDoNotGoBack(t *testing.T) {
	c := clock.New(&ticking{})
	var readers sync.WaitGroup
	var end atomic.Bool
	for range 4 {
		readers.Go(func() {
			for last := int64(0); !end.Load(); {
				now := c.ReadMillis()
				if !assert.LessOrEqual(t, last, now) {
					return
				}
				last = now
			}
		})
	}
	for range 20_000 {
		batch := c.Freeze().UnixMilli()
		if !assert.LessOrEqual(t, c.ReadMillis(), batch) {
			break
		}
		c.Thaw()
	}
	end.Store(true)
	readers.Wait()
}
