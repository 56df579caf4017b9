package testkit

import (
	"fmt"
	"math/rand/v2"
	"sync"
)

// Injected is what a fault panics with.
type Injected struct{ Step string }

func (i Injected) String() string { return "injected at " + i.Step }

// Faults panics at steps as planned. Its Hook is for a component's Failpoint.
type Faults struct {
	mu struct {
		sync.Mutex
		planned map[string]int // panics still to come
		hits    map[string]int
		fired   map[string]int
		random  *rand.Rand
		odds    int // one in so many hits panics
	}
	done chan string // receives a step's name when the last of its planned panics comes
}

// NewFaults has nothing planned.
func NewFaults() *Faults {
	f := &Faults{done: make(chan string, 64)}
	f.mu.planned, f.mu.hits, f.mu.fired = map[string]int{}, map[string]int{}, map[string]int{}
	return f
}

// Plan has the next times hits of a step panic.
func (f *Faults) Plan(step string, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.planned[step] = times
}

// Scatter has one in odds hits of any step panic, as the seed says; odds of 0
// end it.
func (f *Faults) Scatter(seed uint64, odds int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.random, f.mu.odds = rand.New(rand.NewPCG(seed, seed)), odds
}

// Hook is the failpoint.
func (f *Faults) Hook(step string) {
	if f.fails(step) {
		panic(Injected{step})
	}
}

func (f *Faults) fails(step string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.hits[step]++
	switch left := f.mu.planned[step]; {
	case left > 0:
		f.mu.planned[step]--
		if left == 1 {
			f.done <- step
		}
	case f.mu.odds > 0 && f.mu.random.IntN(f.mu.odds) == 0:
	default:
		return false
	}
	f.mu.fired[step]++
	return true
}

// Done receives the name of a step when the last of its planned panics comes.
func (f *Faults) Done() <-chan string { return f.done }

// Hits is how often each step was taken, and how often it panicked.
func (f *Faults) Hits(step string) (hits, panics int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.hits[step], f.mu.fired[step]
}

// Steps are the steps that were taken.
func (f *Faults) Steps() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	steps := make(map[string]int, len(f.mu.hits))
	for step, n := range f.mu.hits {
		steps[step] = n
	}
	return steps
}

func (f *Faults) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("panics: %v of hits: %v", f.mu.fired, f.mu.hits)
}

// Pause makes a component stand still at a step until it is told to go on.
type Pause struct {
	Step    string
	Reached chan struct{} // receives when the step is taken
	Resume  chan struct{} // close it, or send once for each time
	armed   chan struct{}
}

// NewPause stops the next hit of the step, and no other.
func NewPause(step string) *Pause {
	p := &Pause{Step: step, Reached: make(chan struct{}, 1), Resume: make(chan struct{}), armed: make(chan struct{}, 1)}
	p.armed <- struct{}{}
	return p
}

// Again stops one more hit.
func (p *Pause) Again() { p.armed <- struct{}{} }

// Hook is the failpoint.
func (p *Pause) Hook(step string) {
	if step != p.Step {
		return
	}
	select {
	case <-p.armed:
		p.Reached <- struct{}{}
		<-p.Resume
	default:
	}
}
