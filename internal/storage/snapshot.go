package storage

import (
	"context"
	"iter"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/kv"
)

// Snapshot is what was committed at one moment, for as long as it is open. One
// goroutine at a time may use it, any; loops over its scans may use it too.
// Close it always: an open one keeps the WAL from starting anew.
//
// Its methods are those of Reads, on that moment. Once the database is closed
// they answer kv.ClosedError.
type Snapshot struct {
	revision uint64
	hold     *hold   // a file's
	memory   *memory // of ":memory:", frozen
	unpin    func()  // the same: once
}

// Snapshot pins what is committed now. A snapshot has a connection of its own,
// of which some are kept; while more are open than that, each waits some
// milliseconds for another to be closed, and then opens one. It may end before it is
// closed, with kv.SnapshotExpiredError: see Config.ScanAge, and softPages.
func (d *Database) Snapshot(ctx context.Context) (*Snapshot, error) {
	switch reads := d.reads.(type) {
	case *fileReads:
		return reads.pool.snapshot(ctx)
	case *memory:
		return reads.snapshot(ctx)
	}
	panic("storage: reads of an unknown kind")
}

// snapshot takes a connection for itself. While the WAL is at its bound it waits
// for it to start anew, gateWait at most.
func (p *pool) snapshot(ctx context.Context) (*Snapshot, error) {
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
	r, err := p.borrowNow()
	if err != nil {
		return nil, p.explain(err)
	}
	h, err := p.own(r)
	if err != nil {
		return nil, err
	}
	return pinned(h, h.useNow)
}

// pinned is a snapshot of what is committed now.
func pinned(h *hold, use func(func(*reader) error) error) (*Snapshot, error) {
	s := &Snapshot{hold: h}
	err := use(func(r *reader) error {
		err := r.pin()
		s.revision = r.revision
		return err
	})
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (m *memory) snapshot(ctx context.Context) (*Snapshot, error) {
	f, done, err := m.pinned(ctx)
	if err != nil {
		return nil, err
	}
	frozen := &memory{done: m.done, changes: new(sequence), ended: new(atomic.Pointer[error]), pins: m.pins}
	frozen.committed.Store(f)
	return &Snapshot{revision: f.log.last, memory: frozen, unpin: done}, nil
}

// Revision is that of the last commit which the snapshot shows.
func (s *Snapshot) Revision() uint64 { return s.revision }

// Close lets go of what was pinned; later calls answer kv.SnapshotClosedError.
// It may be called again, and by any goroutine.
func (s *Snapshot) Close() { s.End(kv.SnapshotClosedError) }

// End is Close with another reason, for whoever ends somebody else's snapshot.
func (s *Snapshot) End(reason error) {
	if s.memory != nil {
		if s.memory.ended.CompareAndSwap(nil, &reason) {
			s.memory.committed.Store(new(forest)) // what is pinned is what is kept in memory
			s.unpin()                             // last: who pins it now has loaded the empty one
		}
		return
	}
	s.hold.release(reason)
}

// use calls f with a file's connection, after looking at the context.
func (s *Snapshot) use(ctx context.Context, f func(*reader) error) error {
	if err := s.hold.pool.check(ctx); err != nil {
		return err
	}
	return s.hold.use(f)
}

// useLong is use for what may take long: fewer of it run than there are processors.
func (s *Snapshot) useLong(ctx context.Context, f func(*reader) error) error {
	leave, err := s.hold.pool.turn(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return s.hold.use(f)
}

// Get is Reads.Get.
func (s *Snapshot) Get(ctx context.Context, group, key string) (row kv.Row, found bool, err error) {
	if s.memory != nil {
		return s.memory.Get(ctx, group, key)
	}
	err = s.use(ctx, func(r *reader) (err error) {
		row, found, err = r.getRow(group, key)
		return err
	})
	return row, found, err
}

// GetMany is Reads.GetMany.
func (s *Snapshot) GetMany(ctx context.Context, group string, keys []string) (rows []kv.Row, err error) {
	if s.memory != nil {
		return s.memory.GetMany(ctx, group, keys)
	}
	for _, key := range keys {
		row, found, err := s.Get(ctx, group, key)
		if err != nil {
			return nil, err
		}
		if found {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// GroupExists is Reads.GroupExists.
func (s *Snapshot) GroupExists(ctx context.Context, group string, now int64) (found bool, err error) {
	if s.memory != nil {
		return s.memory.GroupExists(ctx, group, now)
	}
	err = s.use(ctx, func(r *reader) (err error) {
		found, err = r.groupExists(group, now)
		return err
	})
	return found, err
}

// Count is Reads.Count.
func (s *Snapshot) Count(ctx context.Context, rng kv.Range, now int64) (n int, err error) {
	if s.memory != nil {
		return s.memory.Count(ctx, rng, now)
	}
	if _, single := (&Query{Groups: rng}).single(); single {
		few := false
		err = s.use(ctx, func(r *reader) (err error) {
			n, few, err = r.countFew(rng, now)
			return err
		})
		if err != nil || few {
			return n, err
		}
	}
	err = s.useLong(ctx, func(r *reader) (err error) {
		n, err = r.countLive(rng, now)
		return err
	})
	return n, err
}

// Page is Reads.Page.
func (s *Snapshot) Page(ctx context.Context, group string, offset, limit int, now int64) (page []kv.KeyValue, err error) {
	if s.memory != nil {
		return s.memory.Page(ctx, group, offset, limit, now)
	}
	few := false
	err = s.use(ctx, func(r *reader) (err error) {
		page, few, err = r.readShortPage(group, offset, limit, now)
		return err
	})
	if err != nil || few {
		return page, err
	}
	err = s.useLong(ctx, func(r *reader) (err error) {
		page, err = r.readPage(group, offset, limit, now, func() error { return s.hold.pool.check(ctx) })
		return err
	})
	return page, err
}

// Scan is Reads.Scan.
func (s *Snapshot) Scan(ctx context.Context, q Query, now int64) iter.Seq2[kv.Row, error] {
	if s.memory != nil {
		return s.memory.Scan(ctx, q, now)
	}
	return streamHeld(ctx, s.hold, func() source[kv.Row] { return newRowScan(q, now) })
}

// Groups is Reads.Groups.
func (s *Snapshot) Groups(ctx context.Context, rng kv.Range, now int64) iter.Seq2[string, error] {
	if s.memory != nil {
		return s.memory.Groups(ctx, rng, now)
	}
	return streamHeld(ctx, s.hold, func() source[string] { return newGroupScan(rng, now) })
}

// Usage counts the rows that are stored, dead ones too, and their groups. It waits
// for no other reader: requests wait for what it counts.
func (s *Snapshot) Usage(rng kv.Range) (usage kv.Usage, err error) {
	if s.memory != nil {
		return s.memory.usage(context.Background(), rng, func(*kv.Row) bool { return true })
	}
	if err := s.hold.pool.check(context.Background()); err != nil {
		return usage, err
	}
	err = s.hold.useNow(func(r *reader) error {
		return numbers(r.physical, rng, nil, usageInto(&usage))
	})
	return usage, err
}
