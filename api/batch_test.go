package api_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// TestBatch: writes are done in their order and see each other; each has its
// event, all with one revision.
func TestBatch(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithPurgeInterval(24*time.Hour))
		require.NoError(t, store.SetAll([]api.Item{{"old", "k", "v"}, {"px", "k", "v"}, {"py", "k", "v"}, {"g", "mortal", "v"}}))
		watcher := store.Watch("*", "*")
		batch := new(api.Batch).
			Set("g", "k", "one").Set("g", "k", "two").
			SetWithTTL("g", "brief", "v", time.Minute).
			Touch("g", "mortal", time.Second).
			Increment("g", "n", 3).Increment("g", "n", -5).
			DeleteGroup("old").Set("old", "k", "anew").
			DeletePrefix("p").Set("py", "l", "anew").
			Delete("g", "nobody").
			Touch("g", "k", time.Hour).Persist("g", "k")
		require.Equal(t, 13, batch.Len())
		revision, err := store.Batch(batch)
		require.NoError(t, err)
		require.Equal(t, uint64(2), revision)
		events := delivered(watcher)
		require.Equal(t, []change{
			{api.EventSet, "g", "k", "one"}, {api.EventSet, "g", "k", "two"}, {api.EventSet, "g", "brief", "v"},
			{api.EventSet, "g", "mortal", "v"}, {api.EventSet, "g", "n", "3"}, {api.EventSet, "g", "n", "-2"},
			{api.EventDeleteGroup, "old", "", ""}, {api.EventSet, "old", "k", "anew"},
			{api.EventDeleteGroup, "px", "", ""}, {api.EventDeleteGroup, "py", "", ""}, {api.EventSet, "py", "l", "anew"},
			{api.EventSet, "g", "k", "two"}, {api.EventSet, "g", "k", "two"},
		}, changes(events))
		for _, event := range events {
			require.Equal(t, revision, event.Revision)
		}
		requireEntry(t, store, "k", "two", revision, time.Time{})
		requireEntry(t, store, "brief", "v", revision, clock.Now().Add(time.Minute))
		requireEntry(t, store, "mortal", "v", revision, clock.Now().Add(time.Second))
		requireEntry(t, store, "n", "-2", revision, time.Time{})
		requireGroups(t, store, "", []string{"g", "old", "py"})
	})
}

// TestBatchIsAtomic: whatever step fails, wherever it stands, nothing of the
// batch is written and no listener hears of it.
func TestBatchIsAtomic(t *testing.T) {
	forEachConditional(t, func(t *testing.T, store conditional, clock *testkit.Clock) {
		require.NoError(t, store.SetAll([]api.Item{{"g", "text", "v"}, {"g", "full", "9223372036854775807"}, {"h", "k", "v"}}))
		require.NoError(t, store.SetWithTTL("g", "dead", "v", time.Second))
		clock.Advance(time.Second)
		watcher := store.Watch("*", "*")
		base, err := store.Revision()
		require.NoError(t, err)
		for name, c := range map[string]struct {
			fail func(*api.Batch)
			want error
		}{
			"touch":            {func(b *api.Batch) { b.Touch("g", "nobody", time.Hour) }, api.NotFoundError},
			"touch of dead":    {func(b *api.Batch) { b.Touch("g", "dead", time.Hour) }, api.NotFoundError},
			"persist":          {func(b *api.Batch) { b.Persist("g", "nobody") }, api.NotFoundError},
			"touch of deleted": {func(b *api.Batch) { b.Delete("h", "k").Touch("h", "k", time.Hour) }, api.NotFoundError},
			"increment":        {func(b *api.Batch) { b.Increment("g", "text", 1) }, api.NotANumberError},
			"overflow":         {func(b *api.Batch) { b.Increment("g", "full", 1) }, api.NotANumberError},
			"present":          {func(b *api.Batch) { b.IfAbsent("g", "text") }, nil},
			"absent":           {func(b *api.Batch) { b.IfPresent("g", "nobody") }, nil},
			"dead is absent":   {func(b *api.Batch) { b.IfPresent("g", "dead") }, nil},
			"revision":         {func(b *api.Batch) { b.IfRevision("h", "k", base+1) }, nil},
			"group too large":  {func(b *api.Batch) { b.Set(strings.Repeat("g", 64<<10+1), "k", "v") }, api.TooLargeError},
			"key too large":    {func(b *api.Batch) { b.Increment("g", strings.Repeat("k", 64<<10+1), 1) }, api.TooLargeError},
			"value too large":  {func(b *api.Batch) { b.Set("g", "k", strings.Repeat("v", 16<<20+1)) }, api.TooLargeError},
			"deadline too far": {func(b *api.Batch) { b.SetUntil("g", "k", "v", time.UnixMilli(1_900_000_000_000_000)) }, api.InvalidDeadlineError},
		} {
			for _, position := range []string{"first", "last"} {
				t.Run(name+" "+position, func(t *testing.T) {
					batch := new(api.Batch)
					if position == "first" {
						c.fail(batch)
					}
					batch.Set("new", "k", "v").Delete("g", "text").DeleteGroup("h").DeletePrefix("").Increment("new", "n", 1)
					if position == "last" {
						batch.SetWithTTL("g", "text", "v", time.Hour).Set("g", "full", "9223372036854775807")
						c.fail(batch)
					}
					revision, err := store.Batch(batch)
					require.Zero(t, revision)
					require.ErrorContains(t, err, "store.Batch: ")
					if c.want != nil {
						require.ErrorIs(t, err, c.want)
					} else {
						mismatch(t, err)
					}
					requireRevision(t, store, base)
					requireValue(t, store, "g", "text", "v")
					requireValue(t, store, "h", "k", "v")
					requireCount(t, store, "new", 0)
					require.Empty(t, delivered(watcher))
				})
			}
		}
	})
}

// TestBatchConditions are judged by what there was before the batch, whatever
// it does itself.
func TestBatchConditions(t *testing.T) {
	forEachConditional(t, func(t *testing.T, store conditional, clock *testkit.Clock) {
		revision, err := store.Batch(new(api.Batch).Set("g", "lock", "me").IfAbsent("g", "lock"))
		require.NoError(t, err, "the order of calls is nothing to a condition")
		_, err = store.Batch(new(api.Batch).Delete("g", "lock").Set("g", "lock", "you").IfAbsent("g", "lock"))
		require.Equal(t, revision, mismatch(t, err))
		_, err = store.Batch(new(api.Batch).IfRevision("g", "lock", revision).IfPresent("g", "lock").IfAbsent("g", "other").
			SetWithTTL("g", "lock", "me", time.Second))
		require.NoError(t, err)
		_, err = store.Batch(new(api.Batch).IfPresent("g", "other").Set("g", "other", "v"))
		require.Zero(t, mismatch(t, err))
		var wrong *api.RevisionMismatchError
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, api.AnyRevision, wrong.Expected)
		require.ErrorContains(t, err, "absent, expected present")
		clock.Advance(time.Second)
		_, err = store.Batch(new(api.Batch).IfAbsent("g", "lock").SetWithTTL("g", "lock", "you", time.Minute))
		require.NoError(t, err, "a lock that has expired can be taken")

		before, err := store.Revision()
		require.NoError(t, err)
		revision, err = store.Batch(new(api.Batch).IfPresent("g", "lock"))
		require.NoError(t, err, "a condition alone is a question")
		require.Zero(t, revision)
		_, err = store.Batch(new(api.Batch).IfAbsent("g", "lock"))
		require.Equal(t, before, mismatch(t, err))
	})
}

// TestBatchThatChangesNothing has no revision.
func TestBatchThatChangesNothing(t *testing.T) {
	forEachConditional(t, func(t *testing.T, store conditional, _ *testkit.Clock) {
		require.NoError(t, store.Set("g", "k", "v"))
		base, err := store.Revision()
		require.NoError(t, err)
		for _, batch := range []*api.Batch{nil, {}, new(api.Batch).Delete("g", "nobody").DeleteGroup("nobody").DeletePrefix("nobody"),
			new(api.Batch).Persist("g", "k")} {
			revision, err := store.Batch(batch)
			require.NoError(t, err)
			require.Zero(t, revision)
		}
		requireRevision(t, store, base)
	})
}

// TestBatchIsTheCallers again after the call: it can be changed, sent once more,
// and emptied.
func TestBatchIsTheCallers(t *testing.T) {
	store := openStore(t, ":memory:")
	batch := new(api.Batch).Set("g", "a", "v").IfAbsent("g", "a")
	for i := range 3 {
		_, err := store.Batch(batch)
		require.NoError(t, err)
		_, err = store.Batch(batch) // the same again: its condition does not hold now
		require.Equal(t, uint64(2*i+1), mismatch(t, err))
		require.Equal(t, 1, batch.Len())
		require.NoError(t, store.Delete("g", "a"))
	}
	require.Zero(t, batch.Reset().Len())
	_, err := store.Batch(batch.Increment("g", "n", 1))
	require.NoError(t, err, "its conditions are gone too")
	requireNotFound(t, store, "g", "a")
	requireValue(t, store, "g", "n", "1")
}

// TestBatchSize: all of a batch together has a limit, conditions included.
func TestBatchSize(t *testing.T) {
	store := openStore(t, ":memory:", api.WithSizeLimits(api.SizeLimits{Group: 10, Key: 10, Value: 100, Commit: 1000}))
	fill := func(batch *api.Batch, bytes int) *api.Batch {
		for ; bytes >= 100; bytes -= 100 {
			batch.Set("group", fmt.Sprintf("k%04d", batch.Len()), strings.Repeat("v", 90))
		}
		return batch
	}
	_, err := store.Batch(fill(new(api.Batch), 1000))
	require.NoError(t, err)
	for _, batch := range []*api.Batch{fill(new(api.Batch), 1000).Delete("", "k"), fill(new(api.Batch), 1000).IfPresent("group", "k0000")} {
		_, err = store.Batch(batch)
		require.ErrorIs(t, err, api.TooLargeError)
		require.ErrorContains(t, err, "limit 1000")
	}
	requireRevision(t, store, 1)
}

// TestScopedBatch is confined to its namespace, in its writes, its conditions
// and its prefixes.
func TestScopedBatch(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		scope := newScope(t, store, "tenant")
		require.NoError(t, store.SetAll([]api.Item{{"g", "k", "outside"}, {"tenant-b:g", "k", "outside"}, {"tenant:g", "k", "inside"}}))
		_, err := scope.Batch(new(api.Batch).IfAbsent("h", "k").IfPresent("g", "k").DeletePrefix("").DeleteGroup("g").
			Set("h", "k", "inside").Increment("h", "n", 1).Delete("g", "k"))
		require.NoError(t, err)
		requireValue(t, store, "g", "k", "outside")
		requireValue(t, store, "tenant-b:g", "k", "outside")
		requireGroups(t, store, "", []string{"g", "tenant-b:g", "tenant:h"})
		_, err = scope.Batch(new(api.Batch).IfPresent("g", "k").Set("h", "k", "v"))
		var wrong *api.RevisionMismatchError
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, "tenant:g", wrong.Group, "as in events, the full name")
		whole, err := store.Revision()
		require.NoError(t, err)
		requireRevision(t, scope, whole)
	})
}

// TestBatchUnderAQuota: the batch is admitted as a whole, by what it leaves at
// each of its steps.
func TestBatchUnderAQuota(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		scope := newScope(t, store, "tenant", api.QuotaConfig{MaxKeys: 3, MaxGroups: 2})
		_, err := scope.Batch(new(api.Batch).Set("g", "1", "v").Set("g", "2", "v").Increment("h", "3", 1))
		require.NoError(t, err)
		for name, batch := range map[string]*api.Batch{
			"a key too many":           new(api.Batch).Set("g", "1", "changed").Set("g", "4", "v"),
			"a counter too many":       new(api.Batch).Set("g", "1", "changed").Increment("g", "n", 1),
			"a group too many":         new(api.Batch).Set("g", "1", "changed").Delete("g", "2").Set("i", "k", "v"),
			"too many, though deleted": new(api.Batch).Set("g", "1", "changed").Set("g", "4", "v").Delete("g", "4"),
		} {
			_, err := scope.Batch(batch)
			require.ErrorIs(t, err, api.QuotaExceededError, name)
			requireValue(t, scope, "g", "1", "v")
			requireCount(t, scope, "", 3)
		}
		_, err = scope.SetIfAbsent("g", "4", "v")
		require.ErrorIs(t, err, api.QuotaExceededError)
		_, err = scope.CompareAndSet("g", "4", "v", 0)
		require.ErrorIs(t, err, api.QuotaExceededError)
		_, err = scope.Batch(new(api.Batch).Delete("g", "2").Set("g", "4", "v").DeleteGroup("h").Set("i", "k", "v"))
		require.NoError(t, err, "room is made within the batch")
		usage, err := store.Usage("tenant")
		require.NoError(t, err)
		require.Equal(t, api.Usage{Keys: 3, Groups: 2}, usage)
	})
}

// TestConcurrentBatches: money is moved between accounts by many at once, by
// conditions on what was read. None is made or lost, and no reader sees a batch
// half done.
func TestConcurrentBatches(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		const callers, accounts, deposit = 8, 4, 100
		store := open(api.WithDurability(api.DurabilityBuffered))
		for i := range accounts {
			require.NoError(t, store.Set("accounts", strconv.Itoa(i), strconv.Itoa(deposit)))
		}
		require.NoError(t, together(callers, func(caller int) error {
			for n := range 15 {
				if err := transfer(store, strconv.Itoa((caller+n)%accounts), strconv.Itoa((caller+n+1)%accounts), 1+n%3); err != nil {
					return err
				}
				all, err := store.GetAll("accounts")
				sum := 0
				for _, balance := range all {
					amount, _ := strconv.Atoi(balance)
					sum += amount
				}
				if err != nil || sum != accounts*deposit {
					return fmt.Errorf("there are %d, %w", sum, err)
				}
			}
			return nil
		}))
		requireRevision(t, store, accounts+callers*15)
	})
}

func transfer(store *api.Store, from, to string, amount int) error {
	for {
		payer, err := store.Entry("accounts", from)
		if err != nil {
			return err
		}
		payee, err := store.Entry("accounts", to)
		if err != nil {
			return err
		}
		debit, _ := strconv.Atoi(payer.Value)
		credit, _ := strconv.Atoi(payee.Value)
		_, err = store.Batch(new(api.Batch).
			IfRevision("accounts", from, payer.Revision).IfRevision("accounts", to, payee.Revision).
			Set("accounts", from, strconv.Itoa(debit-amount)).Set("accounts", to, strconv.Itoa(credit+amount)))
		var moved *api.RevisionMismatchError
		if !errors.As(err, &moved) {
			return err
		}
	}
}
