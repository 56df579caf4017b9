package writer

import (
	"errors"

	"forge.lthn.ai/core/go-store/kv"
)

// A mutation that meets expired rows expires them first, and each has its event
// with its last value. What is stored decides how much that is: a group of a few
// bytes' name may hold gigabytes that have expired. Within the mutation's own
// commit all of it would be in memory, and in one record of the log, and every caller
// would wait for it.
//
// So a request that meets more than some of it is undone and set aside, and its dead
// rows are removed ahead of it: a chunk in each of the next commits, as the reaper
// would have done, while others go on. Then it is applied. It is as atomic as
// before, since what has expired is no part of what it changes: no read has shown
// it since, and the reaper might have come first at any time.
//
// Looked at and not taken: to refuse (a delete can't be refused for what it is to
// delete); to leave the values out of the events (EventExpire promises the last
// one, and this is where archives get it from); to have all in one SQLite
// transaction with several records of the log (a record is a commit to all
// readers of the log, and the memory is that of the events).

const (
	// What a request may expire within its own commit.
	maxDeadBytes = 8 << 20
	maxDeadRows  = 4096
	// aheadBytes is what one chunk ahead of it may hold, and one row more.
	aheadBytes = 4 << 20
	// aheadRounds is how often rows that expire meanwhile set a request aside again.
	aheadRounds = 8
)

// errCrowded says that a request has met too many dead rows.
var errCrowded = errors.New("too many expired rows stand in the way")

// ahead is how far the dead rows that stand in a request's way have been removed.
type ahead struct {
	rounds    int
	namespace bool    // first, those of its namespace: it needs their room
	condition int     // the keys of the conditions before it have none any more
	operation int     // what the operations before it name has none any more
	from      *kv.Key // nor has what lies before this in that one's range, or in the namespace
}

// count notes that the request in hand expires a row, and says if that is too much.
// What it has written itself is bounded by its own size.
func (t *transaction) count(row *kv.Row) error {
	if row.Revision == t.revision+1 {
		return nil
	}
	t.deadRows++
	t.deadBytes += len(row.Group) + len(row.Key) + len(row.Value)
	// The first may have any size: no chunk is smaller.
	if t.judged && t.deadRows > 1 && (t.deadRows > maxDeadRows || t.deadBytes > maxDeadBytes) {
		t.crowdedByNamespace = t.reclaiming
		return errCrowded
	}
	return nil
}

// setAside has a request wait until the dead rows before it are removed.
func (a *Actor) setAside(j *job) {
	next := &ahead{rounds: 1, namespace: a.tx.crowdedByNamespace}
	if j.ahead != nil {
		next.rounds = j.ahead.rounds + 1
	}
	j.ahead = next
	a.wait(j)
}

// wait has a job come again once everything else that is pending is committed.
func (a *Actor) wait(j *job) {
	a.close(j, "")
	a.aside = append(a.aside, *j)
	*j = job{mutation: j.mutation}
}

// clearAhead removes one chunk of what stands in a request's way. Its events belong
// to no caller's call.
func (a *Actor) clearAhead(j *job) (done bool, err error) {
	outcome, err := a.attempt(func() (outcome kv.Outcome, err error) {
		done, err = a.tx.ahead(j.mutation, j.ahead)
		return outcome, err
	})
	a.tx.background = append(a.tx.background, outcome.Events...)
	return done, err
}

// crowded reports whether a chunk is full.
func (t *transaction) crowded() bool { return t.deadRows >= PurgeChunk || t.deadBytes >= aheadBytes }

// ahead removes one chunk of the dead rows that a mutation would meet.
func (t *transaction) ahead(m *kv.Mutation, a *ahead) (done bool, err error) {
	t.begin(false)
	if a.namespace {
		var purged kv.Outcome
		err := t.purge(kv.NamespaceRange(m.Namespace), a.from, PurgeChunk, &purged)
		if a.from = purged.Next; purged.More || err != nil {
			return false, err
		}
		a.namespace = false
	}
	for ; a.condition < len(m.Conditions); a.condition++ {
		if t.crowded() {
			return false, nil
		}
		if err := t.expireAhead(m.Conditions[a.condition].Group, m.Conditions[a.condition].Key); err != nil {
			return false, err
		}
	}
	operations := m.Operations
	if m.Kind != kv.Batch {
		operations = []kv.Operation{m.Operation()}
	}
	for ; a.operation < len(operations); a.operation, a.from = a.operation+1, nil {
		for begun := false; !begun || a.from != nil; begun = true {
			if t.crowded() {
				return false, nil
			}
			switch o := &operations[a.operation]; o.Kind {
			case kv.DeleteGroup:
				a.from, err = t.expireSome(kv.GroupRange(o.Group), a.from)
			case kv.DeletePrefix:
				a.from, err = t.expireSome(o.Range, a.from)
			case kv.Tell: // it names no key
			default:
				err = t.expireAhead(o.Group, o.Key)
			}
			if err != nil {
				return false, err
			}
		}
	}
	return true, nil
}
