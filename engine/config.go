package engine

import (
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"forge.lthn.ai/core/go-store/internal/clock"
	"forge.lthn.ai/core/go-store/internal/failpoint"
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
	Readers       int           // connections for point reads; default GOMAXPROCS, at least 2
	MaxInFlight   int           // requests admitted at a time; default 4096
	WatchBuffer   int           // capacity of a watcher's channel; default 16
	PurgeInterval time.Duration // from a deadline to the row's removal; default 100 ms
	Limits        Limits        // defaults 64 KiB, 64 KiB, 16 MiB, 32 MiB
	System        *ActorSystem  // default: one shared by the process
	Logger        *slog.Logger  // default: none
	Clock         clock.Source  // default: the machine's
	Failpoint     failpoint.Hook
}

// largest is what SQLite can hold in one value or statement.
const largest = 1_000_000_000

const century = 100 * 365 * 24 * time.Hour

// complete fills the defaults in and refuses what can't work.
func (c Config) complete() (Config, error) {
	fill(&c.Readers, max(runtime.GOMAXPROCS(0), 2))
	fill(&c.MaxInFlight, 4096)
	fill(&c.WatchBuffer, 16)
	fill(&c.PurgeInterval, 100*time.Millisecond)
	fill(&c.Limits.Group, 64<<10)
	fill(&c.Limits.Key, 64<<10)
	fill(&c.Limits.Value, 16<<20)
	fill(&c.Limits.Commit, 32<<20)
	c.PurgeInterval = min(c.PurgeInterval, century) // a deadline and it must not overflow
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	} else {
		c.Logger = guard(c.Logger)
	}
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	for _, limit := range []struct {
		name  string
		value int
	}{
		{"readers", c.Readers}, {"requests in flight", c.MaxInFlight}, {"watch buffer", c.WatchBuffer},
		{"group size", c.Limits.Group}, {"key size", c.Limits.Key},
		{"value size", c.Limits.Value}, {"commit size", c.Limits.Commit},
		{"purge interval", int(min(c.PurgeInterval, 1))},
	} {
		if limit.value < 1 || limit.value > largest {
			return c, fmt.Errorf("%s %d: must be between 1 and %d: %w", limit.name, limit.value, largest, kv.InvalidOptionError)
		}
	}
	if one := c.Limits.Group + c.Limits.Key + c.Limits.Value; one > c.Limits.Commit {
		return c, fmt.Errorf("commit size %d: one entry may take %d: %w", c.Limits.Commit, one, kv.InvalidOptionError)
	}
	if c.Durability != kv.DurabilitySync && c.Durability != kv.DurabilityBuffered {
		return c, fmt.Errorf("durability %d: %w", c.Durability, kv.InvalidOptionError)
	}
	return c, nil
}

func fill[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

// check refuses what is over a limit.
func (l Limits) check(m *kv.Mutation) error {
	if m.Kind != kv.SetAll {
		return l.checkItem(kv.Item{Group: m.Group, Key: m.Key, Value: m.Value})
	}
	for _, item := range m.Items {
		if err := l.checkItem(item); err != nil {
			return err
		}
	}
	return tooLarge("commit", m.Size(), l.Commit)
}

func (l Limits) checkItem(i kv.Item) error {
	if err := tooLarge("group", len(i.Group), l.Group); err != nil {
		return err
	}
	if err := tooLarge("key", len(i.Key), l.Key); err != nil {
		return err
	}
	return tooLarge("value", len(i.Value), l.Value)
}

func tooLarge(what string, size, limit int) error {
	if size <= limit {
		return nil
	}
	return fmt.Errorf("%s of %d bytes, limit %d: %w", what, size, limit, kv.TooLargeError)
}
