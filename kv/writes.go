package kv

import (
	"fmt"
	"slices"
)

// Writes is what a batch consists of, as a value that no code can change: it may be
// sent to another goroutine or actor, and used again. The zero value is an empty one.
type Writes struct {
	operations []Operation
	conditions []Condition
}

// NewWrites copies the operations and conditions of a batch.
func NewWrites(operations []Operation, conditions []Condition) Writes {
	return Writes{operations: slices.Clone(operations), conditions: slices.Clone(conditions)}
}

// Len is the number of operations.
func (w Writes) Len() int { return len(w.operations) }

// Size is how many bytes of groups, keys and values it has.
func (w Writes) Size() int {
	m := Mutation{Operations: w.operations, Conditions: w.conditions}
	return m.Size()
}

// Check refuses what no batch can hold, with an InvalidOptionError: an operation of a
// kind that there is not, or that notifies of what never happens.
func (w Writes) Check() error {
	for i := range w.operations {
		if kind := w.operations[i].Kind; !kind.batched() {
			return fmt.Errorf("operation %d of kind %d: a batch can't hold it: %w", i, kind, InvalidOptionError)
		}
		if o := &w.operations[i]; o.Notifies && (o.Kind != Set || !o.HasTTL && !o.HasDeadline) {
			return fmt.Errorf("operation %d has an address told when its key expires, which has no deadline: %w", i, InvalidOptionError)
		}
	}
	return nil
}

// Mutation is the batch with a prefix before every group.
func (w Writes) Mutation(prefix string) Mutation {
	return BatchOf(prefix, w.operations, w.conditions)
}

// batched reports whether an operation of a batch may be of the kind.
func (k Kind) batched() bool { return k != PurgeExpired && k != Batch && k < kinds }

// BatchOf is a batch of copies of the operations and conditions, with a prefix before
// every group.
func BatchOf(prefix string, operations []Operation, conditions []Condition) Mutation {
	m := Mutation{Kind: Batch, Operations: make([]Operation, len(operations))}
	for i, o := range operations {
		o.Notify = AddressWithin(prefix, o.Notify)
		switch o.Kind {
		case Tell:
			o.Group = AddressWithin(prefix, o.Group)
		case DeletePrefix:
			o.Group = prefix + o.Group
			o.Range = PrefixRange(o.Group)
		default:
			o.Group = prefix + o.Group
		}
		m.Operations[i] = o
	}
	if len(conditions) > 0 {
		m.Conditions = make([]Condition, len(conditions))
	}
	for i, c := range conditions {
		c.Group = prefix + c.Group
		m.Conditions[i] = c
	}
	return m
}
