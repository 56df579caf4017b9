package main

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/buntdb"

	"forge.lthn.ai/core/go-store/bench"
)

func buntContender() bench.Contender {
	return bench.Contender{
		Name: "buntdb", Durability: powerCut,
		Note: "SyncPolicy Always; all data in memory, an append-only file beside it; a group is a prefix",
		Open: func(folder string, _ bench.Settings) (bench.Target, error) {
			return openBunt(filepath.Join(folder, "bunt.db"))
		},
		Excuses: excuses(nil),
	}
}

// buntMemoryContender is for store-memory to be measured beside.
func buntMemoryContender() bench.Contender {
	return bench.Contender{
		Name: "buntdb-memory", Durability: nothing, Ephemeral: true,
		Note:    "without a file; a group is a prefix",
		Open:    func(string, bench.Settings) (bench.Target, error) { return openBunt(":memory:") },
		Excuses: excuses(nil),
	}
}

func openBunt(path string) (bench.Target, error) {
	db, err := buntdb.Open(path)
	if err != nil {
		return nil, err
	}
	t := &buntTarget{db: db}
	var config buntdb.Config
	if err := errors.Join(db.ReadConfig(&config)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	config.SyncPolicy = buntdb.Always
	config.OnExpiredSync = t.expire
	if err := db.SetConfig(config); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return t, nil
}

type buntTarget struct {
	db *buntdb.DB
	mu struct {
		sync.Mutex
		prefix  string
		receive func(key, value string) // nil: not watched
	}
}

// expire is what the database calls for each key whose time is over; deleting
// it is left to us.
func (t *buntTarget) expire(key, value string, tx *buntdb.Tx) error {
	t.mu.Lock()
	prefix, receive := t.mu.prefix, t.mu.receive
	t.mu.Unlock()
	if _, err := tx.Delete(key); err != nil && !errors.Is(err, buntdb.ErrNotFound) {
		return err
	}
	if rest, ours := strings.CutPrefix(key, prefix); ours && receive != nil {
		receive(rest, value)
	}
	return nil
}

func (t *buntTarget) Set(group, key, value string) error {
	return t.set(group, key, value, nil)
}

func (t *buntTarget) set(group, key, value string, options *buntdb.SetOptions) error {
	return t.db.Update(func(tx *buntdb.Tx) error {
		_, _, err := tx.Set(string(join(group, key)), value, options)
		return err
	})
}

func (t *buntTarget) SetWithTTL(group, key, value string, nanoseconds int64) error {
	return t.set(group, key, value, &buntdb.SetOptions{Expires: true, TTL: time.Duration(nanoseconds)})
}

func (t *buntTarget) OnExpire(group string, receive func(key, value string)) (func() (uint64, error), error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.prefix, t.mu.receive = string(join(group, "")), receive
	return func() (uint64, error) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.mu.receive = nil
		return 0, nil
	}, nil
}

func (t *buntTarget) Get(group, key string) (value string, found bool, err error) {
	err = t.db.View(func(tx *buntdb.Tx) error {
		value, err = tx.Get(string(join(group, key)))
		return err
	})
	if errors.Is(err, buntdb.ErrNotFound) {
		return "", false, nil
	}
	return value, err == nil, err
}

func (t *buntTarget) Delete(group, key string) error {
	return t.db.Update(func(tx *buntdb.Tx) error {
		if _, err := tx.Delete(string(join(group, key))); err != nil && !errors.Is(err, buntdb.ErrNotFound) {
			return err
		}
		return nil
	})
}

func (t *buntTarget) GetAll(group string) (map[string]string, error) {
	return visitor[string](t.iterate).getAll(group)
}

func (t *buntTarget) Page(group string, offset, limit int) (int, error) {
	return visitor[string](t.iterate).page(group, "", offset, limit)
}

func (t *buntTarget) Scan(group, key string, limit int) (int, error) {
	return visitor[string](t.iterate).page(group, key, 0, limit)
}

// iterate is a visitor.
func (t *buntTarget) iterate(group, from string, visit func(key, value string) bool) error {
	return t.db.View(func(tx *buntdb.Tx) error {
		return tx.AscendRange("", string(join(group, from)), string(beyond(group)), func(key, value string) bool {
			return visit(key[len(group)+1:], value)
		})
	})
}

// Transaction runs alone: there are no conflicts, and no shared commits.
func (t *buntTarget) Transaction(function func(bench.Transaction) error) error {
	return t.db.Update(func(tx *buntdb.Tx) error { return function(buntTransaction{tx}) })
}

func (t *buntTarget) Conflicts() uint64 { return 0 }

type buntTransaction struct{ tx *buntdb.Tx }

func (b buntTransaction) Get(group, key string) (string, bool, error) {
	value, err := b.tx.Get(string(join(group, key)))
	if errors.Is(err, buntdb.ErrNotFound) {
		return "", false, nil
	}
	return value, err == nil, err
}

func (b buntTransaction) Set(group, key, value string) error {
	_, _, err := b.tx.Set(string(join(group, key)), value, nil)
	return err
}

func (t *buntTarget) Load(items []bench.Item) error {
	return t.db.Update(func(tx *buntdb.Tx) error {
		for _, item := range items {
			if _, _, err := tx.Set(string(join(item.Group, item.Key)), item.Value, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *buntTarget) Close() error { return t.db.Close() }
