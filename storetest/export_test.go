package storetest

import (
	"context"
	"runtime/pprof"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"
)

// LeaveGoroutine starts a goroutine as a store might.
func LeaveGoroutine(s *Store, release <-chan struct{}) {
	pprof.Do(context.Background(), pprof.Labels(labelKey, s.label), func(context.Context) {
		go func() {
			testkit.Await(s.t, "the end", release)
		}()
	})
}

// PointNames is what the source says there is.
func PointNames(t testing.TB) []string { return testkit.Steps(t, "actors") }

// HurryLeaks has goroutines be waited for less long.
func HurryLeaks() (restore func()) {
	before := leavePatience
	leavePatience = before / 50
	return func() { leavePatience = before }
}

// Result is what came of a run.
type Result struct {
	Failures, Trace []string
	Report          string
}

// Play is one run, whose failure is the caller's to judge.
func Play(t *testing.T, seed uint64, actors Actors, drive func(w *World), options ...Option) Result {
	t.Helper()
	r := play(t, seed, actors, drive, options)
	return Result{r.failures, r.trace, r.report(t.Name())}
}

// ChosenSeeds is which seeds the flags choose.
var ChosenSeeds = chosenSeeds
