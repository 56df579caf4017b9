package engine

import (
	"context"
	"iter"
	"sync"

	"forge.lthn.ai/core/go-store/internal/metrics"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// maxSnapshots bounds the snapshots that callers have open: a snapshot that SQLite reads has a
// connection.
const maxSnapshots = 256

// Snapshot is what was committed at one moment, with expiry judged at that
// moment too. Its methods may be called by any number of goroutines; those of a snapshot that
// SQLite reads follow each other.
type Snapshot struct {
	inner storage.Snapshot
	now   int64
	end   func(reason error)
	stop  func() bool // the age limit
}

// Snapshot pins what is committed now, until it is closed, has reached its age
// limit, or the WAL its bound.
func (e *Engine) Snapshot(ctx context.Context) (*Snapshot, error) {
	if err := e.usable(); err != nil {
		return nil, err
	}
	ctx, o := e.begin(ctx, metrics.Snapshot, "", "")
	snapshot, err := e.snapshot(ctx)
	o.end(err)
	return snapshot, err
}

func (e *Engine) snapshot(ctx context.Context) (*Snapshot, error) {
	now := e.clock.ReadMillis() // before the snapshot: see there
	inner, err := e.database.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	// Counted now: a caller that waits for the WAL to start anew has none yet.
	if e.snapshots.Add(1) > maxSnapshots {
		e.snapshots.Add(-1)
		inner.Close()
		return nil, kv.TooManySnapshotsError
	}
	var once sync.Once
	end := func(reason error) {
		once.Do(func() {
			inner.End(reason)
			e.snapshots.Add(-1)
		})
	}
	stop := e.clock.AfterFunc(e.config.SnapshotAge, func() { end(kv.SnapshotExpiredError) })
	return &Snapshot{inner: inner, now: now, end: end, stop: stop}, nil
}

// Close ends the snapshot. Closing again does nothing.
func (s *Snapshot) Close() {
	s.stop()
	s.end(kv.SnapshotClosedError)
}

// Revision is that of the last commit that the snapshot shows.
func (s *Snapshot) Revision() uint64 { return s.inner.Revision() }

// Get is Engine.Get.
func (s *Snapshot) Get(ctx context.Context, group, key string) (kv.Row, error) {
	row, found, err := s.inner.Get(ctx, group, key)
	switch {
	case hasDeadline(row, found, err) && !row.Live(s.now):
		return kv.Row{}, kv.NotFoundError
	case err != nil:
		return kv.Row{}, err
	case !found:
		return kv.Row{}, kv.NotFoundError
	default:
		return row, nil
	}
}

// GetMany is Engine.GetMany.
func (s *Snapshot) GetMany(ctx context.Context, group string, keys []string) ([]kv.Row, error) {
	rows, err := s.inner.GetMany(ctx, group, keys)
	return living(rows, s.now), err
}

// GroupExists is Engine.GroupExists.
func (s *Snapshot) GroupExists(ctx context.Context, group string) (bool, error) {
	return s.inner.GroupExists(ctx, group, s.now)
}

// Count is Engine.Count.
func (s *Snapshot) Count(ctx context.Context, r kv.Range) (int, error) {
	return s.inner.Count(ctx, r, s.now)
}

// Page is Engine.Page.
func (s *Snapshot) Page(ctx context.Context, group string, offset, limit int) ([]kv.KeyValue, error) {
	return s.inner.Page(ctx, group, offset, limit, s.now)
}

// Scan is Engine.Scan.
func (s *Snapshot) Scan(ctx context.Context, q Query) iter.Seq2[kv.Row, error] {
	return s.inner.Scan(ctx, q, s.now)
}

// GetAll is Engine.GetAll.
func (s *Snapshot) GetAll(ctx context.Context, group string) (map[string]string, error) {
	return s.inner.GetAll(ctx, group, s.now)
}

// Groups is Engine.Groups.
func (s *Snapshot) Groups(ctx context.Context, r kv.Range) iter.Seq2[string, error] {
	return s.inner.Groups(ctx, r, s.now)
}
