package sqlite

import (
	"context"
	"iter"
	"runtime"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// sqlReads serves reads from connections that can't write. Each sees whatever
// was committed before it began.
type sqlReads struct{ pool *pool }

// openReaders opens the first connection, so that what is wrong shows now, and
// leaves the others to the first that needs them.
func (d *Database) openReaders(config Config) error {
	settings := pragmas(reading, config.Durability, pooledCacheKiB)
	// At most one processor less than there are computes long scans.
	turns := max(1, runtime.GOMAXPROCS(0)-1)
	f := &fileReads{sqlReads{newPool(config.Readers, turns, d.done)}}
	f.pool.open = func() (*reader, error) { return openReader(d, settings) }
	f.pool.sound = d.guard.Check
	d.onClose(f.pool.close)
	d.reads = f
	return f.pool.with(context.Background(), func(r *reader) error { return nil })
}

func (f sqlReads) Get(ctx context.Context, group, key string) (row kv.Row, found bool, err error) {
	row, found, _, err = f.GetAt(ctx, group, key)
	return row, found, err
}

// GetAt is Get with the version that it was read at.
func (f sqlReads) GetAt(ctx context.Context, group, key string) (row kv.Row, found bool, v storage.Version, err error) {
	err = f.pool.with(ctx, func(r *reader) (err error) {
		row, found, err = r.getRow(group, key)
		v = storage.Version(r.began)
		return err
	})
	return row, found, v, err
}

// GetMany looks several keys up at one moment.
func (f sqlReads) GetMany(ctx context.Context, group string, keys []string) (rows []kv.Row, err error) {
	how := f.pool.aside
	if len(keys) <= firstChunkRows {
		how = f.pool.with
	}
	err = how(ctx, func(r *reader) error {
		if err := r.pin(); err != nil {
			return err
		}
		for i, key := range keys {
			if i%firstChunkRows == 0 {
				if err := f.pool.check(ctx); err != nil {
					return err
				}
			}
			row, found, err := r.getRow(group, key)
			if err != nil {
				return err
			}
			if found {
				rows = append(rows, row)
			}
		}
		return nil
	})
	return rows, err
}

func (f sqlReads) GroupExists(ctx context.Context, group string, now int64) (found bool, err error) {
	err = f.pool.with(ctx, func(r *reader) (err error) {
		found, err = r.groupExists(group, now)
		return err
	})
	return found, err
}

func (f sqlReads) Count(ctx context.Context, rng kv.Range, now int64) (n int, err error) {
	if _, single := (&storage.Query{Groups: rng}).Single(); single {
		few := false
		err = f.pool.with(ctx, func(r *reader) (err error) {
			n, few, err = r.countFew(rng, now)
			return err
		})
		if err != nil || few {
			return n, err
		}
	}
	err = f.pool.aside(ctx, func(r *reader) (err error) {
		n, err = r.countLive(rng, now)
		return err
	})
	return n, err
}

func (f sqlReads) Usage(ctx context.Context, rng kv.Range, now int64) (usage kv.Usage, err error) {
	err = f.pool.aside(ctx, func(r *reader) error {
		if r.touches(rng) {
			usage, err = r.usageOver(rng, now)
			return err
		}
		err := numbers(r.usage, rng, &now, usageInto(&usage))
		if err != nil || !isEverything(rng) {
			return err
		}
		unnamed, err := r.unnamedRows(now)
		usage.Keys += int64(unnamed)
		return err
	})
	return usage, err
}

// Expired is asked for by the quota actor too, whose counts requests wait for: so it
// waits for no turn.
func (f sqlReads) Expired(ctx context.Context, rng kv.Range, now int64) (usage kv.Usage, err error) {
	few := false
	count := func(r *reader) (err error) {
		if r.touches(rng) {
			usage, err = r.expiredOver(rng, now)
			return err
		}
		return numbers(r.expired, rng, &now, usageInto(&usage))
	}
	err = f.pool.with(ctx, func(r *reader) (err error) {
		if few, err = r.fewDead(now); err == nil && few {
			few = !r.touches(rng) // which is counted by a walk
		}
		if err == nil && few {
			err = count(r)
		}
		return err
	})
	if err == nil && !few {
		err = f.pool.beside(ctx, count)
	}
	return usage, err
}

func (f sqlReads) Page(ctx context.Context, group string, offset, limit int, now int64) (page []kv.KeyValue, err error) {
	few := false
	err = f.pool.with(ctx, func(r *reader) error {
		err := r.pin()
		if err == nil {
			page, few, err = r.readShortPage(group, offset, limit, now)
		}
		return err
	})
	if err != nil || few {
		return page, err
	}
	err = f.pool.aside(ctx, func(r *reader) error {
		err := r.pin()
		if err == nil {
			page, err = r.readPage(group, offset, limit, now, func() error { return f.pool.check(ctx) })
		}
		return err
	})
	return page, err
}

func (f sqlReads) Scan(ctx context.Context, q storage.Query, now int64) iter.Seq2[kv.Row, error] {
	return stream(ctx, f.pool, func() source[kv.Row] { return newMergedRows(q, now) })
}

func (f sqlReads) Groups(ctx context.Context, rng kv.Range, now int64) iter.Seq2[string, error] {
	return stream(ctx, f.pool, func() source[string] { return newMergedNames(rng, now) })
}
