package writer

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"time"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// transaction applies mutations to the open SQLite transaction and gathers
// what they did. It is the writer's, and lives from BEGIN to COMMIT.
type transaction struct {
	database   storage.Writer
	identity   uint64
	logger     *slog.Logger
	ledger     *ledger
	log        history
	at         time.Time  // the commit's time: all of a batch happens at one moment
	now        int64      // at, in Unix milliseconds
	earliest   int64      // no stored deadline lies before this
	timers     bool       // there may be a timer
	retimed    bool       // whether there is one is to be looked up
	revision   uint64     // of the last request that changed something
	callbacks  bool       // there are callbacks: each caller needs its request's events
	events     []kv.Event // of all requests; the array is the writer's own
	undone     int        // so far it may hold events that were undone
	weight     int        // of the events, in bytes
	lost       uint64     // timers of which no actor can be told
	background []kv.Event // events of mutations that no caller waits for
	recent     recent     // what was committed before, as far as a caller has asked
	fact       kv.Committed

	largestValue int // that an EventExpire has
	// maxTouched bounds the values that one request takes into its events, and so into its
	// record, without having brought them: those of the keys that it touches, each time that
	// it does. It is what a commit may hold anyway. One value is always let through, since it may
	// have been stored under larger limits.
	maxTouched int

	// Of the request in hand:
	kept                map[kv.Key]string // values that it has touched and that are not short
	current             map[kv.Key]uint64 // revisions of keys that it is judged by, with such values
	judged              bool              // it is undone if it meets too many dead rows
	deadRows, deadBytes int               // that it has removed
	touched             int               // bytes of values that it has touched
	told                uint32            // messages that it has put into the outbox
	reclaiming          bool              // it is looking for room in its namespace
	crowdedByNamespace  bool              // it met too many there
}

// begin forgets what the request before this one has met.
func (t *transaction) begin(judged bool) {
	t.judged, t.deadRows, t.deadBytes, t.touched, t.told = judged, 0, 0, 0, 0
	t.reclaiming, t.crowdedByNamespace, t.kept, t.current = false, false, nil, nil
}

func (a *Actor) newTransaction() transaction {
	at := a.batchTime()
	return transaction{
		database: a.Database, identity: a.Identity, logger: a.Logger, ledger: a.ledger, log: a.log, at: at, now: at.UnixMilli(), earliest: a.earliest, timers: a.timers,
		revision: a.log.Last, callbacks: a.Audience.HasCallbacks(), events: a.scratch[:0],
		largestValue: min(max(a.BatchBytes, largestExpired), maxRecord/2), maxTouched: max(a.BatchBytes, endBatch),
		fact: kv.Committed{At: at, Deadline: kv.NoDeadline}}
}

// batchTime is the moment at which the batch happens. No read is later until the
// batch can be seen, unless all that it does is to remove what has expired: that
// brings nothing back, whatever a read has found.
func (a *Actor) batchTime() time.Time {
	for i := range a.batch {
		if a.batch[i].mutation.Kind != kv.PurgeExpired {
			return a.Clock.Freeze()
		}
	}
	return a.Clock.Now()
}

// mark is a point within the transaction to undo to; its zero value is BEGIN.
type mark struct {
	events, entries, weight int
	lost                    uint64
}

func (t *transaction) mark() mark {
	return mark{len(t.events), len(t.ledger.journal), t.weight, t.lost}
}

// undo takes back what was gathered since the mark. The rows are SQLite's to
// take back. Deadlines noted stay: they are lower bounds only.
func (t *transaction) undo(m mark) {
	t.undone, t.lost = max(t.undone, len(t.events)), m.lost
	if !planted.EventLeaked {
		t.events, t.weight = t.events[:min(m.events, len(t.events))], m.weight
	}
	if !planted.QuotaKept {
		t.ledger.undo(min(m.entries, len(t.ledger.journal)))
	}
}

// keep makes what was done since the mark a request's own, with its revision.
func (t *transaction) keep(m mark, outcome *kv.Outcome) {
	if len(t.events) == m.events {
		return
	}
	t.revision++
	outcome.Revision = t.revision
	if t.callbacks {
		outcome.Events = slices.Clone(t.events[m.events:])
	}
}

// largestExpired is the largest value that an EventExpire carries, if not even a
// Set may bring a larger one today: what was written under larger limits, or by
// another program, may be larger than a record of the log can hold.
const largestExpired = 64 << 20

// apply does what the mutation asks for. After an error the caller rolls the
// savepoint back. judged: too many dead rows in its way are such an error.
func (t *transaction) apply(m *kv.Mutation, judged bool) (outcome kv.Outcome, err error) {
	t.begin(judged && m.Kind != kv.PurgeExpired)
	before := t.weight
	if err := t.check(m); err != nil {
		return outcome, err
	}
	switch m.Kind {
	case kv.Batch:
		err = t.batch(m)
	case kv.PurgeExpired:
		err = t.purge(m.Range, m.From, m.Limit, &outcome)
	default:
		operation := m.Operation()
		outcome.Number, err = t.operate(m, &operation)
	}
	if weight := t.weight - before; err == nil && weight > maxRecord {
		err = fmt.Errorf("it changes %d bytes, limit %d: do it in parts: %w", weight, maxRecord, kv.TooLargeError)
	}
	return outcome, err
}

// operate does one step; number is what an Increment made.
func (t *transaction) operate(m *kv.Mutation, o *kv.Operation) (number int64, err error) {
	switch o.Kind {
	case kv.Set:
		err = t.set(m, o)
	case kv.Delete:
		err = t.delete(o)
	case kv.DeleteGroup:
		err = t.deleteGroup(o.Group)
	case kv.DeletePrefix:
		err = t.deletePrefix(o.Range)
	case kv.Touch:
		err = t.touch(m, o)
	case kv.Increment:
		number, err = t.increment(m, o)
	case kv.Tell:
		err = t.tell(m, o.Group, kv.Message{Payload: o.Value})
	default:
		panic(fmt.Sprintf("writer: operation of unknown kind %d", o.Kind))
	}
	return number, err
}

// deadline is when a key written now expires. A time to live of zero or less
// makes a key that has expired already.
func (t *transaction) deadline(o *kv.Operation) int64 {
	switch {
	case o.HasTTL:
		return kv.DeadlineAfter(t.at, o.TimeToLive)
	case o.HasDeadline:
		return o.Deadline
	default:
		return kv.NoDeadline
	}
}

// row is what a Set writes.
func (t *transaction) row(o *kv.Operation) kv.Row {
	return kv.Row{Group: o.Group, Key: o.Key, Value: o.Value, Deadline: t.deadline(o)}
}

func (t *transaction) set(m *kv.Mutation, o *kv.Operation) error {
	row := t.row(o)
	if o.KeepsTimer {
		before, found, err := t.live(o.Group, o.Key)
		if err == nil {
			err = t.put(m, row)
		}
		if err != nil || !found || !t.timers {
			return err
		}
		return t.moveTimer(m, &before, &row)
	}
	if err := t.leave(o); err != nil {
		return err
	}
	if err := t.put(m, row); err != nil || !o.Notifies {
		return err
	}
	return t.setTimer(m, &row, o.Notify)
}

// touch gives a live key another deadline, or none.
func (t *transaction) touch(m *kv.Mutation, o *kv.Operation) error {
	head, size, found, err := t.head(o.Group, o.Key)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%s/%s: %w", o.Group, o.Key, kv.NotFoundError)
	}
	if err := t.take(size); err != nil {
		return err
	}
	deadline := t.deadline(o)
	if deadline == head.Deadline {
		return nil
	}
	row, _, err := t.database.Get(o.Group, o.Key)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	before := row
	row.Deadline = deadline
	t.share(&row)
	if err := t.put(m, row); err != nil || !t.timers {
		return err
	}
	return t.moveTimer(m, &before, &row)
}

// take counts a value that the request did not bring, before it is read: the record has it
// each time that the request touches its key. One that is to stay as it is counts too, since
// to find what stands behind a large value is work.
func (t *transaction) take(size int) error {
	if t.touched > 0 && t.touched+size > t.maxTouched {
		return fmt.Errorf("the values that it touches come to more than %d bytes: do it in parts: %w", t.maxTouched, kv.TooLargeError)
	}
	t.touched += size
	return nil
}

// share has the events of a request that touches a key again share the value.
func (t *transaction) share(row *kv.Row) {
	if len(row.Value) < keptTouched {
		return
	}
	key := kv.Key{Group: row.Group, Key: row.Key}
	if kept, found := t.kept[key]; found && kept == row.Value {
		row.Value = kept
		return
	}
	if t.kept == nil {
		t.kept = make(map[kv.Key]string)
	}
	t.kept[key] = row.Value
}

// increment adds to a number and keeps its deadline.
func (t *transaction) increment(m *kv.Mutation, o *kv.Operation) (int64, error) {
	row, found, err := t.live(o.Group, o.Key)
	if err != nil {
		return 0, err
	}
	sum, err := kv.Add(row.Value, found, o.Delta)
	if err != nil {
		return 0, fmt.Errorf("%s/%s: %w", o.Group, o.Key, err)
	}
	if !found {
		row = kv.Row{Group: o.Group, Key: o.Key, Deadline: kv.NoDeadline}
	}
	row.Value = strconv.FormatInt(sum, 10)
	return sum, t.put(m, row)
}

// put writes a row that is not there or lives.
func (t *transaction) put(m *kv.Mutation, row kv.Row) error {
	if err := t.write(m, row); err != nil {
		return err
	}
	t.say(row)
	return nil
}

// write is put's half that others don't hear of.
func (t *transaction) write(m *kv.Mutation, row kv.Row) error {
	row.Revision = t.revision + 1
	account := t.ledger.of(row.Group)
	if account == nil {
		if err := t.database.Upsert(row); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	} else if err := t.setCounted(account, m.Quota, row); err != nil {
		return err
	}
	if row.Deadline != kv.NoDeadline {
		t.note(account, row.Deadline)
	}
	return nil
}

// say is the other half.
func (t *transaction) say(row kv.Row) {
	t.emit(kv.Event{Type: kv.EventSet, Group: row.Group, Key: row.Key, Value: row.Value,
		ExpiresAt: kv.DeadlineTime(row.Deadline)})
	if kv.IsTimers(row.Group) {
		t.timers, t.retimed = true, true
	}
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
		account.swept = min(account.swept, before(deadline))
	}
}

func (t *transaction) delete(o *kv.Operation) error {
	if err := t.leave(o); err != nil {
		return err
	}
	_, err := t.remove(o.Group, o.Key)
	return err
}

// remove removes a row that lives, if it is there.
func (t *transaction) remove(group, key string) (changed bool, err error) {
	changed, err = t.database.Delete(group, key)
	if err != nil || !changed {
		return false, wrap("delete", err)
	}
	t.retimed = t.retimed || kv.IsTimers(group)
	t.emit(kv.Event{Type: kv.EventDelete, Group: group, Key: key})
	return true, t.removed(group, 1)
}

func (t *transaction) deleteGroup(group string) error {
	if err := t.expireRange(kv.GroupRange(group)); err != nil {
		return err
	}
	return t.deleteLive(group)
}

// deleteLive deletes a group whose dead rows are gone, and its timers.
func (t *transaction) deleteLive(group string) error {
	if t.timers && !kv.Reserved(group) {
		if err := t.deleteRows(kv.TimersPrefix + group); err != nil {
			return err
		}
	}
	return t.deleteRows(group)
}

func (t *transaction) deleteRows(group string) error {
	removed, err := t.database.DeleteGroup(group)
	if err != nil || removed == 0 {
		return wrap("delete group", err)
	}
	t.retimed = t.retimed || kv.IsTimers(group)
	t.emit(kv.Event{Type: kv.EventDeleteGroup, Group: group})
	return t.removed(group, removed)
}

// deletePrefix deletes group by group, so that each has its event and is
// booked to its namespace. Their dead rows go first, all at once.
func (t *transaction) deletePrefix(r kv.Range) error {
	if err := t.expireRange(r); err != nil {
		return err
	}
	group, found, err := t.database.NextGroup(r, "", false)
	for found && err == nil {
		if err = t.deleteLive(group); err == nil {
			group, found, err = t.database.NextGroup(r, group, true)
		}
	}
	return wrap("delete prefix", err)
}

// purge removes at most limit expired rows of the groups in r, and says whether there may be
// more, and where. Where more rows of the store have expired than a part of it holds, as far
// as that is known, it looks among the part's own, from a position on.
func (t *transaction) purge(r kv.Range, from *kv.Key, limit int, outcome *kv.Outcome) (err error) {
	t.fact.Purged = true
	if !t.mayExpire() {
		return nil
	}
	few := true
	if r != kv.PrefixRange("") {
		most := manyDead
		if account := t.ledger.of(r.From); account != nil && account.state == ready {
			most = max(fewDead, int(account.usage.Keys))
		}
		if few, err = t.deadWithin(math.MinInt64, most); err != nil {
			return err
		}
	}
	rows, more, err := t.expireRows("purge", r, from, few, limit)
	if err != nil {
		return err
	}
	outcome.Removed, outcome.More = int64(len(rows)), more
	if more && !few && len(rows) > 0 {
		outcome.Next = behind(rows)
	}
	return nil
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
func (t *transaction) seal(buffer []byte) (_ []byte, err error) {
	if t.fact.Purged {
		if t.earliest, err = t.database.Earliest(); err != nil {
			return buffer, fmt.Errorf("earliest deadline: %w", err)
		}
		t.fact.Earliest = t.earliest
	}
	if t.timers && t.retimed {
		if t.timers, err = hasTimers(t.database); err != nil {
			return buffer, err
		}
	}
	return t.record(buffer)
}

// emit gathers what the request in hand has done; it fills in when, and the
// request's revision.
func (t *transaction) emit(event kv.Event) {
	event.Timestamp, event.Revision = t.at, t.revision+1
	t.events = append(t.events, event)
	t.weight += commitlog.Size(&event)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
