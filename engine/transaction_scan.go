package engine

import (
	"iter"
	"maps"
	"slices"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// scanning notes that the transaction depends on every key of a range, those
// that are not there too, and returns the snapshot.
func (tx *Transaction) scanning(r kv.Range) (*storage.Snapshot, error) {
	snapshot, err := tx.view()
	if err == nil && !slices.Contains(tx.ranges, r) {
		tx.ranges = append(tx.ranges, r)
	}
	return snapshot, err
}

// touched reports whether the transaction has changed anything in a range.
func (tx *Transaction) touched(r kv.Range) bool {
	for at := range tx.writes {
		if r.Contains(at.group) {
			return true
		}
	}
	return slices.ContainsFunc(tx.cleared, func(c kv.Range) bool {
		return (c.Unbounded || r.From < c.To) && (r.Unbounded || c.From < r.To)
	})
}

// Scan yields the live rows of the groups in a range, in their order, as the
// transaction sees them when the loop begins. An error is yielded once, last.
func (tx *Transaction) Scan(r kv.Range, keysOnly bool) iter.Seq2[kv.Row, error] {
	return func(yield func(kv.Row, error) bool) {
		snapshot, err := tx.scanning(r)
		if err != nil {
			yield(kv.Row{}, err)
			return
		}
		// A snapshot of the writes too: the loop's body may write.
		written := slices.SortedFunc(maps.Keys(tx.writes), place.compare)
		written = slices.DeleteFunc(written, func(at place) bool { return !r.Contains(at.group) })
		writes, cleared := maps.Clone(tx.writes), slices.Clone(tx.cleared)
		emit := func(at place) bool {
			o := writes[at]
			row, live := tx.written(&o)
			return !live || yield(row, nil)
		}
		for row, err := range snapshot.Scan(tx.ctx, storage.Query{Groups: r, Keys: storage.AllKeys, KeysOnly: keysOnly}, tx.now) {
			if err != nil {
				yield(kv.Row{}, err)
				return
			}
			at := place{row.Group, row.Key}
			for len(written) > 0 && written[0].compare(at) < 0 {
				if !emit(written[0]) {
					return
				}
				written = written[1:]
			}
			if len(written) > 0 && written[0] == at {
				continue // it is written in its turn
			}
			gone := slices.ContainsFunc(cleared, func(c kv.Range) bool { return c.Contains(row.Group) })
			if !gone && !yield(row, nil) {
				return
			}
		}
		for _, at := range written {
			if !emit(at) {
				return
			}
		}
	}
}

// Count is the number of live rows of the groups in a range.
func (tx *Transaction) Count(r kv.Range) (n int, err error) {
	snapshot, err := tx.scanning(r)
	if err != nil {
		return 0, err
	}
	if !tx.touched(r) {
		return snapshot.Count(tx.ctx, r, tx.now)
	}
	for _, err := range tx.Scan(r, true) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// Groups yields the names of the groups in a range that have a live row. An
// error is yielded once, last.
func (tx *Transaction) Groups(r kv.Range) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		snapshot, err := tx.scanning(r)
		if err != nil {
			yield("", err)
			return
		}
		if !tx.touched(r) {
			snapshot.Groups(tx.ctx, r, tx.now)(yield)
			return
		}
		last, any := "", false
		for row, err := range tx.Scan(r, true) {
			if err != nil {
				yield("", err)
				return
			}
			if any && row.Group == last {
				continue
			}
			if last, any = row.Group, true; !yield(last, nil) {
				return
			}
		}
	}
}
