package storetest

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
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

// PointNames is what the source says there is: the steps of all code that is given the hook of a
// store.
func PointNames(t testing.TB) []string {
	t.Helper()
	names := testkit.Steps(t, "actors")
	source, err := os.ReadFile(filepath.Join(testkit.Root(t), "internal", "cache", "writer.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`fail\.Hit\("([^"]+)"\)`).FindAllSubmatch(source, -1) {
		names = append(names, string(match[1]))
	}
	return names
}

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

// Spread is which of many times are tried.
var Spread = spread
