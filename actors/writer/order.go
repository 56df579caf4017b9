package writer

import (
	"slices"

	"forge.lthn.ai/core/go-store/kv"
)

// New rows lie in the file in the order in which they are written, and scans read by
// the order of keys. So the rows of a batch are written in that order, whatever the order
// of its calls: a group that is filled out of a map lies on pages one after another. What
// the batch says, to watchers and in the log, keeps the order of its calls.

// batch carries out the operations of a batch.
func (t *transaction) batch(m *kv.Mutation) error {
	if !t.independent(m.Operations) {
		for i := range m.Operations {
			if _, err := t.operate(m, &m.Operations[i]); err != nil {
				return err
			}
		}
		return nil
	}
	for _, i := range keyOrder(m.Operations) {
		if err := t.write(m, t.row(&m.Operations[i])); err != nil {
			return err
		}
	}
	for i := range m.Operations {
		t.say(t.row(&m.Operations[i]))
	}
	return nil
}

// independent reports whether operations do the same in the order of their keys, and are
// not in it: they are Sets that meet no row that has expired, and no timer. Those of one
// key stay in their order.
func (t *transaction) independent(operations []kv.Operation) bool {
	if t.timers || t.mayExpire() || inOrder(operations) {
		return false
	}
	for i := range operations {
		o := &operations[i]
		if o.Kind != kv.Set || o.KeepsTimer || o.Notifies || kv.Reserved(o.Group) || t.deadline(o) <= t.now {
			return false
		}
	}
	return true
}

func inOrder(operations []kv.Operation) bool {
	for i := 1; i < len(operations); i++ {
		if compareKeys(&operations[i-1], &operations[i]) > 0 {
			return false
		}
	}
	return true
}

// keyOrder is the operations' places by the order of their keys.
func keyOrder(operations []kv.Operation) []int {
	order := make([]int, len(operations))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return compareKeys(&operations[a], &operations[b]) })
	return order
}

func compareKeys(a, b *kv.Operation) int {
	return kv.Key{Group: a.Group, Key: a.Key}.Compare(kv.Key{Group: b.Group, Key: b.Key})
}
