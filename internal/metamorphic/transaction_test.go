package metamorphic

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// transaction is Transaction. After Interrupt steps of its first attempt another
// caller makes a change.
type transaction struct {
	On        int
	Steps     []step
	Between   *single
	Interrupt int
	Fail      bool // its function returns an error in the end
}

// step is a read or a write, whichever has a Call.
type step struct {
	Read  read
	Write write
}

func (o transaction) run(w *world) error {
	h := &w.handles[o.On]
	var t *buffered
	attempts := 0
	err := h.Transaction(func(tx *api.Transaction) error {
		attempts++
		t = &buffered{world: w, handle: h, keys: map[place]uint64{}, last: map[place]*pending{}}
		for i, s := range o.Steps {
			if attempts == 1 && o.Between != nil && i == o.Interrupt {
				if err := errors.Join(o.Between.run(w), w.reap()); err != nil {
					return wrong{fmt.Errorf("the write between: %w", err)}
				}
			}
			if err := t.step(tx, s); err != nil {
				return wrong{fmt.Errorf("step %d, %s: %w", i, source(s), err)}
			}
		}
		if o.Fail {
			return errStop
		}
		w.forgetCallbacks()
		return nil
	})
	var failed wrong
	switch {
	case errors.As(err, &failed):
		return failed.error
	case o.Fail:
		return sameError(err, errStop)
	}
	if len(t.operations) == 0 {
		return sameError(err, nil)
	}
	undone := errors.Is(err, api.RolledBackError) // by a fault that came before the conflict was seen
	if conflict := t.conflict(w.model); conflict != "" && !undone && w.model.checkLimits(t.request()) == nil {
		return fmt.Errorf("attempt %d was committed, or refused with %w, though %s", attempts, err, conflict)
	}
	return w.changed(t.request(), func() called { return called{err: err} })
}

// wrong is what a transaction's function returns when the test has failed.
type wrong struct{ error }

type place struct{ group, key string }

// pending is one operation that the transaction is to commit.
type pending struct{ write }

func (p *pending) dead() bool {
	return p.Call == "Delete" || (p.Call == "SetWithTTL" || p.Call == "Touch") && p.TTL <= 0
}

func (p *pending) touches() bool { return p.Call == "Touch" || p.Call == "Persist" }

func (p *pending) clears(group string) bool {
	return p.Call == "DeleteGroup" && p.Group == group || p.Call == "DeletePrefix" && strings.HasPrefix(group, p.Group)
}

// buffered is what one attempt has read and written so far.
type buffered struct {
	*world
	*handle
	snapshot   *view // from the first read on
	revision   uint64
	keys       map[place]uint64
	ranges     []func(group string) bool
	operations []*pending // their groups are full names
	last       map[place]*pending
}

// see takes the snapshot.
func (t *buffered) see() view {
	if t.snapshot == nil {
		v := t.model.view("").kept()
		v.rows = slices.DeleteFunc(v.rows, func(r row) bool { return !r.live(v.now) })
		t.snapshot, t.revision = &v, t.model.revision
	}
	return *t.snapshot
}

// view is the snapshot with the writes.
func (t *buffered) view() view {
	before := t.see()
	v := before.kept()
	v.prefix = t.prefix
	for _, o := range t.operations {
		if o.Call == "DeleteGroup" || o.Call == "DeletePrefix" {
			v.rows = slices.DeleteFunc(v.rows, func(r row) bool { return o.clears(r.group) })
			continue
		}
		at, found := slices.BinarySearchFunc(v.rows, row{group: o.Group, key: o.Key}, compareRows)
		r := row{group: o.Group, key: o.Key, value: o.Value, deadline: never}
		if o.Call == "SetWithTTL" || o.Call == "SetUntil" || o.Call == "Touch" {
			r.deadline = time.UnixMilli(v.now).Add(o.TTL).UnixMilli()
		}
		switch {
		case o.touches() && !found:
			continue
		case o.touches():
			r.value = v.rows[at].value
		}
		switch {
		case o.dead() && found:
			v.rows = slices.Delete(v.rows, at, at+1)
		case o.dead():
		case found:
			v.rows[at] = r
		default:
			v.rows = slices.Insert(v.rows, at, r)
		}
	}
	return v
}

// look is the view. What shows only the transaction's own writes, or nothing, takes no
// snapshot.
func (t *buffered) look() view {
	taken := t.snapshot
	v := t.view()
	t.snapshot = taken
	return v
}

// observe notes that the transaction depends on a key, unless what it sees is its
// own doing.
func (t *buffered) observe(group, key string) {
	at := place{group, key}
	if o := t.last[at]; o != nil && (!o.touches() || o.dead()) {
		return
	} else if o != nil {
		t.see()
		return
	}
	for _, o := range t.operations {
		if o.clears(group) {
			return
		}
	}
	r, _ := t.see().get(group, key)
	t.keys[at] = r.revision
}

// step makes one call and compares it.
func (t *buffered) step(tx *api.Transaction, s step) error {
	if s.Read.Call != "" {
		if s.Read.Call != "GetPage" || s.Read.Limit > 0 && s.Read.Offset >= 0 {
			t.depend(s.Read)
		}
		return s.Read.check(tx, t.look())
	}
	return t.write(tx, s.Write)
}

func (t *buffered) depend(r read) {
	group := t.prefix + r.Group
	switch r.Call {
	case "Get", "Entry", "Exists":
		t.observe(group, r.Key)
	case "CountAll", "Groups":
		t.see()
		t.ranges = append(t.ranges, func(g string) bool { return strings.HasPrefix(g, group) })
	default:
		t.see()
		t.ranges = append(t.ranges, func(g string) bool { return g == group })
	}
}

func (t *buffered) write(tx *api.Transaction, o write) error {
	full := o
	full.Group = t.prefix + o.Group
	at := place{full.Group, full.Key}
	var r row
	found := false
	switch o.Call {
	case "Touch", "Persist", "Increment":
		t.observe(full.Group, full.Key)
		r, found = t.look().get(o.Group, o.Key)
	}
	switch o.Call {
	case "Set":
		t.note(full)
		return sameError(tx.Set(o.Group, o.Key, o.Value), nil)
	case "SetWithTTL":
		t.note(full)
		return sameError(tx.SetWithTTL(o.Group, o.Key, o.Value, o.TTL), nil)
	case "Delete":
		t.note(full)
		return sameError(tx.Delete(o.Group, o.Key), nil)
	case "DeleteGroup":
		t.clear(full)
		return sameError(tx.DeleteGroup(o.Group), nil)
	case "DeletePrefix":
		t.clear(full)
		return sameError(tx.DeletePrefix(o.Group), nil)
	case "Touch", "Persist":
		got := tx.Persist
		if o.Call == "Touch" {
			got = func(group, key string) error { return tx.Touch(group, key, o.TTL) }
		}
		if !found {
			return sameError(got(o.Group, o.Key), api.NotFoundError)
		}
		if o.Call == "Touch" || r.deadline != never {
			t.note(full)
		}
		return sameError(got(o.Group, o.Key), nil)
	case "Increment":
		sum, want := add(r, o.Delta)
		if found && want == nil && r.revision == 0 && r.value == "" {
			want = api.NotANumberError // its own empty value
		}
		if want == nil {
			set := write{Call: "Set", Group: full.Group, Key: full.Key, Value: strconv.FormatInt(sum, 10)}
			if last := t.last[at]; last != nil && found {
				set.TTL = last.TTL
				switch last.Call {
				case "SetWithTTL", "Touch":
					set.Call = "SetWithTTL"
				case "SetUntil":
					set.Call = "SetUntil"
				}
			} else if found && r.deadline != never {
				set.Call, set.TTL = "SetUntil", time.Duration(r.deadline-t.model.now)*time.Millisecond
			}
			t.note(set)
		}
		got, err := tx.Increment(o.Group, o.Key, o.Delta)
		return same(got, sum, err, want)
	}
	return fmt.Errorf("no such write: %s", o.Call)
}

// note keeps an operation. What replaces one that lives by one that lives takes its
// place, but for a Touch, which does not undo that a Persist has ended the key's timer;
// the second deletion of a key is none.
func (t *buffered) note(o write) {
	p := &pending{write: o}
	at := place{o.Group, o.Key}
	last := t.last[at]
	switch {
	case last != nil && o.Call == "Delete" && last.Call == "Delete":
		return
	case last != nil && o.Call == "Touch" && last.Call == "Persist":
		t.operations = append(t.operations, p)
	case last != nil && !p.dead() && !last.dead():
		if p.touches() && !last.touches() {
			p.Value = last.Value
			if p.Call = "Set"; o.Call == "Touch" {
				p.Call = "SetWithTTL"
			}
		}
		t.operations[slices.Index(t.operations, last)] = p
	default:
		t.operations = append(t.operations, p)
	}
	t.last[at] = p
}

func (t *buffered) clear(o write) {
	p := &pending{write: o}
	for at := range t.last {
		if p.clears(at.group) {
			delete(t.last, at)
		}
	}
	t.operations = append(t.operations, p)
}

// conflict says what has changed of what was read.
func (t *buffered) conflict(m *model) string {
	for at, revision := range t.keys {
		if r, _ := m.view("").get(at.group, at.key); r.revision != revision {
			return fmt.Sprintf("%q/%q had revision %d and has %d", at.group, at.key, revision, r.revision)
		}
	}
	for _, e := range m.since(t.revision + 1) {
		if slices.ContainsFunc(t.ranges, func(contains func(string) bool) bool { return contains(e.Group) }) {
			return fmt.Sprintf("the group %q was read and has changed", e.Group)
		}
	}
	return ""
}

func (t *buffered) request() request {
	r := request{namespace: t.namespace, quota: t.quota}
	for at, revision := range t.keys {
		r.conditions = append(r.conditions, condition{at.group, at.key, revision})
	}
	slices.SortFunc(r.conditions, func(a, b condition) int {
		return compareRows(row{group: a.Group, key: a.Key}, row{group: b.Group, key: b.Key})
	})
	for _, o := range t.operations {
		r.writes = append(r.writes, o.write)
	}
	return r
}
