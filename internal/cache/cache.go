// Package cache keeps rows that were read lately in memory, so that a hot Get
// costs what a map costs, and keeps them equal to what is committed.
//
// It owns the cached rows and the marks that guard them. It never decides what
// is committed, never judges expiry (callers do, with the row's deadline), and
// nobody ever waits in it for the disk or for a commit.
//
// # What holds at every moment
//
//   - A row in the cache whose epoch is its group's is what the database holds,
//     or held until a COMMIT that has not made its changes visible yet.
//   - Between the mark that a change of a key sets before COMMIT and the end of
//     that COMMIT's settling there is no row of the key in the cache, and none
//     comes into it.
//   - What a read brings from the database comes into the cache only if no change
//     of its key was committed since before that read's transaction began.
//
// So a Get that is served from here sees what one from the database would see at
// that moment. docs/CONCURRENCY.md has the whole argument.
package cache

import (
	"context"
	"hash/maphash"
	"strings"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/failpoint"
	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/maypok86/otter/v2"
)

const (
	// stripes is how many marks there are. Keys share them by hash: a key that
	// shares one with a key being committed is read from the database, which is
	// slower and as right.
	stripes = 4096
	// overhead is what a row takes beside its bytes, as measured with many.
	overhead = 280
	// largestShare is the part of the cache that one row may take: a larger one
	// would push too many others out.
	largestShare = 16
)

// Source is where rows come from.
type Source interface {
	// GetAt is the stored row, dead or alive, and the version that it was read
	// at.
	GetAt(ctx context.Context, group, key string) (row kv.Row, found bool, version storage.Version, err error)
	// Current reports whether no change of the key was committed since the
	// version, and none is being committed.
	Current(version storage.Version, group, key string) bool
}

// Cache is safe for use by any number of goroutines; its Writer, by one at a
// time.
type Cache struct {
	source  Source
	rows    *otter.Cache[place, *entry]
	largest int
	seed    maphash.Seed
	marks   [stripes]atomic.Int32  // more than zero: a key of the stripe is being committed
	epochs  [stripes]atomic.Uint64 // of groups, by hash; odd: one is being deleted
	fail    failpoint.Hook         // in COMMIT
	filling func()                 // for tests: a row was found good and is about to come in
}

type place struct{ group, key string }

// entry is one key's row, or that it has none. It never changes.
type entry struct {
	row   kv.Row
	found bool
	group *atomic.Uint64 // its group's epoch
	epoch uint64         // what it was
}

// New makes a cache of so many bytes, at least one.
func New(bytes int, source Source, fail failpoint.Hook) *Cache {
	c := &Cache{source: source, fail: fail, seed: maphash.MakeSeed(), largest: bytes / largestShare}
	c.rows = otter.Must(&otter.Options[place, *entry]{
		MaximumWeight: uint64(bytes),
		Weigher:       func(at place, e *entry) uint32 { return weight(at, e) },
	})
	return c
}

func weight(at place, e *entry) uint32 {
	return uint32(overhead + len(at.group) + len(at.key) + len(e.row.Value))
}

// Close lets go of everything.
func (c *Cache) Close() {
	c.rows.InvalidateAll()
	c.rows.StopAllGoroutines()
}

// Get is the stored row, dead or alive.
func (c *Cache) Get(ctx context.Context, group, key string) (kv.Row, bool, error) {
	if err := storage.ContextError(ctx); err != nil {
		return kv.Row{}, false, err
	}
	if e, ok := c.rows.GetIfPresent(place{group, key}); ok && e.group.Load() == e.epoch {
		return e.row, e.found, nil
	}
	row, found, version, err := c.source.GetAt(ctx, group, key)
	if err == nil {
		c.fill(group, key, row, found, version)
	}
	return row, found, err
}

// fill brings what was read into the cache, unless it may be stale by now. The
// checks are made under the lock that the key's Invalidate takes: a mark that
// they miss is set before that Invalidate, which then takes the row out again.
func (c *Cache) fill(group, key string, row kv.Row, found bool, version storage.Version) {
	mark, epoch := &c.marks[c.stripe(group, key)], c.epoch(group)
	if !planted.StaleFill && (mark.Load() > 0 || !c.source.Current(version, group, key)) || len(group)+len(key)+len(row.Value)+overhead > c.largest {
		return // which saves the lock
	}
	if c.filling != nil {
		c.filling()
	}
	at := own(group, key)
	if found {
		row.Group, row.Key = at.group, at.key
	}
	c.rows.Compute(at, func(*entry, bool) (*entry, otter.ComputeOp) {
		e := &entry{row: row, found: found, group: epoch, epoch: epoch.Load()}
		if !planted.StaleFill && (e.epoch%2 != 0 || mark.Load() > 0 || !c.source.Current(version, group, key)) {
			return nil, otter.CancelOp
		}
		return e, otter.WriteOp
	})
}

// own copies the strings: those of the caller may be parts of something large.
func own(group, key string) place {
	all := group + key
	return place{all[:len(group)], all[len(group):]}
}

func ownRow(row kv.Row) (place, kv.Row) {
	at := own(row.Group, row.Key)
	row.Group, row.Key, row.Value = at.group, at.key, strings.Clone(row.Value)
	return at, row
}

func (c *Cache) stripe(group, key string) uint64 {
	return (maphash.String(c.seed, group)*31 + maphash.String(c.seed, key)) % stripes
}

func (c *Cache) epoch(group string) *atomic.Uint64 {
	return &c.epochs[maphash.String(c.seed, group)%stripes]
}

// forget makes everything stale.
func (c *Cache) forget() {
	for i := range c.epochs {
		c.epochs[i].Add(2) // odd stays odd: a delete that is under way ends by itself
	}
}
