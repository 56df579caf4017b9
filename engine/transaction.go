package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/internal/metrics"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/tidwall/btree"
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

	snapshot storage.Snapshot  // nil until the first read
	now      int64             // when its rows are judged
	keys     map[kv.Key]uint64 // the revisions of the keys read; 0: there is no such key
	ranges   intervals         // of the groups scanned

	operations []*kv.Operation       // what there is to commit; none of them is ever changed
	writes     *btree.BTreeG[*write] // the last one of each key, unless its group was deleted after it; nil: none
	cleared    intervals             // the groups deleted
}

// write is what the transaction has made of a key: a Set, a Delete, or a Touch of
// what the snapshot has. It is never changed.
type write struct {
	key kv.Key
	*kv.Operation
	at int // its index in operations
}

func before(a, b *write) bool { return a.key.Compare(b.key) < 0 }

// Transaction runs the function and commits its writes if nothing that it read
// has changed; else it runs it again, up to maxAttempts times. What the function
// returns, or panics with, comes through, and nothing is written.
func (e *Engine) Transaction(ctx context.Context, namespace string, quota kv.QuotaConfig, function func(*Transaction) error) error {
	if !e.observed() || e.usable() != nil {
		return e.transaction(ctx, namespace, quota, function)
	}
	ctx, o := e.begin(ctx, metrics.Transaction, "", namespace)
	err := error(kv.RolledBackError) // what a panic leaves behind
	defer func() { o.end(err) }()
	err = e.transaction(ctx, namespace, quota, function)
	return err
}

func (e *Engine) transaction(ctx context.Context, namespace string, quota kv.QuotaConfig, function func(*Transaction) error) error {
	var again watching
	defer again.end()
	for attempt := 1; ; attempt++ {
		m, err := e.try(ctx, namespace, quota, function)
		if err != nil || m == nil {
			return err
		}
		m.Watched = again.watched
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
		again.begin(e, m)
		if err := e.backOff(ctx, attempt); err != nil {
			return err
		}
	}
}

// watching is what a transaction that has to run again has watched: the ranges that it
// has scanned so far. Otherwise it would depend on how far the log reaches back, and
// could conflict with changes elsewhere for ever, where the log is short or what others
// write is large.
type watching struct {
	ranges  intervals
	watched *kv.Watched
	release func()
}

// begin watches what a transaction has scanned, from before its next snapshot on.
func (w *watching) begin(e *Engine, m *kv.Mutation) {
	if len(m.Unchanged) == 0 || e.actors == nil {
		return
	}
	for i := range m.Unchanged {
		w.ranges.add(m.Unchanged[i].Range)
	}
	var ranges []kv.Range
	w.ranges.all(func(r kv.Range) { ranges = append(ranges, r) })
	w.end()
	w.watched, w.release = e.actors.writer.Watch(ranges)
}

func (w *watching) end() {
	if w.release != nil {
		w.release()
		w.watched, w.release = nil, nil
	}
}

// Conflicts is how often transactions had to be run again, or given up, because
// others got ahead of them.
func (e *Engine) Conflicts() uint64 {
	if e == nil {
		return 0
	}
	return e.conflicts.Load()
}

// try runs the function once. Without writes there is nothing to commit: what
// it read was true at one moment during the call.
func (e *Engine) try(ctx context.Context, namespace string, quota kv.QuotaConfig, function func(*Transaction) error) (*kv.Mutation, error) {
	tx := &Transaction{engine: e, ctx: ctx, namespace: namespace, quota: quota}
	defer tx.end() // a panic is the caller's
	if err := e.usable(); err != nil {
		return nil, err
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
	if !slices.ContainsFunc(m.Unchanged, func(u kv.Unchanged) bool { return !m.Watched.Covers(u.Range) }) {
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
	u := kv.FindUnchanged(ranges, e.Group)
	return u != nil && e.Revision > u.Revision
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
func (tx *Transaction) view() (storage.Snapshot, error) {
	if err := tx.check(); err != nil {
		return nil, err
	}
	if tx.snapshot != nil {
		return tx.snapshot, nil
	}
	now := tx.engine.clock.ReadMillis() // before the snapshot: see there
	snapshot, err := tx.engine.database.Snapshot(tx.ctx)
	if err != nil {
		return nil, err
	}
	tx.snapshot, tx.now = snapshot, now
	return snapshot, nil
}

// Get is the live row of a key. The revision of a row that the transaction has
// written is 0: it has none yet.
func (tx *Transaction) Get(group, key string) (kv.Row, error) {
	if err := tx.check(); err != nil {
		return kv.Row{}, err
	}
	at := kv.Key{Group: group, Key: key}
	w, written := tx.last(at)
	if written && (w.Kind != kv.Touch || w.dead()) {
		if w.dead() {
			return kv.Row{}, kv.NotFoundError
		}
		return tx.written(w), nil
	}
	if !written && tx.cleared.contains(group) {
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
	if written {
		return tx.touched(w, row), nil
	}
	live := found && row.Live(tx.now)
	if tx.keys == nil {
		tx.keys = make(map[kv.Key]uint64)
	}
	if !live {
		tx.keys[at] = 0
		return kv.Row{}, kv.NotFoundError
	}
	tx.keys[at] = row.Revision
	return row, nil
}

// last is what the transaction has made of a key.
func (tx *Transaction) last(at kv.Key) (w *write, written bool) {
	if tx.writes == nil {
		return nil, false
	}
	return tx.writes.Get(&write{key: at})
}

// dead reports whether nothing lives at the key after the write.
func (w *write) dead() bool { return w.Kind == kv.Delete || w.HasTTL && w.TimeToLive <= 0 }

// written is the row that a Set makes, if it lives.
func (tx *Transaction) written(w *write) kv.Row {
	return kv.Row{Group: w.Group, Key: w.Key, Value: w.Value, Deadline: tx.deadline(w)}
}

// touched is a row of the snapshot after a Touch.
func (tx *Transaction) touched(w *write, row kv.Row) kv.Row {
	row.Deadline, row.Revision = tx.deadline(w), 0
	return row
}

func (tx *Transaction) deadline(w *write) int64 {
	switch {
	case w.HasTTL: // from the commit on, which is about now
		return kv.DeadlineAfter(tx.engine.clock.Now(), w.TimeToLive)
	case w.HasDeadline:
		return w.Deadline
	default:
		return kv.NoDeadline
	}
}

// Set writes a key, for timeToLive if hasTTL.
func (tx *Transaction) Set(group, key, value string, hasTTL bool, timeToLive time.Duration) error {
	return tx.write(kv.Operation{Kind: kv.Set, Group: group, Key: key, Value: value, HasTTL: hasTTL, TimeToLive: timeToLive})
}

// SetWithTTL carries out a Set that may have an address told when the key expires.
func (tx *Transaction) SetWithTTL(o kv.Operation) error {
	if o.Notifies {
		if err := kv.CheckAddress(o.Notify); err != nil {
			return err
		}
	}
	return tx.write(o)
}

// keepTimer has a Set that replaces another one keep the timer which that has set, or
// kept: none without a deadline.
func keepTimer(o, last *kv.Operation) {
	o.KeepsTimer = last.KeepsTimer && (last.HasTTL || last.HasDeadline)
	if o.Notifies = last.Notifies && (o.HasTTL || o.HasDeadline); o.Notifies {
		o.Notify = last.Notify
	}
}

// Delete removes a key.
func (tx *Transaction) Delete(group, key string) error {
	return tx.write(kv.Operation{Kind: kv.Delete, Group: group, Key: key})
}

// write notes an operation, in the order of the calls. That order is what the
// quota is judged by and what events come in: a Delete makes room for what is
// set after it, not for what was set before.
//
// Only what makes no difference to that is left out: the Delete of what was
// deleted, and what is replaced by something that lives as well, which takes its
// place. (One
// place for each key, the first or the last of its writes, would refuse what fits
// at every call: with room for two, and y and z there, "delete z, set a, delete y,
// set z" does.)
func (tx *Transaction) write(o kv.Operation) error {
	if err := tx.check(); err != nil {
		return err
	}
	if err := tx.engine.checkDeadline(&o); err != nil {
		return err
	}
	w := &write{key: kv.Key{Group: o.Group, Key: o.Key}, Operation: &o, at: len(tx.operations)}
	if last, written := tx.last(w.key); written {
		switch {
		case o.Kind == kv.Delete && last.Kind == kv.Delete:
			return nil
		case o.Kind == kv.Touch && o.HasTTL && last.Kind == kv.Touch && !last.HasTTL:
			// Both are done: what persists has lost its timer, which a Touch keeps.
		case !w.dead() && !last.dead():
			if o.Kind == kv.Touch && last.Kind == kv.Set {
				o.Kind, o.Value = kv.Set, last.Value
				keepTimer(&o, last.Operation)
			}
			w.at = last.at
		}
	}
	if w.at == len(tx.operations) {
		tx.operations = append(tx.operations, nil)
	}
	tx.operations[w.at] = w.Operation
	if tx.writes == nil {
		tx.writes = btree.NewBTreeGOptions(before, btree.Options{NoLocks: true})
	}
	tx.writes.Set(w)
	return nil
}

// Tell has a message put into the outbox. No read of the transaction sees it.
func (tx *Transaction) Tell(address, message string) error {
	if err := tx.check(); err != nil {
		return err
	}
	if err := kv.CheckAddress(address); err != nil {
		return err
	}
	tx.operations = append(tx.operations, &kv.Operation{Kind: kv.Tell, Group: address, Value: message})
	return nil
}

// DeleteRange removes every group in a range.
func (tx *Transaction) DeleteRange(r kv.Range) error {
	if err := tx.check(); err != nil {
		return err
	}
	var gone []*write
	for w := range tx.writesIn(r) {
		gone = append(gone, w)
	}
	for _, w := range gone {
		tx.writes.Delete(w)
	}
	tx.operations = append(tx.operations, &kv.Operation{Kind: kv.DeletePrefix, Group: r.From, Range: r})
	tx.cleared.add(r)
	return nil
}

// writesIn yields the writes to the groups in a range, in order. Further writes
// end it.
func (tx *Transaction) writesIn(r kv.Range) iter.Seq[*write] {
	return func(yield func(*write) bool) {
		if tx.writes != nil {
			tx.writes.Ascend(&write{key: kv.Key{Group: r.From}}, func(w *write) bool {
				return r.Contains(w.Group) && yield(w)
			})
		}
	}
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
	// Not a Set of the same value: that may be larger than what may be set today.
	return tx.write(kv.Operation{Kind: kv.Touch, Group: group, Key: key, HasTTL: hasTTL, TimeToLive: timeToLive})
}

// Increment adds to a number, which keeps its deadline.
func (tx *Transaction) Increment(group, key string, delta int64) (int64, error) {
	row, err := tx.Get(group, key)
	if err != nil && !errors.Is(err, kv.NotFoundError) {
		return 0, err
	}
	found := err == nil
	o := kv.Operation{Kind: kv.Set, Group: group, Key: key, KeepsTimer: found}
	if last, written := tx.last(kv.Key{Group: group, Key: key}); written && found {
		o.HasTTL, o.TimeToLive, o.HasDeadline, o.Deadline = last.HasTTL, last.TimeToLive, last.HasDeadline, last.Deadline
		if last.Kind == kv.Set {
			keepTimer(&o, last.Operation)
		}
	} else if found && row.Deadline != kv.NoDeadline {
		// Another program's may lie beyond what can be named.
		o.HasDeadline, o.Deadline = true, min(max(row.Deadline, kv.MinDeadline), kv.MaxDeadline)
	}
	sum, err := kv.Add(row.Value, found, delta)
	if err != nil {
		return 0, fmt.Errorf("%s/%s: %w", group, key, err)
	}
	o.Value = strconv.FormatInt(sum, 10)
	return sum, tx.write(o)
}

// mutation is what there is to commit, nil if nothing.
func (tx *Transaction) mutation() *kv.Mutation {
	if len(tx.operations) == 0 {
		return nil
	}
	m := &kv.Mutation{Kind: kv.Batch, Namespace: tx.namespace, Quota: tx.quota,
		Operations: make([]kv.Operation, len(tx.operations))}
	for i, o := range tx.operations {
		m.Operations[i] = *o
	}
	for at, revision := range tx.keys {
		m.Conditions = append(m.Conditions, kv.Condition{Group: at.Group, Key: at.Key, Revision: revision})
	}
	// In order, since those that have expired have their events in it.
	slices.SortFunc(m.Conditions, func(a, b kv.Condition) int {
		return kv.Key{Group: a.Group, Key: a.Key}.Compare(kv.Key{Group: b.Group, Key: b.Key})
	})
	tx.ranges.all(func(r kv.Range) {
		m.Unchanged = append(m.Unchanged, kv.Unchanged{Range: r, Revision: tx.snapshot.Revision(), Now: tx.now})
	})
	return m
}
