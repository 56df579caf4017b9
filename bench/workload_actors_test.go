package bench

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// crowded is a fake for actors: an operation of one of them takes as long as it says.
type crowded struct {
	fake
	each   time.Duration // an operation of an actor
	fails  error
	lost   int64 // of what subscribed actors and timers are to be told
	stops  atomic.Int64
	starts atomic.Int64
	told   func(value string)
	sets   bool // subscribed actors are told of what is set
}

type fakeCrowd struct {
	of   *crowded
	each time.Duration // an operation of all
}

func (c *crowded) contender() Contender {
	return Contender{Name: "crowded", Durability: "nothing", Open: func(string, Settings) (Target, error) {
		c.values = make(chan map[string]string, 1)
		c.values <- make(map[string]string)
		return c, nil
	}}
}

func (c *crowded) crowd(actors int) (Crowd, error) {
	c.starts.Add(1)
	return &fakeCrowd{c, c.each / time.Duration(actors)}, nil
}

func (f *fakeCrowd) Await(_ context.Context, operations int) error {
	time.Sleep(time.Duration(operations) * f.each)
	return f.of.fails
}

func (f *fakeCrowd) Stop() error { f.of.stops.Add(1); return f.of.fails }

func (c *crowded) Gets(actors int, next func(int) (string, string)) (Crowd, error) {
	if group, key := next(actors - 1); group == "" || key == "" {
		return nil, errors.New("no key")
	}
	return c.crowd(1)
}

func (c *crowded) Echoes(int, func(int) (string, string)) (Crowd, error) { return c.crowd(4) }

func (c *crowded) Sets(int, func() (string, string, string)) (Crowd, error) { return c.crowd(1) }

func (c *crowded) Persist(actors int, _ func(int) string) (Crowd, error) { return c.crowd(actors) }

func (c *crowded) SubscribeActors(_ []string, receive func(int, string)) (func() error, error) {
	c.told, c.sets = func(value string) { receive(7, value) }, true
	return func() error { c.sets = false; return nil }, nil
}

func (c *crowded) Set(group, key, value string) error {
	err := c.fake.Set(group, key, value)
	if c.sets && atomic.AddInt64(&c.lost, -1) < 0 {
		c.told(value)
	}
	return err
}

func (c *crowded) SetTimers(items []Item, nanoseconds []int64) error {
	for i, item := range items {
		if nanoseconds[i] > int64(time.Minute) {
			continue // of those that are set to find out how long it takes
		}
		time.AfterFunc(time.Duration(nanoseconds[i])+time.Millisecond, func() {
			if atomic.AddInt64(&c.lost, -1) < 0 {
				c.told(item.Value)
			}
		})
	}
	return nil
}

func (c *crowded) OnTimer(receive func(string)) (func() error, error) {
	c.told = receive
	return func() error { return nil }, nil
}

func measureCrowded(t *testing.T, workload string, c *crowded) *Cell {
	t.Helper()
	p := smallPlan(t, workload)
	p.Expiring = 500
	r := &runner{plan: p, contenders: []Contender{c.contender()}, folder: t.TempDir(), progress: func(int, int, string) {}}
	var cells []Cell
	synctest.Test(t, func(t *testing.T) {
		w := &p.Workloads[0]
		cells = r.measure(context.Background(), w, p.callersOf(w)[0])
		r.closeSites()
	})
	require.Len(t, cells, 1)
	return &cells[0]
}

// What stands beside a workload is measured in turn with it, on the same store.
func TestActorWorkloads_AreMeasuredBesideOthers(t *testing.T) {
	for workload, want := range map[string]struct{ ratio, throughput float64 }{
		"actor-get":   {0.25, 10_000},
		"actor-set":   {0, 10_000},
		"persistence": {1000, 10_000_000},
	} {
		t.Run(workload, func(t *testing.T) {
			c := &crowded{fake: fake{call: time.Millisecond}, each: 100 * time.Microsecond}
			cell := measureCrowded(t, workload, c)
			require.Empty(t, cell.Failed)
			require.Len(t, cell.Rounds, 3)
			require.NotNil(t, cell.Beside)
			assert.NotEmpty(t, cell.Beside.What)
			assert.InEpsilon(t, want.throughput, cell.Throughput.Median, 0.05)
			if want.ratio > 0 {
				assert.InEpsilon(t, want.ratio, cell.Beside.Ratio.Median, 0.05)
			}
			assert.Empty(t, cell.Latency, "a burst's time is no latency")
			assert.Equal(t, c.starts.Load(), c.stops.Load(), "every crowd was stopped")
		})
	}
}

func TestActorWorkloads_ACrowdThatFailsFails(t *testing.T) {
	c := &crowded{each: time.Microsecond, fails: errors.New("an event is lost")}
	assert.Contains(t, measureCrowded(t, "persistence", c).Failed, "an event is lost")
}

func TestActorWorkloads_EventsAndTimersAreCounted(t *testing.T) {
	for workload, what := range map[string]string{"subscribers": "events for subscribed actors", "timers": "500 timers: 497 were delivered"} {
		t.Run(workload, func(t *testing.T) {
			c := &crowded{fake: fake{call: time.Millisecond}}
			cell := measureCrowded(t, workload, c)
			require.Empty(t, cell.Failed)
			d := cell.Delivery
			if workload == "timers" {
				d = cell.Expiry
				assert.EqualValues(t, 500, d.Received)
				assert.InDelta(t, 1000, cell.Rounds[0].Seconds*1000, 50, "from the first that is due to the last")
			} else {
				assert.InDelta(t, 1, cell.Beside.Ratio.Median, 0.05)
			}
			assert.Equal(t, d.Expected, d.Received)

			c = &crowded{fake: fake{call: time.Millisecond}, lost: 3}
			assert.Contains(t, measureCrowded(t, workload, c).Failed, what)
		})
	}
}
