package writer

import (
	"fmt"
	"math"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// transaction applies mutations to the open SQLite transaction and gathers
// what they did. It is the writer's, and lives from BEGIN to COMMIT.
type transaction struct {
	database storage.Writer
	ledger   *ledger
	at       time.Time // the commit's time: all of a batch happens at one moment
	now      int64     // at, in Unix milliseconds
	earliest int64     // no stored deadline lies before this
	heard    bool      // somebody wants events
	events   []kv.Event
	unasked  []kv.Event // events of mutations that no goroutine waits for
	fact     kv.Committed
}

func (a *Actor) newTransaction() transaction {
	at := a.Clock.Now()
	t := transaction{
		database: a.Database, ledger: a.ledger, at: at, now: at.UnixMilli(), earliest: a.earliest,
		heard: a.Audience.Listening(), fact: kv.Committed{At: at, Deadline: kv.NoDeadline}}
	if t.heard {
		t.events = make([]kv.Event, 0, len(a.batch))
	}
	return t
}

// mark is a point within the transaction to undo to; its zero value is BEGIN.
type mark struct{ events, entries int }

func (t *transaction) mark() mark { return mark{len(t.events), len(t.ledger.journal)} }

// undo takes back what was gathered since the mark. The rows are SQLite's to
// take back. Deadlines noted stay: they are lower bounds only.
func (t *transaction) undo(m mark) {
	t.events = t.events[:min(m.events, len(t.events))]
	t.ledger.undo(min(m.entries, len(t.ledger.journal)))
}

// apply does what the mutation asks for. After an error the caller rolls the
// savepoint back.
func (t *transaction) apply(m *kv.Mutation) (kv.Outcome, error) {
	first, removed := len(t.events), int64(0)
	var err error
	switch m.Kind {
	case kv.Set:
		err = t.set(m, kv.Item{Group: m.Group, Key: m.Key, Value: m.Value}, t.deadline(m))
	case kv.SetAll:
		for i := 0; err == nil && i < len(m.Items); i++ {
			err = t.set(m, m.Items[i], kv.NoDeadline)
		}
	case kv.Delete:
		err = t.delete(m.Group, m.Key)
	case kv.DeleteGroup:
		err = t.deleteGroup(m.Group)
	case kv.DeletePrefix:
		err = t.deletePrefix(m.Range)
	case kv.PurgeExpired:
		removed, err = t.purge(m.Range, m.Limit)
	default:
		panic(fmt.Sprintf("writer: mutation of unknown kind %d", m.Kind))
	}
	if err != nil {
		return kv.Outcome{}, err
	}
	events := t.events[first:len(t.events):len(t.events)]
	return kv.Outcome{Events: events, Removed: removed}, nil
}

// deadline is when a key written now expires. A time to live of zero or less
// makes a key that has expired already.
func (t *transaction) deadline(m *kv.Mutation) int64 {
	if !m.HasTTL {
		return kv.NoDeadline
	}
	return max(t.at.Add(m.TimeToLive).UnixMilli(), 0)
}

func (t *transaction) set(m *kv.Mutation, item kv.Item, deadline int64) error {
	if err := t.expireKey(item.Group, item.Key); err != nil {
		return err
	}
	row := kv.Row{Group: item.Group, Key: item.Key, Value: item.Value, Deadline: deadline}
	account := t.ledger.of(item.Group)
	if account == nil {
		if err := t.database.Upsert(row); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	} else if err := t.setCounted(account, m.Quota, row); err != nil {
		return err
	}
	if deadline != kv.NoDeadline {
		t.note(account, deadline)
	}
	t.emit(kv.EventSet, item.Group, item.Key, item.Value)
	return nil
}

// setCounted writes a row of a namespace that has an account: a row that is
// there is updated, a new one needs room and is counted.
func (t *transaction) setCounted(account *account, quota kv.QuotaConfig, row kv.Row) error {
	changed, err := t.database.Update(row)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if changed {
		return nil
	}
	hasGroup, err := t.makeRoom(account, quota, row.Group)
	if err != nil {
		return err
	}
	if err := t.database.Insert(row); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	groups := int64(1)
	if hasGroup {
		groups = 0
	}
	t.ledger.change(account, 1, groups)
	return nil
}

// note remembers that a row with this deadline exists.
func (t *transaction) note(account *account, deadline int64) {
	t.earliest = min(t.earliest, deadline)
	t.fact.Deadline = min(t.fact.Deadline, deadline)
	if account != nil {
		account.swept = min(account.swept, deadline-1)
	}
}

func (t *transaction) delete(group, key string) error {
	if err := t.expireKey(group, key); err != nil {
		return err
	}
	changed, err := t.database.Delete(group, key)
	if err != nil || !changed {
		return wrap("delete", err)
	}
	t.emit(kv.EventDelete, group, key, "")
	return t.removed(group, 1)
}

func (t *transaction) deleteGroup(group string) error {
	if err := t.expireGroup(group); err != nil {
		return err
	}
	removed, err := t.database.DeleteGroup(group)
	if err != nil || removed == 0 {
		return wrap("delete group", err)
	}
	t.emit(kv.EventDeleteGroup, group, "", "")
	return t.removed(group, removed)
}

// deletePrefix deletes group by group, so that each has its event and is
// booked to its namespace.
func (t *transaction) deletePrefix(r kv.Range) error {
	group, found, err := t.database.NextGroup(r, "", false)
	for found && err == nil {
		if err = t.deleteGroup(group); err == nil {
			group, found, err = t.database.NextGroup(r, group, true)
		}
	}
	return wrap("delete prefix", err)
}

// purge removes at most limit expired rows of the groups in r.
func (t *transaction) purge(r kv.Range, limit int) (int64, error) {
	var rows []kv.Row
	if t.mayExpire() {
		var err error
		if rows, err = t.database.Expired(r, math.MinInt64, t.now, limit); err != nil {
			return 0, fmt.Errorf("purge: %w", err)
		}
	}
	for _, row := range rows {
		if err := t.expire(row); err != nil {
			return 0, err
		}
	}
	t.fact.Purged = true
	return int64(len(rows)), nil
}

// removed books rows of one group that are gone.
func (t *transaction) removed(group string, rows int64) error {
	account := t.ledger.of(group)
	if account == nil {
		return nil
	}
	hasGroup, err := t.database.HasGroup(group)
	if err != nil {
		return fmt.Errorf("count group: %w", err)
	}
	groups := int64(-1)
	if hasGroup {
		groups = 0
	}
	t.ledger.change(account, -rows, groups)
	return nil
}

// seal ends the transaction's work, before COMMIT.
func (t *transaction) seal() (err error) {
	if t.fact.Purged {
		if t.earliest, err = t.database.Earliest(); err != nil {
			return fmt.Errorf("earliest deadline: %w", err)
		}
		t.fact.Earliest = t.earliest
	}
	return nil
}

func (t *transaction) emit(kind kv.EventType, group, key, value string) {
	if t.heard {
		t.events = append(t.events, kv.Event{Type: kind, Group: group, Key: key, Value: value, Timestamp: t.at})
	}
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
