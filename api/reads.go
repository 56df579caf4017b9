package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"forge.lthn.ai/core/go-store/engine"
	"forge.lthn.ai/core/go-store/kv"
)

// Get is the value of a key. It fails with NotFoundError when there is none,
// or it has expired.
func (s *Store) Get(group, key string) (string, error) { return s.get("Get", group, key) }

func (s *Store) get(function, group, key string) (string, error) {
	row, err := s.row(function, group, key)
	return row.Value, err
}

func (s *Store) row(function, group, key string) (kv.Row, error) {
	row, err := s.inner().Get(s.context(), group, key)
	if err != nil {
		return kv.Row{}, keyError(function, group, key, err)
	}
	return row, nil
}

func keyError(function, group, key string, err error) error {
	return fmt.Errorf("store.%s: %s/%s: %w", function, group, key, err)
}

// Exists reports whether there is such a key.
func (s *Store) Exists(group, key string) (bool, error) {
	_, err := s.inner().Get(s.context(), group, key)
	if errors.Is(err, NotFoundError) {
		return false, nil
	}
	return err == nil, wrap("Exists", err)
}

// GroupExists reports whether the group has a key.
func (s *Store) GroupExists(group string) (bool, error) {
	exists, err := s.inner().GroupExists(s.context(), group)
	return exists, wrap("GroupExists", err)
}

// GetAll is every key of a group with its value, from one snapshot; an empty
// map for a group without keys. All of it is in memory at once: see All and
// GetPage for large groups. Strings of short rows lie together, a KiB at a time: to keep a
// few of a large map for long, copy them (strings.Clone).
func (s *Store) GetAll(group string) (map[string]string, error) {
	all, err := s.inner().GetAll(s.context(), group)
	return all, wrap("All", err)
}

// GetPage is at most limit keys of a group with their values, after the first
// offset, in the byte order of the keys. A limit of 0 is an empty page. It
// fails with InvalidPageError when one of them is negative. The keys before the
// offset are counted in the file's index, and of those that are not in the table
// yet (WithOverlay) each is looked at. All are walked over in memory, where some of
// the group (or many of any) have expired and are not removed yet, and in a group
// that was deleted and written to again a moment ago: to go through all of a large
// group use Scan and its cursors.
func (s *Store) GetPage(group string, offset, limit int) ([]KeyValue, error) {
	if err := s.missing(); err != nil {
		return nil, wrap("GetPage", err)
	}
	if err := checkPage(offset, limit); err != nil {
		return nil, wrap("GetPage", err)
	}
	return pageOf(s.inner().Page(s.context(), group, offset, limit))
}

// pageOf makes nothing an empty page, which JSON shows as [] and not as null.
func pageOf(page []KeyValue, err error) ([]KeyValue, error) {
	if err != nil {
		return nil, wrap("GetPage", err)
	}
	if page == nil {
		page = []KeyValue{}
	}
	return page, nil
}

func checkPage(offset, limit int) error {
	if offset < 0 || limit < 0 {
		return fmt.Errorf("offset %d, limit %d: each must be zero or positive: %w", offset, limit, InvalidPageError)
	}
	return nil
}

// All yields every key of a group with its value, in the byte order of the
// keys, from one snapshot: what the loop's body writes is not seen by it. An
// error is yielded once, last. The body may call anything, Close included.
func (s *Store) All(group string) iter.Seq2[KeyValue, error] {
	return pairs(s.context(), s.inner(), engine.GroupQuery(group))
}

func pairs(ctx context.Context, from scanner, query engine.Query) iter.Seq2[KeyValue, error] {
	return func(yield func(KeyValue, error) bool) {
		for entry, err := range from.Scan(ctx, query) {
			if err != nil {
				yield(KeyValue{}, wrap("All", err))
				return
			}
			if !yield(KeyValue{Key: entry.Key, Value: entry.Value}, nil) {
				return
			}
		}
	}
}

// Count is the number of keys in a group.
func (s *Store) Count(group string) (int, error) {
	count, err := s.inner().Count(s.context(), kv.GroupRange(group))
	return count, wrap("Count", err)
}

// CountAll is the number of keys in all groups whose names begin with
// groupPrefix, byte for byte.
func (s *Store) CountAll(groupPrefix string) (int, error) {
	count, err := s.inner().Count(s.context(), kv.PrefixRange(groupPrefix))
	return count, wrap("CountAll", err)
}

// Groups is the names of the groups that begin with groupPrefix, byte for
// byte, and have a key, in byte order.
func (s *Store) Groups(groupPrefix string) ([]string, error) {
	return collect("Groups", s.inner().Groups(s.context(), kv.PrefixRange(groupPrefix)))
}

func collect(function string, names iter.Seq2[string, error]) ([]string, error) {
	all := []string{}
	for name, err := range names {
		if err != nil {
			return nil, wrap(function, err)
		}
		all = append(all, name)
	}
	return all, nil
}

// GroupsSeq yields what Groups returns, from one snapshot. An error is yielded
// once, last.
func (s *Store) GroupsSeq(groupPrefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range s.inner().Groups(s.context(), kv.PrefixRange(groupPrefix)) {
			if !yield(name, wrap("GroupsSeq", err)) || err != nil {
				return
			}
		}
	}
}

// GetSplit yields the parts of a key's value between separators, as
// strings.SplitSeq does.
func (s *Store) GetSplit(group, key, separator string) (iter.Seq[string], error) {
	value, err := s.get("GetSplit", group, key)
	if err != nil {
		return nil, err
	}
	return strings.SplitSeq(value, separator), nil
}

// GetFields yields the parts of a key's value between white space, as
// strings.FieldsSeq does.
func (s *Store) GetFields(group, key string) (iter.Seq[string], error) {
	value, err := s.get("GetFields", group, key)
	if err != nil {
		return nil, err
	}
	return strings.FieldsSeq(value), nil
}
