package api

import (
	"context"
	"iter"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/engine"
	"forge.lthn.ai/core/go-store/kv"
)

// ScanOptions says which keys a Scan yields, and in which order: that of their
// groups and, within a group, that of the keys, both by bytes. The zero value
// means every key of every group.
type ScanOptions struct {
	Groups   Match  // one group with Exactly, those with a prefix with Prefix
	From, To string // keys from From on and before To; an empty To is no end
	Reverse  bool   // last first
	KeysOnly bool   // without values: Value is empty
	Limit    int    // at most so many keys; 0: all
	Cursor   string // only what comes behind the key whose Cursor this is
}

// ScanEntry is one key that a Scan yields.
type ScanEntry struct {
	Group, Key, Value string
	Revision          uint64    // of the request that last changed it
	ExpiresAt         time.Time // to the millisecond; zero: never

	engine *engine.Engine
	group  string // in full
}

// Cursor marks the place behind this key, for ScanOptions.Cursor: a later scan
// goes on there, in this process or another, whether the key is still there or
// not, and sees what there is then. It is text without spaces, bound to this
// store; a ":memory:" store's ends with it. It costs some microseconds to make.
func (e ScanEntry) Cursor() string {
	if e.engine == nil {
		return ""
	}
	return e.engine.Cursor(e.group, e.Key)
}

// Scan yields keys of one group or of many, from one snapshot: what the loop's
// body writes is not seen by it. An error is yielded once, last:
// InvalidScanError for a negative limit or a range upside down,
// InvalidCursorError for a cursor that is not of such a scan of this store. The
// body may call anything. Scans that are long take turns, fewer than there are
// processors at a time.
func (s *Store) Scan(options ScanOptions) iter.Seq2[ScanEntry, error] {
	return scan(s.context(), s.inner(), s.inner(), "", options)
}

// Scan is Store.Scan within the namespace; groups come without it.
func (s *ScopedStore) Scan(options ScanOptions) iter.Seq2[ScanEntry, error] {
	return scan(s.parent().context(), s.parent().inner(), s.parent().inner(), s.within(), options)
}

// scanner is a store or a snapshot of one.
type scanner interface {
	Scan(ctx context.Context, q engine.Query) iter.Seq2[kv.Row, error]
}

func scan(ctx context.Context, e *engine.Engine, from scanner, prefix string, options ScanOptions) iter.Seq2[ScanEntry, error] {
	return func(yield func(ScanEntry, error) bool) {
		if e == nil {
			yield(ScanEntry{}, wrap("Scan", NilStoreError))
			return
		}
		query, err := options.query(e, prefix)
		if err != nil {
			yield(ScanEntry{}, wrap("Scan", err))
			return
		}
		for row, err := range from.Scan(ctx, query) {
			if err != nil {
				yield(ScanEntry{}, wrap("Scan", err))
				return
			}
			entry := ScanEntry{Group: strings.TrimPrefix(row.Group, prefix), Key: row.Key, Value: row.Value,
				Revision: row.Revision, ExpiresAt: kv.DeadlineTime(row.Deadline), engine: e, group: row.Group}
			if !yield(entry, nil) {
				return
			}
		}
	}
}

func (o ScanOptions) query(e *engine.Engine, prefix string) (q engine.Query, err error) {
	q, err = e.Query(prefix, o.Groups, o.From, o.To, o.Limit, o.Cursor)
	q.Reverse, q.KeysOnly, q.Limit = o.Reverse, o.KeysOnly, o.Limit
	return q, err
}
