package histories

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// registers is what the few keys of one group hold, each a value that was written once.
// It is compared, so it is an array.
type registers [4]string

func (r *registers) at(list string) *string {
	return &r[list[strings.LastIndexByte(list, 'l')+1]-'0']
}

// groupOfRegisters is a group of keys with transactions over all of them. It is not known
// whether one whose outcome is unknown was done: both is tried.
var groupOfRegisters = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		at := map[string][]porcupine.Operation{}
		for _, o := range history {
			group, _, _ := strings.Cut(o.Input.(*transaction).accesses[0].List, "/")
			at[group] = append(at[group], o)
		}
		for _, part := range at {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() []any { return []any{registers{}} },
	Step: func(state, input, _ any) []any {
		before, t := state.(registers), input.(*transaction)
		after := before
		for _, a := range t.accesses {
			switch at := after.at(a.List); {
			case a.Append != "":
				*at = a.Append
			case *at != join(a.Read):
				return nil
			}
		}
		if t.outcome == unknown {
			return []any{before, after}
		}
		return []any{after}
	},
	DescribeOperation: func(input, _ any) string { return fmt.Sprint(input) },
}

// operations are those that say something: one that was refused, or has only read and does
// not know what, says nothing.
func operations(history []*transaction) (all []porcupine.Operation) {
	for i, t := range history {
		if t.outcome == refused || len(t.accesses) == 0 {
			continue
		}
		o := porcupine.Operation{ClientId: i, Input: t, Call: t.call, Return: t.returned}
		if t.outcome == unknown {
			o.Return = math.MaxInt64
		}
		all = append(all, o)
	}
	return all
}

// TestGroupsOfKeysAreLinearizable: transactions, batches, conditional and plain writes,
// reads of one key and of many, over small groups of keys, while the process that owns
// the store is killed and the store is reopened. porcupine finds an order of them that
// agrees with real time, and one for each key.
func TestGroupsOfKeysAreLinearizable(t *testing.T) {
	undecided := 0
	eachPlan(t, []plan{
		{callers: 8, each: 60, groups: 3, lists: 4, kills: 2, reopens: 1, registers: true},
		{callers: 32, each: 20, groups: 16, lists: 3, kills: 2, reopens: 1, registers: true},
		{callers: 64, each: 10, groups: 64, lists: 1, kills: 2, reopens: 1, registers: true},
	}, func(t *testing.T, d *driver) {
		all := operations(d.mu.history)
		switch result := porcupine.CheckOperationsTimeout(groupOfRegisters.ToModel(), all, time.Minute); result {
		case porcupine.Illegal:
			var b strings.Builder
			for _, o := range all {
				fmt.Fprintln(&b, o.Input)
			}
			t.Errorf("no order explains this:\n%s", b.String())
		case porcupine.Unknown:
			undecided++
		}
	})
	require.Zero(t, undecided, "histories that could not be judged within a minute")
}

// The check can fail.
func TestGroupsOfKeysAreJudged(t *testing.T) {
	write := did(1, 2, appends("g/l0", "1"), appends("g/l1", "1"))
	for name, c := range map[string]struct {
		history []*transaction
		legal   bool
	}{
		"one after the other":  {[]*transaction{write, did(3, 4, reads("g/l0", "1"), reads("g/l1", "1"))}, true},
		"a fractured read":     {[]*transaction{write, did(1, 4, reads("g/l0", "1"), reads("g/l1"))}, false},
		"a stale read":         {[]*transaction{write, did(3, 4, reads("g/l0"))}, false},
		"unknown, and done":    {[]*transaction{ended(did(1, 2, appends("g/l0", "1")), unknown), did(3, 4, reads("g/l0")), did(5, 6, reads("g/l0", "1"))}, true},
		"unknown, and undone":  {[]*transaction{ended(did(1, 2, appends("g/l0", "1")), unknown), did(3, 4, reads("g/l0", "1")), did(5, 6, reads("g/l0"))}, false},
		"of different groups":  {[]*transaction{did(1, 2, appends("g/l0", "1")), did(3, 4, reads("h/l0"))}, true},
		"a refused one is not": {[]*transaction{ended(did(1, 2, appends("g/l0", "1")), refused), did(3, 4, reads("g/l0", "1"))}, false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.legal, porcupine.CheckOperations(groupOfRegisters.ToModel(), operations(c.history)))
		})
	}
}
