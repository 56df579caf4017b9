package conformance_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	library "github.com/asynkron/protoactor-go/persistence"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/persistence"
	"forge.lthn.ai/core/go-store/persistence/conformance"
)

// What a provider keeps is a set; checks of the rest are not run.
func ExamplePromise() {
	memory := conformance.Everything &^ (conformance.Durable | conformance.SurvivesKill)
	fmt.Println(memory)
	fmt.Println(memory&conformance.Concurrent != 0)
	fmt.Println(conformance.Deletes | conformance.Fences | conformance.FencesSnapshots | conformance.RefusesGaps)
	fmt.Println(conformance.Copies | conformance.AnyName | conformance.IntervalOff)
	// Output:
	// Deletes+Fences+FencesSnapshots+RefusesGaps+Concurrent+Copies+AnyName+IntervalOff
	// true
	// Deletes+Fences+FencesSnapshots+RefusesGaps
	// Copies+AnyName+IntervalOff
}

// open is this module's provider, on a file.
func open(place string, interval int) (*conformance.Opened, error) {
	store, err := api.New(filepath.Join(place, "store.db"))
	if err != nil {
		return nil, err
	}
	provider, err := persistence.New(store, persistence.WithSnapshotInterval(interval))
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &conformance.Opened{Provider: provider, Close: store.Close}, nil
}

// The test of a provider. With SurvivesKill in Promises its TestMain calls Child first.
func ExampleRun() {
	_ = func(t *testing.T) {
		conformance.Run(t, conformance.Options{
			Open:     open,
			Promises: conformance.Everything &^ conformance.SurvivesKill,
			Fenced:   persistence.FencedError,
		})
	}
}

// inMemory makes a Provider of the library's state, which is not one.
type inMemory struct{ state *library.InMemoryProvider }

func (p inMemory) GetState() library.ProviderState { return p.state }

// The library's own provider promises nothing beyond its interface, and keeps that.
func ExampleVerify() {
	folder, err := os.MkdirTemp("", "conformance")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	outcomes := conformance.Verify(func() string { return folder }, conformance.Options{
		Open: func(_ string, interval int) (*conformance.Opened, error) {
			return &conformance.Opened{Provider: inMemory{library.NewInMemoryProvider(interval)}}, nil
		},
	})
	tried := 0
	for _, outcome := range outcomes {
		if outcome.Tried {
			tried++
		}
		if outcome.Err != nil {
			fmt.Println(outcome.Name, outcome.Needs, outcome.Err)
		}
	}
	fmt.Println(tried > 0, tried < len(outcomes))
	// Output: true true
}

// TestMain calls it before all else: in a process that a check has started, to be killed, it
// opens the provider that Options.Child names and does not return.
func ExampleChild() {
	conformance.Child(map[string]func(place string, interval int) (*conformance.Opened, error){"file": open})
	fmt.Println("no child: on to the tests")
	// Output: no child: on to the tests
}
