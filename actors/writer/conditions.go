package writer

import (
	"fmt"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/kv"
)

// recentBytes bounds how much of the log the writer reads for one transaction
// of a caller. Whoever scans looks through the log himself before he commits,
// so that only the last few commits are left to be looked at here.
const recentBytes = 4 << 20

// recent is the events of the commits after a revision, oldest first.
type recent struct {
	known  bool
	after  uint64
	events []kv.Event
}

// check refuses a mutation whose conditions don't hold.
func (t *transaction) check(m *kv.Mutation) error {
	for i := range m.Conditions {
		if err := t.checkKey(&m.Conditions[i]); err != nil {
			return err
		}
	}
	for i := range m.Unchanged {
		if err := t.checkUnchanged(&m.Unchanged[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *transaction) checkKey(c *kv.Condition) error {
	row, found, err := t.database.Get(c.Group, c.Key)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	current := uint64(0)
	if found && row.Live(t.now) {
		current = row.Revision
	}
	if current == c.Revision || c.Revision == kv.AnyRevision && current != 0 {
		return nil
	}
	return &kv.RevisionMismatchError{Group: c.Group, Key: c.Key, Expected: c.Revision, Current: current}
}

// checkUnchanged looks for a change in a range since a revision: among what
// was committed since, and among what the requests before this one did in the
// open transaction. The passing of a deadline is a change too.
func (t *transaction) checkUnchanged(u *kv.Unchanged) error {
	if t.mayExpire() {
		// What was removed since has its event; what was not is still here.
		expired, err := t.database.Expired(u.Range, u.Now, t.now, 1)
		if err != nil {
			return fmt.Errorf("read expired: %w", err)
		}
		if len(expired) > 0 {
			return fmt.Errorf("%s/%s has expired: %w", expired[0].Group, expired[0].Key, kv.ChangedError)
		}
	}
	if err := t.recall(u.Revision); err != nil {
		return err
	}
	for _, events := range [...][]kv.Event{t.recent.events, t.events} {
		for i := range events {
			if e := &events[i]; e.Revision > u.Revision && u.Range.Contains(e.Group) {
				return fmt.Errorf("group %s: %w", e.Group, kv.ChangedError)
			}
		}
	}
	return nil
}

// recall has the events of all commits after a revision at hand.
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
		if events, err = commitlog.Decode(events, row); err != nil {
			return err
		}
	}
	t.recent = recent{known: true, after: after, events: events}
	return nil
}
