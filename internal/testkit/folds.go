package testkit

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// FoldSteps are the steps by which what was committed to an overlay comes into the table, as
// sqlite.Config.FoldStep is told of them.
var FoldSteps = []string{
	"freeze",     // the active run has become the frozen one
	"arrange",    // it is known in which order that is folded
	"mark",       // a group that was deleted has been, in the table
	"slice",      // some rows of the run, not the last, are in the table
	"last slice", // the last are about to be, with how far the table has come
	"retire",     // they are, and the run has left memory
	"compact",    // a compaction is about to fold all
	"close",      // Close is
	"load",       // a store has been opened with a tail in its log, for an overlay
	"direct",     // one that writes to the table itself is about to fold such a tail
}

// Folds counts the steps of the fold that stores come to: a net that is to hold what is wrong
// with them has to come by each.
type Folds struct {
	mu struct {
		sync.Mutex
		hits map[string]int
	}
}

// Step is for engine.Config.FoldStep.
func (f *Folds) Step(step string) { f.Add(step, 1) }

// Add counts steps of another process.
func (f *Folds) Add(step string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.hits == nil {
		f.mu.hits = make(map[string]int)
	}
	f.mu.hits[step] += n
}

// Take is how often each step was hit since the last Take.
func (f *Folds) Take() (hits map[string]int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	hits, f.mu.hits = f.mu.hits, nil
	return hits
}

// Missing are the steps that were not hit, but for those that need not be. A step that the list
// does not name is one too.
func (f *Folds) Missing(but ...string) (steps []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, step := range FoldSteps {
		if f.mu.hits[step] == 0 && !slices.Contains(but, step) {
			steps = append(steps, step)
		}
	}
	for step := range f.mu.hits {
		if !slices.Contains(FoldSteps, step) {
			steps = append(steps, step+", which FoldSteps lacks")
		}
	}
	return steps
}

func (f *Folds) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprint(maps.Clone(f.mu.hits)) // in the order of names
}
