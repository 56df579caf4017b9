package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"

	"forge.lthn.ai/core/go-store/engine"
	"forge.lthn.ai/core/go-store/kv"
)

// Snapshot is a store, or a namespace of one, as it was at one moment, over any
// number of calls: what is written later is not seen, and keys that expire
// later are. Its methods are those of Store of the same names. It may be used by
// any number of goroutines, at the same time. (Where SQLite reads a file, which it does if
// its table is not as a store makes it, or a read-only store's file has no live owner, they
// take turns.)
//
// Close it: an open snapshot keeps what was overwritten since, and where SQLite reads a
// connection. A forgotten snapshot ends by itself, in a file also a snapshot that has made
// the write-ahead log too long (both WithSnapshotAge); its methods then fail with
// SnapshotExpiredError, and after Close with SnapshotClosedError.
type Snapshot struct {
	inner  *engine.Snapshot
	engine *engine.Engine
	ctx    context.Context
	prefix string
}

// Snapshot is the store as it is now. It fails with TooManySnapshotsError while
// 256 are open. It waits, a second at most, while the write-ahead log of a file is
// at its bound because of older ones; until then the context can end it.
func (s *Store) Snapshot() (*Snapshot, error) { return s.snapshot("") }

// Snapshot is Store.Snapshot within the namespace.
func (s *ScopedStore) Snapshot() (*Snapshot, error) { return s.parent().snapshot(s.within()) }

func (s *Store) snapshot(prefix string) (*Snapshot, error) {
	inner, err := s.inner().Snapshot(s.context())
	if err != nil {
		return nil, wrap("Snapshot", err)
	}
	return &Snapshot{inner: inner, engine: s.inner(), ctx: s.context(), prefix: prefix}, nil
}

// Close ends the snapshot. It never fails; closing again does nothing.
func (s *Snapshot) Close() error {
	s.inner.Close()
	return nil
}

// Revision is that of the last request that the snapshot shows.
func (s *Snapshot) Revision() uint64 { return s.inner.Revision() }

// Get is Store.Get.
func (s *Snapshot) Get(group, key string) (string, error) {
	row, err := s.row("Get", group, key)
	return row.Value, err
}

// Entry is Store.Entry.
func (s *Snapshot) Entry(group, key string) (Entry, error) {
	row, err := s.row("Entry", group, key)
	if err != nil {
		return Entry{}, err
	}
	return entryOf(row), nil
}

func (s *Snapshot) row(function, group, key string) (kv.Row, error) {
	row, err := s.inner.Get(s.ctx, s.prefix+group, key)
	if err != nil {
		return kv.Row{}, fmt.Errorf("store.%s: %s/%s: %w", function, s.prefix+group, key, err)
	}
	return row, nil
}

// Exists is Store.Exists.
func (s *Snapshot) Exists(group, key string) (bool, error) {
	_, err := s.inner.Get(s.ctx, s.prefix+group, key)
	if errors.Is(err, NotFoundError) {
		return false, nil
	}
	return err == nil, wrap("Exists", err)
}

// GetMany is Store.GetMany.
func (s *Snapshot) GetMany(group string, keys ...string) (map[string]string, error) {
	rows, err := s.inner.GetMany(s.ctx, s.prefix+group, keys)
	return many(rows, err)
}

// GroupExists is Store.GroupExists.
func (s *Snapshot) GroupExists(group string) (bool, error) {
	exists, err := s.inner.GroupExists(s.ctx, s.prefix+group)
	return exists, wrap("GroupExists", err)
}

// All is Store.All.
func (s *Snapshot) All(group string) iter.Seq2[KeyValue, error] {
	return pairs(s.ctx, s.inner, engine.GroupQuery(s.prefix+group))
}

// GetAll is Store.GetAll.
func (s *Snapshot) GetAll(group string) (map[string]string, error) {
	all, err := s.inner.GetAll(s.ctx, s.prefix+group)
	return all, wrap("All", err)
}

// GetPage is Store.GetPage.
func (s *Snapshot) GetPage(group string, offset, limit int) ([]KeyValue, error) {
	if err := checkPage(offset, limit); err != nil {
		return nil, wrap("GetPage", err)
	}
	return pageOf(s.inner.Page(s.ctx, s.prefix+group, offset, limit))
}

// Scan is Store.Scan.
func (s *Snapshot) Scan(options ScanOptions) iter.Seq2[ScanEntry, error] {
	return scan(s.ctx, s.engine, s.inner, s.prefix, options)
}

// Count is Store.Count.
func (s *Snapshot) Count(group string) (int, error) {
	count, err := s.inner.Count(s.ctx, kv.GroupRange(s.prefix+group))
	return count, wrap("Count", err)
}

// CountAll is Store.CountAll.
func (s *Snapshot) CountAll(groupPrefix string) (int, error) {
	count, err := s.inner.Count(s.ctx, kv.PrefixRange(s.prefix+groupPrefix))
	return count, wrap("CountAll", err)
}

// Groups is Store.Groups.
func (s *Snapshot) Groups(groupPrefix string) ([]string, error) {
	names, err := collect("Groups", s.inner.Groups(s.ctx, kv.PrefixRange(s.prefix+groupPrefix)))
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, s.prefix)
	}
	return names, err
}

// GroupsSeq is Store.GroupsSeq.
func (s *Snapshot) GroupsSeq(groupPrefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range s.inner.Groups(s.ctx, kv.PrefixRange(s.prefix+groupPrefix)) {
			if !yield(strings.TrimPrefix(name, s.prefix), wrap("GroupsSeq", err)) || err != nil {
				return
			}
		}
	}
}

// GetMany is those of the keys of a group that are there, with their values, all
// as they are at one moment. Keys that are not there, or have expired, are
// missing from the map.
func (s *Store) GetMany(group string, keys ...string) (map[string]string, error) {
	rows, err := s.inner().GetMany(s.context(), group, keys)
	return many(rows, err)
}

// GetMany is Store.GetMany within the namespace.
func (s *ScopedStore) GetMany(group string, keys ...string) (map[string]string, error) {
	return s.parent().GetMany(s.within()+group, keys...)
}

func many(rows []kv.Row, err error) (map[string]string, error) {
	if err != nil {
		return nil, wrap("GetMany", err)
	}
	return maps.Collect(func(yield func(string, string) bool) {
		for _, row := range rows {
			if !yield(row.Key, row.Value) {
				return
			}
		}
	}), nil
}

// AppendValue appends the bytes of a key's value to a buffer and returns it, as
// append does: with a buffer that is large enough nothing is allocated for a key that
// was read lately. It fails as Get does, and returns the buffer as it was.
func (s *Store) AppendValue(buffer []byte, group, key string) ([]byte, error) {
	row, err := s.inner().Get(s.context(), group, key)
	if err != nil {
		return buffer, fmt.Errorf("store.AppendValue: %s/%s: %w", group, key, err)
	}
	return append(buffer, row.Value...), nil
}

// AppendValue is Store.AppendValue within the namespace.
func (s *ScopedStore) AppendValue(buffer []byte, group, key string) ([]byte, error) {
	return s.parent().AppendValue(buffer, s.within()+group, key)
}
