package writer

import (
	"fmt"
	"math"

	"forge.lthn.ai/core/go-store/kv"
)

// mayExpire reports whether any row can be past its deadline. While none can,
// nothing looks for any: a store without TTLs pays nothing for them.
func (t *transaction) mayExpire() bool { return t.now >= t.earliest }

// expireKey removes the key's row if it is dead, before a mutation meets it.
func (t *transaction) expireKey(group, key string) error {
	if !t.mayExpire() {
		return nil
	}
	_, _, err := t.live(group, key)
	return err
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

// expireGroup removes the group's dead rows, before the group is deleted.
func (t *transaction) expireGroup(group string) error {
	for t.mayExpire() {
		rows, err := t.database.Expired(kv.GroupRange(group), math.MinInt64, t.now, PurgeChunk)
		if err != nil {
			return fmt.Errorf("read expired: %w", err)
		}
		for _, row := range rows {
			if err := t.expire(row); err != nil {
				return err
			}
		}
		if len(rows) == 0 {
			break
		}
	}
	return nil
}

// expire removes one dead row.
func (t *transaction) expire(row kv.Row) error {
	if _, err := t.database.Delete(row.Group, row.Key); err != nil {
		return fmt.Errorf("expire: %w", err)
	}
	t.emit(kv.Event{Type: kv.EventExpire, Group: row.Group, Key: row.Key, Value: row.Value})
	return t.removed(row.Group, 1)
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
// it had to look is kept, so that no part of the index is searched twice.
func (t *transaction) reclaim(account *account) (freed bool, err error) {
	if !t.mayExpire() || account.swept >= t.now {
		return false, nil
	}
	rows, err := t.database.Expired(kv.NamespaceRange(account.namespace), account.swept, t.now, 1)
	if err != nil {
		return false, fmt.Errorf("read expired: %w", err)
	}
	if len(rows) == 0 {
		account.swept = t.now
		return false, nil
	}
	account.swept = rows[0].Deadline - 1 // its row comes back if this is undone
	return true, t.expire(rows[0])
}
