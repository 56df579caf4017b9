package sqlite

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// matching is what a query is to yield, found the simple way.
func matching(q storage.Query, sorted []kv.Row, now int64) (rows []kv.Row) {
	for _, row := range sorted {
		if !row.Live(now) || !q.Groups.Contains(row.Group) || !q.Keys.Contains(row.Key) {
			continue
		}
		if q.After != nil {
			after := kv.Row{Group: q.After.Group, Key: q.After.Key}
			if q.Reverse && !less(row, after) || !q.Reverse && !less(after, row) {
				continue
			}
		}
		if q.KeysOnly {
			row.Value = ""
		}
		rows = append(rows, row)
	}
	if q.Reverse {
		slices.Reverse(rows)
	}
	if q.Limit > 0 {
		rows = rows[:min(q.Limit, len(rows))]
	}
	return rows
}

// randomQuery is any query over the given groups and keys.
func randomQuery(random *rand.Rand, groups, keys []string) storage.Query {
	pick := func(from []string) string { return from[random.IntN(len(from))] }
	q := storage.GroupQuery(pick(groups))
	switch random.IntN(4) {
	case 0:
		q.Groups = kv.PrefixRange(pick(groups))
	case 1:
		q.Groups = kv.Range{From: pick(groups), To: pick(groups)} // may be upside down: then it is empty
	}
	if random.IntN(2) == 0 {
		q.Keys = kv.Range{From: pick(keys), To: pick(keys), Unbounded: random.IntN(3) == 0}
	}
	if random.IntN(2) == 0 {
		q.After = &kv.Key{Group: pick(groups), Key: pick(keys)}
		if group, single := q.Single(); single {
			q.After.Group = group
		}
	}
	q.Reverse, q.KeysOnly = random.IntN(2) == 0, random.IntN(3) == 0
	q.Limit = max(0, random.IntN(20)-8)
	return q
}

// A scan of any query yields what looking at every row would find: from a file,
// from memory, and from snapshots of both.
func TestScansAgreeWithAModel(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		random := rand.New(rand.NewPCG(1, 2))
		keys := []string{"", "\x00", "a", "a\x00", "aa", "b", "b\xff", "c", "\xff", "\xff\xff"}
		var rows []kv.Row
		for _, group := range modelGroups {
			for i, key := range keys {
				if random.IntN(4) == 0 {
					continue
				}
				row := row(group, key, fmt.Sprint("value ", i))
				if random.IntN(3) == 0 {
					row.Deadline = int64(random.IntN(20))
				}
				rows = append(rows, row)
			}
		}
		slices.SortFunc(rows, func(a, b kv.Row) int {
			if less(a, b) {
				return -1
			}
			return 1
		})
		require.NoError(t, write(d, rows...))
		snapshot, err := d.Snapshot(background)
		require.NoError(t, err)
		defer snapshot.Close()
		require.NoError(t, write(d, row("a", "later", "than the snapshot")))
		require.NoError(t, write(d, row("a", "b", "changed since")))
		for range 600 {
			q, now := randomQuery(random, modelGroups, keys), int64(random.IntN(22))-1
			var found []kv.Row
			for row, err := range snapshot.Scan(background, q, now) {
				require.NoError(t, err)
				found = append(found, row)
			}
			require.Equal(t, matching(q, rows, now), found, "%+v", q)
		}
	})
}

// A scan that is longer than a chunk goes on where it was, in both directions,
// over one group and over many.
func TestLongScansGoOn(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		var rows []kv.Row
		for group := range 3 {
			rows = append(rows, numbered(fmt.Sprint("g", group), longGroup)...)
		}
		require.NoError(t, write(d, rows...))
		for _, groups := range []kv.Range{kv.GroupRange("g1"), kv.PrefixRange("g"), everything} {
			for _, reverse := range []bool{false, true} {
				for _, limit := range []int{0, 1, firstChunkRows, firstChunkRows + 1, 2*longGroup - 1} {
					q := storage.Query{Groups: groups, Keys: kv.Range{From: "000001", To: "000700"}, Reverse: reverse, Limit: limit}
					var found []kv.Row
					for row, err := range d.Reads().Scan(background, q, 0) {
						require.NoError(t, err)
						found = append(found, row)
					}
					require.True(t, slices.Equal(matching(q, rows, 0), found), "%+v", q)
				}
			}
		}
		requireNothingHeld(t, d)
	})
}

// less is the order of rows.
func less(a, b kv.Row) bool {
	return kv.Key{Group: a.Group, Key: a.Key}.Compare(kv.Key{Group: b.Group, Key: b.Key}) < 0
}
