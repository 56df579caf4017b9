package main

import (
	"errors"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"

	"forge.lthn.ai/core/go-store/bench"
)

func badgerContender() bench.Contender {
	return bench.Contender{
		Name: "badger", Durability: powerCut,
		Note: "SyncWrites; a group is a prefix",
		Open: func(folder string, _ bench.Settings) (bench.Target, error) {
			db, err := badger.Open(badger.DefaultOptions(folder).WithSyncWrites(true).WithLogger(nil))
			if err != nil {
				return nil, err
			}
			return &badgerTarget{db: db}, nil
		},
		Excuses: excuses(map[bench.Need]string{
			bench.NeedExpiry: "expired keys are hidden from reads, and nobody is told",
			bench.NeedWatch:  "its Subscribe holds writers up for slow receivers and has no drops to count",
		}),
	}
}

type badgerTarget struct {
	db        *badger.DB
	conflicts atomic.Uint64
}

func (t *badgerTarget) Set(group, key, value string) error {
	return t.update(func(tx *badger.Txn) error { return tx.Set(join(group, key), []byte(value)) })
}

// update commits, and runs again what another transaction has overtaken: a
// write that reads nothing is never overtaken.
func (t *badgerTarget) update(mutate func(tx *badger.Txn) error) error {
	for {
		err := t.db.Update(mutate)
		if !errors.Is(err, badger.ErrConflict) {
			return err
		}
		t.conflicts.Add(1)
	}
}

func (t *badgerTarget) Get(group, key string) (value string, found bool, err error) {
	err = t.db.View(func(tx *badger.Txn) error {
		value, found, err = badgerGet(tx, group, key)
		return err
	})
	return value, found, err
}

func badgerGet(tx *badger.Txn, group, key string) (string, bool, error) {
	item, err := tx.Get(join(group, key))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	raw, err := item.ValueCopy(nil)
	return string(raw), err == nil, err
}

func (t *badgerTarget) Delete(group, key string) error {
	return t.update(func(tx *badger.Txn) error { return tx.Delete(join(group, key)) })
}

func (t *badgerTarget) GetAll(group string) (map[string]string, error) {
	return visitor[[]byte](t.iterate).getAll(group)
}

func (t *badgerTarget) Page(group string, offset, limit int) (int, error) {
	return visitor[[]byte](t.iterate).page(group, "", offset, limit)
}

func (t *badgerTarget) Scan(group, key string, limit int) (int, error) {
	return visitor[[]byte](t.iterate).page(group, key, 0, limit)
}

// iterate is a visitor.
func (t *badgerTarget) iterate(group, from string, visit func(key, value []byte) bool) error {
	prefix := join(group, "")
	return t.db.View(func(tx *badger.Txn) error {
		options := badger.DefaultIteratorOptions
		options.Prefix = prefix
		entries := tx.NewIterator(options)
		defer entries.Close()
		more := true
		for entries.Seek(join(group, from)); more && entries.Valid(); entries.Next() {
			err := entries.Item().Value(func(value []byte) error {
				more = visit(entries.Item().Key()[len(prefix):], value)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *badgerTarget) Transaction(function func(bench.Transaction) error) error {
	return t.update(func(tx *badger.Txn) error { return function(badgerTransaction{tx}) })
}

func (t *badgerTarget) Conflicts() uint64 { return t.conflicts.Load() }

type badgerTransaction struct{ tx *badger.Txn }

func (b badgerTransaction) Get(group, key string) (string, bool, error) {
	return badgerGet(b.tx, group, key)
}

func (b badgerTransaction) Set(group, key, value string) error {
	return b.tx.Set(join(group, key), []byte(value))
}

func (t *badgerTarget) Load(items []bench.Item) error {
	batch := t.db.NewWriteBatch()
	defer batch.Cancel()
	for _, item := range items {
		if err := batch.Set(join(item.Group, item.Key), []byte(item.Value)); err != nil {
			return err
		}
	}
	return batch.Flush()
}

func (t *badgerTarget) Close() error { return t.db.Close() }
