package sqlite

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// Whatever is done to them, a file, one with an overlay and a memory database agree with each other
// and with a map.
func TestAllKindsAgreeWithAModel(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := &model{
				random: rand.New(rand.NewPCG(seed, seed)),
				all: []*Database{open(t, storage.MemoryPath), openWith(t, Config{Path: temporary(t), Durability: kv.DurabilityBuffered}),
					openWith(t, Config{Path: temporary(t), Durability: kv.DurabilityBuffered, Overlay: 8 << 20, loose: true}),
					openWith(t, Config{Path: temporary(t), Durability: kv.DurabilityBuffered, Overlay: 4 << 10, loose: true})},
				rows: map[[2]string]kv.Row{},
			}
			for range 80 {
				m.transaction(t)
				m.compare(t)
			}
		})
	}
}

type model struct {
	random *rand.Rand
	all    []*Database
	rows   map[[2]string]kv.Row
}

var modelGroups = []string{"", "a", "a:1", "a:2", "a:\x00", "a;", "b:1", "\xff", "\xff\xff"}

func (m *model) group() string { return modelGroups[m.random.IntN(len(modelGroups))] }

func (m *model) row() kv.Row {
	r := kv.Row{Group: m.group(), Key: fmt.Sprint(m.random.IntN(12)), Value: fmt.Sprint(m.random.Uint64()), Deadline: kv.NoDeadline, Revision: 1}
	if m.random.IntN(2) == 0 {
		r.Deadline = int64(m.random.IntN(20))
	}
	return r
}

func (m *model) now() int64 { return int64(m.random.IntN(22)) - 1 }

func (m *model) each(t *testing.T, f func(storage.Writer) error) {
	for _, d := range m.all {
		require.NoError(t, f(d.Writer()))
	}
}

// transaction does some requests, each under a savepoint that may be undone,
// and commits or rolls back.
func (m *model) transaction(t *testing.T) {
	before := clone(m.rows)
	m.each(t, storage.Writer.Begin)
	for range m.random.IntN(6) {
		kept := clone(m.rows)
		m.each(t, storage.Writer.Savepoint)
		for range m.random.IntN(4) {
			m.request(t)
		}
		if m.random.IntN(4) == 0 {
			m.each(t, storage.Writer.RollbackTo)
			m.rows = kept
		} else {
			m.each(t, storage.Writer.Release)
		}
	}
	switch m.random.IntN(8) {
	case 0:
		m.each(t, storage.Writer.Rollback)
		m.rows = before
	case 1:
		m.each(t, storage.Writer.Resynchronise)
		m.rows = before
	default:
		m.each(t, storage.Writer.Commit)
	}
}

func clone(rows map[[2]string]kv.Row) map[[2]string]kv.Row {
	c := make(map[[2]string]kv.Row, len(rows))
	for k, v := range rows {
		c[k] = v
	}
	return c
}

func (m *model) request(t *testing.T) {
	r := m.row()
	at := [2]string{r.Group, r.Key}
	stored, exists := m.rows[at]
	switch m.random.IntN(8) {
	case 6:
		m.purge(t)
	case 7:
		m.ask(t, m.group(), m.now())
	case 0:
		m.each(t, func(w storage.Writer) error {
			changed, err := w.Delete(r.Group, r.Key)
			require.Equal(t, exists, changed)
			return err
		})
		delete(m.rows, at)
	case 1:
		removed := int64(0)
		for at := range m.rows {
			if at[0] == r.Group {
				removed++
				delete(m.rows, at)
			}
		}
		m.each(t, func(w storage.Writer) error {
			n, err := w.DeleteGroup(r.Group)
			require.Equal(t, removed, n)
			return err
		})
	case 2:
		m.each(t, func(w storage.Writer) error {
			changed, err := w.Update(r)
			require.Equal(t, exists, changed)
			return err
		})
		if exists {
			m.rows[at] = r
		}
	case 3:
		m.each(t, func(w storage.Writer) error {
			got, found, err := w.Get(r.Group, r.Key)
			require.NoError(t, err)
			require.Equal(t, exists, found)
			require.Equal(t, stored, got)
			head, size, found, err := w.Head(r.Group, r.Key)
			require.NoError(t, err)
			require.Equal(t, exists, found)
			require.Equal(t, len(stored.Value), size)
			require.Equal(t, kv.Row{Group: stored.Group, Key: stored.Key, Deadline: stored.Deadline, Revision: stored.Revision}, head)
			if exists {
				return err
			}
			return w.Insert(r)
		})
		if !exists {
			m.rows[at] = r
		}
	default:
		m.each(t, func(w storage.Writer) error { return w.Upsert(r) })
		m.rows[at] = r
	}
}

// purge removes some of what has expired, as the writer does.
func (m *model) purge(t *testing.T) {
	now, limit, some := m.now(), 1+m.random.IntN(8), []kv.Row(nil)
	rng := m.ranges()[m.random.IntN(5)]
	m.each(t, func(w storage.Writer) error {
		rows, err := w.Expired(rng, math.MinInt64, now, limit)
		require.NoError(t, err)
		if some == nil { // those that share the last one's deadline may come in any order
			some = rows
		}
		require.Len(t, rows, len(some))
		for i := range rows {
			require.Equal(t, some[i].Deadline, rows[i].Deadline)
		}
		for _, row := range some {
			changed, err := w.Delete(row.Group, row.Key)
			require.NoError(t, err)
			require.True(t, changed)
		}
		return nil
	})
	for _, row := range some {
		delete(m.rows, [2]string{row.Group, row.Key})
	}
}

// ask compares what the writer is asked within a transaction.
func (m *model) ask(t *testing.T, group string, now int64) {
	has, live, dead, earliest := false, false, 0, kv.NoDeadline
	var groups []string
	for at, row := range m.rows {
		has = has || at[0] == group
		live = live || at[0] == group && row.Live(now)
		if !row.Live(now) {
			dead++
		}
		earliest = min(earliest, row.Deadline)
		if !slices.Contains(groups, at[0]) {
			groups = append(groups, at[0])
		}
	}
	slices.Sort(groups)
	rng := kv.PrefixRange("a")
	m.each(t, func(w storage.Writer) error {
		got, err := w.HasGroup(group)
		require.NoError(t, err)
		require.Equal(t, has, got)
		got, err = w.HasLiveRow(group, now)
		require.NoError(t, err)
		require.Equal(t, live, got)
		n, err := w.CountDead(math.MinInt64, now, 1000)
		require.NoError(t, err)
		require.GreaterOrEqual(t, n, dead)
		least, err := w.Earliest()
		require.NoError(t, err)
		require.Equal(t, earliest, least)
		var names []string
		for name, found, err := w.NextGroup(everything, "", false); found; name, found, err = w.NextGroup(everything, name, true) {
			require.NoError(t, err)
			names = append(names, name)
		}
		require.Equal(t, groups, names)
		rows, err := w.DeadIn(rng, nil, math.MinInt64, now, 1000)
		require.NoError(t, err)
		var want []kv.Row
		for at, row := range m.rows {
			if rng.Contains(at[0]) && !row.Live(now) {
				want = append(want, row)
			}
		}
		require.ElementsMatch(t, want, rows)
		require.True(t, slices.IsSortedFunc(rows, func(a, b kv.Row) int {
			return kv.Key{Group: a.Group, Key: a.Key}.Compare(kv.Key{Group: b.Group, Key: b.Key})
		}))
		return nil
	})
}

// ranges are what the model is looked at through.
func (m *model) ranges() []kv.Range {
	return []kv.Range{everything, kv.PrefixRange("a"), kv.NamespaceRange("a"), kv.PrefixRange("\xff"), kv.GroupRange(m.group())}
}

func (m *model) compare(t *testing.T) {
	now := m.now()
	sorted := make([]kv.Row, 0, len(m.rows))
	for _, row := range m.rows {
		sorted = append(sorted, row)
	}
	slices.SortFunc(sorted, func(a, b kv.Row) int {
		return kv.Key{Group: a.Group, Key: a.Key}.Compare(kv.Key{Group: b.Group, Key: b.Key})
	})
	for _, r := range m.ranges() {
		m.compareCounts(t, sorted, r, now)
	}
	group := m.group()
	var live []kv.KeyValue
	for _, row := range sorted {
		if row.Group == group && row.Live(now) {
			live = append(live, kv.KeyValue{Key: row.Key, Value: row.Value})
		}
	}
	earliest := kv.NoDeadline
	for _, row := range sorted {
		earliest = min(earliest, row.Deadline)
	}
	for _, d := range m.all {
		rows, err := rowsOf(d, group, now)
		require.NoError(t, err)
		require.Equal(t, live, rows)
		page, err := d.Reads().Page(background, group, 1, 3, now)
		require.NoError(t, err)
		require.True(t, slices.Equal(live[min(1, len(live)):min(4, len(live))], page))
		exists, err := d.Reads().GroupExists(background, group, now)
		require.NoError(t, err)
		require.Equal(t, len(live) > 0, exists)
		got, err := d.Writer().Earliest()
		require.NoError(t, err)
		require.Equal(t, earliest, got)
	}
}

func (m *model) compareCounts(t *testing.T, sorted []kv.Row, r kv.Range, now int64) {
	var live, dead, physical kv.Usage
	var liveGroups, groups []string
	var expired []kv.Row
	for _, row := range sorted {
		if !r.Contains(row.Group) {
			continue
		}
		physical.Keys++
		if !slices.Contains(groups, row.Group) {
			groups = append(groups, row.Group)
		}
		if row.Live(now) {
			live.Keys++
			if !slices.Contains(liveGroups, row.Group) {
				liveGroups = append(liveGroups, row.Group)
			}
		} else {
			dead.Keys++
			expired = append(expired, row)
		}
	}
	live.Groups, physical.Groups = int64(len(liveGroups)), int64(len(groups))
	dead.Groups = physical.Groups - live.Groups
	for _, d := range m.all {
		usage, err := d.Reads().Usage(background, r, now)
		require.NoError(t, err)
		require.Equal(t, live, usage)
		n, err := d.Reads().Count(background, r, now)
		require.NoError(t, err)
		require.Equal(t, int(live.Keys), n)
		usage, err = d.Reads().Expired(background, r, now)
		require.NoError(t, err)
		require.Equal(t, dead, usage)
		names, err := groupsOf(d, r, now)
		require.NoError(t, err)
		require.Equal(t, liveGroups, names)
		rows, err := d.Writer().Expired(r, math.MinInt64, now, 1000)
		require.NoError(t, err)
		require.ElementsMatch(t, expired, rows)
		require.True(t, slices.IsSortedFunc(rows, func(a, b kv.Row) int { return int(a.Deadline - b.Deadline) }))
		snapshot, err := d.Writer().Snapshot()
		require.NoError(t, err)
		usage, err = snapshot.Usage(r)
		require.NoError(t, err)
		require.Equal(t, physical, usage)
		snapshot.Close()
	}
}
