package engine

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

func TestConfigThatCannotWork(t *testing.T) {
	folder := t.TempDir()
	for name, config := range map[string]Config{
		"readers":          {Readers: -1},
		"in flight":        {MaxInFlight: -1},
		"too many":         {MaxInFlight: largest + 1},
		"watch buffer":     {WatchBuffer: -1},
		"a huge buffer":    {WatchBuffer: maxWatchBuffer + 1},
		"many readers":     {Readers: maxReaders + 1},
		"purge interval":   {PurgeInterval: -time.Nanosecond},
		"group":            {Limits: Limits{Group: -1}},
		"key":              {Limits: Limits{Key: -1}},
		"value":            {Limits: Limits{Value: largest + 1}},
		"commit":           {Limits: Limits{Commit: -1}},
		"one over a batch": {Limits: Limits{Value: 1 << 20, Commit: 1 << 20}},
		"largest of all":   {Limits: Limits{Group: largest, Key: largest, Value: largest, Commit: largest}},
		"durability":       {Durability: 7},
	} {
		config.Path = filepath.Join(folder, "store.db")
		_, err := Open(config)
		require.ErrorIs(t, err, kv.InvalidOptionError, name)
	}
	files, err := filepath.Glob(folder + "/*")
	require.NoError(t, err)
	require.Empty(t, files, "a refused store leaves nothing behind")
	_, err = Open(Config{Path: folder})
	require.Error(t, err)
	_, err = Open(Config{Path: ":memory:", ReadOnly: true})
	require.ErrorIs(t, err, kv.InvalidOptionError)
}

func TestSizeLimits(t *testing.T) {
	e := open(t, Config{Limits: Limits{Group: 4, Key: 5, Value: 6, Commit: 20}})
	fits := set("gggg", "kkkkk", "vvvvvv")
	must(t, e, fits)
	for _, m := range []kv.Mutation{
		set("ggggg", "k", "v"), set("g", "kkkkkk", "v"), set("g", "k", "vvvvvvv"),
		{Kind: kv.Increment, Group: "ggggg", Key: "k"},
		{Kind: kv.Batch, Operations: []kv.Operation{{Group: "g", Key: "k"}, {Group: "ggggg", Key: "k"}}},
		{Kind: kv.Batch, Operations: []kv.Operation{{Group: "gggg", Key: "kkkkk", Value: "vvvvvv"}, {Group: "g", Key: "k", Value: "vvvv"}}},
	} {
		_, err := apply(t, e, m)
		require.ErrorIs(t, err, kv.TooLargeError, "%+v", m)
	}
	n, err := e.Count(t.Context(), kv.PrefixRange(""))
	require.NoError(t, err)
	require.Equal(t, 1, n)

	// What was stored under other limits is no reason to refuse.
	for _, m := range []kv.Mutation{
		{Kind: kv.Delete, Group: "ggggg", Key: "k"}, {Kind: kv.DeleteGroup, Group: "ggggg"},
		{Kind: kv.DeletePrefix, Group: "ggggg", Range: kv.PrefixRange("ggggg")},
		{Kind: kv.Batch, Operations: []kv.Operation{{Kind: kv.Delete, Group: "ggggg", Key: "a key of more than twenty bytes"}, {Group: "g", Key: "k"}}},
		{Kind: kv.Delete, Group: "g", Key: "kkkkkk", Conditions: []kv.Condition{{Group: "g", Key: "kkkkkk"}}},
	} {
		_, err := apply(t, e, m)
		require.NoError(t, err, "%+v", m)
	}
}

// TestConditionsCountWithTheWrites towards what one batch may have.
func TestConditionsCountWithTheWrites(t *testing.T) {
	limits := Limits{Group: 1, Key: 1, Value: 1, Commit: 1}
	m := kv.Mutation{Kind: kv.Batch, Operations: make([]kv.Operation, 1), Conditions: make([]kv.Condition, maxOperations-1)}
	require.NoError(t, limits.check(&m))
	m.Conditions = append(m.Conditions, kv.Condition{})
	require.ErrorIs(t, limits.check(&m), kv.TooLargeError)
	m.Operations = nil
	require.NoError(t, limits.check(&m))
	m.Conditions = append(m.Conditions, kv.Condition{})
	require.ErrorIs(t, limits.check(&m), kv.TooLargeError)
}

// TestReadOnly opens beside an owner and alone, and changes nothing.
func TestReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	owner := open(t, Config{Path: path})
	must(t, owner, set("n:g", "k", "v"))
	must(t, owner, ttl(set("n:h", "k", "v"), time.Millisecond))
	e := open(t, Config{Path: path, ReadOnly: true})
	require.Equal(t, testkit.Present("v"), value(t, e, "n:g", "k"))
	_, err := e.Apply(t.Context(), set("n:g", "k", "w"))
	require.ErrorIs(t, err, kv.ReadOnlyError)
	_, err = e.PurgeExpired(t.Context(), kv.PrefixRange(""))
	require.ErrorIs(t, err, kv.ReadOnlyError)
	testkit.Until(t, "the expiry", func() bool { return value(t, e, "n:h", "k") == testkit.Absent })
	usage, err := e.Usage(t.Context(), "n")
	require.NoError(t, err)
	require.Equal(t, kv.Usage{Keys: 1, Groups: 1}, usage)
	w := e.Watch("", "*", "*")
	_, isOpen := <-w.Events
	require.False(t, isOpen)
	e.Unwatch(w)
	require.Zero(t, e.InFlight())
	must(t, owner, set("n:g", "k", "w"))
	require.Equal(t, testkit.Present("w"), value(t, e, "n:g", "k"))
	closeNow(t, owner)
	closeNow(t, e)
	_, err = e.Usage(t.Context(), "n")
	require.ErrorIs(t, err, kv.ClosedError)
}

// TestLoggerThatPanics: it costs no caller an answer.
func TestLoggerThatPanics(t *testing.T) {
	for _, step := range []string{"writer.apply", "writer.drain", "notifier.deliver", "notifier.stop", "quota.count", "reaper.wake"} {
		t.Run(step, func(t *testing.T) {
			faults := testkit.NewFaults()
			e := open(t, Config{Logger: slog.New(stubborn{slog.DiscardHandler}), Failpoint: faults.Hook, PurgeInterval: time.Millisecond})
			l := startLoad(t, e, 4, 4)
			for _, w := range l.workers {
				w.lenient.Store(true) // its events are too many for the default buffer, as elsewhere is tested
			}
			l.more(20)
			faults.Plan(step, 1)
			l.more(50)
			l.finish()
			l.verify(e)
			must(t, e, within(set(tight+":g0", "warn", "v"), tight, kv.QuotaConfig{MaxKeys: 1000}))
			closeNow(t, e)
		})
	}
}

// TestExpiryByTheStoresClock: no time passes but the clock's.
func TestExpiryByTheStoresClock(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		source := testkit.NewClock()
		e := open(t, Config{Path: path, Clock: source, PurgeInterval: time.Second, WatchBuffer: 1000})
		w := e.Watch("", "g", "*")
		for i := range 300 { // more than a chunk
			must(t, e, ttl(set("g", fmt.Sprint(i), strings.Repeat("v", i)), time.Minute))
		}
		for range 300 {
			require.Equal(t, kv.EventSet, (<-w.Events).Type)
		}
		source.Advance(time.Minute - time.Millisecond)
		require.Equal(t, testkit.Present("v"), value(t, e, "g", "1"))
		source.Advance(time.Millisecond)
		require.Equal(t, testkit.Absent, value(t, e, "g", "1"))
		exists, err := e.GroupExists(t.Context(), "g")
		require.NoError(t, err)
		require.False(t, exists)
		page, err := e.Page(t.Context(), "g", 0, 10)
		require.NoError(t, err)
		require.Empty(t, page)
		require.Empty(t, w.Events, "the rows are there for the interval still")
		removed, err := e.PurgeExpired(t.Context(), kv.PrefixRange("x"))
		require.NoError(t, err)
		require.Zero(t, removed)
		removed, err = e.PurgeExpired(t.Context(), kv.PrefixRange("g"))
		require.NoError(t, err)
		require.Equal(t, int64(300), removed)
		for range 300 {
			event := <-w.Events
			require.Equal(t, kv.EventExpire, event.Type)
			require.Equal(t, event.Key, fmt.Sprint(len(event.Value)), "it carries the last value")
		}

		must(t, e, ttl(set("g", "k", "v"), time.Minute))
		must(t, e, set("g", "k", "for ever"))
		must(t, e, ttl(set("g", "l", "v"), time.Minute))
		source.AwaitTimer(time.Minute + time.Second)
		source.Advance(time.Minute + time.Second)
		for event := range w.Events {
			if event.Type == kv.EventExpire {
				require.Equal(t, "l", event.Key)
				break
			}
		}
		require.Equal(t, testkit.Present("for ever"), value(t, e, "g", "k"))
	})
}
