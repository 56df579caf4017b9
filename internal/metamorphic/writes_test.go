package metamorphic

import (
	"fmt"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// operation is one step of a program. Its fields are all that there is to it.
type operation interface{ run(w *world) error }

// single is one write by a call of its own.
type single struct {
	On int
	write
}

func (o single) run(w *world) error {
	h := &w.handles[o.On]
	return w.change(h.request(nil, o.write), func() called { return o.write.call(h) })
}

// request is what a handle makes of writes.
func (h *handle) request(conditions []condition, writes ...write) request {
	r := request{namespace: h.namespace, quota: h.quota}
	for _, c := range conditions {
		c.Group = h.prefix + c.Group
		r.conditions = append(r.conditions, c)
	}
	for _, o := range writes {
		o.Group = h.prefix + o.Group
		r.writes = append(r.writes, o)
	}
	return r
}

func (o write) call(h *handle) (c called) {
	switch o.Call {
	case "Set":
		c.err = h.Set(o.Group, o.Key, o.Value)
	case "SetWithTTL":
		c.err = h.SetWithTTL(o.Group, o.Key, o.Value, o.TTL)
	case "Delete":
		c.err = h.Delete(o.Group, o.Key)
	case "DeleteGroup":
		c.err = h.DeleteGroup(o.Group)
	case "DeletePrefix":
		c.err = h.DeletePrefix(o.Group)
	case "Touch":
		c.err = h.Touch(o.Group, o.Key, o.TTL)
	case "Persist":
		c.err = h.Persist(o.Group, o.Key)
	case "Increment":
		c.number, c.err = h.Increment(o.Group, o.Key, o.Delta)
		c.checks.number = true
	default:
		panic("no such call: " + o.Call)
	}
	return c
}

// expectation is which revision a condition wants of a key.
type expectation int

const (
	current expectation = iota // the one that it has, 0 if it is not there
	stale                      // the one before that
	absent
	present
)

func (w *world) expected(e expectation, group, key string) uint64 {
	revision := uint64(0)
	if r, found := w.model.view("").get(group, key); found {
		revision = r.revision
	}
	switch e {
	case stale:
		return max(revision, 1) - 1
	case absent:
		return 0
	case present:
		return api.AnyRevision
	default:
		return revision
	}
}

// conditional is one of SetIfAbsent, CompareAndSet and CompareAndDelete.
type conditional struct {
	On                     int
	Call, Group, Key, Text string
	Expect                 expectation
}

func (o conditional) run(w *world) error {
	h := &w.handles[o.On]
	if o.Call == "SetIfAbsent" {
		o.Expect = absent
	}
	revision := w.expected(o.Expect, h.prefix+o.Group, o.Key)
	what := write{Call: "Set", Group: o.Group, Key: o.Key, Value: o.Text}
	if o.Call == "CompareAndDelete" {
		what.Call = "Delete"
	}
	r := h.request([]condition{{o.Group, o.Key, revision}}, what)
	return w.change(r, func() (c called) {
		switch o.Call {
		case "SetIfAbsent":
			c.revision, c.err = h.SetIfAbsent(o.Group, o.Key, o.Text)
			c.checks.revision = true
		case "CompareAndSet":
			c.revision, c.err = h.CompareAndSet(o.Group, o.Key, o.Text, revision)
			c.checks.revision = true
		case "CompareAndDelete":
			c.err = h.CompareAndDelete(o.Group, o.Key, revision)
		}
		return c
	})
}

// setAll is SetAll.
type setAll struct {
	On    int
	Items []api.Item
}

func (o setAll) run(w *world) error {
	h := &w.handles[o.On]
	var writes []write
	for _, item := range o.Items {
		writes = append(writes, write{Call: "Set", Group: item.Group, Key: item.Key, Value: item.Value})
	}
	return w.change(h.request(nil, writes...), func() called { return called{err: h.SetAll(o.Items)} })
}

// batch is Batch, with conditions on some of its keys.
type batch struct {
	On         int
	Writes     []write
	Conditions []batchCondition
}

type batchCondition struct {
	Group, Key string
	Expect     expectation
}

func (o batch) run(w *world) error {
	h := &w.handles[o.On]
	b := new(api.Batch)
	var conditions []condition
	for _, c := range o.Conditions {
		revision := w.expected(c.Expect, h.prefix+c.Group, c.Key)
		conditions = append(conditions, condition{c.Group, c.Key, revision})
		switch c.Expect {
		case absent:
			b.IfAbsent(c.Group, c.Key)
		case present:
			b.IfPresent(c.Group, c.Key)
		default:
			b.IfRevision(c.Group, c.Key, revision)
		}
	}
	for _, what := range o.Writes {
		w.add(b, what)
	}
	return w.change(h.request(conditions, o.Writes...), func() (c called) {
		c.revision, c.err = h.Batch(b)
		c.checks.revision = true
		return c
	})
}

func (w *world) add(b *api.Batch, o write) {
	switch o.Call {
	case "Set":
		b.Set(o.Group, o.Key, o.Value)
	case "SetWithTTL":
		b.SetWithTTL(o.Group, o.Key, o.Value, o.TTL)
	case "SetUntil":
		b.SetUntil(o.Group, o.Key, o.Value, time.UnixMilli(w.model.now).Add(o.TTL))
	case "Delete":
		b.Delete(o.Group, o.Key)
	case "DeleteGroup":
		b.DeleteGroup(o.Group)
	case "DeletePrefix":
		b.DeletePrefix(o.Group)
	case "Touch":
		b.Touch(o.Group, o.Key, o.TTL)
	case "Persist":
		b.Persist(o.Group, o.Key)
	case "Increment":
		b.Increment(o.Group, o.Key, o.Delta)
	}
}

// purge is PurgeExpired.
type purge struct{ On int }

func (o purge) run(w *world) error {
	h := &w.handles[o.On]
	w.forgetCallbacks()
	before := w.model
	next, want := before.purge(h.prefix)
	removed, err := h.PurgeExpired()
	if err != nil {
		return w.afterFault(before, next, err)
	}
	if removed != want {
		return fmt.Errorf("%d keys were removed, not %d", removed, want)
	}
	w.model = next
	return w.compareCallbacks(before)
}

// advance lets time pass: timers fire.
type advance struct{ By time.Duration }

func (o advance) run(w *world) error {
	w.clock.Advance(o.By)
	return w.passed()
}

// jump sets the machine's clock, forward or back.
type jump struct{ By time.Duration }

func (o jump) run(w *world) error {
	w.clock.Jump(o.By)
	return w.passed()
}

// fault makes a step of an actor fail the next time that it is taken.
type fault struct{ Step string }

func (o fault) run(w *world) error {
	if !w.Faults {
		return nil
	}
	for waiting := true; waiting; { // no other step asks which have come
		select {
		case <-w.faults.Done():
		default:
			waiting = false
		}
	}
	w.faults.Plan(o.Step, 1)
	return nil
}
