package sqlite

import (
	"context"
	"errors"
	"iter"
	"math"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// pageMoment is what a view shows.
type pageMoment struct {
	hold *hold
	at   uint64 // the revision
}

// maxNow is how many snapshots there may be for callers that are not to be refused.
const maxNow = math.MaxInt

// pageSnapshot is a snapshot of what is committed now, while fewer than so many views are
// held. None, and no error: SQLite is to be asked.
func (p *pool) pageSnapshot(most int) (storage.Snapshot, error) {
	var s pageMoment
	var refused error
	err := p.views.read(func(v *view) (err error) {
		if v.shape.numbers { // nothing could be asked of SQLite later
			return errUnread
		}
		if s.at, err = v.revision(); err == nil {
			s.hold, refused = p.holdFor(v.pinned(), most)
		}
		return err
	})
	switch {
	case refused != nil:
		return nil, refused
	case errors.Is(err, errUnread):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return s, nil
}

func (s pageMoment) Revision() uint64 { return s.at }

func (s pageMoment) End(reason error) { s.hold.release(reason) }

func (s pageMoment) Close() { s.End(kv.SnapshotClosedError) }

// look has f read what the snapshot shows: at once if it is short, and if it is not, by
// turns with others. f may be called twice. sqlite is what SQLite is asked for if a page
// can't be read.
func (s pageMoment) look(ctx context.Context, read func(*view, *pace) error, sqlite func(sqlReads) error) error {
	pool := s.hold.pool
	if err := pool.check(ctx); err != nil {
		return err
	}
	err := s.hold.look(func(v *view) error {
		p := short()
		return read(v, &p)
	})
	if errors.Is(err, errLong) {
		err = s.lookLong(ctx, read)
	}
	if errors.Is(err, errUnread) {
		return s.explain(err, sqlite)
	}
	return err
}

// lookLong is look for what takes turns.
func (s pageMoment) lookLong(ctx context.Context, read func(*view, *pace) error) error {
	leave, err := s.hold.pool.turn(ctx)
	if err != nil {
		return err
	}
	defer leave() // also if it panics: a caller that recovers goes on reading
	return s.hold.look(func(v *view) error {
		p := s.hold.pool.long(ctx)
		return read(v, &p)
	})
}

// explain is what SQLite says is wrong. What it reads is of another moment, and not to be
// answered. What the system says needs no explanation.
func (s pageMoment) explain(why error, sqlite func(sqlReads) error) error {
	if fault := s.hold.pool.explainFault(why); fault != nil {
		return fault
	}
	if err := sqlite(sqlReads{s.hold.pool}); err != nil {
		return naming(why, err)
	}
	return naming(why, errPage)
}

func (s pageMoment) Get(ctx context.Context, group, key string) (row kv.Row, found bool, err error) {
	pool := s.hold.pool
	if err := pool.check(ctx); err != nil {
		return row, false, err
	}
	err = s.hold.look(func(v *view) (err error) {
		row, found, err = v.get(group, key)
		return err
	})
	if errors.Is(err, errUnread) {
		err = s.explain(err, func(now sqlReads) (err error) {
			row, found, err = now.Get(ctx, group, key)
			return err
		})
		if !storage.IsDamagedRow(err) { // of which the deadline is told too
			row, found = kv.Row{}, false
		}
	}
	return row, found, err
}

func (s pageMoment) GetMany(ctx context.Context, group string, keys []string) (rows []kv.Row, err error) {
	err = s.look(ctx, func(v *view, p *pace) (err error) {
		rows, err = v.getMany(group, keys, p)
		return err
	}, func(now sqlReads) error {
		_, err := now.GetMany(ctx, group, keys)
		return err
	})
	return rows, err
}

func (s pageMoment) GroupExists(ctx context.Context, group string, now int64) (found bool, err error) {
	err = s.look(ctx, func(v *view, p *pace) (err error) {
		found, err = v.groupExists(group, now, p)
		return err
	}, func(reads sqlReads) error {
		_, err := reads.GroupExists(ctx, group, now)
		return err
	})
	return found, err
}

func (s pageMoment) Count(ctx context.Context, rng kv.Range, now int64) (n int, err error) {
	err = s.look(ctx, func(v *view, p *pace) (err error) {
		n, err = v.count(rng, now, p)
		return err
	}, func(reads sqlReads) error {
		_, err := reads.Count(ctx, rng, now)
		return err
	})
	return n, err
}

func (s pageMoment) Page(ctx context.Context, group string, offset, limit int, now int64) (page []kv.KeyValue, err error) {
	err = s.look(ctx, func(v *view, p *pace) (err error) {
		page, err = v.page(group, offset, limit, now, p)
		return err
	}, func(reads sqlReads) error {
		_, err := reads.Page(ctx, group, offset, limit, now)
		return err
	})
	return page, err
}

func (s pageMoment) Scan(ctx context.Context, q storage.Query, now int64) iter.Seq2[kv.Row, error] {
	return streamHeldPages(ctx, s.hold, func() pageSource[kv.Row] { return newScan(q, now) })
}

func (s pageMoment) Groups(ctx context.Context, rng kv.Range, now int64) iter.Seq2[string, error] {
	return streamHeldPages(ctx, s.hold, func() pageSource[string] { return newGroups(rng, now) })
}

func (s pageMoment) Usage(rng kv.Range) (usage kv.Usage, err error) {
	pool := s.hold.pool
	ctx := context.Background()
	if err := pool.check(ctx); err != nil {
		return usage, err
	}
	err = s.hold.look(func(v *view) (err error) {
		p := pool.long(ctx)
		usage, err = v.physical(rng, &p)
		return err
	})
	if errors.Is(err, errUnread) {
		err = s.explain(err, func(sqlReads) error {
			again, err := pool.sqlSnapshotNow()
			if err == nil {
				_, err = again.Usage(rng)
				again.Close()
			}
			return err
		})
	}
	return usage, err
}
