package persistence_test

import (
	"math"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/persistence/conformance"

	library "github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// faulty is our provider with one fault, as other providers have them.
type faulty struct {
	library.ProviderState
	provider library.Provider
	fault    fault
	count    int
	blind    bool // it takes no heed of what the incarnation has seen
}

type fault struct {
	persist         func(f *faulty, name string, index int, event proto.Message)
	snapshot        func(f *faulty, name string) (any, int, bool)
	persistSnapshot func(f *faulty, name string, index int, snapshot proto.Message)
	events          func(f *faulty, name string, from, to int, callback func(any))
	deleteEvents    func(f *faulty, name string, through int)
	deleteSnapshots func(f *faulty, name string, through int)
	interval        func(f *faulty) int
	name            func(string) string
}

func (f *faulty) named(name string) string {
	if f.fault.name != nil {
		return f.fault.name(name)
	}
	return name
}

func (f *faulty) PersistEvent(name string, index int, event proto.Message) {
	if f.fault.persist != nil {
		f.fault.persist(f, name, index, event)
	} else {
		f.ProviderState.PersistEvent(f.named(name), index, event)
	}
}

func (f *faulty) GetSnapshot(name string) (any, int, bool) {
	if f.fault.snapshot != nil {
		return f.fault.snapshot(f, name)
	}
	return f.ProviderState.GetSnapshot(f.named(name))
}

func (f *faulty) PersistSnapshot(name string, index int, snapshot proto.Message) {
	if f.fault.persistSnapshot != nil {
		f.fault.persistSnapshot(f, name, index, snapshot)
	} else {
		f.ProviderState.PersistSnapshot(f.named(name), index, snapshot)
	}
}

func (f *faulty) GetEvents(name string, from, to int, callback func(any)) {
	if f.fault.events != nil {
		f.fault.events(f, name, from, to, callback)
	} else {
		f.ProviderState.GetEvents(f.named(name), from, to, callback)
	}
}

func (f *faulty) DeleteEvents(name string, through int) {
	if f.fault.deleteEvents != nil {
		f.fault.deleteEvents(f, name, through)
	} else {
		f.ProviderState.DeleteEvents(f.named(name), through)
	}
}

func (f *faulty) DeleteSnapshots(name string, through int) {
	if f.fault.deleteSnapshots != nil {
		f.fault.deleteSnapshots(f, name, through)
	} else {
		f.ProviderState.DeleteSnapshots(f.named(name), through)
	}
}

func (f *faulty) GetSnapshotInterval() int {
	if f.fault.interval != nil {
		return f.fault.interval(f)
	}
	return f.ProviderState.GetSnapshotInterval()
}

type faultyProvider struct {
	inner library.Provider
	fault fault
}

func (p faultyProvider) GetState() library.ProviderState {
	return &faulty{ProviderState: p.inner.GetState(), provider: p.inner, fault: p.fault}
}

var faults = map[string]fault{
	"acknowledges an event that it does not write": {persist: func(f *faulty, name string, index int, event proto.Message) {
		if f.count++; f.count%7 != 0 {
			f.ProviderState.PersistEvent(name, index, event)
		}
	}},
	"swallows errors": {persist: func(f *faulty, name string, index int, event proto.Message) {
		_ = caught(func() { f.ProviderState.PersistEvent(name, index, event) })
	}},
	"swallows errors of snapshots": {persistSnapshot: func(f *faulty, name string, index int, snapshot proto.Message) {
		_ = caught(func() { f.ProviderState.PersistSnapshot(name, index, snapshot) })
	}},
	"panics with a text": {persist: func(f *faulty, name string, index int, event proto.Message) {
		if err := caught(func() { f.ProviderState.PersistEvent(name, index, event) }); err != nil {
			panic(err.Error())
		}
	}},
	"takes the next index when one is taken": {persist: func(f *faulty, name string, index int, event proto.Message) {
		for caught(func() { f.ProviderState.PersistEvent(name, index, event) }) != nil && index < 1000 {
			index++
		}
	}},
	"knows an actor that was replayed nothing by indexes alone": {
		events: func(f *faulty, name string, from, to int, callback func(any)) {
			f.blind = from > 0 && to == 0
			f.ProviderState.GetEvents(name, from, to, func(e any) {
				f.blind = false
				callback(e)
			})
		},
		persist: func(f *faulty, name string, index int, event proto.Message) {
			state := f.ProviderState
			if f.blind {
				state = f.provider.GetState()
			}
			state.PersistEvent(name, index, event)
		},
	},
	"has an actor that was replayed nothing write what it likes": {
		events: func(f *faulty, name string, from, to int, callback func(any)) {
			f.blind = from > 0 && to == 0
			f.ProviderState.GetEvents(name, from, to, func(e any) {
				f.blind = false
				callback(e)
			})
		},
		persistSnapshot: func(f *faulty, name string, index int, snapshot proto.Message) {
			state := f.ProviderState
			if f.blind {
				state = f.provider.GetState()
			}
			state.PersistSnapshot(name, index, snapshot)
		},
	},
	"replays behind the snapshot's event": {events: func(f *faulty, name string, from, to int, callback func(any)) {
		if from > 0 {
			from++
		}
		f.ProviderState.GetEvents(name, from, max(to, from*min(to, 1)), callback)
	}},
	"replays from before the snapshot": {events: func(f *faulty, name string, from, to int, callback func(any)) {
		f.ProviderState.GetEvents(name, max(from-1, 0), to, callback)
	}},
	"ends a range behind its end": {events: func(f *faulty, name string, from, to int, callback func(any)) {
		if to > 0 {
			to++
		}
		f.ProviderState.GetEvents(name, from, to, callback)
	}},
	"takes an end of zero for one": {events: func(f *faulty, name string, from, to int, callback func(any)) {
		if to > 0 {
			f.ProviderState.GetEvents(name, from, to, callback)
		}
	}},
	"replays at most a page": {events: func(f *faulty, name string, from, to int, callback func(any)) {
		n := 0
		f.ProviderState.GetEvents(name, from, to, func(e any) {
			if n++; n <= 500 {
				callback(e)
			}
		})
	}},
	"replays the same message to all": {events: func(f *faulty, name string, from, to int, callback func(any)) {
		var first any
		f.ProviderState.GetEvents(name, from, to, func(e any) {
			if first == nil {
				first = e
			}
			callback(first)
		})
	}},
	"has the snapshot's index by one too high": {snapshot: func(f *faulty, name string) (any, int, bool) {
		snapshot, index, ok := f.ProviderState.GetSnapshot(name)
		if ok {
			index++
		}
		return snapshot, index, ok
	}},
	"forgets snapshots": {snapshot: func(*faulty, string) (any, int, bool) { return nil, 0, false }},
	"keeps the first snapshot": {persistSnapshot: func(f *faulty, name string, index int, snapshot proto.Message) {
		if _, _, ok := f.ProviderState.GetSnapshot(name); !ok {
			f.ProviderState.PersistSnapshot(name, index, snapshot)
		}
	}},
	"writes no second snapshot of an index": {persistSnapshot: func(f *faulty, name string, index int, snapshot proto.Message) {
		if _, newest, ok := f.ProviderState.GetSnapshot(name); ok && newest == index {
			panic("taken")
		}
		f.ProviderState.PersistSnapshot(name, index, snapshot)
	}},
	"deletes nothing":             {deleteEvents: func(*faulty, string, int) {}},
	"deletes no snapshots":        {deleteSnapshots: func(*faulty, string, int) {}},
	"deletes up to and without":   {deleteEvents: func(f *faulty, name string, through int) { f.ProviderState.DeleteEvents(name, through-1) }},
	"deletes one too many":        {deleteEvents: func(f *faulty, name string, through int) { f.ProviderState.DeleteEvents(name, through+1) }},
	"deletes a snapshot too few":  {deleteSnapshots: func(f *faulty, name string, through int) { f.ProviderState.DeleteSnapshots(name, through-1) }},
	"deletes a snapshot too many": {deleteSnapshots: func(f *faulty, name string, through int) { f.ProviderState.DeleteSnapshots(name, through+1) }},
	"deletes all":                 {deleteEvents: func(f *faulty, name string, _ int) { f.ProviderState.DeleteEvents(name, 1<<30) }},
	"deletes events with their snapshot": {deleteSnapshots: func(f *faulty, name string, through int) {
		f.ProviderState.DeleteSnapshots(name, through)
		f.ProviderState.DeleteEvents(name, through)
	}},
	"does not tell upper from lower": {name: strings.ToLower},
	"ends names at a zero byte":      {name: func(name string) string { before, _, _ := strings.Cut(name, "\x00"); return before }},
	"ends names at a slash":          {name: func(name string) string { before, _, _ := strings.Cut(name, "/"); return before }},
	"ends names after 255 bytes":     {name: func(name string) string { return name[:min(len(name), 255)] }},
	"makes names valid":              {name: func(name string) string { return strings.ToValidUTF8(name, "?") }},
	"has an interval of its own":     {interval: func(*faulty) int { return 100 }},
	"has an interval of zero":        {interval: func(f *faulty) int { return f.ProviderState.GetSnapshotInterval() % math.MaxInt }},
}

// Each of these faults is found by one of the suite's checks.
func TestSuiteFindsFaults(t *testing.T) {
	folder := func() string { return "" } // stores in memory need none
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			open := func(place string, interval int) (*conformance.Opened, error) {
				opened, err := openMemory(place, interval)
				if err == nil {
					opened.Provider = faultyProvider{opened.Provider, fault}
				}
				return opened, err
			}
			var found []string
			for _, outcome := range conformance.Verify(folder, conformance.Options{Open: open, Promises: ofMemory, Actors: 10}) {
				if outcome.Err != nil {
					found = append(found, outcome.Name)
				}
			}
			require.NotEmpty(t, found)
			t.Log(found)
		})
	}
}
