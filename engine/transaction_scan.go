package engine

import (
	"iter"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// scanning notes that the transaction depends on every key of a range, those
// that are not there too, and returns the snapshot.
func (tx *Transaction) scanning(r kv.Range) (storage.Snapshot, error) {
	snapshot, err := tx.view()
	if err == nil {
		tx.ranges.add(r)
	}
	return snapshot, err
}

// changed reports whether the transaction has changed anything in a range.
func (tx *Transaction) changed(r kv.Range) bool {
	for range tx.writesIn(r) {
		return true
	}
	return tx.cleared.overlaps(r)
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
		before := Transaction{engine: tx.engine, cleared: tx.cleared.copy()}
		if tx.writes != nil {
			before.writes = tx.writes.Copy()
		}
		next, stop := iter.Pull(before.writesIn(r))
		defer stop()
		w, any := next()
		for row, err := range snapshot.Scan(tx.ctx, storage.Query{Groups: r, Keys: storage.AllKeys, KeysOnly: keysOnly}, tx.now) {
			if err != nil {
				yield(kv.Row{}, err)
				return
			}
			at := kv.Key{Group: row.Group, Key: row.Key}
			for ; any && w.key.Compare(at) < 0; w, any = next() {
				if !before.emit(w, yield) {
					return
				}
			}
			switch {
			case any && w.key == at:
				if w.Kind == kv.Touch && !w.dead() {
					if !yield(before.touched(w, row), nil) {
						return
					}
				} else if !before.emit(w, yield) {
					return
				}
				w, any = next()
			case before.cleared.contains(row.Group):
			case !yield(row, nil):
				return
			}
		}
		for ; any; w, any = next() {
			if !before.emit(w, yield) {
				return
			}
		}
	}
}

// emit yields what a write has made of a key that the snapshot does not show.
func (tx *Transaction) emit(w *write, yield func(kv.Row, error) bool) bool {
	return w.Kind != kv.Set || w.dead() || yield(tx.written(w), nil)
}

// fewWrites is how many keys a Count looks up one by one, rather than go through
// all that there are.
const fewWrites = 64

// Count is the number of live rows of the groups in a range.
func (tx *Transaction) Count(r kv.Range) (n int, err error) {
	snapshot, err := tx.scanning(r)
	if err != nil {
		return 0, err
	}
	var few []*write
	for w := range tx.writesIn(r) {
		if few = append(few, w); len(few) > fewWrites {
			break
		}
	}
	if len(few) <= fewWrites && !tx.cleared.overlaps(r) {
		return tx.countFew(snapshot, r, few)
	}
	for _, err := range tx.Scan(r, true) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// countFew is what the snapshot has, and what the writes add to it and take away.
func (tx *Transaction) countFew(snapshot storage.Snapshot, r kv.Range, writes []*write) (n int, err error) {
	if n, err = snapshot.Count(tx.ctx, r, tx.now); err != nil {
		return 0, err
	}
	for _, w := range writes {
		row, found, err := snapshot.Get(tx.ctx, w.Group, w.Key)
		if err != nil {
			return 0, err
		}
		switch was := found && row.Live(tx.now); {
		case was && w.dead():
			n--
		case !was && !w.dead():
			n++
		}
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
		if !tx.changed(r) {
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
