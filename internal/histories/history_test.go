package histories

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/stretchr/testify/require"
)

var (
	runFor = flag.Duration("histories", 0, "how long the tests of histories go on; 0: a few each")
	seeded = flag.Uint64("histories.seed", 0, "what the first history is drawn from; 0: the time")
)

// folds are the steps of the fold that the owners came to.
var folds testkit.Folds

// plan says what a history is like.
type plan struct {
	callers   int
	each      int // calls of a caller
	groups    int // of lists: a transaction keeps to one
	lists     int // of a group
	kills     int
	reopens   int
	registers bool // a list has one value: what was set last
}

// driver makes a history.
type driver struct {
	plan
	path  string
	seed  uint64
	clock atomic.Int64 // moves with each call and each return
	ids   atomic.Int64
	done  atomic.Int64 // calls

	mu struct {
		sync.Mutex
		owner   *remote
		changed chan struct{} // closed when owner is another one
		history []*transaction
		errs    map[string]int // what was not expected
	}
}

// run makes the history of a plan: callers call, while their store is killed, and
// closed, and opened again. In the end every list is read.
func (p plan) run(path string, seed uint64) (*driver, error) {
	d := &driver{plan: p, path: path, seed: seed}
	d.mu.changed, d.mu.errs = make(chan struct{}), map[string]int{}
	owner, err := start(path, seed)
	if err != nil {
		return nil, err
	}
	d.mu.owner = owner
	var group sync.WaitGroup
	for caller := range p.callers {
		group.Go(func() { d.caller(caller) })
	}
	err = d.disturb()
	group.Wait()
	if err != nil {
		return d, err
	}
	for g := range p.groups {
		d.read(g)
	}
	if err := d.mu.owner.finish(); err != nil {
		return d, err
	}
	for text := range d.mu.errs {
		return d, fmt.Errorf("a call failed with: %s", text)
	}
	return d, nil
}

// disturb kills and reopens, spread over the history.
func (d *driver) disturb() error {
	random := rand.New(rand.NewPCG(d.seed, 1))
	events := make([]bool, d.kills+d.reopens) // true: a kill
	for i := range d.kills {
		events[i] = true
	}
	random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	for i, kill := range events {
		share := int64(d.callers*d.each) * int64(i+1) / int64(len(events)+1)
		for d.done.Load() < share {
			time.Sleep(50 * time.Microsecond)
		}
		if !kill {
			if a, answered := d.mu.owner.do(request{ID: int(d.ids.Add(1)), Call: reopening}); !answered || a.Outcome != committed {
				return fmt.Errorf("the store was not opened again: %s", a.Err)
			}
			continue
		}
		d.mu.owner.kill()
		owner, err := start(d.path, d.seed+uint64(i)+1)
		d.mu.Lock()
		d.mu.owner = owner
		close(d.mu.changed)
		d.mu.changed = make(chan struct{})
		d.mu.Unlock()
		if err != nil {
			d.done.Store(1 << 40) // no goroutine waits for it
			return err
		}
	}
	return nil
}

func (d *driver) caller(number int) {
	random := rand.New(rand.NewPCG(d.seed, uint64(number)+2))
	for n := range d.each {
		if !d.one(random, fmt.Sprint(number, ".", n)) {
			return
		}
		d.done.Add(1)
	}
}

// one makes one call. name is for the values that it writes.
func (d *driver) one(random *rand.Rand, name string) (there bool) {
	q := d.draw(random, name)
	return d.call(q, name)
}

func (d *driver) call(q request, name string) (there bool) {
	d.mu.Lock()
	owner, changed := d.mu.owner, d.mu.changed
	d.mu.Unlock()
	if owner == nil {
		return false
	}
	q.ID = int(d.ids.Add(1))
	t := &transaction{name: name, call: d.clock.Add(1)}
	a, answered := owner.do(q)
	t.returned, t.outcome = d.clock.Add(1), a.Outcome
	reads := a.Reads
	for _, access := range q.Accesses {
		if access.Append == "" && a.Outcome != committed {
			continue // it says nothing
		}
		if access.Append == "" {
			access.Read, reads = reads[0], reads[1:]
		}
		access.List = q.Group + "/" + access.List
		t.accesses = append(t.accesses, access)
	}
	d.mu.Lock()
	d.mu.history = append(d.mu.history, t)
	if a.Err != "" {
		d.mu.errs[a.Err]++
	}
	d.mu.Unlock()
	if !answered {
		<-changed
	}
	return true
}

// draw makes a call up. Its appends come behind its reads of the same list now and
// then, and before them.
func (d *driver) draw(random *rand.Rand, name string) request {
	q := request{Call: call(random.IntN(calls)), Group: fmt.Sprint("g", random.IntN(d.groups)), Register: d.registers}
	list := func() string { return fmt.Sprint("l", random.IntN(d.lists)) }
	if q.Call == setting && !d.registers {
		q.Call = inTransaction
	}
	switch q.Call {
	case setting:
		q.Accesses = []access{{List: list(), Append: name}}
	case compareAndSet:
		l := list()
		q.Accesses = []access{{List: l}, {List: l, Append: name}}
	case getting:
		q.Accesses = []access{{List: list()}}
	case getMany, inSnapshot:
		for l := range d.lists {
			if random.IntN(3) > 0 {
				q.Accesses = append(q.Accesses, access{List: fmt.Sprint("l", l)})
			}
		}
	case scanningGroup:
		for l := range d.lists {
			q.Accesses = append(q.Accesses, access{List: fmt.Sprint("l", l)})
		}
		if random.IntN(2) == 0 {
			q.Accesses = append(q.Accesses, access{List: list(), Append: name})
		}
	default:
		for n := range 1 + random.IntN(4) {
			a := access{List: list()}
			if random.IntN(2) == 0 {
				a.Append = fmt.Sprint(name, ".", n)
			}
			q.Accesses = append(q.Accesses, a)
		}
	}
	return q
}

// read reads a whole group.
func (d *driver) read(group int) {
	q := request{Call: getMany, Group: fmt.Sprint("g", group)}
	for l := range d.lists {
		q.Accesses = append(q.Accesses, access{List: fmt.Sprint("l", l)})
	}
	d.call(q, "in the end")
}

// tally is what histories come to.
type tally struct{ histories, transactions, committed, refused, unknown, kills, reopens int }

func (n *tally) add(d *driver, outcomes []outcome) {
	n.histories++
	n.kills, n.reopens = n.kills+d.kills, n.reopens+d.reopens
	for _, o := range outcomes {
		n.transactions++
		switch o {
		case committed:
			n.committed++
		case refused:
			n.refused++
		case unknown:
			n.unknown++
		}
	}
}

func (n tally) String() string {
	return fmt.Sprintf("%d histories of %d calls: %d committed, %d refused, %d unknown; %d kills, %d reopenings",
		n.histories, n.transactions, n.committed, n.refused, n.unknown, n.kills, n.reopens)
}

func outcomes(history []*transaction) (all []outcome) {
	for _, t := range history {
		all = append(all, t.outcome)
	}
	return all
}

// eachPlan makes histories of the plans in turn, each once at least.
func eachPlan(t *testing.T, plans []plan, check func(t *testing.T, d *driver)) {
	t.Helper()
	seed := *seeded
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	folder := t.TempDir()
	var n tally
	for began, i := time.Now(), 0; i < len(plans) || time.Since(began) < *runFor; i++ {
		p := plans[i%len(plans)]
		d, err := p.run(filepath.Join(folder, fmt.Sprint(i, ".db")), seed+uint64(i))
		require.NoError(t, err, "-histories.seed=%d, %+v", seed+uint64(i), p)
		n.add(d, outcomes(d.mu.history))
		check(t, d)
		if t.Failed() {
			t.Logf("-histories.seed=%d, %+v", seed+uint64(i), p)
			return
		}
	}
	t.Log(n)
	t.Logf("steps of the fold: %v", &folds)
	if n.histories >= 6 {
		require.Empty(t, folds.Missing("compact"), "steps of the fold that no owner has come to")
	}
	folds.Take()
}

// TestTransactionsAreSerializable: callers append to lists and read them, by
// transactions, batches, conditional writes and snapshots, while the process that owns
// the store is killed, and the store is closed and opened again. One order explains all
// of it, and agrees with real time.
func TestTransactionsAreSerializable(t *testing.T) {
	eachPlan(t, []plan{
		{callers: 8, each: 120, groups: 2, lists: 4, kills: 2, reopens: 1},
		{callers: 64, each: 30, groups: 4, lists: 4, kills: 3, reopens: 2},
		{callers: 24, each: 60, groups: 1, lists: 6, kills: 2, reopens: 2},
	}, func(t *testing.T, d *driver) {
		require.NoError(t, judge(d.mu.history))
		require.True(t, slices.ContainsFunc(d.mu.history, func(t *transaction) bool { return t.outcome == committed && len(t.accesses) > 1 }))
	})
}
