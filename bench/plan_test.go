package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSelectWorkloads(t *testing.T) {
	for _, test := range []struct {
		names []string
		want  []string
	}{
		{[]string{"set"}, []string{"set"}},
		{[]string{"watch-1", "get"}, []string{"get-hot", "get-cold", "get-any", "get-missing", "watch-1"}},
		{[]string{"ycsb"}, []string{"ycsb-a", "ycsb-b", "ycsb-c", "ycsb-d", "ycsb-e", "ycsb-f"}},
		{[]string{"all"}, WorkloadNames()},
		{QuickWorkloads(), nil},
	} {
		selected, err := SelectWorkloads(test.names)
		require.NoError(t, err)
		var names []string
		for _, w := range selected {
			names = append(names, w.Name)
		}
		if test.want != nil {
			assert.Equal(t, test.want, names)
		}
	}
	for _, bad := range [][]string{nil, {""}, {"sett"}, {"set", "y"}} {
		_, err := SelectWorkloads(bad)
		assert.ErrorContains(t, err, "there are all, set, get-hot", bad)
	}
}

func TestWorkloads_AreComplete(t *testing.T) {
	for _, w := range Workloads() {
		assert.NotEmpty(t, w.About, w.Name)
		assert.LessOrEqual(t, len(w.Name), 12, "the help's column")
	}
}

func TestPlan_Validate(t *testing.T) {
	for want, spoil := range map[string]func(*Plan){
		"no workload named":                      func(p *Plan) { p.Workloads = nil },
		"callers []: use numbers from 1 to 4096": func(p *Plan) { p.Callers = nil },
		"callers [0]: use numbers":               func(p *Plan) { p.Callers = []int{0} },
		"callers [5000]: use numbers":            func(p *Plan) { p.Callers = []int{5000} },
		"callers [8 1]: name each number once":   func(p *Plan) { p.Callers = []int{8, 1} },
		"callers [1 1]: name each number once":   func(p *Plan) { p.Callers = []int{1, 1} },
		"9 keys: use 10":                         func(p *Plan) { p.Keys = 9 },
		"0 keys that expire: use 1":              func(p *Plan) { p.Expiring = 0 },
		`no distribution "gauss"; there are [uniform zipfian latest sequential]`: func(p *Plan) { p.Distribution = "gauss" },
		"0 rounds":                             func(p *Plan) { p.Rounds = 0 },
		"rate -1":                              func(p *Plan) { p.Rate = -1 },
		"not one call would be due in a round": func(p *Plan) { p.Rate = 0.5 },
		"it needs 16 at least":                 func(p *Plan) { *p = *smallPlan(t, "watch-1"); p.ValueSize = Sizes{Least: 15, Most: 15} },
		"choose their keys by their own definition": func(p *Plan) { *p = *smallPlan(t, "ycsb-a"); p.Distribution = Zipfian },
	} {
		p := smallPlan(t, "set")
		require.NoError(t, p.Validate())
		spoil(p)
		assert.ErrorContains(t, p.Validate(), want)
	}
	full := FullPlan()
	assert.NoError(t, full.Validate())
}

func TestPlan_Fit(t *testing.T) {
	p := smallPlan(t, "set")
	p.Fit(10*time.Second, 2) // 2 contenders, 3 rounds
	assert.InDelta(t, 10*0.45/1.25/6, p.Round.Seconds(), 0.001)
	p.Fit(time.Hour, 2)
	assert.Equal(t, 5*time.Second, p.Round)
	p.Fit(time.Second, 1000)
	assert.Equal(t, 20*time.Millisecond, p.Round)
}

// A million keys are not due in one second, and a minute of it is enough.
func TestPlan_RoundsOfExpiry(t *testing.T) {
	p := smallPlan(t, "ttl")
	ttl, set := &p.Workloads[0], &Workload{}
	p.Expiring = 50_000
	assert.Equal(t, 2*time.Second, p.roundOf(ttl))
	assert.Equal(t, 3, p.roundsOf(ttl))
	p.Expiring = 1_000_000
	assert.Equal(t, 40*time.Second, p.roundOf(ttl))
	assert.Equal(t, 1, p.roundsOf(ttl))
	assert.Equal(t, 1, p.rounds(1))
	assert.Equal(t, p.Round, p.roundOf(set))
	assert.Equal(t, 3, p.roundsOf(set))
	p.Expiring = 1
	assert.Equal(t, p.Round, p.roundOf(ttl))
}

func TestPlan_CallersOf(t *testing.T) {
	p := smallPlan(t, "set")
	p.Callers = []int{1, 64, 512}
	assert.Equal(t, p.Callers, p.callersOf(&Workload{Sweeps: true}))
	assert.Equal(t, []int{64}, p.callersOf(&Workload{}))
	assert.Equal(t, []int{1}, p.callersOf(&Workload{Callers: 1, Sweeps: true}))
	p.Callers = []int{128, 256}
	assert.Equal(t, []int{128}, p.callersOf(&Workload{}))
}
