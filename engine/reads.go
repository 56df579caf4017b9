package engine

import (
	"context"
	"iter"
	"slices"
	"time"

	"forge.lthn.ai/core/go-store/internal/metrics"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// Get is the live row of a key. An expired one is not found, and the reaper is
// told of it.
func (e *Engine) Get(ctx context.Context, group, key string) (kv.Row, error) {
	if err := e.usable(); err != nil {
		return kv.Row{}, err
	}
	var timer metrics.Timer
	var ended func(kv.TracedResult)
	if e.meter != nil {
		timer = e.meter.Begin(metrics.Get)
	}
	if e.tracer != nil {
		ctx, ended = e.trace(ctx, metrics.Get, group, "")
	}
	row, found, err := e.stored(ctx, group, key)
	// A key without a deadline, as most are, needs no clock.
	if hasDeadline(row, found, err) && !row.Live(e.clock.ReadMillis()) {
		now := e.clock.ReadMillis() // before the look that counts: see there
		row, found, err = e.stored(ctx, group, key)
		if hasDeadline(row, found, err) && !row.Live(now) {
			if e.actors != nil {
				e.actors.reaper.Hint()
			}
			found, err = false, nil
		}
	}
	if err == nil && !found {
		err = kv.NotFoundError
	}
	if timer.Weight != 0 || ended != nil || err != nil {
		e.endGet(timer, ended, err)
	}
	if err != nil {
		return kv.Row{}, err
	}
	return row, nil
}

// hasDeadline reports whether there is a row with a deadline. Of one that is damaged the
// deadline can be read: once it has expired it is gone, as for every other read.
func hasDeadline(row kv.Row, found bool, err error) bool {
	return (found || storage.IsDamagedRow(err)) && row.Deadline != kv.NoDeadline
}

// Revision is the last one committed, as a read sees it: what the writer has
// published is behind that for a moment, so that a key could have a revision
// that the store had not reached.
func (e *Engine) Revision(ctx context.Context) (uint64, error) {
	if err := e.usable(); err != nil {
		return 0, err
	}
	return e.reads.Revision(ctx)
}

// Stats says what the store holds. Its parts are of moments that follow each
// other closely.
func (e *Engine) Stats(ctx context.Context) (stats kv.Stats, err error) {
	if err := e.usable(); err != nil {
		return stats, err
	}
	ctx, o := e.begin(ctx, metrics.Stats, "", "")
	stats, err = e.stats(ctx)
	o.end(err)
	return stats, err
}

func (e *Engine) stats(ctx context.Context) (stats kv.Stats, err error) {
	everything, now := kv.PrefixRange(""), e.clock.ReadMillis()
	live, err := e.reads.Usage(ctx, everything, now)
	if err != nil {
		return stats, err
	}
	dead, err := e.reads.Expired(ctx, everything, now)
	if err != nil {
		return stats, err
	}
	log, err := e.reads.LogExtent(ctx)
	stats = kv.Stats{Keys: live.Keys, Groups: live.Groups, Expired: dead.Keys,
		Revision: log.Last, OldestRevision: log.First, LogBytes: log.End - log.Begin}
	if log.First <= log.Last {
		stats.LogBegins = time.UnixMilli(log.Oldest)
	}
	return stats, err
}

// GroupExists reports whether the group has a live row.
func (e *Engine) GroupExists(ctx context.Context, group string) (bool, error) {
	if err := e.usable(); err != nil {
		return false, err
	}
	ctx, o := e.begin(ctx, metrics.GroupExists, group, "")
	exists, err := e.reads.GroupExists(ctx, group, e.clock.ReadMillis())
	o.end(err)
	return exists, err
}

// Count is the number of live rows of the groups in r.
func (e *Engine) Count(ctx context.Context, r kv.Range) (int, error) {
	if err := e.usable(); err != nil {
		return 0, err
	}
	ctx, o := e.begin(ctx, metrics.Count, "", "")
	count, err := e.reads.Count(ctx, r, e.clock.ReadMillis())
	o.end(err)
	return count, err
}

// Page is live rows of a group in the order of their keys, at most limit of
// them after the first offset.
func (e *Engine) Page(ctx context.Context, group string, offset, limit int) ([]kv.KeyValue, error) {
	if err := e.usable(); err != nil {
		return nil, err
	}
	ctx, o := e.begin(ctx, metrics.Page, group, "")
	page, err := e.reads.Page(ctx, group, offset, limit, e.clock.ReadMillis())
	o.end(err)
	return page, err
}

// GetMany is the live rows of those keys that have one, at one moment.
func (e *Engine) GetMany(ctx context.Context, group string, keys []string) ([]kv.Row, error) {
	if err := e.usable(); err != nil {
		return nil, err
	}
	ctx, o := e.begin(ctx, metrics.GetMany, group, "")
	now := e.clock.ReadMillis()
	rows, err := e.reads.GetMany(ctx, group, keys)
	o.end(err)
	return living(rows, now), err
}

// living is those rows that are live.
func living(rows []kv.Row, now int64) []kv.Row {
	return slices.DeleteFunc(rows, func(row kv.Row) bool { return !row.Live(now) })
}

// Query says which rows a scan yields.
type Query = storage.Query

// GroupQuery asks for all rows of a group.
func GroupQuery(group string) Query { return storage.GroupQuery(group) }

// GetAll is the live rows of a group, from one snapshot. Its errors are those of Scan, as
// which it is counted.
func (e *Engine) GetAll(ctx context.Context, group string) (map[string]string, error) {
	if err := e.usable(); err != nil {
		return nil, err
	}
	ctx, o := e.begin(ctx, metrics.Scan, group, "")
	all, err := e.reads.GetAll(ctx, group, e.clock.ReadMillis())
	o.end(err)
	return all, err
}

// Scan yields the live rows of a query in its order, from one snapshot. An
// error is yielded once, last.
func (e *Engine) Scan(ctx context.Context, q Query) iter.Seq2[kv.Row, error] {
	return func(yield func(kv.Row, error) bool) {
		if err := e.usable(); err != nil {
			yield(kv.Row{}, err)
			return
		}
		group, _ := q.Single()
		observeRows(e, ctx, metrics.Scan, group, func(ctx context.Context) iter.Seq2[kv.Row, error] {
			return e.reads.Scan(ctx, q, e.clock.ReadMillis())
		}, yield)
	}
}

// Groups yields the names of the groups in r that have a live row, in order,
// from one snapshot. An error is yielded once, last.
func (e *Engine) Groups(ctx context.Context, r kv.Range) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := e.usable(); err != nil {
			yield("", err)
			return
		}
		observeRows(e, ctx, metrics.Groups, "", func(ctx context.Context) iter.Seq2[string, error] {
			return e.reads.Groups(ctx, r, e.clock.ReadMillis())
		}, yield)
	}
}
