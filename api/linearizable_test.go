package api_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// Every value is written once at most, so that a value stands for its revision
// and the model need not know of the order that revisions have.

type keyInput struct {
	key      int
	call     keyCall
	expected string // compare and set, compare and delete: the value that is to be there
	value    string // what is written
}

type keyCall int

const (
	keyGet keyCall = iota
	keySet
	keyDelete
	keyCompareAndSet
	keyCompareAndDelete
)

func (c keyCall) String() string {
	return [...]string{"get", "set", "delete", "compare and set", "compare and delete"}[c]
}

type keyOutput struct {
	found   string // by get; of a mismatch, the value that was there instead
	refused bool   // a mismatch
	unknown bool   // it is not known whether it was done
}

// comparableKey is a single key with its conditional writes; "" is absent. An unknown
// outcome leaves both possible.
var comparableKey = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		at := map[int][]porcupine.Operation{}
		for _, operation := range history {
			key := operation.Input.(keyInput).key
			at[key] = append(at[key], operation)
		}
		for _, part := range at {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() []any { return []any{""} },
	Step: func(state, input, output any) []any {
		was, in, out := state.(string), input.(keyInput), output.(keyOutput)
		applies := true
		switch in.call {
		case keyGet:
			if out.found != was {
				return nil
			}
			return []any{was}
		case keyCompareAndSet, keyCompareAndDelete:
			applies = was == in.expected
		}
		switch {
		case out.unknown && applies:
			return []any{was, in.value}
		case out.unknown:
			return []any{was}
		case out.refused:
			if applies || out.found != was {
				return nil
			}
			return []any{was}
		case applies:
			return []any{in.value}
		default:
			return nil
		}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v %+v", input, output) },
}

// keyHistory gathers what goroutines did to some keys, and when.
type keyHistory struct {
	store *api.Store
	clock atomic.Int64

	mu struct {
		sync.Mutex
		operations []porcupine.Operation
		values     map[uint64]string // by the revision that wrote them, as far as is known
		mismatches map[int]uint64    // by operation: the revision that was there instead
		restarts   int               // calls that the writer's failure has undone
	}
}

// TestConditionalWritesAreLinearizable: 64 goroutines read, write, compare and
// delete few keys, while the writer fails now and then and some callers give up.
// There is one order of it all that explains every answer.
func TestConditionalWritesAreLinearizable(t *testing.T) {
	forEachPath(t, func(t *testing.T, path string) {
		var calls atomic.Int64
		store := openStore(t, path, api.WithDurability(api.DurabilityBuffered), withFailpoint(func(step string) {
			switch step {
			case "writer.apply", "writer.commit", "writer.committed", "writer.publish":
				if calls.Add(1)%97 == 0 {
					panic(testkit.Injected{Step: step})
				}
			}
		}))
		h := &keyHistory{store: store}
		h.mu.values, h.mu.mismatches = map[uint64]string{0: ""}, map[int]uint64{}
		require.NoError(t, together(64, func(client int) error {
			random := rand.New(rand.NewPCG(uint64(client), 17))
			for n := range 25 {
				if err := h.step(random, client, fmt.Sprint(client, ".", n)); err != nil {
					return err
				}
			}
			return nil
		}))
		require.Positive(t, h.mu.restarts)
		operations := h.explained(t)
		require.Greater(t, len(operations), 64*20)
		require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(comparableKey.ToModel(), operations, time.Minute))

		// The check can fail: a value that is read before it was written.
		for i, operation := range operations {
			if in := operation.Input.(keyInput); in.call == keyGet && operation.Output.(keyOutput).found == "" {
				operations[i].Output = keyOutput{found: "never written"}
				break
			}
		}
		require.Equal(t, porcupine.Illegal, porcupine.CheckOperationsTimeout(comparableKey.ToModel(), operations, time.Minute))
	})
}

// explained is the history with the values that mismatches were about. An operation whose
// value no caller can name is left out: a refused call changes nothing.
func (h *keyHistory) explained(t *testing.T) (operations []porcupine.Operation) {
	unnamed := 0
	for i, operation := range h.mu.operations {
		if revision, refused := h.mu.mismatches[i]; refused {
			value, known := h.mu.values[revision]
			if !known {
				unnamed++
				continue
			}
			operation.Output = keyOutput{refused: true, found: value}
		}
		operations = append(operations, operation)
	}
	// What is overwritten at once no caller may have seen: how much that is the scheduler says.
	require.GreaterOrEqual(t, len(h.mu.mismatches)-unnamed, len(h.mu.mismatches)/10)
	return operations
}

func (h *keyHistory) step(random *rand.Rand, client int, value string) error {
	in := keyInput{key: random.IntN(6), value: value}
	key := fmt.Sprint("k", in.key)
	store, cancel := h.store, func() {}
	if random.IntN(20) == 0 {
		var ctx context.Context
		ctx, cancel = context.WithTimeout(context.Background(), time.Duration(random.IntN(2000))*time.Microsecond)
		store = store.WithContext(ctx)
	}
	defer cancel()
	entry, err := h.read(client, in.key, key)
	if err != nil {
		return err
	}
	in.call = 1 + keyCall(random.IntN(4))
	switch in.call {
	case keyDelete:
		in.value = ""
	case keyCompareAndDelete:
		in.value, in.expected = "", entry.Value
	case keyCompareAndSet:
		in.expected = entry.Value
	}
	call, revision := h.clock.Add(1), uint64(0)
	switch in.call {
	case keySet:
		err = store.Set("g", key, in.value)
	case keyDelete:
		err = store.Delete("g", key)
	case keyCompareAndSet:
		revision, err = store.CompareAndSet("g", key, in.value, entry.Revision)
	case keyCompareAndDelete:
		err = store.CompareAndDelete("g", key, entry.Revision)
	}
	return h.note(client, in, call, h.clock.Add(1), revision, err)
}

// read is a get, by Entry, which says what revision the value has.
func (h *keyHistory) read(client, number int, key string) (api.Entry, error) {
	call := h.clock.Add(1)
	entry, err := h.store.Entry("g", key)
	returned := h.clock.Add(1)
	if err != nil && !errors.Is(err, api.NotFoundError) {
		return entry, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if before, known := h.mu.values[entry.Revision]; known && before != entry.Value {
		return entry, fmt.Errorf("revision %d of %s is %q and %q", entry.Revision, key, before, entry.Value)
	}
	h.mu.values[entry.Revision] = entry.Value
	h.add(client, keyInput{key: number}, call, returned, keyOutput{found: entry.Value})
	return entry, nil
}

func (h *keyHistory) note(client int, in keyInput, call, returned int64, revision uint64, err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var wrong *api.RevisionMismatchError
	switch {
	case errors.As(err, &wrong):
		h.mu.mismatches[len(h.mu.operations)] = wrong.Current
		h.add(client, in, call, returned, keyOutput{refused: true})
	case errors.Is(err, api.UnknownOutcomeError):
		h.add(client, in, call, math.MaxInt64, keyOutput{unknown: true})
	case errors.Is(err, api.RolledBackError):
		h.mu.restarts++
	case errors.Is(err, context.DeadlineExceeded): // it was not admitted
	case err != nil:
		return err
	default:
		if revision != 0 {
			h.mu.values[revision] = in.value
		}
		h.add(client, in, call, returned, keyOutput{})
	}
	return nil
}

// add appends to the history. Its lock is the caller's.
func (h *keyHistory) add(client int, in keyInput, call, returned int64, out keyOutput) {
	h.mu.operations = append(h.mu.operations,
		porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: returned})
}
