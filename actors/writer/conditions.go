package writer

import (
	"fmt"
	"math"
	"strings"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/tidwall/btree"
)

// recentBytes bounds how much of the log the writer reads for one transaction
// of a caller. A transaction that has scanned reads the log itself before it commits, so
// that only the last few commits are left to be read here.
const recentBytes = 4 << 20

// recent is what has changed since a revision, as far as was asked for: the
// last revision of each group, for transactions that have scanned. What they ask
// for costs what they name, however much others have committed.
type recent struct {
	known   bool
	after   uint64
	groups  btree.Map[string, uint64]
	indexed int // how many events of the open transaction are in it
}

func (r *recent) index(events []kv.Event) {
	for i := range events {
		e := &events[i]
		if last, _ := r.groups.Get(e.Group); last < e.Revision {
			r.groups.Set(strings.Clone(e.Group), e.Revision) // the event's may be a part of something large
		}
	}
}

// check refuses a mutation whose conditions don't hold. Ranges come first: a dead row
// that checkKey removes is no change to one.
func (t *transaction) check(m *kv.Mutation) error {
	if len(m.Unchanged) > 0 {
		if err := t.checkExpired(m.Unchanged); err != nil {
			return err
		}
		if err := t.checkUnchanged(m.Unchanged, m.Watched); err != nil {
			return err
		}
	}
	for i := range m.Conditions {
		if err := t.checkKey(&m.Conditions[i]); err != nil {
			return err
		}
	}
	return nil
}

// checkKey removes a dead row, as all that meets one does: a read that sees what the
// mutation has done must not find alive what it was judged to be without.
func (t *transaction) checkKey(c *kv.Condition) error {
	current, err := t.revisionOf(c.Group, c.Key)
	if err != nil {
		return err
	}
	if current == c.Revision || c.Revision == kv.AnyRevision && current != 0 {
		return nil
	}
	return &kv.RevisionMismatchError{Group: c.Group, Key: c.Key, Expected: c.Revision, Current: current}
}

// revisionOf is a key's revision, 0 if it has none; a dead row is removed. Where the value is
// large the revision is remembered, since it lies behind the value: nothing but dead rows
// may be removed between two calls.
func (t *transaction) revisionOf(group, key string) (revision uint64, err error) {
	if revision, found := t.current[kv.Key{Group: group, Key: key}]; found {
		return revision, nil
	}
	row, size, found, err := t.database.Head(group, key)
	if err != nil && !storage.IsDamagedRow(err) { // one that can't be read is there
		return 0, fmt.Errorf("read: %w", err)
	}
	if !found {
		return 0, nil
	}
	if !row.Live(t.now) {
		if row, _, err = t.database.Get(group, key); err != nil && !storage.IsDamagedRow(err) {
			return 0, fmt.Errorf("read: %w", err)
		}
		return 0, t.expire(row)
	}
	t.remember(&row, size)
	return row.Revision, nil
}

// remember keeps the revision of a row with a large value.
func (t *transaction) remember(row *kv.Row, size int) {
	if size < keptTouched {
		return
	}
	if t.current == nil {
		t.current = make(map[kv.Key]uint64)
	}
	t.current[kv.Key{Group: row.Group, Key: row.Key}] = row.Revision
}

// checkExpired looks for a row in one of the ranges that has expired since they
// were read: that is a change too. What was removed since has its event; what was
// not is still here.
func (t *transaction) checkExpired(ranges []kv.Unchanged) error {
	if !t.mayExpire() {
		return nil
	}
	since := ranges[0].Now
	for i := range ranges {
		since = min(since, ranges[i].Now)
	}
	expired := func(row *kv.Row) error {
		if u := kv.FindUnchanged(ranges, row.Group); u != nil && row.Deadline > u.Now {
			return fmt.Errorf("%s/%s has expired: %w", row.Group, row.Key, kv.ChangedError)
		}
		return nil
	}
	few, err := t.fewDead(since)
	if err != nil {
		return err
	}
	if few {
		rows, err := t.database.Expired(kv.PrefixRange(""), since, t.now, fewDead+1)
		for i := 0; err == nil && i < len(rows); i++ {
			err = expired(&rows[i])
		}
		// They may have been cut off by their size: then as if they were many.
		if err != nil || weigh(rows) < cutShort {
			return wrap("read expired", err)
		}
	}
	for i := range ranges {
		rows, err := t.database.DeadIn(ranges[i].Range, nil, ranges[i].Now, t.now, 1)
		if err == nil && len(rows) > 0 {
			err = expired(&rows[0])
		}
		if err != nil {
			return wrap("read expired", err)
		}
	}
	return nil
}

// checkUnchanged looks for a change in a range since a revision: among what
// was committed since, and among what the requests before this one did in the
// open transaction. Where it was watched there is no need to read the log.
func (t *transaction) checkUnchanged(ranges []kv.Unchanged, watched *kv.Watched) error {
	since := uint64(math.MaxUint64)
	for i := range ranges {
		u := &ranges[i]
		if !watched.Covers(u.Range) {
			since = min(since, u.Revision)
		} else if group, changed := watched.Changed(u); changed {
			return fmt.Errorf("group %s: %w", group, kv.ChangedError)
		}
	}
	if err := t.recall(since); err != nil {
		return err
	}
	t.recent.index(t.events[t.recent.indexed:])
	t.recent.indexed = len(t.events)
	for i := range ranges {
		u, changed, found := &ranges[i], "", false
		t.recent.groups.Ascend(u.Range.From, func(group string, last uint64) bool {
			if !u.Range.Contains(group) {
				return false
			}
			changed, found = group, last > u.Revision
			return !found
		})
		if found {
			return fmt.Errorf("group %s: %w", changed, kv.ChangedError)
		}
	}
	return nil
}

// recall has what all commits after a revision changed at hand.
func (t *transaction) recall(after uint64) error {
	committed := t.log.Last
	if after >= committed || t.recent.known && t.recent.after <= after {
		return nil
	}
	if after+1 < t.log.First {
		return fmt.Errorf("the log begins at revision %d by now: %w", t.log.First, kv.ChangedError)
	}
	rows, err := t.database.ReadLog(after+1, recentBytes)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	if len(rows) == 0 || rows[0].First > after+1 || rows[len(rows)-1].Last < committed {
		return fmt.Errorf("too much was committed meanwhile: %w", kv.ChangedError)
	}
	if err := commitlog.Dense(rows); err != nil {
		return err
	}
	var events []kv.Event
	for _, row := range rows {
		if events, err = commitlog.Decode(events[:0], row); err != nil {
			return err
		}
		t.recent.index(events)
	}
	t.recent.known, t.recent.after = true, after
	return nil
}
