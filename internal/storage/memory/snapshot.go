package memory

import (
	"context"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/sequence"
	"forge.lthn.ai/core/go-store/kv"
)

// snapshot is what a memory store held.
type snapshot struct {
	*Store          // frozen
	unpin    func() // once
	revision uint64
}

// Snapshot pins what is committed now.
func (m *Store) Snapshot(ctx context.Context) (storage.Snapshot, error) {
	f, done, err := m.pinned(ctx)
	if err != nil {
		return nil, err
	}
	frozen := &Store{done: m.done, changes: new(sequence.Sequence), ended: new(atomic.Pointer[error]), pins: m.pins}
	frozen.committed.Store(f)
	return &snapshot{frozen, done, f.log.last}, nil
}

func (m *snapshot) Revision() uint64 { return m.revision }

func (m *snapshot) Close() { m.End(kv.SnapshotClosedError) }

func (m *snapshot) End(reason error) {
	if m.ended.CompareAndSwap(nil, &reason) {
		m.committed.Store(new(forest)) // what is pinned is what is kept in memory
		m.unpin()                      // last: a reader that pins it now has loaded the empty one
	}
}

func (m *snapshot) Usage(r kv.Range) (kv.Usage, error) {
	return m.usage(context.Background(), r, func(*kv.Row) bool { return true })
}

// Pinned is how many scans and snapshots are open.
func (m *Store) Pinned() int { return m.pins.open() }
