package api_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

func TestNamespaceNames(t *testing.T) {
	store := openStore(t, ":memory:")
	for _, namespace := range []string{"a", "A-Z", "tenant-42", "-", "0"} {
		scope, err := api.NewScoped(store, namespace)
		require.NoError(t, err)
		require.Equal(t, namespace, scope.Namespace())
	}
	for _, namespace := range []string{"", " ", "a b", "a:b", ":", "a_b", "a.b", "é", "a\x00", "\xff", "*", "a\n", "a/b"} {
		for function, create := range map[string]func() (*api.ScopedStore, error){
			"NewScoped":          func() (*api.ScopedStore, error) { return api.NewScoped(store, namespace) },
			"NewScopedWithQuota": func() (*api.ScopedStore, error) { return api.NewScopedWithQuota(store, namespace, api.QuotaConfig{}) },
		} {
			scope, err := create()
			require.Nil(t, scope, "%q", namespace)
			require.ErrorIs(t, err, api.InvalidNamespaceError, "%q", namespace)
			require.ErrorContains(t, err, "invalid")
			require.ErrorContains(t, err, "store."+function+": ")
		}
		_, err := store.Usage(namespace)
		require.ErrorIs(t, err, api.InvalidNamespaceError, "%q", namespace)
	}
}

func TestNegativeQuota(t *testing.T) {
	store := openStore(t, ":memory:")
	for _, quota := range []api.QuotaConfig{{MaxKeys: -1}, {MaxGroups: -1}, {MaxKeys: -5, MaxGroups: 5}} {
		scope, err := api.NewScopedWithQuota(store, "a", quota)
		require.Nil(t, scope)
		require.ErrorIs(t, err, api.InvalidQuotaError)
		require.ErrorContains(t, err, "zero or positive")
	}
}

func TestScopeOfNoStore(t *testing.T) {
	_, err := api.NewScoped(nil, "a")
	require.ErrorContains(t, err, "store.NewScoped: ")
	_, err = api.NewScopedWithQuota(nil, "a", api.QuotaConfig{})
	require.ErrorContains(t, err, "store.NewScopedWithQuota: ")
}

// The same names in different namespaces are different keys.
func TestIsolation(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		namespaces := []string{"a", "b", "ab", "A", "a-"}
		scopes := map[string]*api.ScopedStore{}
		for _, namespace := range namespaces {
			scopes[namespace] = newScope(t, store, namespace)
			require.NoError(t, scopes[namespace].Set("g", "k", "of "+namespace))
			require.NoError(t, scopes[namespace].Set("only "+namespace, "k", "v"))
		}
		for _, namespace := range namespaces {
			scope := scopes[namespace]
			requireValue(t, scope, "g", "k", "of "+namespace)
			requireValue(t, store, namespace+":g", "k", "of "+namespace)
			requireGroups(t, scope, "", []string{"g", "only " + namespace})
			requireGroups(t, scope, "only", []string{"only " + namespace})
			requireCount(t, scope, "", 2)
			all, err := scope.GetAll("g")
			require.NoError(t, err)
			require.Equal(t, map[string]string{"k": "of " + namespace}, all)
		}
		groups, err := store.Groups("a")
		require.NoError(t, err)
		require.Equal(t, []string{"a-:g", "a-:only a-", "a:g", "a:only a", "ab:g", "ab:only ab"}, groups)
		requireCount(t, store, "a:", 2)
		requireCount(t, store, "", 10)

		require.NoError(t, scopes["a"].DeletePrefix(""))
		requireCount(t, scopes["a"], "", 0)
		requireCount(t, store, "", 8)
		require.NoError(t, scopes["ab"].Delete("g", "k"))
		requireValue(t, scopes["b"], "g", "k", "of b")
		rendered, err := scopes["A"].Render("{{ .k }}", "g")
		require.NoError(t, err)
		require.Equal(t, "of A", rendered)
	})
}

// Two views of one namespace, and the store, see the same keys.
func TestViewsShareTheirNamespace(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		first, second := newScope(t, store, "a"), newScope(t, store, "a", api.QuotaConfig{MaxKeys: 1})
		require.NoError(t, first.Set("g", "k", "v"))
		requireValue(t, second, "g", "k", "v")
		require.ErrorIs(t, second.Set("g", "l", "v"), api.QuotaExceededError)
		require.NoError(t, first.Set("g", "l", "v"), "the limit is the handle's")
		require.NoError(t, store.Set("a:g", "m", "v"))
		usage, err := first.Usage()
		require.NoError(t, err)
		require.Equal(t, api.Usage{Keys: 3, Groups: 1}, usage)
	})
}

// CountAll and Groups over several namespaces, with expired keys among them.
func TestCountAllAndGroupsAcrossNamespaces(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithPurgeInterval(time.Hour))
		a, b := newScope(t, store, "a"), newScope(t, store, "b")
		for _, scope := range []*api.ScopedStore{a, b} {
			require.NoError(t, scope.Set("live", "k", "v"))
			require.NoError(t, scope.SetWithTTL("live", "dead", "v", time.Second))
			require.NoError(t, scope.SetWithTTL("dead", "k", "v", time.Second))
		}
		require.NoError(t, store.Set("plain", "k", "v"))
		requireCount(t, store, "", 7)
		requireGroups(t, store, "", []string{"a:dead", "a:live", "b:dead", "b:live", "plain"})
		clock.Advance(time.Second)
		requireCount(t, store, "", 3)
		requireCount(t, store, "a:", 1)
		requireCount(t, a, "dead", 0)
		requireGroups(t, store, "", []string{"a:live", "b:live", "plain"})
		requireGroups(t, store, "b:", []string{"b:live"})
		requireGroups(t, a, "", []string{"live"})
	})
}

func TestUsage(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithPurgeInterval(time.Hour))
		scope := newScope(t, store, "a")
		requireUsage := func(keys, groups int64) {
			t.Helper()
			for _, usage := range []func() (api.Usage, error){scope.Usage, func() (api.Usage, error) { return store.Usage("a") }} {
				got, err := usage()
				require.NoError(t, err)
				require.Equal(t, api.Usage{Keys: keys, Groups: groups}, got)
			}
		}
		require.NoError(t, store.Set("ab:g", "k", "a neighbour"))
		require.NoError(t, store.Set("a", "k", "a group of that name"))
		requireUsage(0, 0)
		require.NoError(t, scope.Set("g", "k", "v"))
		require.NoError(t, store.Set("a:g", "l", "past the view"))
		require.NoError(t, scope.SetWithTTL("h", "k", "v", time.Second))
		require.NoError(t, scope.SetAll([]api.Item{{Group: "i", Key: "k"}, {Group: "i", Key: "l"}, {Group: "g", Key: "k"}}))
		requireUsage(5, 3)
		clock.Advance(time.Second)
		requireUsage(4, 2)
		_, err := store.PurgeExpired()
		require.NoError(t, err)
		requireUsage(4, 2)
		require.NoError(t, scope.Delete("g", "k"))
		require.NoError(t, store.Delete("a:g", "l"))
		requireUsage(2, 1)
		require.NoError(t, store.DeletePrefix("a"))
		requireUsage(0, 0)
	})
}

// A namespace that is first asked about while others write into it is counted
// right: what comes during the count is neither lost nor counted twice.
func TestUsageCountedUnderLoad(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		const namespaces, writers, writes = 5, 8, 40
		require.NoError(t, together(writers+1, func(i int) error {
			if i == writers {
				for n := range namespaces {
					if _, err := store.Usage(fmt.Sprint("n", n)); err != nil {
						return err
					}
				}
				return nil
			}
			for j := range writes {
				for n := range namespaces {
					group := fmt.Sprintf("n%d:g%d", n, j%3)
					if err := store.Set(group, fmt.Sprint(i, "-", j), "v"); err != nil {
						return err
					}
				}
			}
			return nil
		}))
		for n := range namespaces {
			usage, err := store.Usage(fmt.Sprint("n", n))
			require.NoError(t, err)
			require.Equal(t, api.Usage{Keys: writers * writes, Groups: 3}, usage)
		}
	})
}

// The names that GroupsSeq yields to a view are stripped too, and a loop may
// write.
func TestScopedGroupsSeq(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		scope := newScope(t, open(), "a")
		for _, group := range []string{"x", "a:", "y"} {
			require.NoError(t, scope.Set(group, "k", "v"))
		}
		var names []string
		for name, err := range scope.GroupsSeq("") {
			require.NoError(t, err)
			names = append(names, name)
			require.NoError(t, scope.DeleteGroup(name))
		}
		require.True(t, slices.Equal([]string{"a:", "x", "y"}, names))
		requireCount(t, scope, "", 0)
	})
}
