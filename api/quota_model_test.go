package api_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// quotaModel is what a store holds, by the plainest means: maps, and counting
// everything each time.
type quotaModel struct {
	now    int64 // Unix milliseconds
	groups map[string]map[string]quotaRow
}

type quotaRow struct {
	value    string
	deadline int64
}

func (m *quotaModel) live(group string) map[string]string {
	all := map[string]string{}
	for key, row := range m.groups[group] {
		if row.deadline > m.now {
			all[key] = row.value
		}
	}
	return all
}

// usage is what lives in the groups with a prefix.
func (m *quotaModel) usage(prefix string) (usage api.Usage) {
	for group := range m.groups {
		if keys := len(m.live(group)); keys > 0 && strings.HasPrefix(group, prefix) {
			usage.Keys += int64(keys)
			usage.Groups++
		}
	}
	return usage
}

// set writes items under a quota, all or none.
func (m *quotaModel) set(namespace string, quota api.QuotaConfig, deadline int64, items ...api.Item) error {
	before := make(map[string]map[string]quotaRow)
	for group, keys := range m.groups {
		before[group] = maps.Clone(keys)
	}
	for _, item := range items {
		lives := m.live(item.Group)
		if _, overwrites := lives[item.Key]; !overwrites {
			usage := m.usage(namespace + ":")
			if quota.MaxKeys > 0 && usage.Keys >= int64(quota.MaxKeys) ||
				quota.MaxGroups > 0 && len(lives) == 0 && usage.Groups >= int64(quota.MaxGroups) {
				m.groups = before
				return api.QuotaExceededError
			}
		}
		if m.groups[item.Group] == nil {
			m.groups[item.Group] = map[string]quotaRow{}
		}
		m.groups[item.Group][item.Key] = quotaRow{item.Value, deadline}
	}
	return nil
}

func (m *quotaModel) deletePrefix(prefix string) {
	maps.DeleteFunc(m.groups, func(group string, _ map[string]quotaRow) bool { return strings.HasPrefix(group, prefix) })
}

// quotaView is a handle of the store, and what the model must know of it.
type quotaView struct {
	handle
	namespace string
	prefix    string
	quota     api.QuotaConfig
}

// A long random history of a store and its model: every answer is the same,
// and so is all that is left.
func TestQuotaModel(t *testing.T) {
	forEachPath(t, func(t *testing.T, path string) {
		for seed := range uint64(4) {
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { quotaHistory(t, path, seed) })
		}
	})
}

func quotaHistory(t *testing.T, path string, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 42))
	clock := testkit.NewClock()
	if path != ":memory:" {
		path = newPath(t)
	}
	// With the background out of the way expired rows stay until a write needs
	// their room, which is the harder case.
	store := openStore(t, path, api.WithClock(clock), api.WithPurgeInterval(24*time.Hour))
	views := []quotaView{{handle: store}}
	for namespace, quota := range map[string]api.QuotaConfig{
		"a": {MaxKeys: 8, MaxGroups: 3}, "b": {MaxKeys: 5}, "c": {MaxGroups: 2},
	} {
		views = append(views,
			quotaView{newScope(t, store, namespace, quota), namespace, namespace + ":", quota},
			quotaView{newScope(t, store, namespace), namespace, namespace + ":", api.QuotaConfig{}})
	}
	slices.SortFunc(views, func(v, w quotaView) int { // the map's order must not matter
		return strings.Compare(fmt.Sprint(v.namespace, v.quota), fmt.Sprint(w.namespace, w.quota))
	})
	model := &quotaModel{groups: map[string]map[string]quotaRow{}}
	for step := range 800 {
		model.now = clock.Now().UnixMilli()
		did, got, want := quotaStep(random, views, model, clock)
		require.Equal(t, want == nil, got == nil, "step %d, %s: the model says %v, the store %v", step, did, want, got)
		if want != nil {
			require.ErrorIs(t, got, want, "step %d, %s", step, did)
		}
		model.now = clock.Now().UnixMilli()
		if step%16 == 0 {
			compareQuota(t, store, model, fmt.Sprintf("after step %d, %s", step, did))
		}
	}
	compareQuota(t, store, model, "at the end")
	now := clock.Now().UnixMilli()
	require.NoError(t, store.Close())
	if path != ":memory:" {
		for _, namespace := range []string{"a", "b", "c"} {
			require.Equal(t, model.usage(namespace+":").Keys, query[int64](t, path,
				`SELECT COUNT(*) FROM entries WHERE substr(group_name, 1, 2) = ? AND (expires_at IS NULL OR expires_at > ?)`,
				namespace+":", now))
		}
	}
}

// quotaStep does one thing to both.
func quotaStep(random *rand.Rand, views []quotaView, model *quotaModel, clock *testkit.Clock) (did string, got, want error) {
	view := views[random.IntN(len(views))]
	item := func() api.Item {
		group := fmt.Sprint("g", random.IntN(4))
		if view.namespace == "" {
			group = []string{"a:", "b:", "c:", ""}[random.IntN(4)] + group
		}
		return api.Item{Group: group, Key: fmt.Sprint("k", random.IntN(5)), Value: fmt.Sprint(random.IntN(1000))}
	}
	full := func(i api.Item) api.Item { i.Group = view.prefix + i.Group; return i }
	drawn := item()
	switch n := random.IntN(20); {
	case n < 6:
		did = fmt.Sprintf("Set %+v", full(drawn))
		return did, view.Set(drawn.Group, drawn.Key, drawn.Value), model.set(view.namespace, view.quota, math.MaxInt64, full(drawn))
	case n < 11:
		ttl := []time.Duration{-time.Second, 0, time.Second, 2 * time.Second, time.Minute}[random.IntN(5)]
		did = fmt.Sprintf("SetWithTTL %+v %v", full(drawn), ttl)
		return did, view.SetWithTTL(drawn.Group, drawn.Key, drawn.Value, ttl),
			model.set(view.namespace, view.quota, model.now+ttl.Milliseconds(), full(drawn))
	case n < 14:
		var items, fulls []api.Item
		for range 1 + random.IntN(4) {
			i := item()
			items, fulls = append(items, i), append(fulls, full(i))
		}
		did = fmt.Sprintf("SetAll %+v", fulls)
		return did, view.SetAll(items), model.set(view.namespace, view.quota, math.MaxInt64, fulls...)
	case n < 16:
		delete(model.groups[full(drawn).Group], drawn.Key)
		return fmt.Sprintf("Delete %+v", full(drawn)), view.Delete(drawn.Group, drawn.Key), nil
	case n < 17:
		delete(model.groups, full(drawn).Group)
		return "DeleteGroup " + full(drawn).Group, view.DeleteGroup(drawn.Group), nil
	case n < 18 && random.IntN(3) == 0:
		model.deletePrefix(full(drawn).Group)
		return "DeletePrefix " + full(drawn).Group, view.DeletePrefix(drawn.Group), nil
	case n < 19:
		_, err := view.PurgeExpired()
		return "PurgeExpired", err, nil
	default:
		clock.Advance(time.Duration(random.IntN(1500)) * time.Millisecond)
		return "time passes", nil, nil
	}
}

func compareQuota(t *testing.T, store *api.Store, model *quotaModel, when string) {
	t.Helper()
	groups := []string{}
	for group := range model.groups {
		want := model.live(group)
		if len(want) > 0 {
			groups = append(groups, group)
		}
		got, err := store.GetAll(group)
		require.NoError(t, err)
		require.Equal(t, want, got, "%s: group %s", when, group)
	}
	slices.Sort(groups)
	requireGroups(t, store, "", groups)
	for _, namespace := range []string{"a", "b", "c"} {
		usage, err := store.Usage(namespace)
		require.NoError(t, err)
		require.Equal(t, model.usage(namespace+":"), usage, "%s: usage of %s", when, namespace)
	}
}
