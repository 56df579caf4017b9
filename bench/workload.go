package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Workload says what callers do to a target, on which data, and how the time
// is counted.
type Workload struct {
	Name  string
	About string // one sentence, for tables and help
	// Writes has Close counted in the time.
	Writes bool
	// Sweeps has it run at every number of callers of the plan; others run at
	// one of them.
	Sweeps bool
	// Callers is how many it runs with whatever the plan says; 0: as planned.
	Callers int
	// Needs is what it asks of a target beyond Set.
	Needs []Need

	// beside is what the same target does in turn with it, round by round: the quotient of
	// the two is in the cell. Only its About, Writes, Callers, data, begin and the like count.
	beside *Workload

	ownKeys  bool // chooses keys by its own definition, not by Plan.Distribution
	stamped  bool // values begin with a moment
	cold     bool // no warm-up: it would warm what is to be cold, or use up what is to be worked on
	batches  bool // show what was committed together
	spends   bool // uses up its data, which is loaded again each round
	fresh    bool // a new store each round
	settings Settings
	data     func(p *Plan) dataset
	begin    func(s *session) (*work, error)
	length   func(p *Plan) time.Duration // of a round; nil: the plan's
}

// work is one round of a workload, after its preparation and before its end.
type work struct {
	step step
	// burst is how many operations a step is, if it is many: the time that it takes is no
	// latency then. A plan's rate does not apply to it.
	burst int
	// start is called when the warm-up is over and the measuring begins.
	start func()
	// settle is called when the callers have returned, before Close; what it
	// takes is not counted.
	settle func(m *measurement) error
	// finish is called after Close.
	finish func(m *measurement) error
}

// dataset is what is in a store before a workload begins. Workloads that leave
// it as it was share one.
type dataset struct {
	name  string
	keys  int
	sizes Sizes
	group func(key int) string // nil: all in dataGroup
}

const dataGroup = "bench"

func (d dataset) groupOf(key int) string {
	if d.group == nil {
		return dataGroup
	}
	return d.group(key)
}

// workloads are all there are, in the order of reports.
var workloads = slices.Concat(basicWorkloads, ycsbWorkloads, scanWorkloads, deleteWorkloads, scopeWorkloads,
	transactionWorkloads, eventWorkloads, expiryWorkloads, actorWorkloads)

// Workloads are all there are, in the order of reports.
func Workloads() []Workload { return slices.Clone(workloads) }

// QuickWorkloads are those of a short run.
func QuickWorkloads() []string {
	return []string{"set", "get-hot", "mixed", "ycsb-a", "getall", "quota", "transaction", "watch-100", "ttl"}
}

// SelectWorkloads finds workloads by name, by the name of their family ("get"
// for get-hot, get-cold and get-missing) or all by "all".
func SelectWorkloads(names []string) ([]Workload, error) {
	wanted := make(map[string]bool)
	for _, name := range names {
		found := false
		for _, w := range workloads {
			if name == "all" || w.Name == name || strings.HasPrefix(w.Name, name+"-") {
				wanted[w.Name], found = true, true
			}
		}
		if !found || name == "" {
			return nil, fmt.Errorf("no workload %q; there are all, %s", name, strings.Join(WorkloadNames(), ", "))
		}
	}
	if len(wanted) == 0 {
		return nil, fmt.Errorf("no workload named; there are all, %s", strings.Join(WorkloadNames(), ", "))
	}
	return slices.DeleteFunc(Workloads(), func(w Workload) bool { return !wanted[w.Name] }), nil
}

// WorkloadNames are the names of all workloads.
func WorkloadNames() []string {
	names := make([]string, len(workloads))
	for i, w := range workloads {
		names[i] = w.Name
	}
	return names
}

// session is what a round of a workload works with.
type session struct {
	ctx     context.Context
	plan    *Plan
	target  Target
	keys    *keyspace
	sizes   Sizes
	callers int
	length  time.Duration // of what will be measured
}

// chooser is what Caller.Keys becomes: the plan's distribution, unless the
// workload has its own.
func (w *Workload) chooser(p *Plan, number, callers int) chooser {
	switch {
	case w.Name == "ycsb-d":
		return Latest.chooser(number, callers)
	case w.ownKeys:
		return Zipfian.chooser(number, callers)
	}
	return p.Distribution.chooser(number, callers)
}

func records(p *Plan) dataset {
	return dataset{name: "records", keys: p.Keys, sizes: p.ValueSize}
}

// setKey overwrites the key with a number.
func (s *session) setKey(c *Caller, number int) (Kind, error) {
	name, value := s.keys.name(number), s.sizes.value(c.Random)
	c.given += int64(len(name) + len(value))
	return Write, s.target.Set(dataGroup, name, value)
}

// getKey reads the key with a number, which must be there.
func (s *session) getKey(getter Getter, number int) (Kind, error) {
	name := s.keys.name(number)
	value, found, err := getter.Get(dataGroup, name)
	if err == nil && (!found || len(value) < s.sizes.Least) {
		err = fmt.Errorf("bench: Get of %s/%s: found %t, %d bytes: an acknowledged write is lost or torn", dataGroup, name, found, len(value))
	}
	return Read, err
}
