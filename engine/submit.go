package engine

import (
	"context"
	"fmt"
	"iter"
	"time"

	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/internal/metrics"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
)

// Submit is Apply for a caller that can't wait: it never blocks, fails with kv.BusyError
// while the store is at its limit of requests in flight, and has what came of the
// mutation told to to. Mutations of one goroutine are applied in the order of its calls.
// OnChange callbacks run in the background: no goroutine is there that asked.
func (e *Engine) Submit(m kv.Mutation, to admission.Answerer) (*admission.Request, error) {
	if e.meter == nil || e.usable() != nil {
		return e.submit(m, to)
	}
	timer := e.meter.Begin(metrics.Of(m.Kind))
	m.Began, m.Weight = timer.Began, timer.Weight
	request, err := e.submit(m, to)
	if err != nil {
		e.answered(&m, err)
	}
	return request, err
}

func (e *Engine) submit(m kv.Mutation, to admission.Answerer) (*admission.Request, error) {
	if err := e.admissible(&m); err != nil {
		return nil, err
	}
	return e.actors.writer.Submit(m, to)
}

// admissible says why a mutation can't be asked for.
func (e *Engine) admissible(m *kv.Mutation) error {
	if err := e.usable(); err != nil {
		return err
	}
	if e.actors == nil {
		return kv.ReadOnlyError
	}
	if err := e.config.Limits.check(m); err != nil {
		return err
	}
	return e.checkDeadlines(m)
}

// RetryAfter is when a caller that Submit had no slot for is likely to find one.
func (e *Engine) RetryAfter() time.Duration {
	if e.actors == nil { // of a read-only store, where writes are refused otherwise
		return time.Millisecond
	}
	return e.actors.gate.RetryAfter()
}

// Dead is closed when no actor is left to answer what was submitted; nil for a
// read-only store.
func (e *Engine) Dead() <-chan struct{} {
	if e.actors == nil {
		return nil
	}
	return e.actors.gate.Dead()
}

// Cached is the live row of a key, or that there is none, if that is known without
// waiting for anything: in memory, or in the read cache.
func (e *Engine) Cached(group, key string) (row kv.Row, found, known bool) {
	if e.usable() != nil {
		return kv.Row{}, false, false
	}
	switch {
	case e.config.Path == storage.MemoryPath:
		var err error
		row, found, err = e.stored(context.Background(), group, key)
		known = err == nil
	case e.cache != nil:
		row, found, known = e.cache.Peek(group, key)
	}
	if known && e.meter != nil {
		e.countCached(found)
	}
	if known && hasDeadline(row, found, nil) && !row.Live(e.clock.ReadMillis()) {
		return kv.Row{}, false, false // Get sees to what follows from that
	}
	return row, found, known
}

// ScanPage is one page of a scan within the groups that begin with prefix, and the cursor
// behind it.
func (e *Engine) ScanPage(ctx context.Context, prefix string, scan protocol.Scan) (rows []kv.Row, cursor string, err error) {
	q, err := e.Query(prefix, scan.Groups, scan.From, scan.To, scan.Limit, scan.Cursor)
	if err != nil {
		return nil, "", err
	}
	limit := min(scan.Limit, protocol.MaxPage)
	if limit == 0 {
		limit = protocol.DefaultPage
	}
	q.Reverse, q.KeysOnly, q.Limit = scan.Reverse, scan.KeysOnly, limit+1 // one more tells whether there is more
	bytes := 0
	for row, err := range e.Scan(ctx, q) {
		if err != nil {
			return nil, "", err
		}
		bytes += len(row.Group) + len(row.Key) + len(row.Value)
		if len(rows) == limit || len(rows) > 0 && bytes > protocol.MaxPageBytes {
			last := rows[len(rows)-1]
			return rows, e.Cursor(last.Group, last.Key), nil
		}
		rows = append(rows, row)
	}
	return rows, "", nil
}

// Follow is Subscribe that fails at once where it can be known that nothing would come.
func (e *Engine) Follow(ctx context.Context, options kv.SubscribeOptions) (iter.Seq2[kv.Event, error], error) {
	if err := e.usable(); err != nil {
		return nil, err
	}
	if _, err := options.Complete(); err != nil {
		return nil, err
	}
	return e.Subscribe(ctx, context.Background(), options), nil
}

// Namespace is PID for a gateway.
func (e *Engine) Namespace(namespace string, quota kv.QuotaConfig) (*actor.PID, error) {
	return e.PID(namespace, quota)
}

// Query is that of a scan of the groups that fit, within those that begin with prefix.
func (e *Engine) Query(prefix string, groups kv.Match, from, to string, limit int, cursor string) (q Query, err error) {
	if limit < 0 {
		return q, fmt.Errorf("limit %d: must be zero or positive: %w", limit, kv.InvalidScanError)
	}
	if to != "" && from > to {
		return q, fmt.Errorf("keys from %q to %q: the range is upside down: %w", from, to, kv.InvalidScanError)
	}
	q = Query{Groups: groups.Within(prefix).Range(), Keys: kv.Range{From: from, To: to, Unbounded: to == ""}}
	if cursor != "" {
		q.After, err = e.Position(cursor, q.Groups)
	}
	return q, err
}
