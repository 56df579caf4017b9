// Package cache keeps rows that were read lately in memory, so that a hot Get
// costs what a map costs, and keeps them equal to what is committed.
//
// It owns the cached rows and the marks that guard them. It never decides what
// is committed, never judges expiry (callers do, with the row's deadline), and
// no read ever waits in it: not for the disk, not for a commit, not for a lock.
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
//
// # How rows are kept
//
// A shard's rows lie one behind the other in chunks of bytes, each once written
// and never changed; an index of numbers says where. Neither holds a pointer, so
// the garbage collector has a thousand objects to look at and not a million. When
// a shard is full its oldest chunk goes, and what was read since is copied behind
// the newest. See docs/adr/0056-a-cache-of-bytes.md.
package cache

import (
	"context"
	"hash/maphash"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/failpoint"
	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

const (
	// stripes is how many marks there are. Keys share them by hash: a key that
	// shares one with a key being committed is read from the database, which is
	// slower and as right.
	stripes = 4096
	// mostShards bounds how many shards there are. Reads take no lock of theirs:
	// they are for fills and commits alone.
	mostShards = 16
	// leastShard is how many bytes are worth a shard of their own.
	leastShard = 256 << 10
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
	shards  []shard // a power of two
	seed    maphash.Seed
	marks   [stripes]atomic.Int32  // more than zero: a key of the stripe is being committed
	epochs  [stripes]atomic.Uint64 // of groups, by hash; odd: a group is being deleted
	fail    failpoint.Hook         // in COMMIT
	filling func()                 // for tests: a row was found good and is about to come in
}

// New makes a cache of so many bytes, at least one.
func New(bytes int, source Source, fail failpoint.Hook) *Cache {
	n := 1
	for n < mostShards && bytes/(2*n) >= leastShard {
		n *= 2
	}
	c := &Cache{source: source, fail: fail, seed: maphash.MakeSeed(), shards: make([]shard, n)}
	for i := range c.shards {
		c.shards[i].open(bytes / n)
	}
	return c
}

// Close lets go of everything.
func (c *Cache) Close() {
	for i := range c.shards {
		c.shards[i].clear()
	}
}

// place is where the parts of a key's name lead: the marks by the whole of it, the
// epochs by its group's.
type place struct{ group, key uint64 }

func (c *Cache) place(group, key string) place {
	g := maphash.String(c.seed, group)
	return place{g, g*31 + maphash.String(c.seed, key)}
}

func (c *Cache) shard(p place) *shard         { return &c.shards[p.key%uint64(len(c.shards))] }
func (c *Cache) mark(p place) *atomic.Int32   { return &c.marks[p.key%stripes] }
func (c *Cache) epoch(p place) *atomic.Uint64 { return &c.epochs[p.group%stripes] }

// Get is the stored row, dead or alive.
func (c *Cache) Get(ctx context.Context, group, key string) (kv.Row, bool, error) {
	if err := storage.ContextError(ctx); err != nil {
		return kv.Row{}, false, err
	}
	p := c.place(group, key)
	if row, found, known := c.peek(p, group, key); known {
		return row, found, nil
	}
	row, found, version, err := c.source.GetAt(ctx, group, key)
	if err == nil {
		c.fill(p, group, key, row, found, version)
	}
	return row, found, err
}

// Peek is the stored row of a key, dead or alive, if the cache knows it. It waits for
// nothing and reads nothing; what it says is as right as what Get says.
func (c *Cache) Peek(group, key string) (row kv.Row, found, known bool) {
	return c.peek(c.place(group, key), group, key)
}

// peek judges the epoch after the row was found: whatever becomes of either from then
// on, at that moment the row was what is committed.
func (c *Cache) peek(p place, group, key string) (row kv.Row, found, known bool) {
	s, epoch := c.shard(p), c.epoch(p)
	if r := s.ready.look(p.key, group, key); r != nil && r.epoch == epoch.Load() {
		if s.hits.add() {
			s.look(p.key, group, key) // which notes that it is read
		}
		return r.row, r.found, true
	}
	in, r := s.look(p.key, group, key)
	if r == nil || r.epoch() != epoch.Load() {
		s.misses.Add(1)
		return kv.Row{}, false, false
	}
	if s.hits.add() {
		s.prefer(p.key, group, key)
	}
	if !r.found() {
		return kv.Row{}, false, true
	}
	return kv.Row{Group: group, Key: key, Value: in.value(r), Deadline: r.deadline(), Revision: r.revision()}, true, true
}

// fill brings what was read into the cache, unless it may be stale by now. The
// checks are made under the lock that the key's announcement takes: a mark that
// they miss is set before the row is looked for there, and then taken out again.
// A read that finds the lock taken goes on without: the row comes at another one.
func (c *Cache) fill(p place, group, key string, row kv.Row, found bool, version storage.Version) {
	s := c.shard(p)
	if !found {
		row = kv.Row{Deadline: kv.NoDeadline} // takes no place for one
	}
	size, fits := s.size(group, key, row)
	mark, epoch := c.mark(p), c.epoch(p)
	if !fits || !s.admit(p.key) || !planted.StaleFill && (mark.Load() > 0 || !c.source.Current(version, group, key)) {
		return
	}
	if c.filling != nil {
		c.filling()
	}
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	e := epoch.Load()
	if planted.StaleFill || e%2 == 0 && mark.Load() == 0 && c.source.Current(version, group, key) {
		row.Group, row.Key = group, key
		s.put(p.key, row, found, e, size, false)
	}
}

// forget makes everything stale.
func (c *Cache) forget() {
	for i := range c.epochs {
		c.epochs[i].Add(2) // odd stays odd: a delete that is under way ends by itself
	}
}
