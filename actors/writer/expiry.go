package writer

import (
	"fmt"
	"math"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// mayExpire reports whether any row can be past its deadline. While none can,
// nothing looks for any: a store without TTLs pays nothing for them.
func (t *transaction) mayExpire() bool { return t.now >= t.earliest }

// expireKey removes the key's row if it is dead, before a mutation meets it. A row
// that can't be read is there: it is written over, or deleted.
func (t *transaction) expireKey(group, key string) error {
	if !t.mayExpire() {
		return nil
	}
	_, _, _, err := t.head(group, key)
	if storage.IsDamagedRow(err) {
		return nil
	}
	return err
}

// expireAhead is expireKey for a request that has written nothing yet.
func (t *transaction) expireAhead(group, key string) error {
	if !t.mayExpire() {
		return nil
	}
	if _, lives := t.current[kv.Key{Group: group, Key: key}]; lives {
		return nil
	}
	row, size, found, err := t.head(group, key)
	switch {
	case storage.IsDamagedRow(err):
		return nil
	case err == nil && found:
		t.remember(&row, size)
	}
	return err
}

// head is the key's row without its value, and how long that is, if the row lives; a dead one
// is removed.
func (t *transaction) head(group, key string) (row kv.Row, size int, found bool, err error) {
	row, size, found, err = t.database.Head(group, key)
	if err != nil {
		return row, 0, false, fmt.Errorf("read: %w", err)
	}
	if !found || row.Live(t.now) {
		return row, size, found, nil
	}
	_, found, err = t.live(group, key)
	return row, 0, found, err
}

// live is the key's row, if it lives; a dead one is removed.
func (t *transaction) live(group, key string) (row kv.Row, found bool, err error) {
	row, found, err = t.database.Get(group, key)
	if err != nil {
		return row, false, fmt.Errorf("read: %w", err)
	}
	if !found || row.Live(t.now) {
		return row, found, nil
	}
	return row, false, t.expire(row)
}

// fewDead is how many dead rows of a whole store are few: to look through them
// costs less than to look through a group. Where there are more, the dead of a
// group are found among its own rows: what others have left to expire must not
// make its deletion slow.
const fewDead = 64

// manyDead is fewDead for a purge of a namespace of which it is not known what it holds: its
// rows may be far more than those of a group, and to pass over so many dead ones of others
// takes some milliseconds.
const manyDead = 4096

// fewDead reports whether few rows have expired since a moment.
func (t *transaction) fewDead(since int64) (bool, error) { return t.deadWithin(since, fewDead) }

// deadWithin reports whether no more than so many have.
func (t *transaction) deadWithin(since int64, few int) (bool, error) {
	n, err := t.database.CountDead(since, t.now, few+1)
	return n <= few, wrap("count expired", err)
}

// cutShort is less than what storage returns of expired rows when it is their
// size, not their number, that makes it stop.
const cutShort = 1 << 20

func weigh(rows []kv.Row) (size int) {
	for i := range rows {
		size += len(rows[i].Group) + len(rows[i].Key) + len(rows[i].Value)
	}
	return size
}

// expireSome removes dead rows of a range of groups, from a position on, as many
// as storage returns at once. It returns where to go on, nil if there are no more.
func (t *transaction) expireSome(r kv.Range, from *kv.Key) (next *kv.Key, err error) {
	few, err := t.fewDead(math.MinInt64)
	if err != nil {
		return nil, err
	}
	rows, more, err := t.expireRows("read expired", r, from, few, PurgeChunk)
	switch {
	case err != nil || !more:
		return nil, err
	case few:
		return &kv.Key{Group: r.From}, nil
	default:
		return behind(rows), nil
	}
}

// expireRows removes dead rows of a range of groups, as many as storage returns at once: if few
// have expired by the order of their deadlines, else by that of their keys, from a position on.
// more: there may be more.
func (t *transaction) expireRows(what string, r kv.Range, from *kv.Key, few bool, limit int) (rows []kv.Row, more bool, err error) {
	if few {
		rows, err = t.database.Expired(r, math.MinInt64, t.now, limit)
	} else {
		rows, err = t.database.DeadIn(r, from, math.MinInt64, t.now, limit)
	}
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", what, err)
	}
	for i := range rows {
		if err := t.expire(rows[i]); err != nil {
			return nil, false, err
		}
	}
	return rows, len(rows) >= limit || weigh(rows) >= cutShort, nil
}

// behind is the position behind rows that are in the order of keys.
func behind(rows []kv.Row) *kv.Key {
	last := &rows[len(rows)-1]
	return &kv.Key{Group: last.Group, Key: last.Key + "\x00"}
}

// expireRange removes the dead rows of a range of groups, before it is deleted.
func (t *transaction) expireRange(r kv.Range) (err error) {
	if !t.mayExpire() {
		return nil
	}
	for from, begun := (*kv.Key)(nil), false; err == nil && (!begun || from != nil); begun = true {
		from, err = t.expireSome(r, from)
	}
	return err
}

// expire removes one dead row.
func (t *transaction) expire(row kv.Row) error {
	if err := t.count(&row); err != nil {
		return err
	}
	if _, err := t.database.Delete(row.Group, row.Key); err != nil {
		return fmt.Errorf("expire: %w", err)
	}
	event := kv.Event{Type: kv.EventExpire, Group: row.Group, Key: row.Key, Value: row.Value}
	if len(row.Value) > t.largestValue {
		event.Value = ""
	}
	t.emit(event)
	if err := t.removed(row.Group, 1); err != nil || !t.timers {
		return err
	}
	return t.fire(&row)
}

// makeRoom makes sure that a new key of the group keeps to the quota, removing
// expired rows of the namespace as long as it does not. It reports whether the
// group has a row already.
func (t *transaction) makeRoom(account *account, quota kv.QuotaConfig, group string) (hasGroup bool, err error) {
	for quota.MaxKeys > 0 && account.usage.Keys >= int64(quota.MaxKeys) {
		freed, err := t.reclaim(account)
		if err != nil {
			return false, err
		}
		if !freed {
			return false, fmt.Errorf("namespace %q: key limit (%d): %w", account.namespace, quota.MaxKeys, kv.QuotaExceededError)
		}
	}
	for {
		hasGroup, err = t.database.HasGroup(group)
		if err != nil || quota.MaxGroups == 0 {
			return hasGroup, wrap("read group", err)
		}
		others, live := account.usage.Groups, hasGroup
		if hasGroup && t.mayExpire() {
			if live, err = t.database.HasLiveRow(group, t.now); err != nil {
				return false, fmt.Errorf("read group: %w", err)
			}
			others-- // the group itself, if it is dead
		}
		if live || others < int64(quota.MaxGroups) {
			return hasGroup, nil
		}
		freed, err := t.reclaim(account)
		if err != nil {
			return false, err
		}
		if !freed {
			return false, fmt.Errorf("namespace %q: group limit (%d): %w", account.namespace, quota.MaxGroups, kv.QuotaExceededError)
		}
	}
}

// reclaim removes the namespace's oldest expired row, if it has one. How far
// it had to look is kept, so that no part of the index is searched twice. Where more
// rows of the store have expired than the namespace has at all, it looks among the
// namespace's own, and removes some at once, since it can't keep how far it looked.
func (t *transaction) reclaim(account *account) (freed bool, err error) {
	if !t.mayExpire() || account.swept >= t.now {
		return false, nil
	}
	t.reclaiming = true
	defer func() { t.reclaiming = false }()
	few, err := t.deadWithin(account.swept, max(fewDead, int(account.usage.Keys)))
	if err != nil {
		return false, err
	}
	if !few {
		return t.reclaimSome(account)
	}
	rows, err := t.database.Expired(kv.NamespaceRange(account.namespace), account.swept, t.now, 1)
	if err != nil {
		return false, fmt.Errorf("read expired: %w", err)
	}
	if len(rows) == 0 {
		account.swept = t.now
		return false, nil
	}
	account.swept = before(rows[0].Deadline) // its row comes back if this is undone
	return true, t.expire(rows[0])
}

// reclaimSome removes expired rows of a namespace as they stand.
func (t *transaction) reclaimSome(account *account) (freed bool, err error) {
	rows, err := t.database.DeadIn(kv.NamespaceRange(account.namespace), nil, account.swept, t.now, PurgeChunk)
	if err != nil {
		return false, fmt.Errorf("read expired: %w", err)
	}
	for _, row := range rows {
		if err := t.expire(row); err != nil {
			return false, err
		}
	}
	if len(rows) < PurgeChunk && weigh(rows) < cutShort {
		account.swept = t.now // and back, if what was removed is undone
	}
	return len(rows) > 0, nil
}

// before is the moment before a deadline. There is none before the first: it
// stands for "all" then, as in storage.
func before(deadline int64) int64 { return max(deadline, math.MinInt64+1) - 1 }
