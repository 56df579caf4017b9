package engine

import (
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/clock"
	"forge.lthn.ai/core/go-store/internal/failpoint"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
)

// ActorSystem is Proto.Actor's; the alias keeps its import in here.
type ActorSystem = actor.ActorSystem

// PID addresses an actor.
type PID = actor.PID

// Limits are the largest sizes accepted, in bytes.
type Limits struct{ Group, Key, Value, Commit int }

// Config says how an engine is to be run. The zero value of a field is its
// default where one is named.
type Config struct {
	Path          string // a file, or ":memory:"
	ReadOnly      bool
	Durability    kv.Durability
	Readers       int           // reads of a file at a time; default GOMAXPROCS, at least 2
	NoMmap        bool          // files are not mapped into memory
	NoPages       bool          // files are read by SQLite alone: for tests, and for measuring
	Overlay       int64         // bytes of what may be committed and not be in a file's table yet; default 32 MiB; negative: none, it is written there at once
	ReadCache     int           // bytes of rows kept in memory; default an eighth of what there is, at most 64 MiB; negative: none
	SnapshotAge   time.Duration // how long a snapshot may be open; default a minute
	MaxInFlight   int           // requests admitted at a time; default 4096
	WatchBuffer   int           // capacity of a watcher's channel; default 16
	PurgeInterval time.Duration // from a deadline to the row's removal; default 100 ms
	Limits        Limits        // defaults 64 KiB, 64 KiB, 16 MiB, 32 MiB
	Retention     kv.Retention  // bounds of the log; defaults 1,000,000 revisions, 64 MiB (":memory:": 16), a day
	DiscardLog    bool          // begin the log anew
	LockWait      time.Duration // how long to wait for another owner to close; default not at all
	System        *ActorSystem  // default: one shared by the process
	Logger        *slog.Logger  // default: none
	Clock         clock.Source  // default: the machine's
	Metrics       bool          // requests are counted
	Tracer        kv.Tracer     // default: none
	Opened        func(*Engine) // called with the store once it is open; default: none
	Failpoint     failpoint.Hook
	FoldStep      func(step string)                   // for tests: see sqlite.Config
	Writer        func(storage.Writer) storage.Writer // for tests: what the writer has in the place of its database
}

// largest is what SQLite can hold in one value or statement.
const largest = 1_000_000_000

// What is made of them at once, whether it is used or not, bounds these: a place for
// each reader, and the channel of each watcher.
const (
	maxReaders     = 4096
	maxWatchBuffer = 1 << 20
)

// maxReadCache is more than machines have, and what the cache can number. Where an int has
// 32 bits none is larger.
const maxReadCache int64 = 1 << 40

const century = 100 * 365 * 24 * time.Hour

// complete fills the defaults in and refuses what can't work.
func (c Config) complete() (Config, error) {
	fill(&c.Readers, max(runtime.GOMAXPROCS(0), 2))
	if c.ReadCache == 0 {
		c.ReadCache = defaultReadCache()
	}
	if int64(c.ReadCache) > maxReadCache {
		return c, fmt.Errorf("read cache %d: must be at most %d, a TiB: %w", c.ReadCache, maxReadCache, kv.InvalidOptionError)
	}
	fill(&c.SnapshotAge, time.Minute)
	fill(&c.MaxInFlight, 4096)
	fill(&c.WatchBuffer, 16)
	fill(&c.PurgeInterval, 100*time.Millisecond)
	fill(&c.Limits.Group, 64<<10)
	fill(&c.Limits.Key, 64<<10)
	fill(&c.Limits.Value, 16<<20)
	fill(&c.Limits.Commit, 32<<20)
	c.fillRetention()
	c.PurgeInterval = min(c.PurgeInterval, century) // a deadline and it must not overflow
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	for _, limit := range []struct {
		name        string
		value, most int
	}{
		{"readers", c.Readers, maxReaders}, {"requests in flight", c.MaxInFlight, largest},
		{"watch buffer", c.WatchBuffer, maxWatchBuffer},
		{"group size", c.Limits.Group, largest}, {"key size", c.Limits.Key, largest},
		{"value size", c.Limits.Value, largest}, {"commit size", c.Limits.Commit, largest},
		{"purge interval", int(min(c.PurgeInterval, 1)), largest}, {"snapshot age", int(min(c.SnapshotAge, 1)), largest},
		{"history revisions", c.Retention.Revisions, largest},
		{"history bytes", int(min(c.Retention.Bytes, 1)), largest},
		{"history age", int(min(c.Retention.Age, 1)), largest},
	} {
		if limit.value < 1 || limit.value > limit.most {
			return c, fmt.Errorf("%s %d: must be between 1 and %d: %w", limit.name, limit.value, limit.most, kv.InvalidOptionError)
		}
	}
	if entry := c.Limits.Group + c.Limits.Key + c.Limits.Value; entry > c.Limits.Commit {
		return c, fmt.Errorf("commit size %d: one entry may take %d: %w", c.Limits.Commit, entry, kv.InvalidOptionError)
	}
	if c.Overlay == 0 {
		c.Overlay = defaultOverlay
	}
	if c.Overlay > 0 && c.Overlay < minOverlay {
		return c, fmt.Errorf("overlay %d: must be zero, or %d bytes at least: %w", c.Overlay, minOverlay, kv.InvalidOptionError)
	}
	if c.Overlay < 0 {
		c.Overlay = 0
	}
	if c.System != nil && !actorsystem.Usable(c.System) {
		return c, fmt.Errorf("an actor system on a 32-bit processor: Proto.Actor panics there at half of all actors' names, "+
			"a defect of its process registry; open the store without one: %w", kv.InvalidOptionError)
	}
	if c.ReadOnly && c.DiscardLog {
		return c, fmt.Errorf("a read-only store can't discard its log: %w", kv.InvalidOptionError)
	}
	if c.Durability != kv.DurabilitySync && c.Durability != kv.DurabilityBuffered {
		return c, fmt.Errorf("durability %d: %w", c.Durability, kv.InvalidOptionError)
	}
	return c, nil
}

// minOverlay is room for the commits of a moment.
const minOverlay = 64 << 10

// What a log keeps by default: as much as fits, within a day, into a part of
// the file, or of the process's memory, that no program will miss.
const (
	defaultRetentionRevisions = 1_000_000
	defaultRetentionBytes     = 64 << 20
	defaultRetentionMemory    = 16 << 20 // in bytes too, of a ":memory:" store
	defaultRetentionAge       = 24 * time.Hour
)

func (c *Config) fillRetention() {
	fill(&c.Retention.Revisions, defaultRetentionRevisions)
	fill(&c.Retention.Age, defaultRetentionAge)
	if c.Path == storage.MemoryPath {
		fill(&c.Retention.Bytes, defaultRetentionMemory)
	}
	fill(&c.Retention.Bytes, defaultRetentionBytes)
}

func fill[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

// check refuses what is over a limit. The limits are for what comes into the
// store. What is in it already may be larger, written under other limits or by
// another program, and has to stay removable: the names of what is deleted or
// touched, and of the keys that a condition is about, are not measured by them.
// Such names are in the caller's memory anyway.
func (l Limits) check(m *kv.Mutation) error {
	if m.Kind != kv.Batch {
		o := m.Operation()
		return l.checkOperation(&o)
	}
	if n := len(m.Operations) + len(m.Conditions); n > maxOperations {
		return fmt.Errorf("%d writes and conditions in one batch, limit %d: %w", n, maxOperations, kv.TooLargeError)
	}
	size, oversized := 0, 0
	add := func(group, key, value string) {
		if len(group) > l.Group || len(key) > l.Key {
			oversized += len(group) + len(key) + len(value)
		} else {
			size += len(group) + len(key) + len(value)
		}
	}
	for i := range m.Operations {
		o := &m.Operations[i]
		if err := l.checkOperation(o); err != nil {
			return err
		}
		add(o.Group, o.Key, o.Value)
	}
	for i := range m.Conditions {
		add(m.Conditions[i].Group, m.Conditions[i].Key, "")
	}
	if err := tooLarge("commit", size, l.Commit); err != nil || len(m.Operations) == 1 {
		return err
	}
	return tooLarge("commit, with names over today's limits,", size+oversized, max(l.Commit, maxOversized))
}

func (l Limits) checkOperation(o *kv.Operation) error {
	switch o.Kind {
	case kv.Set, kv.Increment:
		if o.Notifies {
			if err := kv.CheckAddress(o.Notify); err != nil {
				return err
			}
		}
		if kv.Reserved(o.Group) {
			l.Group, l.Key, l.Value = l.Group+kv.ReservedRoom, l.Key+kv.ReservedRoom, l.Value+l.Group+l.Key+kv.ReservedRoom
		}
		return l.checkNames(o.Group, o.Key, o.Value)
	case kv.Tell:
		if err := kv.CheckAddress(o.Group); err != nil {
			return err
		}
		return tooLarge("message", len(o.Value), l.Value)
	default:
		return nil
	}
}

// maxOversized bounds a batch whose names are over the limits. A single write is
// always let through.
const maxOversized = 128 << 20

func (l Limits) checkNames(group, key, value string) error {
	if err := tooLarge("group", len(group), l.Group); err != nil {
		return err
	}
	if err := tooLarge("key", len(key), l.Key); err != nil {
		return err
	}
	return tooLarge("value", len(value), l.Value)
}

// maxOperations bounds how long the writes and conditions of one batch can hold the writer
// up: some seconds.
const maxOperations = 1 << 18

func tooLarge(what string, size, limit int) error {
	if size <= limit {
		return nil
	}
	return fmt.Errorf("%s of %d bytes, limit %d: %w", what, size, limit, kv.TooLargeError)
}
