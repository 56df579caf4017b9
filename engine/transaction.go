package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

const (
	// maxAttempts is how often a transaction is tried.
	maxAttempts = 16
	// Between two attempts it waits a random time, up to twice as long each time:
	// of those that want the same keys one gets through at every commit, and the
	// others should not all come back for the next.
	firstBackoff = 100 * time.Microsecond
	maxBackoff   = 20 * time.Millisecond
)

// Transaction is what a transaction's function works with: one snapshot, from
// its first read on, under the writes that the function has made. It is of use
// to one goroutine, while the function runs.
type Transaction struct {
	engine    *Engine
	ctx       context.Context
	namespace string
	quota     kv.QuotaConfig
	ended     bool

	snapshot *storage.Snapshot // nil until the first read
	now      int64             // when its rows are judged
	keys     map[place]uint64  // the revisions of the keys read; 0: there is no such key
	ranges   []kv.Range        // of the groups scanned

	writes  map[place]kv.Operation // Set or Delete; the last one of each key
	cleared []kv.Range             // deleted before all writes
}

// place is where a key is.
type place struct{ group, key string }

func (p place) compare(o place) int {
	if c := strings.Compare(p.group, o.group); c != 0 {
		return c
	}
	return strings.Compare(p.key, o.key)
}

// Transaction runs the function and commits its writes if nothing that it read
// has changed; else it runs it again, up to maxAttempts times. What the function
// returns, or panics with, comes through, and nothing is written.
func (e *Engine) Transaction(ctx context.Context, namespace string, quota kv.QuotaConfig, function func(*Transaction) error) error {
	for attempt := 1; ; attempt++ {
		m, err := e.try(ctx, namespace, quota, function)
		if err != nil || m == nil {
			return err
		}
		err = e.verifyRanges(ctx, m)
		if err == nil {
			_, err = e.Apply(ctx, *m)
		}
		if !isConflict(err) {
			return err
		}
		e.conflicts.Add(1)
		if attempt == maxAttempts {
			return &kv.ConflictError{Attempts: attempt, Last: err}
		}
		if err := e.backOff(ctx, attempt); err != nil {
			return err
		}
	}
}

// Conflicts is how often transactions had to be run again, or given up, because
// others got ahead of them.
func (e *Engine) Conflicts() uint64 { return e.conflicts.Load() }

// try runs the function once. Without writes there is nothing to commit: what
// it read was true at one moment during the call.
func (e *Engine) try(ctx context.Context, namespace string, quota kv.QuotaConfig, function func(*Transaction) error) (*kv.Mutation, error) {
	tx := &Transaction{engine: e, ctx: ctx, namespace: namespace, quota: quota}
	defer tx.end() // a panic is the caller's
	if e.closed.Load() {
		return nil, kv.ClosedError
	}
	if err := function(tx); err != nil {
		return nil, err
	}
	return tx.mutation(), nil
}

func isConflict(err error) bool {
	var mismatch *kv.RevisionMismatchError
	return errors.As(err, &mismatch) || errors.Is(err, kv.ChangedError)
}

func (e *Engine) backOff(ctx context.Context, attempt int) error {
	limit := min(firstBackoff<<attempt, maxBackoff)
	timer := time.NewTimer(rand.N(limit))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-e.ended:
		return kv.ClosedError
	case <-ctx.Done():
		return ctx.Err()
	}
}

// verifyRanges looks through what was committed since the snapshot for changes
// in the ranges, so that the writer has only the last moments left to look at.
func (e *Engine) verifyRanges(ctx context.Context, m *kv.Mutation) error {
	if len(m.Unchanged) == 0 {
		return nil
	}
	var events []kv.Event
	for next := m.Unchanged[0].Revision + 1; next <= e.announced.Load(); {
		rows, err := e.logRows(ctx, next)
		var compacted *kv.CompactedError
		if errors.As(err, &compacted) {
			return fmt.Errorf("the log begins at revision %d by now: %w", compacted.Oldest, kv.ChangedError)
		}
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		for _, row := range rows {
			if events, err = commitlog.Decode(events[:0], row); err != nil {
				return err
			}
			for i := range events {
				if touches(m.Unchanged, &events[i]) {
					return fmt.Errorf("group %s: %w", events[i].Group, kv.ChangedError)
				}
			}
			next = row.Last + 1
		}
		for i := range m.Unchanged {
			m.Unchanged[i].Revision = next - 1
		}
	}
	return nil
}

func touches(ranges []kv.Unchanged, e *kv.Event) bool {
	for i := range ranges {
		if e.Revision > ranges[i].Revision && ranges[i].Range.Contains(e.Group) {
			return true
		}
	}
	return false
}

// check refuses a handle whose function has returned.
func (tx *Transaction) check() error {
	if tx.ended {
		return kv.TransactionEndedError
	}
	return nil
}

func (tx *Transaction) end() {
	tx.ended = true
	if tx.snapshot != nil {
		tx.snapshot.Close()
	}
}

// view is the snapshot, taken at the first call.
func (tx *Transaction) view() (*storage.Snapshot, error) {
	if err := tx.check(); err != nil {
		return nil, err
	}
	if tx.snapshot != nil {
		return tx.snapshot, nil
	}
	snapshot, err := tx.engine.database.Snapshot(tx.ctx)
	if err != nil {
		return nil, err
	}
	tx.snapshot, tx.now = snapshot, tx.engine.clock.Millis()
	return snapshot, nil
}

// Get is the live row of a key. The revision of one that the transaction has
// written is 0: it has none yet.
func (tx *Transaction) Get(group, key string) (kv.Row, error) {
	if err := tx.check(); err != nil {
		return kv.Row{}, err
	}
	at := place{group, key}
	if o, written := tx.writes[at]; written {
		if row, live := tx.written(&o); live {
			return row, nil
		}
		return kv.Row{}, kv.NotFoundError
	}
	if tx.isCleared(group) {
		return kv.Row{}, kv.NotFoundError
	}
	snapshot, err := tx.view()
	if err != nil {
		return kv.Row{}, err
	}
	row, found, err := snapshot.Get(tx.ctx, group, key)
	if err != nil {
		return kv.Row{}, err
	}
	live := found && row.Live(tx.now)
	if tx.keys == nil {
		tx.keys = make(map[place]uint64)
	}
	if !live {
		tx.keys[at] = 0
		return kv.Row{}, kv.NotFoundError
	}
	tx.keys[at] = row.Revision
	return row, nil
}

// written is the row that a write makes, if it lives.
func (tx *Transaction) written(o *kv.Operation) (row kv.Row, live bool) {
	if o.Kind == kv.Delete || o.HasTTL && o.TimeToLive <= 0 {
		return row, false
	}
	row = kv.Row{Group: o.Group, Key: o.Key, Value: o.Value, Deadline: kv.NoDeadline}
	switch {
	case o.HasTTL: // from the commit on, which is about now
		row.Deadline = tx.engine.clock.Millis() + o.TimeToLive.Milliseconds()
	case o.Deadline != 0:
		row.Deadline = o.Deadline
	}
	return row, true
}

func (tx *Transaction) isCleared(group string) bool {
	return slices.ContainsFunc(tx.cleared, func(r kv.Range) bool { return r.Contains(group) })
}

// Set writes a key, for timeToLive if hasTTL.
func (tx *Transaction) Set(group, key, value string, hasTTL bool, timeToLive time.Duration) error {
	return tx.write(kv.Operation{Kind: kv.Set, Group: group, Key: key, Value: value, HasTTL: hasTTL, TimeToLive: timeToLive})
}

// Delete removes a key.
func (tx *Transaction) Delete(group, key string) error {
	return tx.write(kv.Operation{Kind: kv.Delete, Group: group, Key: key})
}

func (tx *Transaction) write(o kv.Operation) error {
	if err := tx.check(); err != nil {
		return err
	}
	if tx.writes == nil {
		tx.writes = make(map[place]kv.Operation)
	}
	tx.writes[place{o.Group, o.Key}] = o
	return nil
}

// DeleteRange removes every group in a range.
func (tx *Transaction) DeleteRange(r kv.Range) error {
	if err := tx.check(); err != nil {
		return err
	}
	maps.DeleteFunc(tx.writes, func(p place, _ kv.Operation) bool { return r.Contains(p.group) })
	tx.cleared = append(tx.cleared, r)
	return nil
}

// Touch gives a key another deadline, or none without hasTTL.
func (tx *Transaction) Touch(group, key string, hasTTL bool, timeToLive time.Duration) error {
	row, err := tx.Get(group, key)
	if err != nil {
		return err
	}
	if !hasTTL && row.Deadline == kv.NoDeadline {
		return nil
	}
	return tx.Set(group, key, row.Value, hasTTL, timeToLive)
}

// Increment adds to a number, which keeps its deadline.
func (tx *Transaction) Increment(group, key string, delta int64) (int64, error) {
	row, err := tx.Get(group, key)
	if err != nil && !errors.Is(err, kv.NotFoundError) {
		return 0, err
	}
	o := kv.Operation{Kind: kv.Set, Group: group, Key: key}
	if err == nil && row.Deadline != kv.NoDeadline {
		o.Deadline = row.Deadline
	}
	if before, written := tx.writes[place{group, key}]; written && err == nil {
		o = before
	}
	sum, err := kv.Add(row.Value, err == nil, delta)
	if err != nil {
		return 0, fmt.Errorf("%s/%s: %w", group, key, err)
	}
	o.Value = strconv.FormatInt(sum, 10)
	return sum, tx.write(o)
}

// mutation is what there is to commit, nil if nothing.
func (tx *Transaction) mutation() *kv.Mutation {
	if len(tx.writes) == 0 && len(tx.cleared) == 0 {
		return nil
	}
	m := &kv.Mutation{Kind: kv.Batch, Namespace: tx.namespace, Quota: tx.quota}
	for _, r := range tx.cleared {
		m.Operations = append(m.Operations, kv.Operation{Kind: kv.DeletePrefix, Group: r.From, Range: r})
	}
	for _, at := range slices.SortedFunc(maps.Keys(tx.writes), place.compare) {
		m.Operations = append(m.Operations, tx.writes[at])
	}
	for at, revision := range tx.keys {
		m.Conditions = append(m.Conditions, kv.Condition{Group: at.group, Key: at.key, Revision: revision})
	}
	for _, r := range tx.ranges {
		m.Unchanged = append(m.Unchanged, kv.Unchanged{Range: r, Revision: tx.snapshot.Revision(), Now: tx.now})
	}
	return m
}
