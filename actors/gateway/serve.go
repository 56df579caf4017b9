package gateway

import (
	"fmt"
	"log/slog"
	"reflect"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/courier"
	"forge.lthn.ai/core/go-store/kv"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
)

// serve does what a message asks for.
func (a *Actor) serve(sender courier.Sender, message any) {
	if sender.PID == nil {
		a.dropped(&a.Drops.Unsent, "it has no sender", message)
		return
	}
	switch m := message.(type) {
	case *actor.Touch: // the library answers it
	case protocol.Get:
		a.get(sender, m)
	case protocol.Set:
		a.write(sender, m.ID, a.limited(kv.Mutation{Kind: kv.Set, Group: a.within() + m.Group, Key: m.Key, Value: m.Value}), setDone)
	case protocol.SetWithTTL:
		a.write(sender, m.ID, a.limited(kv.Mutation{Kind: kv.Set, Group: a.within() + m.Group, Key: m.Key, Value: m.Value,
			HasTTL: true, TimeToLive: m.TimeToLive, Notifies: m.NotifyOnExpiry != "", Notify: kv.AddressWithin(a.within(), m.NotifyOnExpiry)}), setWithTTLDone)
	case protocol.Tell:
		a.write(sender, m.ID, a.limited(kv.Mutation{Kind: kv.Tell, Group: kv.AddressWithin(a.within(), m.Address), Value: m.Message}), tellDone)
	case protocol.Delete:
		a.write(sender, m.ID, kv.Mutation{Kind: kv.Delete, Group: a.within() + m.Group, Key: m.Key}, deleteDone)
	case protocol.DeleteGroup:
		a.write(sender, m.ID, kv.Mutation{Kind: kv.DeleteGroup, Group: a.within() + m.Group}, deleteGroupDone)
	case protocol.Batch:
		a.batchOf(sender, m)
	case protocol.CompareAndSet:
		group := a.within() + m.Group
		a.write(sender, m.ID, a.limited(kv.Mutation{Kind: kv.Set, Group: group, Key: m.Key, Value: m.Value,
			Conditions: []kv.Condition{{Group: group, Key: m.Key, Revision: m.Revision}}}), compareAndSetDone)
	case protocol.Increment:
		a.write(sender, m.ID, a.limited(kv.Mutation{Kind: kv.Increment, Group: a.within() + m.Group, Key: m.Key, Delta: m.Delta}), incrementDone)
	case protocol.GetMany:
		a.read(sender, m.ID, len(m.Keys) > 1, func() any { return a.getMany(m) })
	case protocol.Scan:
		a.read(sender, m.ID, true, func() any { return a.scan(m) })
	case protocol.Usage:
		a.read(sender, m.ID, true, func() any { return a.usage(m) })
	case protocol.Subscribe:
		a.subscribe(sender, m)
	case protocol.Credit:
		a.credit(sender, m)
	case protocol.Unsubscribe:
		a.unsubscribe(sender, m)
	case protocol.OpenNamespace:
		a.openNamespace(sender, m)
	default:
		if behind := behindPointer(message); behind != nil {
			a.serve(sender, behind)
			return
		}
		a.hand.taken = true
		a.unknown(sender, message)
	}
}

// unknown answers a message that is no request.
func (c *core) unknown(sender courier.Sender, message any) {
	if sender.PID == nil {
		c.dropped(&c.Drops.Unsent, "it has no sender", message)
		return
	}
	c.dropped(&c.Drops.Unknown, "it is none of the protocol", message)
	c.office.Answer(sender, failed(0, message, unknownError(message)))
}

// unknownError says what is wrong with a message that is none of the protocol.
func unknownError(message any) error {
	if v := reflect.ValueOf(message); v.Kind() == reflect.Pointer && v.IsNil() {
		return fmt.Errorf("%w: a nil pointer; send the message itself", kv.UnknownMessageError)
	}
	return fmt.Errorf("%w: send those of package protocol", kv.UnknownMessageError)
}

// answer answers what is in hand, of which no request was made.
func (a *Actor) answer(sender courier.Sender, answer any) {
	a.hand.taken = true
	a.office.Answer(sender, answer)
}

// limited is a mutation under the limits of the namespace.
func (a *Actor) limited(m kv.Mutation) kv.Mutation {
	m.Namespace, m.Quota = a.Namespace, a.Quota
	return m
}

func (a *Actor) batchOf(sender courier.Sender, m protocol.Batch) {
	if err := m.Writes.Check(); err != nil {
		a.answer(sender, protocol.BatchDone{ID: m.ID, Err: wrap("Batch", err)})
		return
	}
	a.write(sender, m.ID, a.limited(m.Writes.Mutation(a.within())), batchDone)
}

// The answers to writes.

func setDone(id uint64, o kv.Outcome, err error) any {
	return protocol.SetDone{ID: id, Revision: o.Revision, Err: wrap("Set", err)}
}

func setWithTTLDone(id uint64, o kv.Outcome, err error) any {
	return protocol.SetWithTTLDone{ID: id, Revision: o.Revision, Err: wrap("SetWithTTL", err)}
}

func tellDone(id uint64, o kv.Outcome, err error) any {
	return protocol.TellDone{ID: id, Revision: o.Revision, Err: wrap("Tell", err)}
}

func deleteDone(id uint64, o kv.Outcome, err error) any {
	return protocol.DeleteDone{ID: id, Revision: o.Revision, Err: wrap("Delete", err)}
}

func deleteGroupDone(id uint64, o kv.Outcome, err error) any {
	return protocol.DeleteGroupDone{ID: id, Revision: o.Revision, Err: wrap("DeleteGroup", err)}
}

func batchDone(id uint64, o kv.Outcome, err error) any {
	return protocol.BatchDone{ID: id, Revision: o.Revision, Err: wrap("Batch", err)}
}

func compareAndSetDone(id uint64, o kv.Outcome, err error) any {
	return protocol.CompareAndSetDone{ID: id, Revision: o.Revision, Err: wrap("CompareAndSet", err)}
}

func incrementDone(id uint64, o kv.Outcome, err error) any {
	return protocol.IncrementDone{ID: id, Revision: o.Revision, Number: o.Number, Err: wrap("Increment", err)}
}

// get answers from memory if it can.
func (a *Actor) get(sender courier.Sender, m protocol.Get) {
	group := a.within() + m.Group
	if !a.shut && !a.used(sender, m.ID) {
		if row, found, known := a.Store.Cached(group, m.Key); known {
			err := error(nil)
			if !found {
				err = kv.NotFoundError
			}
			a.answer(sender, getDone(m.ID, group, m.Key, row, err))
			return
		}
	}
	a.read(sender, m.ID, false, func() any {
		row, err := a.Store.Get(a.ctx, group, m.Key)
		return getDone(m.ID, group, m.Key, row, err)
	})
}

// used reports whether the ID is that of another request of the sender's.
func (a *Actor) used(sender courier.Sender, id uint64) bool {
	if id == 0 || len(a.ids) == 0 {
		return false
	}
	_, used := a.ids[keyOf(sender, id)]
	return used
}

func getDone(id uint64, group, key string, row kv.Row, err error) protocol.GetDone {
	if err != nil {
		return protocol.GetDone{ID: id, Err: fmt.Errorf("store.Get: %s/%s: %w", group, key, err)}
	}
	return protocol.GetDone{ID: id, Value: row.Value, Revision: row.Revision, ExpiresAt: kv.DeadlineTime(row.Deadline)}
}

// What follows runs on a goroutine that reads.

func (c *core) getMany(m protocol.GetMany) any {
	rows, err := c.Store.GetMany(c.ctx, c.within()+m.Group, m.Keys)
	if err != nil {
		return protocol.GetManyDone{ID: m.ID, Err: wrap("GetMany", err)}
	}
	values := make(map[string]string, len(rows))
	for _, row := range rows {
		values[row.Key] = row.Value
	}
	return protocol.GetManyDone{ID: m.ID, Values: values}
}

func (c *core) scan(m protocol.Scan) any {
	rows, cursor, err := c.Store.ScanPage(c.ctx, c.within(), m)
	if err != nil {
		return protocol.ScanDone{ID: m.ID, Err: wrap("Scan", err)}
	}
	entries := make([]protocol.ScanEntry, len(rows))
	for i, row := range rows {
		entries[i] = protocol.ScanEntry{Group: strings.TrimPrefix(row.Group, c.within()), Key: row.Key, Value: row.Value,
			Revision: row.Revision, ExpiresAt: kv.DeadlineTime(row.Deadline)}
	}
	return protocol.ScanDone{ID: m.ID, Entries: entries, Cursor: cursor}
}

func (c *core) usage(m protocol.Usage) any {
	namespace := m.Namespace
	if c.Namespace != "" && namespace == "" {
		namespace = c.Namespace
	}
	err := kv.ValidateNamespace(namespace)
	if err == nil && c.Namespace != "" && namespace != c.Namespace {
		err = fmt.Errorf("namespace %q: %w", namespace, kv.NotPermittedError)
	}
	var usage kv.Usage
	if err == nil {
		usage, err = c.Store.Usage(c.ctx, namespace)
	}
	return protocol.UsageDone{ID: m.ID, Usage: usage, Err: wrap("Usage", err)}
}

// openNamespace is answered at once: to spawn an actor waits for nothing.
func (a *Actor) openNamespace(sender courier.Sender, m protocol.OpenNamespace) {
	pid, err := a.namespace(m)
	a.answer(sender, protocol.NamespaceOpened{ID: m.ID, PID: pid, Err: wrap("OpenNamespace", err)})
}

func (a *Actor) namespace(m protocol.OpenNamespace) (*actor.PID, error) {
	switch {
	case a.shut:
		return nil, kv.ClosedError
	case a.Namespace != "":
		return nil, fmt.Errorf("namespace %q: %w", m.Name, kv.NotPermittedError)
	}
	if err := m.Quota.Validate(); err != nil {
		return nil, err
	}
	if err := kv.ValidateNamespace(m.Name); err != nil {
		return nil, err
	}
	return a.Store.Namespace(m.Name, m.Quota)
}

// refusal is the answer to a message for which nothing was done.
func (c *core) refusal(message any, err error) any {
	switch m := message.(type) {
	case protocol.Set:
		return setDone(m.ID, kv.Outcome{}, err)
	case protocol.SetWithTTL:
		return setWithTTLDone(m.ID, kv.Outcome{}, err)
	case protocol.Tell:
		return tellDone(m.ID, kv.Outcome{}, err)
	case protocol.Delete:
		return deleteDone(m.ID, kv.Outcome{}, err)
	case protocol.DeleteGroup:
		return deleteGroupDone(m.ID, kv.Outcome{}, err)
	case protocol.Batch:
		return batchDone(m.ID, kv.Outcome{}, err)
	case protocol.CompareAndSet:
		return compareAndSetDone(m.ID, kv.Outcome{}, err)
	case protocol.Increment:
		return incrementDone(m.ID, kv.Outcome{}, err)
	case protocol.Get:
		return getDone(m.ID, c.within()+m.Group, m.Key, kv.Row{}, err)
	case protocol.GetMany:
		return protocol.GetManyDone{ID: m.ID, Err: wrap("GetMany", err)}
	case protocol.Scan:
		return protocol.ScanDone{ID: m.ID, Err: wrap("Scan", err)}
	case protocol.Usage:
		return protocol.UsageDone{ID: m.ID, Err: wrap("Usage", err)}
	case protocol.Subscribe:
		return protocol.Subscribed{ID: m.ID, Err: wrap("Subscribe", err)}
	case protocol.OpenNamespace:
		return protocol.NamespaceOpened{ID: m.ID, Err: wrap("OpenNamespace", err)}
	case protocol.Credit:
		return failed(m.ID, m, err)
	case protocol.Unsubscribe:
		return failed(m.ID, m, err)
	default:
		if behind := behindPointer(message); behind != nil {
			return c.refusal(behind, err)
		}
		return failed(0, message, unknownError(message))
	}
}

// failed says that there is nothing to be done for a message, which is named by its
// type alone.
func failed(id uint64, message any, err error) protocol.Failed {
	return protocol.Failed{ID: id, Type: fmt.Sprintf("%T", message), Err: fmt.Errorf("store: %w", err)}
}

// behindPointer is the request that a pointer leads to, nil if it leads to none.
func behindPointer(message any) any {
	switch m := message.(type) {
	case *protocol.Set:
		return at(m)
	case *protocol.SetWithTTL:
		return at(m)
	case *protocol.Tell:
		return at(m)
	case *protocol.Delete:
		return at(m)
	case *protocol.DeleteGroup:
		return at(m)
	case *protocol.Batch:
		return at(m)
	case *protocol.CompareAndSet:
		return at(m)
	case *protocol.Increment:
		return at(m)
	case *protocol.Get:
		return at(m)
	case *protocol.GetMany:
		return at(m)
	case *protocol.Scan:
		return at(m)
	case *protocol.Usage:
		return at(m)
	case *protocol.Subscribe:
		return at(m)
	case *protocol.Credit:
		return at(m)
	case *protocol.Unsubscribe:
		return at(m)
	case *protocol.OpenNamespace:
		return at(m)
	default:
		return nil
	}
}

func at[T any](m *T) any {
	if m == nil {
		return nil
	}
	return *m
}

// wrap puts the name of the function before an error, as package api does.
func wrap(function string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("store.%s: %w", function, err)
}

// dropped counts a message that nothing is done for. It is in the log too, but not each
// of a million: no operator could read them.
func (c *core) dropped(count *atomic.Uint64, why string, message any) {
	if n := count.Add(1); n&(n-1) == 0 {
		c.Logger.Warn("a message to the store was dropped: "+why,
			slog.String("type", fmt.Sprintf("%T", message)), slog.Uint64("dropped", n))
	}
}

func (c *core) failure(reason any) {
	if reason == nil {
		reason = "the goroutine has ended"
	}
	c.Drops.Restarts.Add(1)
	c.Logger.Error("an actor of the store failed", slog.String("actor", "gateway"),
		slog.Any("reason", reason), slog.String("stack", string(debug.Stack())))
}
