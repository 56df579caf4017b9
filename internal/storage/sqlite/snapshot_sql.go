package sqlite

import (
	"context"
	"iter"
	"math"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// sqlMoment is what a connection's transaction shows.
type sqlMoment struct {
	hold *hold
	at   uint64 // the revision
}

// sqlSnapshotNow is a snapshot that waits for no reader.
func (p *pool) sqlSnapshotNow() (storage.Snapshot, error) {
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
func pinned(h *hold, use func(func(*reader) error) error) (storage.Snapshot, error) {
	s := sqlMoment{hold: h}
	err := use(func(r *reader) error {
		err := r.pin()
		s.at = r.revision
		return err
	})
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s sqlMoment) Revision() uint64 { return s.at }

func (s sqlMoment) End(reason error) { s.hold.release(reason) }

func (s sqlMoment) Close() { s.End(kv.SnapshotClosedError) }

// use calls f with the connection, after looking at the context.
func (s sqlMoment) use(ctx context.Context, f func(*reader) error) error {
	if err := s.hold.pool.check(ctx); err != nil {
		return err
	}
	return s.hold.use(f)
}

// useLong is use for what may take long: fewer of it run than there are processors.
func (s sqlMoment) useLong(ctx context.Context, f func(*reader) error) error {
	leave, err := s.hold.pool.turn(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return s.hold.use(f)
}

func (s sqlMoment) Get(ctx context.Context, group, key string) (row kv.Row, found bool, err error) {
	err = s.use(ctx, func(r *reader) (err error) {
		row, found, err = r.getRow(group, key)
		return err
	})
	return row, found, err
}

func (s sqlMoment) GetMany(ctx context.Context, group string, keys []string) (rows []kv.Row, err error) {
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

func (s sqlMoment) GroupExists(ctx context.Context, group string, now int64) (found bool, err error) {
	err = s.use(ctx, func(r *reader) (err error) {
		found, err = r.groupExists(group, now)
		return err
	})
	return found, err
}

func (s sqlMoment) Count(ctx context.Context, rng kv.Range, now int64) (n int, err error) {
	if _, single := (&storage.Query{Groups: rng}).Single(); single {
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

func (s sqlMoment) Page(ctx context.Context, group string, offset, limit int, now int64) (page []kv.KeyValue, err error) {
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

func (s sqlMoment) Scan(ctx context.Context, q storage.Query, now int64) iter.Seq2[kv.Row, error] {
	return streamHeld(ctx, s.hold, func() source[kv.Row] { return newMergedRows(q, now) })
}

func (s sqlMoment) Groups(ctx context.Context, rng kv.Range, now int64) iter.Seq2[string, error] {
	return streamHeld(ctx, s.hold, func() source[string] { return newMergedNames(rng, now) })
}

func (s sqlMoment) Usage(rng kv.Range) (usage kv.Usage, err error) {
	if err := s.hold.pool.check(context.Background()); err != nil {
		return usage, err
	}
	err = s.hold.useNow(func(r *reader) (err error) {
		if r.touches(rng) {
			usage, err = r.usageOver(rng, math.MinInt64)
			return err
		}
		return numbers(r.physical, rng, nil, usageInto(&usage))
	})
	return usage, err
}
