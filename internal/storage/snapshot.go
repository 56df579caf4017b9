package storage

import (
	"context"
	"iter"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/kv"
)

// Snapshot is what was committed at one moment, for as long as it is open. Any
// goroutine may use it, and loops over its scans may use it too. Close it always: an open
// one keeps the WAL from starting anew.
//
// Its methods are those of Reads, on that moment. Once the database is closed
// they answer kv.ClosedError.
type Snapshot struct {
	moment
	revision uint64
}

// moment is how a snapshot is read: from memory, from the pages of a view, or by a
// connection of SQLite's that has a transaction open.
type moment interface {
	Get(ctx context.Context, group, key string) (row kv.Row, found bool, err error)
	GetMany(ctx context.Context, group string, keys []string) ([]kv.Row, error)
	GroupExists(ctx context.Context, group string, now int64) (bool, error)
	Count(ctx context.Context, r kv.Range, now int64) (int, error)
	Page(ctx context.Context, group string, offset, limit int, now int64) ([]kv.KeyValue, error)
	Scan(ctx context.Context, q Query, now int64) iter.Seq2[kv.Row, error]
	Groups(ctx context.Context, r kv.Range, now int64) iter.Seq2[string, error]
	// Usage counts the rows that are stored, dead ones too, and their groups. It waits
	// for no other reader: requests wait for what it counts.
	Usage(r kv.Range) (kv.Usage, error)
	// End is Close with another reason, for whoever ends somebody else's snapshot.
	End(reason error)
}

// Snapshot pins what is committed now: a view of the file's pages, or where SQLite reads a
// connection of its own, of which some are kept and others opened at once. It waits for the
// WAL at its bound alone, gateWait at most. Each may end before it is closed, with
// kv.SnapshotExpiredError: see Config.ScanAge, and softPages.
func (d *Database) Snapshot(ctx context.Context) (*Snapshot, error) {
	switch reads := d.reads.(type) {
	case *fileReads:
		return reads.pool.snapshot(ctx)
	case *memory:
		return reads.snapshot(ctx)
	}
	panic("storage: reads of an unknown kind")
}

// Revision is that of the last commit which the snapshot shows.
func (s *Snapshot) Revision() uint64 { return s.revision }

// Close lets go of what was pinned; later calls answer kv.SnapshotClosedError.
// It may be called again, and by any goroutine.
func (s *Snapshot) Close() { s.End(kv.SnapshotClosedError) }

// snapshot pins a view, or takes a connection for itself. While the WAL is at its bound
// it waits for it to start anew, gateWait at most.
func (p *pool) snapshot(ctx context.Context) (*Snapshot, error) {
	if p.views != nil {
		if err := p.check(ctx); err != nil {
			return nil, err
		}
		if err := p.gate.pass(ctx, p.closed); err != nil {
			return nil, err
		}
		if s, err := p.pageSnapshot(maxLent); s != nil || err != nil {
			return s, err
		}
	}
	h, err := p.holdAnother(ctx)
	if err != nil {
		return nil, err
	}
	return pinned(h, h.use)
}

// snapshotNow is snapshot for the writer, which waits for no reader: neither at the
// gate, nor for a connection, nor for a turn.
func (p *pool) snapshotNow() (*Snapshot, error) {
	if err := p.check(context.Background()); err != nil {
		return nil, err
	}
	if p.views != nil {
		if s, err := p.pageSnapshot(maxNow); s != nil || err != nil {
			return s, err
		}
	}
	return p.sqlSnapshotNow()
}

// memoryMoment is what a memory store held.
type memoryMoment struct {
	*memory        // frozen
	unpin   func() // once
}

func (m *memory) snapshot(ctx context.Context) (*Snapshot, error) {
	f, done, err := m.pinned(ctx)
	if err != nil {
		return nil, err
	}
	frozen := &memory{done: m.done, changes: new(sequence), ended: new(atomic.Pointer[error]), pins: m.pins}
	frozen.committed.Store(f)
	return &Snapshot{moment: &memoryMoment{frozen, done}, revision: f.log.last}, nil
}

func (m *memoryMoment) End(reason error) {
	if m.ended.CompareAndSwap(nil, &reason) {
		m.committed.Store(new(forest)) // what is pinned is what is kept in memory
		m.unpin()                      // last: who pins it now has loaded the empty one
	}
}

func (m *memoryMoment) Usage(r kv.Range) (kv.Usage, error) {
	return m.usage(context.Background(), r, func(*kv.Row) bool { return true })
}
