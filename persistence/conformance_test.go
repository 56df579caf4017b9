package persistence_test

import (
	"path/filepath"
	"testing"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/persistence"
	"forge.lthn.ai/core/go-store/persistence/conformance"

	library "github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	conformance.Child(openers)
	testkit.Main(m)
}

var openers = map[string]func(place string, interval int) (*conformance.Opened, error){
	"file":   openFile,
	"scoped": openScoped,
}

func openFile(place string, interval int) (*conformance.Opened, error) {
	store, err := api.New(filepath.Join(place, "store.db"))
	if err != nil {
		return nil, err
	}
	return opened(store, store, interval)
}

func openScoped(place string, interval int) (*conformance.Opened, error) {
	store, err := api.New(filepath.Join(place, "store.db"))
	if err != nil {
		return nil, err
	}
	scope, err := api.NewScopedWithQuota(store, "tenant-1", api.QuotaConfig{MaxKeys: 1 << 20, MaxGroups: 1 << 12})
	if err != nil {
		return nil, err
	}
	return opened(store, scope, interval)
}

func openMemory(_ string, interval int) (*conformance.Opened, error) {
	store, err := api.New(":memory:")
	if err != nil {
		return nil, err
	}
	return opened(store, store, interval)
}

func opened(store *api.Store, on persistence.Store, interval int) (*conformance.Opened, error) {
	provider, err := persistence.New(on, persistence.WithSnapshotInterval(interval))
	if err != nil {
		return nil, err
	}
	return &conformance.Opened{Provider: provider, Close: store.Close}, nil
}

const ofMemory = conformance.Everything &^ (conformance.Durable | conformance.SurvivesKill)

func TestConformance(t *testing.T) {
	for name, options := range map[string]conformance.Options{
		"file":   {Open: openFile, Promises: conformance.Everything, Child: "file"},
		"scoped": {Open: openScoped, Promises: conformance.Everything, Child: "scoped"},
		"memory": {Open: openMemory, Promises: ofMemory},
	} {
		options.Fenced = persistence.FencedError
		t.Run(name, func(t *testing.T) { conformance.Run(t, options) })
	}
}

// libraryProvider makes a Provider of the library's state, which is not one.
type libraryProvider struct{ state *library.InMemoryProvider }

func (p libraryProvider) GetState() library.ProviderState { return p.state }

func openLibrary(_ string, interval int) (*conformance.Opened, error) {
	return &conformance.Opened{Provider: libraryProvider{library.NewInMemoryProvider(interval)}}, nil
}

// The library's own provider keeps what the library's interface says, and none of the
// promises.
func TestConformanceOfTheLibrarysProvider(t *testing.T) {
	conformance.Run(t, conformance.Options{Open: openLibrary})
}

func TestTheLibrarysProviderKeepsNoPromise(t *testing.T) {
	for _, each := range []struct {
		promise conformance.Promise
		fails   []string
	}{
		{conformance.Deletes, []string{"EventsAreDeletedUpToAndWith", "SnapshotsAreDeletedUpToAndWith"}},
		{conformance.Fences, []string{"AnIndexIsTakenOnce"}},
		{conformance.FencesSnapshots, []string{"AnOldIncarnationMakesNoSnapshot"}},
		{conformance.RefusesGaps, []string{"NoIndexIsLeftOut"}},
		{conformance.Copies, []string{"WhatWasWrittenDoesNotChange", "WhatIsReadIsTheReaders"}},
		{conformance.IntervalOff, []string{"NoSnapshotsAreAskedFor"}},
	} {
		failed := map[string]bool{}
		for _, outcome := range conformance.Verify(t.TempDir, conformance.Options{Open: openLibrary, Promises: each.promise}) {
			failed[outcome.Name] = outcome.Err != nil
			if outcome.Err != nil {
				t.Logf("%v: %s: %.200v", each.promise, outcome.Name, outcome.Err)
			}
		}
		for _, name := range each.fails {
			require.True(t, failed[name], "%v: %s passes", each.promise, name)
		}
	}
}
