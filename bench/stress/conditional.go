package stress

import (
	"errors"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// callOf is the call that makes write n of a key of the caller's own. Which of
// several it is follows from n, but for the conditional ones, which need the
// key's revision.
func (c *caller) callOf(k *ownedKey, n, started uint64) Call {
	call := Call{Kind: Set, Group: k.group, Key: k.key}
	variant := mix(hash(k.group, k.key), n, 1) % 10
	known := k.revision != 0 && k.present()
	if k.deletes(n) {
		if call.Kind = Delete; known && variant < 5 {
			call.Kind, call.Revision = CompareAndDelete, k.revision
		}
		return call
	}
	switch {
	case variant < 2:
		call.Kind, call.TimeToLive = SetWithTTL, forever
	case variant < 5 && known:
		call.Kind, call.Revision = CompareAndSet, k.revision
	case variant < 5 && !k.present():
		call.Kind = SetIfAbsent
	}
	call.Value = valueOf(k.group, k.key, n, started)
	return call
}

// entry reads a key of the caller's own with its revision and its expiry,
// which only the caller's writes change.
func (c *caller) entry(k *ownedKey) (value string, found, ok bool) {
	answer, found, ok := c.look(Call{Kind: Entry, Group: k.group, Key: k.key})
	if !found {
		return "", false, ok
	}
	if c.expects(k, answer.Value, true) {
		if k.revision != 0 && answer.Revision != k.revision {
			c.findings.add(WrongRevision, "%v: write %d had revision %d, and now has %d", k, k.number(), k.revision, answer.Revision)
		}
		k.revision = answer.Revision
		c.saw(answer.Revision)
		if answer.Expires != k.expires {
			c.findings.add(LostWrite, "%v: expires: %t, the last write of it left: %t", k, answer.Expires, k.expires)
		}
	}
	return answer.Value, true, true
}

// tryInVain makes a conditional write whose condition does not hold, as only
// the caller itself writes the key.
func (c *caller) tryInVain(k *ownedKey) {
	if k.checked != k.number() || k.present() && k.revision == 0 {
		if value, found, ok := c.entry(k); !ok || !c.expects(k, value, found) {
			return // verify will say so
		}
	}
	current := uint64(0)
	if k.present() {
		current = k.revision
	}
	call := Call{Kind: []Kind{CompareAndSet, CompareAndDelete, SetIfAbsent}[c.random.IntN(3)], Group: k.group, Key: k.key,
		Revision: current + 1, Value: valueOf(k.group, k.key, 0, 0)}
	if c.random.IntN(2) == 0 && current > 1 {
		call.Revision = current - 1
	}
	if call.Kind == SetIfAbsent && current == 0 {
		return // it would be carried out
	}
	err := c.do(call).Err
	var mismatch *api.RevisionMismatchError
	switch {
	case errors.As(err, &mismatch):
		if mismatch.Current != current {
			c.findings.add(WrongCondition, "%v: %v was told that the key has revision %d, which is %d", k, call.Kind, mismatch.Current, current)
		}
	case err == nil:
		c.findings.add(WrongCondition, "%v: %v for revision %d was carried out at revision %d", k, call.Kind, call.Revision, current)
	case !c.inDoubt(err): // nothing was to be written, so nothing is in doubt
		c.unexpected(call, err)
	}
}

// touch changes when a key expires and back, which leaves its value alone.
func (c *caller) touch(k *ownedKey) {
	// The same expiry again, to the millisecond, would change nothing.
	c.touches++
	for _, call := range []Call{
		{Kind: Touch, Group: k.group, Key: k.key, TimeToLive: forever + time.Duration(c.touches)*time.Minute},
		{Kind: Persist, Group: k.group, Key: k.key},
	} {
		if !k.present() || call.Kind == Persist && !k.expires {
			return // there is nothing to change: a Touch in doubt did not take place
		}
		owed := change{api.EventSet, k.group, k.key}
		k.touch()
		err := c.do(call).Err
		k.revision, k.checked = 0, 0 // to be read anew before the next write
		switch {
		case err == nil:
			k.expires = call.Kind == Touch
			c.writes.Add(1)
			c.ledger.committed(owed)
		case c.inDoubt(err):
			c.doubts.Add(1)
			c.ledger.doubtful(owed)
			c.settleTouch(k)
		default:
			c.unexpected(call, err)
		}
	}
}

// settleTouch finds out whether a key expires after a call that did not say so.
func (c *caller) settleTouch(k *ownedKey) {
	call := Call{Kind: Entry, Group: k.group, Key: k.key}
	answer := c.do(call)
	if answer.Err != nil && !errors.Is(answer.Err, api.NotFoundError) {
		c.unexpected(call, answer.Err)
	}
	k.expires = answer.Expires
}

// revise asks for the store's revision, which never goes back.
func (c *caller) revise() {
	before := c.revisions.Load()
	call := Call{Kind: Revision}
	answer := c.do(call)
	if answer.Err != nil {
		c.unexpected(call, answer.Err)
	} else if answer.Revision < before {
		c.findings.add(StaleRead, "Revision() = %d, after %d was seen", answer.Revision, before)
	}
	c.saw(answer.Revision)
}

// saw notes a revision that the store has reached.
func (r *run) saw(revision uint64) {
	for {
		seen := r.revisions.Load()
		if seen >= revision || r.revisions.CompareAndSwap(seen, revision) {
			return
		}
	}
}
