package main

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the database/sql driver "sqlite", as the seed used it

	"forge.lthn.ai/core/go-store/bench"
)

// This file is the design that go-store re-implements, with its schema and its
// statements: one database/sql connection, a statement prepared a call,
// watchers under a lock, a quota that is counted and then written. Nothing in
// it is slowed down; its purge every 60 s is left out, which can only help it.

const (
	seedSchema = `CREATE TABLE IF NOT EXISTS entries (
		group_name  TEXT NOT NULL,
		entry_key   TEXT NOT NULL,
		entry_value TEXT NOT NULL,
		expires_at  INTEGER,
		PRIMARY KEY (group_name, entry_key)
	)`
	seedUpsert = `INSERT INTO entries (group_name, entry_key, entry_value, expires_at) VALUES (?, ?, ?, NULL) ` +
		`ON CONFLICT(group_name, entry_key) DO UPDATE SET entry_value = excluded.entry_value, expires_at = NULL`
	seedSelect      = `SELECT entry_value, expires_at FROM entries WHERE group_name = ? AND entry_key = ?`
	seedDelete      = `DELETE FROM entries WHERE group_name = ? AND entry_key = ?`
	seedDeleteGroup = `DELETE FROM entries WHERE group_name = ?`
	seedSelectAll   = `SELECT entry_key, entry_value FROM entries WHERE group_name = ? AND (expires_at IS NULL OR expires_at > ?)`
	seedSelectPage  = seedSelectAll + ` ORDER BY entry_key LIMIT ? OFFSET ?`
	seedCount       = `SELECT COUNT(*) FROM entries WHERE group_name = ? AND (expires_at IS NULL OR expires_at > ?)`
	seedCountAll    = `SELECT COUNT(*) FROM entries WHERE group_name LIKE ? ESCAPE '^' AND (expires_at IS NULL OR expires_at > ?)`
	seedGroups      = `SELECT COUNT(DISTINCT group_name) FROM entries WHERE group_name LIKE ? ESCAPE '^' AND (expires_at IS NULL OR expires_at > ?)`
)

// seedBuffer is how many events a watcher's channel held.
const seedBuffer = 16

var errSeedQuota = errors.New("seed: quota exceeded")

func seedContender() bench.Contender {
	return bench.Contender{
		Name: "seed", Durability: powerCut,
		Note: "the design that go-store re-implements: database/sql, one connection, its schema and statements",
		Open: func(folder string, _ bench.Settings) (bench.Target, error) {
			return openSeed(filepath.Join(folder, "seed.db"))
		},
		Excuses: excuses(map[bench.Need]string{
			bench.NeedExpiry: "removes expired keys every 60 s, and tells nobody",
			bench.NeedScan:   "reads a whole group or a page of it, never from a key on",
		}),
	}
}

type seedTarget struct {
	database *sql.DB
	mu       struct {
		sync.RWMutex
		watchers []*seedWatcher
	}
}

type seedWatcher struct {
	group, key string
	events     chan string
}

func openSeed(path string) (*seedTarget, error) {
	database, err := sql.Open("sqlite", path)
	if err != nil {
		return nil, err
	}
	database.SetMaxOpenConns(1)
	for _, statement := range []string{"PRAGMA journal_mode=WAL", "PRAGMA busy_timeout=5000", seedSchema} {
		if _, err := database.Exec(statement); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", statement, err), database.Close())
		}
	}
	return &seedTarget{database: database}, nil
}

func (t *seedTarget) Set(group, key, value string) error {
	if _, err := t.database.Exec(seedUpsert, group, key, value); err != nil {
		return err
	}
	t.notify(group, key, value)
	return nil
}

func (t *seedTarget) notify(group, key, value string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, w := range t.mu.watchers {
		if w.group != group || w.key != key {
			continue
		}
		select {
		case w.events <- value:
		default: // dropped without a trace, as it was
		}
	}
}

func (t *seedTarget) Get(group, key string) (string, bool, error) {
	var value string
	var expiresAt sql.NullInt64
	err := t.database.QueryRow(seedSelect, group, key).Scan(&value, &expiresAt)
	if errors.Is(err, sql.ErrNoRows) || expiresAt.Valid && expiresAt.Int64 <= time.Now().UnixMilli() {
		return "", false, nil
	}
	return value, err == nil, err
}

func (t *seedTarget) Delete(group, key string) error {
	if _, err := t.database.Exec(seedDelete, group, key); err != nil {
		return err
	}
	t.notify(group, key, "")
	return nil
}

func (t *seedTarget) DeleteGroup(group string) error {
	_, err := t.database.Exec(seedDeleteGroup, group)
	return err
}

func (t *seedTarget) GetAll(group string) (map[string]string, error) {
	all := make(map[string]string)
	err := t.query(func(key, value string) { all[key] = value }, seedSelectAll, group, time.Now().UnixMilli())
	return all, err
}

func (t *seedTarget) Page(group string, offset, limit int) (int, error) {
	page := make([]bench.Item, 0, limit)
	err := t.query(func(key, value string) { page = append(page, bench.Item{Key: key, Value: value}) },
		seedSelectPage, group, time.Now().UnixMilli(), limit, offset)
	return len(page), err
}

func (t *seedTarget) query(each func(key, value string), statement string, arguments ...any) error {
	rows, err := t.database.Query(statement, arguments...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		each(key, value)
	}
	return rows.Err()
}

func (t *seedTarget) Watch(group, key string, receive func(value string)) (func() (uint64, error), error) {
	w := &seedWatcher{group, key, make(chan string, seedBuffer)}
	t.mu.Lock()
	t.mu.watchers = append(t.mu.watchers, w)
	t.mu.Unlock()
	var ended sync.WaitGroup
	ended.Go(func() {
		for value := range w.events {
			receive(value)
		}
	})
	return func() (uint64, error) {
		ended.Wait() // Close closes the channels
		return 0, bench.DropsUncountedError
	}, nil
}

// Load writes all items in one transaction, which the seed could not.
func (t *seedTarget) Load(items []bench.Item) error {
	transaction, err := t.database.Begin()
	if err != nil {
		return err
	}
	defer transaction.Rollback() //nolint:errcheck // after Commit it has nothing to do
	upsert, err := transaction.Prepare(seedUpsert)
	if err != nil {
		return err
	}
	defer upsert.Close()
	for _, item := range items {
		if _, err := upsert.Exec(item.Group, item.Key, item.Value); err != nil {
			return err
		}
	}
	return transaction.Commit()
}

func (t *seedTarget) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.mu.watchers {
		close(w.events)
	}
	t.mu.watchers = nil
	return t.database.Close()
}

func (t *seedTarget) Scope(namespace string, maxKeys, maxGroups int) (bench.Scope, error) {
	return &seedScope{t, namespace + ":", maxKeys, maxGroups}, nil
}

// seedScope is the seed's ScopedStore with a quota.
type seedScope struct {
	target             *seedTarget
	prefix             string
	maxKeys, maxGroups int
}

func (s *seedScope) Get(group, key string) (string, bool, error) {
	return s.target.Get(s.prefix+group, key)
}
func (s *seedScope) Delete(group, key string) error { return s.target.Delete(s.prefix+group, key) }

func (s *seedScope) Set(group, key, value string) error {
	if err := s.checkQuota(group, key); err != nil {
		return err
	}
	return s.target.Set(s.prefix+group, key, value)
}

// checkQuota reads, and only then Set writes: two steps, as it was.
func (s *seedScope) checkQuota(group, key string) error {
	if s.maxKeys == 0 && s.maxGroups == 0 {
		return nil
	}
	if _, found, err := s.Get(group, key); err != nil || found {
		return err
	}
	if s.maxKeys > 0 {
		count, err := s.count(seedCountAll, s.prefix+"%")
		if err != nil {
			return err
		}
		if count >= s.maxKeys {
			return errSeedQuota
		}
	}
	if s.maxGroups == 0 {
		return nil
	}
	live, err := s.count(seedCount, s.prefix+group)
	if err != nil || live > 0 {
		return err
	}
	groups, err := s.count(seedGroups, s.prefix+"%")
	if err == nil && groups >= s.maxGroups {
		err = errSeedQuota
	}
	return err
}

func (s *seedScope) count(statement, name string) (count int, err error) {
	err = s.target.database.QueryRow(statement, name, time.Now().UnixMilli()).Scan(&count)
	return count, err
}
