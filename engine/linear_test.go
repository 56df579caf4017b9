package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// register is a single key, as callers may think of it.
var register = porcupine.Model{
	PartitionEvent: nil,
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		at := map[kv.Key]int{}
		for _, operation := range history {
			place := operation.Input.(step).place
			i, known := at[place]
			if !known {
				i = len(parts)
				at[place], parts = i, append(parts, nil)
			}
			parts[i] = append(parts[i], operation)
		}
		return parts
	},
	Init: func() any { return testkit.Absent },
	Step: func(state, input, output any) (bool, any) {
		s := input.(step)
		if s.read {
			return output.(testkit.Value) == state.(testkit.Value), state
		}
		return true, s.value
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprint(input, output) },
}

// step is what was done to one key: what concerns several is one for each.
type step struct {
	place kv.Key
	read  bool
	value testkit.Value // that was written
}

// history gathers what goroutines did, and when.
type history struct {
	clock atomic.Int64
	mu    struct {
		sync.Mutex
		operations []porcupine.Operation
	}
}

func (h *history) did(client int, call, returned int64, output any, steps ...step) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range steps {
		h.mu.operations = append(h.mu.operations,
			porcupine.Operation{ClientId: client, Input: s, Call: call, Output: output, Return: returned})
	}
}

// Whatever is done to a key by many goroutines, with a cache that holds
// everything, one that holds next to nothing, and none, while the writer stands
// still at its steps and fails at them: there is one order of it all in which
// every read sees the last write before it, and that agrees with the order in
// which calls returned and others began.
func TestSingleKeysAreLinearizable(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		for _, c := range []struct {
			name  string
			cache int
			fails bool
		}{{"all cached", 1 << 20, false}, {"all cached, faults", 1 << 20, true}, {"few cached", 8 << 10, true}, {"none cached", -1, false}} {
			t.Run(c.name, func(t *testing.T) {
				if path != ":memory:" {
					path = t.TempDir() + "/store.db"
				}
				e := open(t, Config{Path: path, ReadCache: c.cache, Durability: kv.DurabilityBuffered,
					PurgeInterval: time.Millisecond, Failpoint: hesitation(c.fails)})
				h := &history{}
				var clients sync.WaitGroup
				for client := range 8 {
					clients.Go(func() { h.client(t, e, client, 250) })
				}
				testkit.Within(t, "the clients", clients.Wait)
				result, _ := porcupine.CheckOperationsVerbose(register, h.mu.operations, time.Minute)
				require.Equal(t, porcupine.Ok, result)
			})
		}
	})
}

// hesitation lets others run at every step of an actor, and has some of the
// writer's fail.
func hesitation(fails bool) func(string) {
	return func(name string) {
		turns := 20
		if strings.HasPrefix(name, "cache.") { // where reads must not go wrong
			turns = 400
		}
		for range rand.IntN(turns) {
			runtime.Gosched()
		}
		switch name {
		case "writer.apply", "writer.commit", "writer.committed", "writer.publish", "cache.commit", "cache.committed":
			if fails && rand.IntN(60) == 0 {
				panic(testkit.Injected{Step: name})
			}
		}
	}
}

func (h *history) client(t *testing.T, e *Engine, client, calls int) {
	random := rand.New(rand.NewPCG(uint64(client), 5))
	place := func() kv.Key {
		return kv.Key{Group: fmt.Sprint("g", random.IntN(2)), Key: fmt.Sprint("k", random.IntN(3))}
	}
	for n := range calls {
		at, value := place(), fmt.Sprint(client, ".", n)
		if random.IntN(2) == 0 {
			call := h.clock.Add(1)
			found, err := look(e, at.Group, at.Key)
			if err != nil {
				t.Error(err)
				return
			}
			h.did(client, call, h.clock.Add(1), found, step{place: at, read: true})
			continue
		}
		m, steps := set(at.Group, at.Key, value), []step{{place: at, value: testkit.Present(value)}}
		switch random.IntN(8) {
		case 0:
			m, steps[0].value = kv.Mutation{Kind: kv.Delete, Group: at.Group, Key: at.Key}, testkit.Absent
		case 1: // expires at once
			m, steps[0].value = ttl(m, 0), testkit.Absent
		case 2:
			m, steps = kv.Mutation{Kind: kv.DeleteGroup, Group: at.Group}, nil
			for key := range 3 {
				steps = append(steps, step{place: kv.Key{Group: at.Group, Key: fmt.Sprint("k", key)}, value: testkit.Absent})
			}
		}
		call := h.clock.Add(1)
		_, err := e.Apply(context.Background(), m)
		returned := h.clock.Add(1)
		switch {
		case errors.Is(err, kv.RolledBackError):
			continue
		case errors.Is(err, kv.UnknownOutcomeError):
			returned = math.MaxInt64 // if ever
		case err != nil:
			t.Error(err)
			return
		}
		h.did(client, call, returned, nil, steps...)
	}
}
