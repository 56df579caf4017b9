package api

import (
	"context"
	"fmt"
	"time"

	"forge.lthn.ai/core/go-store/engine"
	"forge.lthn.ai/core/go-store/kv"
)

// KeyValue is one key of a group with its value, both in fields of that name.
type KeyValue = kv.KeyValue

// Item is one key to write.
type Item struct{ Group, Key, Value string }

// Usage is what lives in a namespace: Keys and Groups, both int64.
type Usage = kv.Usage

// Stats is what a store holds: Keys and Groups that live; keys that have Expired
// and not been removed yet; the last Revision; the OldestRevision in the log,
// which is Revision + 1 if it is empty, and when that was committed (LogBegins,
// then the zero time); the LogBytes of its records.
type Stats = kv.Stats

// Store is an open store. It is safe for use by any number of goroutines. Methods
// of a nil Store fail with NilStoreError, or do nothing where they return no
// error.
type Store struct {
	engine *engine.Engine
	ctx    context.Context
}

// New opens the store in the file databasePath, which it creates if there is
// none, or an ephemeral one in memory for ":memory:". It blocks while a store
// of an older layout is migrated or the log of a crashed one recovered.
//
// It fails with a *LockedError while another store owns the file, whatever its name
// (see WithLockTimeout), and with NotADatabaseError, NewerSchemaError, EncodingError,
// TruncatedFileError, ForeignFileError, ForeignSchemaError, MissingWALError,
// StaleWALError or a *CorruptLogError for files that it can't use, which are left as
// they are. The path is a plain one: what is written like a URI is an
// InvalidOptionError, as is the name of a file that stores keep beside a database.
func New(databasePath string, options ...Option) (*Store, error) {
	config, err := configure(databasePath, options)
	if err != nil {
		return nil, wrap("New", err)
	}
	e, err := engine.Open(config)
	if err != nil {
		return nil, wrap("New", err)
	}
	return storeOf(e), nil
}

func storeOf(e *engine.Engine) *Store { return &Store{engine: e, ctx: context.Background()} }

// configure applies the options.
func configure(databasePath string, options []Option) (engine.Config, error) {
	config := engine.Config{Path: databasePath}
	for _, option := range options {
		if option == nil {
			return config, fmt.Errorf("option is nil: %w", InvalidOptionError)
		}
		if err := option(&config); err != nil {
			return config, err
		}
	}
	return config, nil
}

// inner is the engine; nil for a store that is nil or was not made by New. It
// answers every call with NilStoreError then.
func (s *Store) inner() *engine.Engine {
	if s == nil {
		return nil
	}
	return s.engine
}

func (s *Store) context() context.Context {
	if s == nil || s.ctx == nil {
		return context.Background()
	}
	return s.ctx
}

// missing is NilStoreError, if there is no store.
func (s *Store) missing() error {
	if s.inner() == nil {
		return NilStoreError
	}
	return nil
}

// Close answers the calls in flight, closes every watcher and leaves one plain
// SQLite file, with a small lock file beside it. It waits for no callback and may be
// called from one. Closing again does nothing and returns nil; every other method of
// a closed store fails with ClosedError.
//
// What the table of entries lacks is written to it first, at most what WithOverlay
// allows: of 32 MiB of small rows that takes some tenths of a second on a fast disk.
//
// While another process reads the file it stays in WAL mode, but is complete: Close
// waits up to two seconds for that process to let everything be moved into it, and
// otherwise fails with IncompleteFileError. If the file was taken away it fails with
// FileLostError, and touches nothing that lies at its name. Both lose nothing that
// the files still hold. Closing a store that is nil fails with NilStoreError.
func (s *Store) Close() error { return wrap("Close", s.inner().Close()) }

// WithContext is the same store; calls through it obey ctx: they fail when it
// ends while they wait. A commit in progress is never interrupted, so a write
// whose context ends after it was admitted fails with UnknownOutcomeError.
func (s *Store) WithContext(ctx context.Context) *Store {
	return &Store{engine: s.inner(), ctx: ctx}
}

// Set writes a key, which then never expires. It blocks until the write is
// durable.
func (s *Store) Set(group, key, value string) error {
	return s.apply("Set", kv.Mutation{Kind: kv.Set, Group: group, Key: key, Value: value})
}

// SetWithTTL writes a key that expires timeToLive after it was committed, to
// the millisecond. With a time to live of zero or less it has expired already:
// no read returns it, and its EventSet is followed by an EventExpire. With
// NotifyOnExpiry an address is told when the key expires.
func (s *Store) SetWithTTL(group, key, value string, timeToLive time.Duration, options ...TTLOption) error {
	notifies, notify := notice("", options)
	return s.apply("SetWithTTL", kv.Mutation{Kind: kv.Set, Group: group, Key: key, Value: value,
		HasTTL: true, TimeToLive: timeToLive, Notifies: notifies, Notify: notify})
}

// SetAll writes all items in one commit, or none. None of them expires. Later
// items for the same key win. The items together are bounded by
// SizeLimits.Commit.
func (s *Store) SetAll(items []Item) error {
	return s.apply("SetAll", setAll(items, ""))
}

func setAll(items []Item, prefix string) kv.Mutation {
	operations := make([]kv.Operation, len(items))
	for i, item := range items {
		operations[i] = kv.Operation{Kind: kv.Set, Group: prefix + item.Group, Key: item.Key, Value: item.Value}
	}
	return kv.Mutation{Kind: kv.Batch, Operations: operations}
}

// Delete removes a key. Removing one that is not there changes nothing and is
// no error.
func (s *Store) Delete(group, key string) error {
	return s.apply("Delete", kv.Mutation{Kind: kv.Delete, Group: group, Key: key})
}

// DeleteGroup removes a group with all its keys, in one commit.
func (s *Store) DeleteGroup(group string) error {
	return s.apply("DeleteGroup", kv.Mutation{Kind: kv.DeleteGroup, Group: group})
}

// DeletePrefix removes every group whose name begins with groupPrefix, byte
// for byte, in one commit, with an EventDeleteGroup for each. The empty prefix
// removes everything.
func (s *Store) DeletePrefix(groupPrefix string) error {
	return s.apply("DeletePrefix", kv.Mutation{Kind: kv.DeletePrefix, Range: kv.PrefixRange(groupPrefix)})
}

// PurgeExpired removes every key that has expired, in bounded chunks that
// writes may come between, and returns how many it removed. Expired keys are
// removed in the background too.
func (s *Store) PurgeExpired() (int64, error) {
	removed, err := s.inner().PurgeExpired(s.context(), kv.PrefixRange(""))
	return removed, wrap("PurgeExpired", err)
}

// Usage is how many keys and groups live in a namespace, through whatever
// handle they were written. The first call counts the namespace and blocks for
// it; later ones cost the same whatever its size. While expired keys are being
// removed at that moment, they may still be counted or be missing twice; a
// failure inside the store may make it fail, and asking again is safe.
func (s *Store) Usage(namespace string) (Usage, error) {
	if err := s.missing(); err != nil {
		return Usage{}, wrap("Usage", err)
	}
	if err := kv.ValidateNamespace(namespace); err != nil {
		return Usage{}, wrap("Usage", err)
	}
	usage, err := s.inner().Usage(s.context(), namespace)
	return usage, wrap("Usage", err)
}

// Stats is what the whole store holds. It counts every key, by the index alone:
// a million take some tens of milliseconds. Writes that are made meanwhile may
// be seen by a part of it.
func (s *Store) Stats() (Stats, error) {
	stats, err := s.inner().Stats(s.context())
	return stats, wrap("Stats", err)
}

func (s *Store) apply(function string, m kv.Mutation) error {
	_, err := s.inner().Apply(s.context(), m)
	return wrap(function, err)
}
