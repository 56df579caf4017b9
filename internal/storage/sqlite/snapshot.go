package sqlite

import (
	"context"

	"forge.lthn.ai/core/go-store/internal/storage"
)

// Snapshot pins what is committed now: a view of the file's pages, or where SQLite reads a
// connection of its own, of which some are kept and others opened at once. It waits for the
// WAL at its bound alone, gateWait at most. Each may end before it is closed, with
// kv.SnapshotExpiredError: see Config.ScanAge, and softPages.
func (d *Database) Snapshot(ctx context.Context) (storage.Snapshot, error) {
	return d.reads.Snapshot(ctx)
}

// Snapshot is Database.Snapshot.
func (f *fileReads) Snapshot(ctx context.Context) (storage.Snapshot, error) {
	return f.pool.snapshot(ctx)
}

// snapshot pins a view, or takes a connection for itself. While the WAL is at its bound
// it waits for it to start anew, gateWait at most.
func (p *pool) snapshot(ctx context.Context) (storage.Snapshot, error) {
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
func (p *pool) snapshotNow() (storage.Snapshot, error) {
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
