package api

import (
	"errors"
	"iter"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/engine"
	"forge.lthn.ai/core/go-store/kv"
)

// Transaction is the handle that a transaction's function works with. Its
// methods are those of Store (of ScopedStore, in a scoped one): reads see one
// snapshot, and in it what the function has written; writes are gathered and
// committed together after the function has returned. It is of use to one
// goroutine and within the function only: later every call fails with
// TransactionEndedError.
type Transaction struct {
	inner  *engine.Transaction
	prefix string // before every group
}

// Transaction runs the function and then commits what it wrote, whole or not at
// all, as one request with one revision. Transactions are serializable: if
// anything that the function has read was changed by others meanwhile (a key,
// or any key of a group or prefix that it has listed or counted, present or
// not), nothing is written and the function runs again, on a new snapshot. So
// keep it free of other effects. After 16 attempts Transaction fails with a
// *ConflictError; Conflicts counts the attempts that were in vain.
//
// An error that the function returns is returned as it is, and a panic passes
// through; nothing is written then. Calls to the store itself from within the
// function are ordinary calls outside the transaction; Transaction on its handle
// fails with NestedTransactionError. While the function runs the transaction
// holds no other call up, but keeps a snapshot, and with it the write-ahead log: it
// should be short.
//
// A transaction that writes nothing commits nothing, and works on a read-only
// store too. What is written, with the names of the keys that were read, keeps to
// SizeLimits.Commit and to 262,144 writes and keys that were read; the values of the
// keys that it touches to what Batch says.
func (s *Store) Transaction(function func(tx *Transaction) error) error {
	return s.transaction("", QuotaConfig{}, "", function)
}

// Transaction is Store.Transaction within the namespace and its quota.
func (s *ScopedStore) Transaction(function func(tx *Transaction) error) error {
	return s.parent().transaction(s.Namespace(), s.limits(), s.within(), function)
}

// Conflicts is how many attempts of transactions were in vain since the store
// was opened, because others had changed what they read.
func (s *Store) Conflicts() uint64 { return s.inner().Conflicts() }

// Conflicts is Store.Conflicts: that of the whole store.
func (s *ScopedStore) Conflicts() uint64 { return s.parent().Conflicts() }

func (s *Store) transaction(namespace string, quota QuotaConfig, prefix string, function func(tx *Transaction) error) error {
	if err := s.missing(); err != nil {
		return wrap("Transaction", err)
	}
	if function == nil {
		return wrap("Transaction", errors.New("function is nil"))
	}
	var own error // of the function
	err := s.inner().Transaction(s.context(), namespace, quota, func(inner *engine.Transaction) error {
		own = function(&Transaction{inner: inner, prefix: prefix})
		return own
	})
	if own != nil {
		return own
	}
	return wrap("Transaction", err)
}

// Transaction fails with NestedTransactionError.
func (tx *Transaction) Transaction(func(tx *Transaction) error) error {
	return wrap("Transaction", NestedTransactionError)
}

// Get is the value of a key. It fails with NotFoundError when there is none.
func (tx *Transaction) Get(group, key string) (string, error) {
	row, err := tx.row("Get", group, key)
	return row.Value, err
}

// Entry is a key's value, revision and expiry. The revision of a key that the
// transaction itself has written is 0: it has none yet.
func (tx *Transaction) Entry(group, key string) (Entry, error) {
	row, err := tx.row("Entry", group, key)
	if err != nil {
		return Entry{}, err
	}
	return entryOf(row), nil
}

// Exists reports whether there is such a key.
func (tx *Transaction) Exists(group, key string) (bool, error) {
	_, err := tx.row("Exists", group, key)
	if errors.Is(err, NotFoundError) {
		return false, nil
	}
	return err == nil, err
}

func (tx *Transaction) row(function, group, key string) (kv.Row, error) {
	row, err := tx.inner.Get(tx.prefix+group, key)
	return row, tx.wrap(function, group, key, err)
}

// Set writes a key, which then never expires.
func (tx *Transaction) Set(group, key, value string) error {
	return wrap("Set", tx.inner.Set(tx.prefix+group, key, value, false, 0))
}

// SetWithTTL writes a key that expires timeToLive after the commit, and with
// NotifyOnExpiry has an address told then.
func (tx *Transaction) SetWithTTL(group, key, value string, timeToLive time.Duration, options ...TTLOption) error {
	notifies, notify := notice(tx.prefix, options)
	return wrap("SetWithTTL", tx.inner.SetWithTTL(kv.Operation{Kind: kv.Set, Group: tx.prefix + group, Key: key, Value: value,
		HasTTL: true, TimeToLive: timeToLive, Notifies: notifies, Notify: notify}))
}

// Touch has a key expire timeToLive after the commit. It fails with
// NotFoundError when there is no such key.
func (tx *Transaction) Touch(group, key string, timeToLive time.Duration) error {
	return tx.wrap("Touch", group, key, tx.inner.Touch(tx.prefix+group, key, true, timeToLive))
}

// Persist has a key never expire. It fails with NotFoundError when there is no
// such key.
func (tx *Transaction) Persist(group, key string) error {
	return tx.wrap("Persist", group, key, tx.inner.Touch(tx.prefix+group, key, false, 0))
}

// Increment adds delta to a key that holds a decimal integer, as
// Store.Increment, and returns the sum.
func (tx *Transaction) Increment(group, key string, delta int64) (int64, error) {
	sum, err := tx.inner.Increment(tx.prefix+group, key, delta)
	return sum, wrap("Increment", err)
}

// Delete removes a key, if it is there.
func (tx *Transaction) Delete(group, key string) error {
	return wrap("Delete", tx.inner.Delete(tx.prefix+group, key))
}

// DeleteGroup removes a group with all its keys.
func (tx *Transaction) DeleteGroup(group string) error {
	return wrap("DeleteGroup", tx.inner.DeleteRange(kv.GroupRange(tx.prefix+group)))
}

// DeletePrefix removes every group whose name begins with groupPrefix.
func (tx *Transaction) DeletePrefix(groupPrefix string) error {
	return wrap("DeletePrefix", tx.inner.DeleteRange(kv.PrefixRange(tx.prefix+groupPrefix)))
}

// GroupExists reports whether the group has a key.
func (tx *Transaction) GroupExists(group string) (bool, error) {
	for _, err := range tx.inner.Groups(kv.GroupRange(tx.prefix + group)) {
		return err == nil, wrap("GroupExists", err)
	}
	return false, nil
}

// GetAll is every key of a group with its value.
func (tx *Transaction) GetAll(group string) (map[string]string, error) {
	all := make(map[string]string)
	for entry, err := range tx.All(group) {
		if err != nil {
			return nil, err
		}
		all[entry.Key] = entry.Value
	}
	return all, nil
}

// All yields the keys of a group with their values, in the byte order of the
// keys, as they are when the loop begins; its body may write. An error is
// yielded once, last.
func (tx *Transaction) All(group string) iter.Seq2[KeyValue, error] {
	return func(yield func(KeyValue, error) bool) {
		for row, err := range tx.inner.Scan(kv.GroupRange(tx.prefix+group), false) {
			if !yield(KeyValue{Key: row.Key, Value: row.Value}, wrap("All", err)) {
				return
			}
		}
	}
}

// GetPage is at most limit keys of a group with their values, after the first
// offset, in the byte order of the keys. It fails with InvalidPageError when one
// of them is negative.
func (tx *Transaction) GetPage(group string, offset, limit int) (page []KeyValue, err error) {
	if err := checkPage(offset, limit); err != nil {
		return nil, wrap("GetPage", err)
	}
	page = []KeyValue{}
	if limit == 0 {
		return page, nil
	}
	for entry, err := range tx.All(group) {
		if err != nil {
			return nil, err
		}
		if offset > 0 {
			offset--
			continue
		}
		if page = append(page, entry); len(page) == limit {
			break
		}
	}
	return page, nil
}

// Count is the number of keys of a group.
func (tx *Transaction) Count(group string) (int, error) {
	count, err := tx.inner.Count(kv.GroupRange(tx.prefix + group))
	return count, wrap("Count", err)
}

// CountAll is the number of keys of all groups whose names begin with
// groupPrefix.
func (tx *Transaction) CountAll(groupPrefix string) (int, error) {
	count, err := tx.inner.Count(kv.PrefixRange(tx.prefix + groupPrefix))
	return count, wrap("CountAll", err)
}

// Groups is the names of the groups that begin with groupPrefix and have a key,
// in byte order.
func (tx *Transaction) Groups(groupPrefix string) ([]string, error) {
	names, err := collect("Groups", tx.inner.Groups(kv.PrefixRange(tx.prefix+groupPrefix)))
	for i := range names {
		names[i] = strings.TrimPrefix(names[i], tx.prefix)
	}
	return names, err
}

// wrap names the function and the key.
func (tx *Transaction) wrap(function, group, key string, err error) error {
	if err == nil {
		return nil
	}
	return keyError(function, tx.prefix+group, key, err)
}
