package sqlite

import (
	"context"
	"errors"
	"iter"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// fileReads serves reads from the file's pages, where there are views of them, and has
// SQLite read what those can't tell. The log is read by SQLite alone.
type fileReads struct{ sqlReads }

// look has f read what is committed now: at once if it is short, and if it is not, by
// turns with others. f may be called more than once. errUnread says that SQLite is to
// be asked.
func (f *fileReads) look(ctx context.Context, read func(*view, *pace) error) error {
	if f.pool.views == nil {
		return errUnread
	}
	if err := f.pool.check(ctx); err != nil {
		return err
	}
	err := f.pool.views.read(func(v *view) error {
		p := short()
		return read(v, &p)
	})
	if !errors.Is(err, errLong) {
		return err
	}
	if err := f.pool.gate.pass(ctx, f.pool.closed); err != nil {
		return err
	}
	leave, err := f.pool.turn(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return f.lookOn(ctx, read)
}

// lookOn is look for what waits for no other reader. It may take long, so what it looks at
// is held, as a snapshot is: the writer must not wait for it again and again.
func (f *fileReads) lookOn(ctx context.Context, read func(*view, *pace) error) error {
	if f.pool.views == nil {
		return errUnread
	}
	if err := f.pool.check(ctx); err != nil {
		return err
	}
	h, err := f.pool.holdNow()
	if err != nil {
		return err
	}
	defer h.release(kv.SnapshotClosedError)
	return h.look(func(v *view) error {
		p := f.pool.long(ctx)
		return read(v, &p)
	})
}

func (f *fileReads) Get(ctx context.Context, group, key string) (row kv.Row, found bool, err error) {
	row, found, _, err = f.GetAt(ctx, group, key)
	return row, found, err
}

func (f *fileReads) GetAt(ctx context.Context, group, key string) (row kv.Row, found bool, v storage.Version, err error) {
	why := errUnread
	if f.pool.views != nil {
		if err := f.pool.check(ctx); err != nil {
			return row, false, 0, err
		}
		row, found, sequence, err := f.pool.views.get(group, key)
		if err == nil {
			return row, found, storage.Version(sequence), nil
		}
		why = err
	}
	row, found, v, err = f.sqlReads.GetAt(ctx, group, key)
	return row, found, v, naming(why, err)
}

func (f *fileReads) GetMany(ctx context.Context, group string, keys []string) (rows []kv.Row, err error) {
	err = f.look(ctx, func(v *view, p *pace) (err error) {
		rows, err = v.getMany(group, keys, p)
		return err
	})
	return orSQLite(rows, err, func() ([]kv.Row, error) { return f.sqlReads.GetMany(ctx, group, keys) })
}

func (f *fileReads) GroupExists(ctx context.Context, group string, now int64) (found bool, err error) {
	err = f.look(ctx, func(v *view, p *pace) (err error) {
		found, err = v.groupExists(group, now, p)
		return err
	})
	return orSQLite(found, err, func() (bool, error) { return f.sqlReads.GroupExists(ctx, group, now) })
}

func (f *fileReads) Count(ctx context.Context, rng kv.Range, now int64) (n int, err error) {
	err = f.look(ctx, func(v *view, p *pace) (err error) {
		n, err = v.count(rng, now, p)
		return err
	})
	return orSQLite(n, err, func() (int, error) { return f.sqlReads.Count(ctx, rng, now) })
}

func (f *fileReads) Usage(ctx context.Context, rng kv.Range, now int64) (usage kv.Usage, err error) {
	err = f.look(ctx, func(v *view, p *pace) (err error) {
		usage, err = v.usage(rng, now, p)
		return err
	})
	return orSQLite(usage, err, func() (kv.Usage, error) { return f.sqlReads.Usage(ctx, rng, now) })
}

// Expired is asked for by the quota actor too, whose counts requests wait for: so it
// waits for no turn.
func (f *fileReads) Expired(ctx context.Context, rng kv.Range, now int64) (usage kv.Usage, err error) {
	err = f.lookOn(ctx, func(v *view, p *pace) (err error) {
		usage, err = v.expired(rng, now, p)
		return err
	})
	return orSQLite(usage, err, func() (kv.Usage, error) { return f.sqlReads.Expired(ctx, rng, now) })
}

func (f *fileReads) Page(ctx context.Context, group string, offset, limit int, now int64) (page []kv.KeyValue, err error) {
	err = f.look(ctx, func(v *view, p *pace) (err error) {
		page, err = v.page(group, offset, limit, now, p)
		return err
	})
	return orSQLite(page, err, func() ([]kv.KeyValue, error) { return f.sqlReads.Page(ctx, group, offset, limit, now) })
}

func (f *fileReads) Revision(ctx context.Context) (revision uint64, err error) {
	err = f.look(ctx, func(v *view, _ *pace) (err error) {
		revision, err = v.revision()
		return err
	})
	return orSQLite(revision, err, func() (uint64, error) { return f.sqlReads.Revision(ctx) })
}

func (f *fileReads) Scan(ctx context.Context, q storage.Query, now int64) iter.Seq2[kv.Row, error] {
	if f.pool.views == nil {
		return f.sqlReads.Scan(ctx, q, now)
	}
	return streamPages(ctx, f.pool, func() pageSource[kv.Row] { return newScan(q, now) })
}

func (f *fileReads) Groups(ctx context.Context, rng kv.Range, now int64) iter.Seq2[string, error] {
	if f.pool.views == nil {
		return f.sqlReads.Groups(ctx, rng, now)
	}
	return streamPages(ctx, f.pool, func() pageSource[string] { return newGroups(rng, now) })
}
