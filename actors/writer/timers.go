package writer

import (
	"fmt"
	"log/slog"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// A timer is a row beside the one that is to expire, in a group of the store's own. It
// is bound to that row by group, key and deadline: what removes the row, or gives it
// another deadline, removes the timer or moves it, in the same request; the expiry of
// the row makes a message of it. While there is no timer in the store no write looks for
// one; while there is, a write first looks at what it writes over.
//
// A Set that names the very deadline which the key has leaves its timer alone: that is
// how entries come from an export, whose timers may come first.

// hasTimers reports whether there is a timer.
func hasTimers(database storage.Writer) (bool, error) {
	_, found, err := database.NextGroup(kv.PrefixRange(kv.TimersPrefix), "", false)
	return found, wrap("look for timers", err)
}

// leave makes way for a Set or a Delete: it expires the key's row, if that is dead, and
// otherwise removes its timer. A row that can't be read is there: it is written over,
// or deleted.
func (t *transaction) leave(o *kv.Operation) error {
	if !t.timers {
		return t.expireKey(o.Group, o.Key)
	}
	row, found, err := t.live(o.Group, o.Key)
	if storage.IsDamagedRow(err) {
		return nil // its timer is never found
	}
	if err != nil || !found || row.Deadline == kv.NoDeadline || o.HasDeadline && o.Deadline == row.Deadline {
		return err
	}
	_, err = t.remove(kv.TimersPrefix+row.Group, kv.TimerKey(row.Deadline, row.Key))
	return err
}

// setTimer has an address told when the row expires.
func (t *transaction) setTimer(m *kv.Mutation, row *kv.Row, address string) error {
	return t.put(m, kv.Row{Group: kv.TimersPrefix + row.Group, Key: kv.TimerKey(row.Deadline, row.Key),
		Value: address, Deadline: kv.NoDeadline})
}

// takeTimer removes the row's timer, if it has one, and returns the address. An address that
// can't be read is none.
func (t *transaction) takeTimer(row *kv.Row) (address string, found bool, err error) {
	if row.Deadline == kv.NoDeadline {
		return "", false, nil
	}
	timer, found, err := t.database.Get(kv.TimersPrefix+row.Group, kv.TimerKey(row.Deadline, row.Key))
	if err != nil && !storage.IsDamagedRow(err) {
		return "", false, fmt.Errorf("read timer: %w", err)
	}
	if !found {
		return "", false, nil
	}
	damaged := err
	if _, err = t.remove(kv.TimersPrefix+row.Group, kv.TimerKey(row.Deadline, row.Key)); err == nil && damaged != nil {
		t.logger.Error("a timer is damaged and removed: nobody is told when its key expires",
			slog.String("group", row.Group), slog.String("key", row.Key), slog.Any("error", damaged))
		t.lost++
		return "", false, nil
	}
	return timer.Value, true, err
}

// moveTimer keeps a row's timer when the row gets another deadline; with none there is
// nothing to wait for.
func (t *transaction) moveTimer(m *kv.Mutation, from, to *kv.Row) error {
	address, found, err := t.takeTimer(from)
	if err != nil || !found || to.Deadline == kv.NoDeadline {
		return err
	}
	return t.setTimer(m, to, address)
}

// largestNotice is the largest value that is told when it expires: it is in the log
// twice, with its EventExpire.
const largestNotice = maxRecord / 4

// fire makes a message of an expired row's timer.
func (t *transaction) fire(row *kv.Row) error {
	address, found, err := t.takeTimer(row)
	if err != nil || !found {
		return err
	}
	if err := kv.CheckAddress(address); err != nil { // something else wrote its row
		t.logger.Error("a timer has no address and is removed: nobody is told that its key has expired",
			slog.String("group", row.Group), slog.String("key", row.Key), slog.Any("error", err))
		t.lost++
		return nil
	}
	expired := &kv.Expired{Group: row.Group, Key: row.Key, Value: row.Value, ExpiresAt: row.Deadline}
	if len(expired.Value) > largestNotice {
		expired.Value, expired.Omitted = "", true
	}
	return t.tell(&kv.Mutation{}, address, kv.Message{Expired: expired})
}
