package api_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/stretchr/testify/require"
)

// addressed is a handle that has an actor.
type addressed interface {
	handle
	PID() (*api.PID, error)
	CompareAndSet(group, key, value string, revision uint64) (uint64, error)
	Increment(group, key string, delta int64) (int64, error)
	Batch(batch *api.Batch) (uint64, error)
	Tell(address, message string) error
	Entry(group, key string) (api.Entry, error)
}

// forEachAddressed runs a test with each kind of store, directly and through a view.
func forEachAddressed(t *testing.T, test func(t *testing.T, store addressed, c *client), options ...api.Option) {
	t.Helper()
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		for _, view := range []string{"store", "scope"} {
			t.Run(view, func(t *testing.T) {
				system := newSystem(t)
				store := open(append(options, api.WithActorSystem(system))...)
				var of addressed = store
				if view == "scope" {
					require.NoError(t, store.Set("g", "k", "another's"))
					require.NoError(t, store.Set("tenant", "k", "another's"))
					of = newScope(t, store, "tenant")
				}
				test(t, of, newClient(t, system, pidOf(t, of)))
				if view == "scope" {
					requireValue(t, store, "g", "k", "another's")
					requireValue(t, store, "tenant", "k", "another's")
				}
			})
		}
	})
}

// done is the answer to a request, which must have succeeded.
func done[T protocol.Reply](c *client, request any) T {
	c.t.Helper()
	answer := c.ask(request)
	got, ok := answer.(T)
	require.True(c.t, ok, "%#v", answer)
	require.NoError(c.t, got.Failure())
	return got
}

func TestEveryMessageAndItsAnswer(t *testing.T) {
	forEachAddressed(t, func(t *testing.T, store addressed, c *client) {
		id := uint64(0)
		next := func() uint64 { id++; return id }
		same := func(answer protocol.Reply) { t.Helper(); require.Equal(t, id, answer.RequestID()) }

		set := done[protocol.SetDone](c, protocol.Set{ID: next(), Group: "g", Key: "k", Value: "v"})
		same(set)
		entry, err := store.Entry("g", "k")
		require.NoError(t, err)
		require.Equal(t, api.Entry{Value: "v", Revision: set.Revision}, entry)

		got := done[protocol.GetDone](c, protocol.Get{ID: next(), Group: "g", Key: "k"})
		same(got)
		require.Equal(t, protocol.GetDone{ID: id, Value: "v", Revision: set.Revision}, got)

		ttl := done[protocol.SetWithTTLDone](c, protocol.SetWithTTL{ID: next(), Group: "g", Key: "t", Value: "w", TimeToLive: time.Hour})
		same(ttl)
		require.Equal(t, set.Revision+1, ttl.Revision)
		got = done[protocol.GetDone](c, protocol.Get{ID: next(), Group: "g", Key: "t"})
		entry, err = store.Entry("g", "t")
		require.NoError(t, err)
		require.False(t, entry.ExpiresAt.IsZero())
		require.True(t, entry.ExpiresAt.Equal(got.ExpiresAt))

		many := done[protocol.GetManyDone](c, protocol.GetMany{ID: next(), Group: "g", Keys: []string{"k", "t", "absent"}})
		same(many)
		require.Equal(t, map[string]string{"k": "v", "t": "w"}, many.Values)

		swapped := done[protocol.CompareAndSetDone](c, protocol.CompareAndSet{ID: next(), Group: "g", Key: "k", Value: "v2", Revision: set.Revision})
		same(swapped)
		require.Equal(t, ttl.Revision+1, swapped.Revision)
		requireValue(t, store, "g", "k", "v2")

		sum := done[protocol.IncrementDone](c, protocol.Increment{ID: next(), Group: "g", Key: "n", Delta: 40})
		same(sum)
		require.EqualValues(t, 40, sum.Number)
		sum = done[protocol.IncrementDone](c, protocol.Increment{ID: next(), Group: "g", Key: "n", Delta: 2})
		require.EqualValues(t, 42, sum.Number)
		require.Equal(t, swapped.Revision+2, sum.Revision)

		batch := new(api.Batch).Set("h", "a", "1").SetWithTTL("h", "b", "2", time.Hour).Increment("h", "c", 3).
			Delete("g", "k").DeleteGroup("i").DeletePrefix("j").IfAbsent("h", "a").Touch("g", "t", time.Minute).Persist("g", "t")
		writes := protocol.Batch{ID: next(), Writes: batch.Writes()}
		batch.Reset().Set("h", "a", "changed after it was sent")
		batched := done[protocol.BatchDone](c, writes)
		same(batched)
		require.Equal(t, sum.Revision+1, batched.Revision)
		require.Equal(t, map[string]string{"a": "1", "b": "2", "c": "3"}, second(store.GetAll("h")))
		requireNotFound(t, store, "g", "k")

		scanned := done[protocol.ScanDone](c, protocol.Scan{ID: next(), Groups: api.Exactly("h")})
		same(scanned)
		require.Len(t, scanned.Entries, 3)
		require.Empty(t, scanned.Cursor)
		require.Equal(t, protocol.ScanEntry{Group: "h", Key: "a", Value: "1", Revision: batched.Revision}, scanned.Entries[0])

		deleted := done[protocol.DeleteDone](c, protocol.Delete{ID: next(), Group: "h", Key: "a"})
		same(deleted)
		require.Equal(t, batched.Revision+1, deleted.Revision)
		require.Zero(t, done[protocol.DeleteDone](c, protocol.Delete{ID: next(), Group: "h", Key: "a"}).Revision, "nothing changed")
		group := done[protocol.DeleteGroupDone](c, protocol.DeleteGroup{ID: next(), Group: "h"})
		same(group)
		require.Equal(t, deleted.Revision+1, group.Revision)
		requireCount(t, store, "h", 0)

		done[protocol.SetDone](c, protocol.Set{ID: next(), Group: "u:g", Key: "k", Value: "v"})
		namespace, keys := "u", int64(1)
		if scoped, ok := store.(*api.ScopedStore); ok {
			namespace, keys = scoped.Namespace(), 3
		}
		usage := done[protocol.UsageDone](c, protocol.Usage{ID: next(), Namespace: namespace})
		same(usage)
		require.Equal(t, keys, usage.Usage.Keys)
	})
}

func second[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// TestEveryRequestIsServed: each type of package protocol, as a value and by a pointer.
func TestEveryRequestIsServed(t *testing.T) {
	requests := []any{protocol.Set{ID: 1, Group: "g", Key: "k", Value: "1"}, protocol.SetWithTTL{ID: 1, Group: "g", Key: "t", Value: "1", TimeToLive: time.Hour},
		protocol.Tell{ID: 1, Address: "a", Message: "m"},
		protocol.Get{ID: 1, Group: "g", Key: "k"}, protocol.GetMany{ID: 1, Group: "g", Keys: []string{"k"}},
		protocol.CompareAndSet{ID: 1, Group: "g", Key: "k", Value: "1", Revision: api.AnyRevision},
		protocol.Increment{ID: 1, Group: "g", Key: "k", Delta: 1}, protocol.Batch{ID: 1}, protocol.Scan{ID: 1},
		protocol.Usage{ID: 1, Namespace: "tenant"}, protocol.Delete{ID: 1, Group: "g", Key: "k"}, protocol.DeleteGroup{ID: 1, Group: "g"},
		protocol.Subscribe{ID: 1}, protocol.Credit{ID: 2, N: 1}, protocol.Unsubscribe{ID: 1}, protocol.OpenNamespace{ID: 1, Name: "other"}}
	var names []string
	for _, request := range requests {
		names = append(names, reflect.TypeOf(request).Name())
	}
	require.ElementsMatch(t, requestTypes(t), names)

	forEachAddressed(t, func(t *testing.T, store addressed, c *client) {
		ask := func(request, message any) {
			t.Helper()
			answer := c.ask(message).(protocol.Reply)
			switch request.(type) {
			case protocol.Credit: // else it has no answer
				require.ErrorIs(t, answer.Failure(), api.NotSubscribedError)
				return
			case protocol.OpenNamespace:
				if _, scoped := store.(*api.ScopedStore); scoped {
					require.ErrorIs(t, answer.Failure(), api.NotPermittedError)
					return
				}
			}
			require.NoError(t, answer.Failure(), "%T: %#v", message, answer)
			require.EqualValues(t, 1, answer.RequestID())
		}
		for _, request := range requests {
			ask(request, request)
		}
		for _, request := range requests {
			pointer := reflect.New(reflect.TypeOf(request))
			pointer.Elem().Set(reflect.ValueOf(request))
			ask(request, pointer.Interface())
			nothing := reflect.Zero(pointer.Type()).Interface()
			require.ErrorIs(t, c.ask(nothing).(protocol.Failed).Err, api.UnknownMessageError)
		}
	})
}

// requestTypes are the names of all requests that there are.
func requestTypes(t *testing.T) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../protocol/requests.go", nil, 0)
	require.NoError(t, err)
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.TypeSpec); ok {
			if _, ok := s.Type.(*ast.StructType); ok {
				names = append(names, s.Name.Name)
			}
		}
		return true
	})
	require.NotEmpty(t, names)
	return names
}

// TestTellByMessage: what a request tells, and what a key that has expired tells, waits in
// the outbox, at the address of the actor that has asked. Tell takes no place of a quota.
func TestTellByMessage(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock, system := testkit.NewClock(), newSystem(t)
		store := open(api.WithActorSystem(system), api.WithClock(clock), api.WithPurgeInterval(time.Hour))
		for within, pid := range map[string]*api.PID{"": pidOf(t, store),
			"tenant:": pidOf(t, newScope(t, store, "tenant", api.QuotaConfig{MaxKeys: 1, MaxGroups: 1}))} {
			c := newClient(t, system, pid)
			told := done[protocol.TellDone](c, protocol.Tell{ID: 1, Address: "a", Message: "by message"})
			require.Equal(t, protocol.TellDone{ID: 1, Revision: told.Revision}, told)
			set := done[protocol.SetWithTTLDone](c, protocol.SetWithTTL{ID: 2, Group: "g", Key: "k", Value: "last", TimeToLive: time.Minute, NotifyOnExpiry: "a"})
			require.Equal(t, told.Revision+1, set.Revision)
			require.Equal(t, 1, second(store.Count(api.TimersPrefix+within+"g")))

			clock.Advance(2 * time.Minute)
			require.EqualValues(t, 1, second(store.PurgeExpired()))
			page, err := store.OutboxPage(within+"a", "", 10)
			require.NoError(t, err)
			require.Len(t, page, 2)
			require.Equal(t, "by message", page[0].Payload)
			require.Equal(t, within+"g", page[1].Expired.Group)
			require.Equal(t, "k", page[1].Expired.Key)
			require.Equal(t, "last", page[1].Expired.Value)
		}
		var addresses []string
		for address, err := range store.OutboxAddresses("") {
			require.NoError(t, err)
			addresses = append(addresses, address)
		}
		require.Equal(t, []string{"a", "tenant:a"}, addresses, "and nowhere else")
	})
}

// What a call of api fails with, a message does too, to the letter.
func TestErrorsAreThoseOfTheCalls(t *testing.T) {
	long := strings.Repeat("x", 65<<10)
	forEachAddressed(t, func(t *testing.T, store addressed, c *client) {
		require.NoError(t, store.Set("g", "k", "no number"))
		scan := func(options api.ScanOptions) error {
			for _, err := range store.Scan(options) {
				return err
			}
			return nil
		}
		batch := func(b *api.Batch) error { _, err := store.Batch(b); return err }
		for name, each := range map[string]struct {
			request any
			call    func() error
			is      error
		}{
			"absent":        {protocol.Get{Group: "g", Key: "absent"}, func() error { _, err := store.Get("g", "absent"); return err }, api.NotFoundError},
			"large group":   {protocol.Set{Group: long, Key: "k"}, func() error { return store.Set(long, "k", "") }, api.TooLargeError},
			"large key":     {protocol.Set{Group: "g", Key: long}, func() error { return store.Set("g", long, "") }, api.TooLargeError},
			"large value":   {protocol.Set{Group: "g", Key: "k", Value: strings.Repeat(long, 300)}, func() error { return store.Set("g", "k", strings.Repeat(long, 300)) }, api.TooLargeError},
			"deadline":      {protocol.SetWithTTL{Group: "g", Key: "k", TimeToLive: 1<<63 - 1}, func() error { return store.SetWithTTL("g", "k", "", 1<<63-1) }, nil},
			"no address":    {protocol.Tell{Message: "m"}, func() error { return store.Tell("", "m") }, api.InvalidAddressError},
			"NUL address":   {protocol.Tell{Address: "a\x00", Message: "m"}, func() error { return store.Tell("a\x00", "m") }, api.InvalidAddressError},
			"large message": {protocol.Tell{Address: "a", Message: strings.Repeat(long, 300)}, func() error { return store.Tell("a", strings.Repeat(long, 300)) }, api.TooLargeError},
			"timer's NUL": {protocol.SetWithTTL{Group: "g", Key: "k", TimeToLive: time.Hour, NotifyOnExpiry: "a\x00"},
				func() error { return store.SetWithTTL("g", "k", "", time.Hour, api.NotifyOnExpiry("a\x00")) }, api.InvalidAddressError},
			"timer's length": {protocol.SetWithTTL{Group: "g", Key: "k", TimeToLive: time.Hour, NotifyOnExpiry: long[:1025]},
				func() error { return store.SetWithTTL("g", "k", "", time.Hour, api.NotifyOnExpiry(long[:1025])) }, api.InvalidAddressError},
			"revision":      {protocol.CompareAndSet{Group: "g", Key: "k", Revision: 77}, func() error { _, err := store.CompareAndSet("g", "k", "", 77); return err }, nil},
			"number":        {protocol.Increment{Group: "g", Key: "k", Delta: 1}, func() error { _, err := store.Increment("g", "k", 1); return err }, api.NotANumberError},
			"condition":     {protocol.Batch{Writes: new(api.Batch).IfAbsent("g", "k").Writes()}, func() error { return batch(new(api.Batch).IfAbsent("g", "k")) }, nil},
			"touch":         {protocol.Batch{Writes: new(api.Batch).Persist("g", "absent").Writes()}, func() error { return batch(new(api.Batch).Persist("g", "absent")) }, api.NotFoundError},
			"empty batch":   {protocol.Batch{}, func() error { return batch(nil) }, nil},
			"limit":         {protocol.Scan{Limit: -1}, func() error { return scan(api.ScanOptions{Limit: -1}) }, api.InvalidScanError},
			"upside down":   {protocol.Scan{From: "b", To: "a"}, func() error { return scan(api.ScanOptions{From: "b", To: "a"}) }, api.InvalidScanError},
			"cursor":        {protocol.Scan{Cursor: "made up"}, func() error { return scan(api.ScanOptions{Cursor: "made up"}) }, api.InvalidCursorError},
			"delete nobody": {protocol.Delete{Group: "g", Key: "absent"}, func() error { return store.Delete("g", "absent") }, nil},
		} {
			t.Run(name, func(t *testing.T) {
				want, got := each.call(), c.ask(each.request).(protocol.Reply).Failure()
				if want == nil {
					require.NoError(t, got)
					return
				}
				require.EqualError(t, got, want.Error())
				if each.is != nil {
					require.ErrorIs(t, want, each.is)
					require.ErrorIs(t, got, each.is)
				}
				var mismatch *api.RevisionMismatchError
				require.Equal(t, errors.As(want, &mismatch), errors.As(got, &mismatch))
			})
		}
	}, api.WithSizeLimits(api.SizeLimits{}))
}

// The quota is the view's, and the writes are within it.
func TestQuotaByMessage(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		system := newSystem(t)
		store := open(api.WithActorSystem(system))
		quota := api.QuotaConfig{MaxKeys: 2, MaxGroups: 1}
		scope := newScope(t, store, "tenant", quota)
		c := newClient(t, system, pidOf(t, scope))
		require.NotEqual(t, pidOf(t, store).Id, pidOf(t, scope).Id)
		require.Equal(t, pidOf(t, scope).Id, pidOf(t, newScope(t, store, "tenant", quota)).Id)
		done[protocol.SetDone](c, protocol.Set{Group: "g", Key: "a"})
		done[protocol.IncrementDone](c, protocol.Increment{Group: "g", Key: "b", Delta: 1})
		for _, request := range []any{protocol.Set{Group: "g", Key: "c"}, protocol.SetWithTTL{Group: "g", Key: "c", TimeToLive: time.Hour},
			protocol.CompareAndSet{Group: "g", Key: "c"}, protocol.Increment{Group: "g", Key: "c"}, protocol.Set{Group: "h", Key: "a"},
			protocol.Batch{Writes: new(api.Batch).Set("g", "c", "").Writes()}} {
			err := c.ask(request).(protocol.Reply).Failure()
			require.ErrorIs(t, err, api.QuotaExceededError, "%T", request)
		}
		require.EqualError(t, c.ask(protocol.Set{Group: "g", Key: "c"}).(protocol.SetDone).Err, scope.Set("g", "c", "").Error())
		require.Equal(t, api.Usage{Keys: 2, Groups: 1}, done[protocol.UsageDone](c, protocol.Usage{}).Usage)

		opened := newClient(t, system, done[protocol.NamespaceOpened](newClient(t, system, pidOf(t, store)),
			protocol.OpenNamespace{ID: 3, Name: "tenant", Quota: quota}).PID)
		require.ErrorIs(t, opened.ask(protocol.Set{Group: "g", Key: "c"}).(protocol.Reply).Failure(), api.QuotaExceededError)
	})
}

// A program that has the address of a namespace's actor has the namespace, and nothing else.
func TestNoMessageLeavesItsNamespace(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		system := newSystem(t)
		store := open(api.WithActorSystem(system))
		require.NoError(t, store.Set("other:g", "k", "v"))
		require.NoError(t, store.Set("tenant:g", "k", "v"))
		whole := newClient(t, system, pidOf(t, store))
		page := done[protocol.ScanDone](whole, protocol.Scan{Limit: 1})
		c := newClient(t, system, pidOf(t, newScope(t, store, "tenant")))
		for _, request := range []any{protocol.Usage{ID: 1, Namespace: "other"}, protocol.OpenNamespace{ID: 1, Name: "other"},
			protocol.OpenNamespace{ID: 1, Name: "tenant"}} {
			answer := c.ask(request).(protocol.Reply)
			require.ErrorIs(t, answer.Failure(), api.NotPermittedError, "%T", request)
			require.EqualValues(t, 1, answer.RequestID())
		}
		require.ErrorIs(t, c.ask(protocol.Scan{Cursor: page.Cursor}).(protocol.ScanDone).Err, api.InvalidCursorError)
		scanned := done[protocol.ScanDone](c, protocol.Scan{})
		require.Len(t, scanned.Entries, 1)
		require.Equal(t, "g", scanned.Entries[0].Group)
		done[protocol.BatchDone](c, protocol.Batch{Writes: new(api.Batch).DeletePrefix("").Writes()})
		requireNotFound(t, store, "tenant:g", "k")
		requireValue(t, store, "other:g", "k", "v")
		done[protocol.Subscribed](c, protocol.Subscribe{ID: 9, Credits: 10})
		require.NoError(t, store.Set("other:g", "k", "w"))
		require.NoError(t, store.Set("tenant:g", "k", "w"))
		event := c.next().(protocol.Event).Event
		require.Equal(t, "tenant:g", event.Group)
		require.EqualError(t, whole.ask(protocol.Usage{Namespace: "in valid"}).(protocol.UsageDone).Err,
			errorOf(store.Usage("in valid")).Error())
		require.ErrorIs(t, whole.ask(protocol.OpenNamespace{Name: "in valid"}).(protocol.NamespaceOpened).Err, api.InvalidNamespaceError)
		require.ErrorIs(t, whole.ask(protocol.OpenNamespace{Name: "n", Quota: api.QuotaConfig{MaxKeys: -1}}).(protocol.NamespaceOpened).Err, api.InvalidQuotaError)
	})
}

func errorOf[T any](_ T, err error) error { return err }

// Pages end where they say, and their cursors go on there.
func TestScanPages(t *testing.T) {
	forEachAddressed(t, func(t *testing.T, store addressed, c *client) {
		const keys = 25
		batch := new(api.Batch)
		for i := range keys {
			batch.Set(fmt.Sprintf("p%d", i%2), fmt.Sprintf("k%02d", i), strings.Repeat("v", 300<<10))
		}
		_, err := store.Batch(batch)
		require.NoError(t, err)
		for name, scan := range map[string]protocol.Scan{
			"limit":    {Groups: api.Prefix("p"), Limit: 7},
			"reverse":  {Groups: api.Prefix("p"), Limit: 7, Reverse: true},
			"bytes":    {Groups: api.Prefix("p")},
			"keys":     {Groups: api.Prefix("p"), KeysOnly: true},
			"too many": {Groups: api.Prefix("p"), Limit: 1 << 30, KeysOnly: true},
		} {
			var all, want []string
			for entry, err := range store.Scan(api.ScanOptions{Groups: scan.Groups, Reverse: scan.Reverse, KeysOnly: scan.KeysOnly}) {
				require.NoError(t, err)
				want = append(want, entry.Group+"/"+entry.Key)
			}
			pages := 0
			for more := true; more; more = scan.Cursor != "" {
				page := done[protocol.ScanDone](c, scan)
				for _, entry := range page.Entries {
					all = append(all, entry.Group+"/"+entry.Key)
					require.Equal(t, scan.KeysOnly, entry.Value == "")
				}
				scan.Cursor = page.Cursor
				pages++
			}
			require.Equal(t, want, all, name)
			switch {
			case scan.KeysOnly:
				require.Equal(t, 1, pages, name)
			case scan.Limit == 7:
				require.Equal(t, 4, pages, name)
			default:
				require.Equal(t, 2, pages, name)
			}
		}
	})
}

// An expired key is gone, and its actor's answers are judged by the store's clock.
func TestGetOfAnExpiredKeyByMessage(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		system, clock := newSystem(t), testkit.NewClock()
		store := open(api.WithActorSystem(system), api.WithClock(clock))
		c := newClient(t, system, pidOf(t, store))
		done[protocol.SetWithTTLDone](c, protocol.SetWithTTL{Group: "g", Key: "k", Value: "v", TimeToLive: time.Minute})
		done[protocol.GetDone](c, protocol.Get{Group: "g", Key: "k"})
		done[protocol.GetDone](c, protocol.Get{Group: "g", Key: "k"})
		clock.Jump(time.Hour)
		require.EqualError(t, c.ask(protocol.Get{ID: 5, Group: "g", Key: "k"}).(protocol.GetDone).Err, "store.Get: g/k: not found")
	})
}

func TestReadOnlyByMessage(t *testing.T) {
	path := newPath(t)
	owner := openStore(t, path)
	require.NoError(t, owner.Set("g", "k", "v"))
	system := newSystem(t)
	store := openStore(t, path, api.WithReadOnly(), api.WithActorSystem(system))
	c := newClient(t, system, pidOf(t, store))
	require.Equal(t, "v", done[protocol.GetDone](c, protocol.Get{Group: "g", Key: "k"}).Value)
	require.Len(t, done[protocol.ScanDone](c, protocol.Scan{}).Entries, 1)
	done[protocol.Subscribed](c, protocol.Subscribe{Credits: 1})
	require.NoError(t, owner.Set("g", "k", "w"))
	require.Equal(t, "w", c.next().(protocol.Event).Event.Value)
	for _, request := range []any{protocol.Set{}, protocol.SetWithTTL{}, protocol.Delete{}, protocol.DeleteGroup{}, protocol.Batch{},
		protocol.CompareAndSet{}, protocol.Increment{}} {
		require.ErrorIs(t, c.ask(request).(protocol.Reply).Failure(), api.ReadOnlyError, "%T", request)
	}
	require.EqualError(t, c.ask(protocol.Set{}).(protocol.SetDone).Err, store.Set("", "", "").Error())
	require.NoError(t, store.Close())
	require.ErrorIs(t, c.next().(protocol.SubscriptionEnded).Err, api.ClosedError)
}

// A store without a system of the caller's has no address that it could use.
func TestPIDNeedsASystem(t *testing.T) {
	store := openStore(t, ":memory:")
	_, err := store.PID()
	require.ErrorIs(t, err, api.InvalidOptionError)
	require.ErrorContains(t, err, "WithActorSystem")
	_, err = newScope(t, store, "n").PID()
	require.ErrorIs(t, err, api.InvalidOptionError)
	_, err = (*api.Store)(nil).PID()
	require.ErrorIs(t, err, api.NilStoreError)
	_, err = (*api.ScopedStore)(nil).PID()
	require.ErrorIs(t, err, api.NilStoreError)
	require.NoError(t, store.Close())
	_, err = store.PID()
	require.ErrorIs(t, err, api.ClosedError)
	require.Zero(t, (*api.Store)(nil).DroppedMessages())
}
