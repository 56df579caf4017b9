package storage

import (
	"context"
	"iter"
	"runtime"

	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// fileReads serves reads from connections that can't write. Each point read is
// a transaction of its own, so it sees whatever was committed before it began.
type fileReads struct{ pool *pool }

// openReaders opens the first connection, so that what is wrong shows now, and
// leaves the others to the first that needs them.
func (d *Database) openReaders(config Config) error {
	settings := pragmas(reading, config.Durability)
	open := func() (*reader, error) { return openReader(d.path, settings, d.done) }
	// At most one processor less than there are computes long scans.
	turns := max(1, runtime.GOMAXPROCS(0)-1)
	f := &fileReads{pool: newPool(config.Readers, turns, open, d.done)}
	d.onClose(f.pool.close)
	d.reads = f
	return f.pool.with(context.Background(), func(r *reader) error { return nil })
}

func (f *fileReads) Get(ctx context.Context, group, key string) (row kv.Row, found bool, err error) {
	err = f.pool.with(ctx, func(r *reader) (err error) {
		row, found, err = getRow(r.get, group, key)
		return err
	})
	return row, found, err
}

func (f *fileReads) GroupExists(ctx context.Context, group string, now int64) (found bool, err error) {
	err = f.pool.with(ctx, func(r *reader) (err error) {
		r.isLive.BindText(1, group)
		r.isLive.BindInt64(2, now)
		found, err = exists(r.isLive)
		return err
	})
	return found, err
}

func (f *fileReads) Count(ctx context.Context, r kv.Range, now int64) (n int, err error) {
	err = f.pool.with(ctx, func(c *reader) error {
		return numbers(c.count, r, &now, func(stmt *sqlite.Stmt) { n = stmt.ColumnInt(0) })
	})
	return n, err
}

func (f *fileReads) Usage(ctx context.Context, r kv.Range, now int64) (usage kv.Usage, err error) {
	err = f.pool.with(ctx, func(c *reader) error {
		return numbers(c.usage, r, &now, usageInto(&usage))
	})
	return usage, err
}

func (f *fileReads) Expired(ctx context.Context, r kv.Range, now int64) (usage kv.Usage, err error) {
	err = f.pool.with(ctx, func(c *reader) error {
		return numbers(c.expired, r, &now, usageInto(&usage))
	})
	return usage, err
}

// numbers runs a statement that counts in a range, at now if it asks for it.
func numbers(stmt *sqlite.Stmt, r kv.Range, now *int64, read func(*sqlite.Stmt)) error {
	bindRange(stmt, r)
	if now != nil {
		stmt.BindInt64(3, *now)
	}
	_, err := one(stmt, func(stmt *sqlite.Stmt) error {
		read(stmt)
		return nil
	})
	return err
}

func usageInto(usage *kv.Usage) func(*sqlite.Stmt) {
	return func(stmt *sqlite.Stmt) {
		*usage = kv.Usage{Keys: stmt.ColumnInt64(0), Groups: stmt.ColumnInt64(1)}
	}
}

func (f *fileReads) Page(ctx context.Context, group string, offset, limit int, now int64) (page []kv.KeyValue, err error) {
	err = f.pool.with(ctx, func(r *reader) error {
		bindGroup(r.page, group, now)
		r.page.BindInt64(3, int64(max(limit, 0))) // negative would mean all
		r.page.BindInt64(4, int64(offset))
		s := scan[kv.KeyValue]{pool: f.pool, stmt: r.page, read: readKeyValue}
		defer func() { _ = r.page.Reset() }() // repeats the error of the step
		for more := true; more; {
			if err := f.pool.check(ctx); err != nil {
				return err
			}
			if more, err = s.chunk(firstChunkRows, firstChunkBytes); err != nil {
				return err
			}
		}
		page = s.rows
		return nil
	})
	return page, err
}

func (f *fileReads) Scan(ctx context.Context, group string, now int64) iter.Seq2[kv.KeyValue, error] {
	return stream(ctx, f.pool, func(r *reader) *sqlite.Stmt {
		bindGroup(r.scan, group, now)
		return r.scan
	}, readKeyValue)
}

func bindGroup(stmt *sqlite.Stmt, group string, now int64) {
	stmt.BindText(1, group)
	stmt.BindInt64(2, now)
}

func (f *fileReads) Groups(ctx context.Context, r kv.Range, now int64) iter.Seq2[string, error] {
	return stream(ctx, f.pool, func(c *reader) *sqlite.Stmt {
		bindRange(c.groups, r)
		c.groups.BindInt64(3, now)
		return c.groups
	}, readName)
}
