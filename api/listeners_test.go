package api_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// listenersOf are the store's, those of a kind together.
func listenersOf(t *testing.T, store *api.Store) []api.Listener {
	t.Helper()
	all, more, err := store.Listeners(1000)
	require.NoError(t, err)
	require.False(t, more)
	slices.SortFunc(all, func(a, b api.Listener) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(fmt.Sprint(a.Filters), fmt.Sprint(b.Filters)))
	})
	return all
}

// TestListeners: each is there from its call's return on, with what waits for it and what
// it has lost, until it has ended.
func TestListeners(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		system := actor.NewActorSystem()
		t.Cleanup(system.Shutdown)
		store := open(api.WithWatchBuffer(2), api.WithActorSystem(system))
		require.Empty(t, listenersOf(t, store))
		slow := store.Watch("g", "*")
		pid := system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}))
		byActor := store.WatchActor(pid, "*", "k")
		unregister := store.OnChange(func(api.Event) {})
		for i := range 5 {
			require.NoError(t, store.Set("g", fmt.Sprint(i), "v"))
		}
		require.Equal(t, []api.Listener{
			{Kind: api.ListenerWatcher, Filters: []api.Filter{{Group: api.Exactly("g")}}, Waiting: 2, Capacity: 2, Dropped: 3},
			{Kind: api.ListenerActor, Filters: []api.Filter{{Key: api.Exactly("k")}}},
		}, listenersOf(t, store))
		require.Equal(t, 1, store.Callbacks())
		unregister()
		require.Zero(t, store.Callbacks())
		_, more, err := store.Listeners(1)
		require.NoError(t, err)
		require.True(t, more)
		none, more, err := store.Listeners(-1)
		require.NoError(t, err)
		require.True(t, more)
		require.Empty(t, none)
		store.Unwatch(slow)
		store.Unwatch(byActor)
		require.Empty(t, listenersOf(t, store))
		require.NoError(t, system.Root.StopFuture(pid).Wait())
		require.NoError(t, store.Close())
		_, _, err = store.Listeners(1)
		require.ErrorIs(t, err, api.ClosedError)
		_, err = store.Namespaces()
		require.ErrorIs(t, err, api.ClosedError)
	})
}

// TestListenersThatSubscribe: one with several filters counts once, and says how far
// behind it is while its loop's body takes its time.
func TestListenersThatSubscribe(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		filters := []api.Filter{{Group: api.Exactly("g")}, {Group: api.Prefix("h")}, {Key: api.Exactly("k")}}
		ctx, cancel := context.WithCancel(t.Context())
		entered, leave, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
		enter := sync.OnceFunc(func() { close(entered) })
		go func() {
			defer close(ended)
			for range store.Subscribe(ctx, api.SubscribeOptions{Filters: filters, Buffer: 3, From: 1}) {
				enter()
				<-leave
			}
		}()
		require.NoError(t, store.Set("g", "first", "v"))
		testkit.Await(t, "the first event", entered)
		for i := range 10 {
			require.NoError(t, store.Set("g", fmt.Sprint(i), "v"))
		}
		all := listenersOf(t, store)
		require.Len(t, all, 1)
		require.Equal(t, api.ListenerSubscriber, all[0].Kind)
		require.Equal(t, filters, all[0].Filters)
		require.Equal(t, 3, all[0].Capacity)
		require.True(t, all[0].Behind)
		require.GreaterOrEqual(t, all[0].Waiting, 1)
		cancel()
		close(leave)
		testkit.Await(t, "the end of the loop", ended)
		require.Empty(t, listenersOf(t, store))
	})
}

// TestNamespaces: those that are counted, with the quota last written under; nothing is
// counted because of the question.
func TestNamespaces(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		quota := api.QuotaConfig{MaxKeys: 5, MaxGroups: 3}
		limited, err := api.NewScopedWithQuota(store, "limited", quota)
		require.NoError(t, err)
		require.Equal(t, quota, limited.Quota())
		asked := newScope(t, store, "asked")
		require.Zero(t, asked.Quota())
		require.NoError(t, asked.Set("g", "k", "v"))
		require.NoError(t, newScope(t, store, "other").Set("g", "k", "v"))
		all, err := store.Namespaces()
		require.NoError(t, err)
		require.Empty(t, all)
		require.NoError(t, limited.Set("g", "k", "v"))
		require.NoError(t, limited.Set("h", "k", "v"))
		_, err = asked.Usage()
		require.NoError(t, err)
		want := []api.NamespaceUsage{
			{Namespace: "asked", Usage: api.Usage{Keys: 1, Groups: 1}},
			{Namespace: "limited", Usage: api.Usage{Keys: 2, Groups: 2}, Quota: quota},
		}
		testkit.Until(t, "the quota actor has learnt of the writes", func() bool {
			all, err = store.Namespaces()
			return err != nil || slices.Equal(all, want)
		})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
		defer cancel()
		if _, err = store.WithContext(ctx).Namespaces(); err != nil { // it may have been answered at once
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
	})
}

// TestListenersOfAReadOnlyStore: its subscribers are there while their loops last, with the
// revisions that they have not taken yet; so they are in its metrics.
func TestListenersOfAReadOnlyStore(t *testing.T) {
	path := newPath(t)
	owner := openStore(t, path)
	reader := openStore(t, path, api.WithReadOnly())
	require.Empty(t, listenersOf(t, reader))
	for i := range 3 {
		require.NoError(t, owner.Set("g", fmt.Sprint(i), "v"))
	}
	filters := []api.Filter{{Group: api.Exactly("g")}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for event, err := range reader.Subscribe(ctx, api.SubscribeOptions{From: 1, Filters: filters}) {
		require.NoError(t, err)
		last := max(3, event.Revision)
		waiting := int(last - event.Revision + 1) // it has not taken the one that it is at
		require.Equal(t, []api.Listener{{Kind: api.ListenerSubscriber, Filters: filters, Waiting: waiting, Behind: true}}, listenersOf(t, reader))
		m := reader.Metrics()
		require.Equal(t, api.ListenerMetrics{Open: 1, Waiting: waiting, Most: waiting, Behind: 1}, m.Subscribers)
		if event.Revision == 3 {
			require.NoError(t, owner.Set("other", "k", "v"), "which it does not want, but has to read")
			require.NoError(t, owner.Set("g", "last", "v"))
			require.Equal(t, 3, listenersOf(t, reader)[0].Waiting)
		}
		if event.Revision == 5 {
			break
		}
	}
	require.NoError(t, ctx.Err())
	require.Empty(t, listenersOf(t, reader))
	require.Zero(t, reader.Metrics().Subscribers)
	require.NoError(t, reader.Close())
	_, _, err := reader.Listeners(1)
	require.ErrorIs(t, err, api.ClosedError)
}
