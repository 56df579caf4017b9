package api_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the database/sql driver "sqlite", as the seed used it
)

// This file is the design that go-store re-implements, as its history tells
// it: one database/sql connection, one statement a call, watchers under a
// lock. It is what the benchmarks compare with, so it is as fast as the
// original was and as durable as our default: nothing here is slowed down.
// Its purge every 60 s is left out, which can only help it.

const (
	seedWatcherCapacity = 16
	seedUpsert          = `INSERT INTO entries (group_name, entry_key, entry_value, expires_at) VALUES (?, ?, ?, NULL) ` +
		`ON CONFLICT(group_name, entry_key) DO UPDATE SET entry_value = excluded.entry_value, expires_at = NULL`
	seedSchema = `CREATE TABLE IF NOT EXISTS entries (
		group_name  TEXT NOT NULL,
		entry_key   TEXT NOT NULL,
		entry_value TEXT NOT NULL,
		expires_at  INTEGER,
		PRIMARY KEY (group_name, entry_key)
	)`
)

var (
	errSeedNotFound = errors.New("not found")
	errSeedQuota    = errors.New("quota exceeded")
)

type seedEvent struct {
	kind              string
	group, key, value string
	timestamp         time.Time
}

type seedWatcher struct {
	group, key string
	events     chan seedEvent
}

type seedStore struct {
	database *sql.DB

	watchersLock sync.RWMutex
	watchers     []*seedWatcher

	callbacksLock sync.RWMutex
	callbacks     []func(seedEvent)
}

func newSeedStore(path string) (*seedStore, error) {
	database, err := sql.Open("sqlite", path)
	if err != nil {
		return nil, fmt.Errorf("seed.New: open database: %w", err)
	}
	database.SetMaxOpenConns(1)
	for _, statement := range []string{"PRAGMA journal_mode=WAL", "PRAGMA busy_timeout=5000", seedSchema} {
		if _, err := database.Exec(statement); err != nil {
			return nil, errors.Join(fmt.Errorf("seed.New: %s: %w", statement, err), database.Close())
		}
	}
	return &seedStore{database: database}, nil
}

func (s *seedStore) Close() error { return s.database.Close() }

func (s *seedStore) Set(group, key, value string) error {
	if _, err := s.database.Exec(seedUpsert, group, key, value); err != nil {
		return fmt.Errorf("seed.Set: execute upsert: %w", err)
	}
	s.notify(seedEvent{kind: "set", group: group, key: key, value: value, timestamp: time.Now()})
	return nil
}

func (s *seedStore) Get(group, key string) (string, error) {
	var value string
	var expiresAt sql.NullInt64
	err := s.database.QueryRow(
		`SELECT entry_value, expires_at FROM entries WHERE group_name = ? AND entry_key = ?`, group, key,
	).Scan(&value, &expiresAt)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("seed.Get: %s/%s: %w", group, key, errSeedNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("seed.Get: query row: %w", err)
	}
	if expiresAt.Valid && expiresAt.Int64 <= time.Now().UnixMilli() {
		// Unguarded, as it was: this can erase a Set that came in between.
		if _, err := s.database.Exec(`DELETE FROM entries WHERE group_name = ? AND entry_key = ?`, group, key); err != nil {
			return "", fmt.Errorf("seed.Get: delete expired row: %w", err)
		}
		return "", fmt.Errorf("seed.Get: %s/%s: %w", group, key, errSeedNotFound)
	}
	return value, nil
}

func (s *seedStore) Delete(group, key string) error {
	if _, err := s.database.Exec(`DELETE FROM entries WHERE group_name = ? AND entry_key = ?`, group, key); err != nil {
		return fmt.Errorf("seed.Delete: execute delete: %w", err)
	}
	s.notify(seedEvent{kind: "delete", group: group, key: key, timestamp: time.Now()})
	return nil
}

func (s *seedStore) GetAll(group string) (map[string]string, error) {
	rows, err := s.database.Query(
		`SELECT entry_key, entry_value FROM entries WHERE group_name = ? AND (expires_at IS NULL OR expires_at > ?)`,
		group, time.Now().UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("seed.GetAll: query rows: %w", err)
	}
	defer rows.Close()
	entries := make(map[string]string)
	for rows.Next() {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			return nil, fmt.Errorf("seed.GetAll: scan row: %w", err)
		}
		entries[key] = value
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("seed.GetAll: rows iteration: %w", err)
	}
	return entries, nil
}

func (s *seedStore) Count(group string) (int, error) {
	var count int
	err := s.database.QueryRow(
		`SELECT COUNT(*) FROM entries WHERE group_name = ? AND (expires_at IS NULL OR expires_at > ?)`,
		group, time.Now().UnixMilli()).Scan(&count)
	return count, err
}

func (s *seedStore) CountAll(prefix string) (int, error) {
	var count int
	err := s.database.QueryRow(
		`SELECT COUNT(*) FROM entries WHERE group_name LIKE ? ESCAPE '^' AND (expires_at IS NULL OR expires_at > ?)`,
		seedLikePrefix(prefix), time.Now().UnixMilli()).Scan(&count)
	return count, err
}

func (s *seedStore) Groups(prefix string) ([]string, error) {
	rows, err := s.database.Query(
		`SELECT DISTINCT group_name FROM entries WHERE group_name LIKE ? ESCAPE '^' AND (expires_at IS NULL OR expires_at > ?)`,
		seedLikePrefix(prefix), time.Now().UnixMilli())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var groups []string
	for rows.Next() {
		var group string
		if err := rows.Scan(&group); err != nil {
			return nil, err
		}
		groups = append(groups, group)
	}
	return groups, rows.Err()
}

func seedLikePrefix(prefix string) string {
	return strings.NewReplacer("^", "^^", "%", "^%", "_", "^_").Replace(prefix) + "%"
}

// load writes many rows in one transaction. The seed could not: it prepares
// the ground for a benchmark and is never measured.
func (s *seedStore) load(group string, keys []string, value func(i int) string) error {
	transaction, err := s.database.Begin()
	if err != nil {
		return err
	}
	defer transaction.Rollback() //nolint:errcheck // after Commit it has nothing to do
	upsert, err := transaction.Prepare(seedUpsert)
	if err != nil {
		return err
	}
	defer upsert.Close()
	for i, key := range keys {
		if _, err := upsert.Exec(group, key, value(i)); err != nil {
			return err
		}
	}
	return transaction.Commit()
}

func (s *seedStore) Watch(group, key string) *seedWatcher {
	watcher := &seedWatcher{group: group, key: key, events: make(chan seedEvent, seedWatcherCapacity)}
	s.watchersLock.Lock()
	defer s.watchersLock.Unlock()
	s.watchers = append(s.watchers, watcher)
	return watcher
}

func (s *seedStore) OnChange(callback func(seedEvent)) {
	s.callbacksLock.Lock()
	defer s.callbacksLock.Unlock()
	s.callbacks = append(s.callbacks, callback)
}

// notify is that of the seed's phase 5: watchers under their lock, callbacks
// from a copy after both locks are released.
func (s *seedStore) notify(event seedEvent) {
	s.watchersLock.RLock()
	for _, watcher := range s.watchers {
		if !watcher.matches(event) {
			continue
		}
		select {
		case watcher.events <- event:
		default: // dropped without a trace, as it was
		}
	}
	s.watchersLock.RUnlock()

	s.callbacksLock.RLock()
	callbacks := append([]func(seedEvent){}, s.callbacks...)
	s.callbacksLock.RUnlock()
	for _, callback := range callbacks {
		callback(event)
	}
}

func (w *seedWatcher) matches(event seedEvent) bool {
	return (w.group == "*" || w.group == event.group) && (w.key == "*" || w.key == event.key)
}

// seedScoped is the seed's ScopedStore with a quota.
type seedScoped struct {
	store              *seedStore
	namespace          string
	maxKeys, maxGroups int
}

func (s *seedScoped) Set(group, key, value string) error {
	if err := s.checkQuota(group, key); err != nil {
		return err
	}
	return s.store.Set(s.namespace+":"+group, key, value)
}

func (s *seedScoped) Delete(group, key string) error {
	return s.store.Delete(s.namespace+":"+group, key)
}

// checkQuota reads, and only then writes: two steps, as it was.
func (s *seedScoped) checkQuota(group, key string) error {
	full := s.namespace + ":" + group
	_, err := s.store.Get(full, key)
	if err == nil || !errors.Is(err, errSeedNotFound) {
		return err
	}
	if s.maxKeys > 0 {
		count, err := s.store.CountAll(s.namespace + ":")
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
	live, err := s.store.Count(full)
	if err != nil || live > 0 {
		return err
	}
	groups, err := s.store.Groups(s.namespace + ":")
	if err != nil {
		return err
	}
	if len(groups) >= s.maxGroups {
		return errSeedQuota
	}
	return nil
}

// A comparison with a design that doesn't work, or that skips its fsync,
// would be worth nothing.
func TestSeedDesign(t *testing.T) {
	store, err := newSeedStore(filepath.Join(t.TempDir(), "seed.db"))
	require.NoError(t, err)
	defer store.Close()

	var mode string
	var synchronous, timeout int
	require.NoError(t, store.database.QueryRow(`PRAGMA journal_mode`).Scan(&mode))
	require.NoError(t, store.database.QueryRow(`PRAGMA synchronous`).Scan(&synchronous))
	require.NoError(t, store.database.QueryRow(`PRAGMA busy_timeout`).Scan(&timeout))
	require.Equal(t, "wal", mode)
	require.Equal(t, 2, synchronous, "FULL: an fsync each commit, like our default")
	require.Equal(t, 5000, timeout)

	watcher := store.Watch("*", "k")
	var called atomic.Int32
	store.OnChange(func(seedEvent) { called.Add(1) })
	require.NoError(t, store.Set("g", "k", "1"))
	require.NoError(t, store.Set("g", "k", "2"))
	require.NoError(t, store.load("g", []string{"l", "m"}, func(i int) string { return fmt.Sprint(i) }))
	require.Equal(t, "1", (<-watcher.events).value)
	require.Equal(t, "2", (<-watcher.events).value)
	require.EqualValues(t, 2, called.Load())

	value, err := store.Get("g", "k")
	require.NoError(t, err)
	require.Equal(t, "2", value)
	all, err := store.GetAll("g")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"k": "2", "l": "0", "m": "1"}, all)

	scope := &seedScoped{store: store, namespace: "n_", maxKeys: 2, maxGroups: 1}
	require.NoError(t, store.Set("nx:g", "k", ""), "an underscore in a prefix is no wildcard")
	require.NoError(t, scope.Set("g", "a", "1"))
	require.ErrorIs(t, scope.Set("h", "b", "1"), errSeedQuota, "a second group")
	require.NoError(t, scope.Set("g", "b", "1"))
	require.ErrorIs(t, scope.Set("g", "c", "1"), errSeedQuota, "a third key")
	require.NoError(t, scope.Set("g", "a", "2"), "an upsert does not count")
	require.NoError(t, scope.Delete("g", "b"))
	require.NoError(t, scope.Set("g", "c", "1"))

	_, err = store.database.Exec(`UPDATE entries SET expires_at = 1 WHERE entry_key = 'k'`)
	require.NoError(t, err)
	_, err = store.Get("g", "k")
	require.ErrorIs(t, err, errSeedNotFound)
	count, err := store.CountAll("")
	require.NoError(t, err)
	require.Equal(t, 4, count)
}
