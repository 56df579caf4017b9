package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fake is a store in a map whose calls take as long as they should.
type fake struct {
	call, close time.Duration
	opened      *[]string
	name        string
	values      chan map[string]string // one map, for the goroutine that holds it
	forget      string                 // a key that it does not keep
	loaded      []string               // keys, in the order in which they came
}

func (f *fake) contender() Contender {
	return Contender{Name: f.name, Durability: "nothing", Open: func(string, Settings) (Target, error) {
		if f.opened != nil {
			*f.opened = append(*f.opened, f.name)
		}
		if f.values == nil {
			f.values = make(chan map[string]string, 1)
			f.values <- make(map[string]string)
		}
		return f, nil
	}}
}

func (f *fake) Set(group, key, value string) error {
	time.Sleep(f.call)
	values := <-f.values
	defer func() { f.values <- values }()
	if key != f.forget {
		values[group+"/"+key] = value
	}
	return nil
}

func (f *fake) Get(group, key string) (string, bool, error) {
	time.Sleep(f.call)
	values := <-f.values
	defer func() { f.values <- values }()
	value, found := values[group+"/"+key]
	return value, found, nil
}

// Load takes no time, fake or real.
func (f *fake) Load(items []Item) error {
	values := <-f.values
	defer func() { f.values <- values }()
	for _, item := range items {
		f.loaded = append(f.loaded, item.Key)
		if item.Key != f.forget {
			values[item.Group+"/"+item.Key] = item.Value
		}
	}
	return nil
}

func (f *fake) Close() error { time.Sleep(f.close); return nil }

// smallPlan is a plan of one workload.
func smallPlan(t *testing.T, workload string) *Plan {
	t.Helper()
	selected, err := SelectWorkloads([]string{workload})
	require.NoError(t, err)
	p := DefaultPlan()
	p.Workloads, p.Keys, p.Callers = selected, 100, []int{2}
	p.Round, p.WarmUp = time.Second, 100*time.Millisecond
	return &p
}

// measureFakes runs the plan's one workload on fake time.
func measureFakes(t *testing.T, p *Plan, fakes ...*fake) []Cell {
	t.Helper()
	r := &runner{plan: p, folder: t.TempDir(), progress: func(int, int, string) {}}
	for _, f := range fakes {
		r.contenders = append(r.contenders, f.contender())
	}
	var cells []Cell
	synctest.Test(t, func(t *testing.T) {
		cells = r.measure(context.Background(), &p.Workloads[0], p.Callers[0])
		r.closeSites()
	})
	return cells
}

func TestMeasure_RoundsAlternate(t *testing.T) {
	var opened []string
	p := smallPlan(t, "get-hot")
	measureFakes(t, p, &fake{name: "a", opened: &opened, call: time.Millisecond}, &fake{name: "b", opened: &opened, call: time.Millisecond})
	// The first time each is opened to be loaded, and opened again.
	assert.Equal(t, []string{"a", "a", "b", "b", "a", "b", "a", "b"}, opened)
}

func TestMeasure_RatiosOfThroughput(t *testing.T) {
	cells := measureFakes(t, smallPlan(t, "get-hot"), &fake{name: "a", call: 2 * time.Millisecond}, &fake{name: "b", call: time.Millisecond})
	require.Len(t, cells, 2)
	assert.InEpsilon(t, 1000, cells[0].Throughput.Median, 0.01, "two callers, 2 ms each")
	assert.InEpsilon(t, 2, cells[1].Ratio.Median, 0.01)
	assert.InEpsilon(t, 2, cells[1].Ratio.Least, 0.01)
	assert.InEpsilon(t, int64(2*time.Millisecond), cells[0].Latency["read"].P50, 0.02)
	assert.Len(t, cells[0].Rounds, 3)
}

func TestMeasure_CloseIsInTheTimeOfWritesAlone(t *testing.T) {
	slow := func() *fake { return &fake{name: "a", call: time.Millisecond, close: time.Second} }
	set := measureFakes(t, smallPlan(t, "set"), slow())[0]
	assert.InEpsilon(t, 1000, set.Throughput.Median, 0.01, "2000 a second, and a second for Close")
	assert.EqualValues(t, 1, set.Rounds[0].Close)
	get := measureFakes(t, smallPlan(t, "get-hot"), slow())[0]
	assert.InEpsilon(t, 2000, get.Throughput.Median, 0.01)
	assert.Zero(t, get.Rounds[0].Close)
}

func TestMeasure_LoadsInTheOrderOfNamesIfItIsToBeSo(t *testing.T) {
	for _, sorted := range []bool{false, true} {
		p, f := smallPlan(t, "get-any"), &fake{name: "a", call: time.Millisecond}
		p.Keys, p.Sorted = 2*loadBatch+1, sorted
		measureFakes(t, p, f)
		assert.Len(t, f.loaded, p.Keys)
		assert.Equal(t, sorted, slices.IsSorted(f.loaded))
	}
}

func TestMeasure_AStoreThatCannotSaysWhy(t *testing.T) {
	p := smallPlan(t, "delete")
	assert.Equal(t, "has no delete", measureFakes(t, p, &fake{name: "a"})[0].Cannot)
}

// The harness is no judge of a store, but it won't take a wrong answer for a
// fast one.
func TestMeasure_AStoreThatIsWrongFails(t *testing.T) {
	p := smallPlan(t, "get-hot")
	lost := newKeyspace(p.Keys, false).name(42)
	cells := measureFakes(t, p, &fake{name: "a", call: time.Millisecond, forget: lost}, &fake{name: "b", call: time.Millisecond})
	assert.Contains(t, cells[0].Failed, "an acknowledged write is lost")
	assert.Empty(t, cells[0].Rounds)
	assert.Empty(t, cells[1].Failed, "the others go on")
	assert.EqualValues(t, 1, cells[1].Ratio.Median, "and the first that can is what ratios relate to")
}

func TestSpread(t *testing.T) {
	assert.Equal(t, Spread{3, 1, 9}, spread([]float64{9, 3, 1}))
	assert.Equal(t, Spread{2.5, 1, 4}, spread([]float64{4, 1, 3, 2}))
	assert.Equal(t, Spread{}, spread(nil))
}

// quickRun runs a plan on real time, as short as can be.
func quickRun(ctx context.Context, t *testing.T, progress Progress) *Result {
	t.Helper()
	p := smallPlan(t, "set")
	p.Round, p.WarmUp, p.Folder = 5*time.Millisecond, time.Millisecond, t.TempDir()
	result, err := Run(ctx, *p, []Contender{(&fake{name: "a"}).contender(), (&fake{name: "b"}).contender()}, progress)
	require.NoError(t, err)
	return result
}

func TestRun_ResultSurvivesJSON(t *testing.T) {
	var steps []string
	result := quickRun(context.Background(), t, func(done, total int, next string) {
		steps = append(steps, fmt.Sprintf("%d/%d %s", done, total, next))
	})
	assert.Equal(t, []string{"0/6 set, a", "1/6 set, b", "2/6 set, a", "3/6 set, b", "4/6 set, a", "5/6 set, b"}, steps)
	assert.False(t, result.Interrupted)
	assert.Empty(t, result.Failures())
	assert.Positive(t, result.Harness.SetNs)
	assert.Positive(t, result.Machine.SyncNs)

	var text bytes.Buffer
	require.NoError(t, result.WriteJSON(&text))
	result.Started = result.Started.Round(0) // a clock's reading does not survive
	read, err := ReadJSON(&text)
	require.NoError(t, err)
	assert.True(t, result.Started.Equal(read.Started))
	read.Started = result.Started
	assert.Equal(t, result, read)

	_, err = ReadJSON(bytes.NewBufferString(`{"schema": "go-store-bench/0"}`))
	assert.ErrorContains(t, err, "go-store-bench/0")
	_, err = ReadJSON(bytes.NewBufferString(`[`))
	assert.Error(t, err)
}

func TestRun_InterruptedHasWhatWasMeasured(t *testing.T) {
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	result := quickRun(ctx, t, func(done, _ int, _ string) {
		if done == 3 { // a has had two rounds and b one
			interrupt()
		}
	})
	assert.True(t, result.Interrupted)
	require.Len(t, result.Cells, 2)
	assert.Len(t, result.Cells[0].Rounds, 2)
	assert.Len(t, result.Cells[1].Rounds, 1)
	assert.Empty(t, result.Failures(), "to be interrupted is no failure")
}

func TestRun_FailuresAreReported(t *testing.T) {
	p := smallPlan(t, "set")
	p.Round, p.Folder = time.Millisecond, t.TempDir()
	broken := Contender{Name: "a", Open: func(string, Settings) (Target, error) { return nil, errors.New("no such disk") }}
	result, err := Run(context.Background(), *p, []Contender{broken}, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"a, set, 2 callers: open: no such disk"}, result.Failures())

	_, err = Run(context.Background(), *p, nil, nil)
	assert.ErrorContains(t, err, "no contenders")
	p.Keys = 0
	_, err = Run(context.Background(), *p, []Contender{broken}, nil)
	assert.ErrorContains(t, err, "0 keys: use 10 to 100,000,000")
	p = smallPlan(t, "set")
	p.Folder = "/no/such/folder"
	_, err = Run(context.Background(), *p, []Contender{broken}, nil)
	assert.ErrorContains(t, err, "make a folder for the stores")
}
