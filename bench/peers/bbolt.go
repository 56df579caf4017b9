package main

import (
	"path/filepath"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"forge.lthn.ai/core/go-store/bench"
)

// bboltDelay is how long a batch waits for more writes. The library's own
// 10 ms would be most of the time of every write here.
const bboltDelay = 500 * time.Microsecond

func bboltContender() bench.Contender {
	return bench.Contender{
		Name: "bbolt", Durability: powerCut,
		Note: "Batch with a delay of 0.5 ms (10 ms by default) where callers are many, Update where there is one; a bucket a group",
		Open: func(folder string, _ bench.Settings) (bench.Target, error) {
			db, err := bbolt.Open(filepath.Join(folder, "bbolt.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
			if err != nil {
				return nil, err
			}
			db.MaxBatchDelay = bboltDelay
			return &bboltTarget{db: db}, nil
		},
		Excuses: excuses(nil),
	}
}

type bboltTarget struct {
	db      *bbolt.DB
	writers atomic.Int32 // in a call now
}

// write runs a mutation that may run more than once.
func (t *bboltTarget) write(mutate func(tx *bbolt.Tx) error) error {
	defer t.writers.Add(-1)
	if t.writers.Add(1) > 1 {
		return t.db.Batch(mutate)
	}
	return t.db.Update(mutate)
}

func (t *bboltTarget) Set(group, key, value string) error {
	return t.write(func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists([]byte(group))
		if err != nil {
			return err
		}
		return bucket.Put([]byte(key), []byte(value))
	})
}

func (t *bboltTarget) Get(group, key string) (value string, found bool, err error) {
	err = t.db.View(func(tx *bbolt.Tx) error {
		if bucket := tx.Bucket([]byte(group)); bucket != nil {
			raw := bucket.Get([]byte(key))
			value, found = string(raw), raw != nil
		}
		return nil
	})
	return value, found, err
}

func (t *bboltTarget) Delete(group, key string) error {
	return t.write(func(tx *bbolt.Tx) error {
		if bucket := tx.Bucket([]byte(group)); bucket != nil {
			return bucket.Delete([]byte(key))
		}
		return nil
	})
}

func (t *bboltTarget) DeleteGroup(group string) error {
	return t.write(func(tx *bbolt.Tx) error {
		if tx.Bucket([]byte(group)) == nil {
			return nil
		}
		return tx.DeleteBucket([]byte(group))
	})
}

func (t *bboltTarget) GetAll(group string) (map[string]string, error) {
	all := make(map[string]string)
	err := t.db.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte(group))
		if bucket == nil {
			return nil
		}
		return bucket.ForEach(func(key, value []byte) error {
			all[string(key)] = string(value)
			return nil
		})
	})
	return all, err
}

func (t *bboltTarget) Page(group string, offset, limit int) (int, error) {
	return t.scan(group, "", offset, limit)
}

func (t *bboltTarget) Scan(group, key string, limit int) (int, error) {
	return t.scan(group, key, 0, limit)
}

func (t *bboltTarget) scan(group, from string, offset, limit int) (int, error) {
	page := make([]bench.Item, 0, limit)
	err := t.db.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte(group))
		if bucket == nil {
			return nil
		}
		cursor := bucket.Cursor()
		for key, value := cursor.Seek([]byte(from)); key != nil && len(page) < limit; key, value = cursor.Next() {
			if offset > 0 {
				offset--
				continue
			}
			page = append(page, bench.Item{Key: string(key), Value: string(value)})
		}
		return nil
	})
	return len(page), err
}

// Transaction runs alone: there are no conflicts, and no shared commits.
func (t *bboltTarget) Transaction(function func(bench.Transaction) error) error {
	return t.db.Update(func(tx *bbolt.Tx) error { return function(bboltTransaction{tx}) })
}

func (t *bboltTarget) Conflicts() uint64 { return 0 }

type bboltTransaction struct{ tx *bbolt.Tx }

func (b bboltTransaction) Get(group, key string) (string, bool, error) {
	bucket := b.tx.Bucket([]byte(group))
	if bucket == nil {
		return "", false, nil
	}
	raw := bucket.Get([]byte(key))
	return string(raw), raw != nil, nil
}

func (b bboltTransaction) Set(group, key, value string) error {
	bucket, err := b.tx.CreateBucketIfNotExists([]byte(group))
	if err != nil {
		return err
	}
	return bucket.Put([]byte(key), []byte(value))
}

func (t *bboltTarget) Load(items []bench.Item) error {
	return t.db.Update(func(tx *bbolt.Tx) error {
		for _, item := range items {
			bucket, err := tx.CreateBucketIfNotExists([]byte(item.Group))
			if err != nil {
				return err
			}
			if err := bucket.Put([]byte(item.Key), []byte(item.Value)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *bboltTarget) Close() error { return t.db.Close() }
