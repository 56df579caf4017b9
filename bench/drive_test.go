package bench

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func someCallers(n int) []*Caller {
	callers := make([]*Caller, n)
	for i := range callers {
		callers[i] = &Caller{Number: i, Random: newRandom(1, uint64(i))}
	}
	return callers
}

// stallOnce is a call that takes a millisecond, but once a whole second.
func stallOnce(at int) step {
	return func(c *Caller) (Kind, error) {
		if c.Calls == at {
			time.Sleep(time.Second)
		} else {
			time.Sleep(time.Millisecond)
		}
		return Write, nil
	}
}

// A store that stalls for one of ten seconds keeps a tenth of its calls
// waiting. At a fixed rate the percentiles must say so. In a closed loop one
// call of a thousand was slow, and they can't.
func TestDrive_AStallIsFeltByAllItHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, err := drive(context.Background(), someCallers(1), phase{length: 10 * time.Second, rate: 100, step: stallOnce(500)})
		require.NoError(t, err)
		assert.EqualValues(t, 1000, o.operations)
		assert.Zero(t, o.unserved)
		all := o.latency.latencies()["all"]
		assert.InEpsilon(t, int64(time.Millisecond), all.P50, 0.02)
		assert.InDelta(t, float64(900*time.Millisecond), float64(all.P99), float64(30*time.Millisecond),
			"of the calls of ten seconds one percent waited 0.9 s or longer")

		o, err = drive(context.Background(), someCallers(1), phase{length: 10 * time.Second, rate: 0, step: stallOnce(500)})
		require.NoError(t, err)
		assert.InEpsilon(t, int64(time.Millisecond), o.latency.latencies()["all"].P99, 0.02)
	})
}

func TestDrive_CallsThatNeverBeganCountAsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, err := drive(context.Background(), someCallers(1), phase{length: 2 * time.Second, rate: 100, step: func(*Caller) (Kind, error) {
			time.Sleep(3 * time.Second)
			return Read, nil
		}})
		require.NoError(t, err)
		assert.EqualValues(t, 1, o.operations)
		assert.EqualValues(t, 199, o.unserved)
		read := o.latency.latencies()["read"]
		assert.EqualValues(t, 200, read.Count)
		assert.InEpsilon(t, int64(2*time.Second), read.P50, 0.02)
	})
}

func TestDrive_KeepsTheRateOfManyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, err := drive(context.Background(), someCallers(8), phase{length: time.Second, rate: 1000, step: stallOnce(-1)})
		require.NoError(t, err)
		assert.EqualValues(t, 1000, o.operations)
		assert.EqualValues(t, 0, o.lateness.Max(), "fake timers are never late")
	})
}

func TestDrive_ClosedLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, err := drive(context.Background(), someCallers(4), phase{length: time.Second, rate: 0, step: stallOnce(-1)})
		require.NoError(t, err)
		assert.EqualValues(t, 4000, o.operations)
		assert.Equal(t, time.Second, o.elapsed)
	})
}

func TestDrive_EndsEarly(t *testing.T) {
	fault := errors.New("the disk is on fire")
	for name, test := range map[string]struct {
		fails error
		want  error
	}{"one fails": {fault, fault}, "nothing is left": {errExhausted, nil}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				o, err := drive(context.Background(), someCallers(4), phase{length: time.Hour, rate: 0, step: func(c *Caller) (Kind, error) {
					time.Sleep(time.Millisecond)
					if c.Calls == 10 && (c.Number == 0 || errors.Is(test.fails, errExhausted)) {
						return Write, test.fails
					}
					return Write, nil
				}})
				assert.ErrorIs(t, err, test.want)
				assert.Less(t, time.Since(began), time.Second)
				assert.GreaterOrEqual(t, o.operations, int64(40))
			})
		})
	}
	for name, rate := range map[string]float64{"closed loop": 0, "fixed rate": 0.001} {
		t.Run("interrupted, "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				began := time.Now()
				_, err := drive(ctx, someCallers(4), phase{length: time.Hour, rate: rate, step: stallOnce(-1)})
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Less(t, time.Since(began), 2*time.Second)
			})
		})
	}
}

// What Sets are given is counted, as the bytes of keys and values.
func TestDrive_CountsTheBytesOfRecords(t *testing.T) {
	set := measureFakes(t, smallPlan(t, "set"), &fake{name: "a", call: time.Millisecond})[0]
	name := int64(len(newKeyspace(100, false).name(0)))
	for _, round := range set.Rounds {
		assert.Equal(t, round.Operations*(name+100), round.Given)
	}
	assert.Zero(t, measureFakes(t, smallPlan(t, "get-hot"), &fake{name: "a", call: time.Millisecond})[0].Rounds[0].Given)
}
