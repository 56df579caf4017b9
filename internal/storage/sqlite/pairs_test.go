package sqlite

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// pairsOf is the keys and values of a group as they come.
func pairsOf(t *testing.T, scan iter.Seq2[kv.Row, error]) (pairs []kv.KeyValue) {
	t.Helper()
	for row, err := range scan {
		require.NoError(t, err)
		pairs = append(pairs, kv.KeyValue{Key: row.Key, Value: row.Value})
	}
	return pairs
}

func byKey(a, b kv.KeyValue) int { return strings.Compare(a.Key, b.Key) }

// What comes in any order is what comes in the order of keys: of groups that
// lie together in the table, of those that are scattered, short and long, with
// dead rows and holes.
func TestPairsInAnyOrder(t *testing.T) {
	const now = 1000
	eachKind(t, func(t *testing.T, d *Database) {
		var rows []kv.Row
		for i := range longGroup { // backwards, so that the table's order shows
			key := fmt.Sprintf("%06d", longGroup-i)
			rows = append(rows, row("together", key, "value\x00of "+key))
		}
		rows = append(rows, row("together", "", "of the empty key"), row("together", "empty", ""),
			mortal("together", "dead", now), mortal("together", "mortal", now+1))
		for i := range longGroup {
			for group := range 4 {
				rows = append(rows, row(fmt.Sprint("scattered", group), fmt.Sprintf("%06d", longGroup-i), "v"))
			}
		}
		rows = append(rows, numbered("short", 10)...)
		require.NoError(t, write(d, rows...))
		require.NoError(t, write(d, row("together", "000500", "changed")))
		w := d.Writer()
		require.NoError(t, w.Begin())
		for i := 300; i < 900; i += 7 {
			_, err := w.Delete("together", fmt.Sprintf("%06d", i))
			require.NoError(t, err)
		}
		require.NoError(t, w.Commit())

		snapshot, err := d.Snapshot(background)
		require.NoError(t, err)
		defer snapshot.Close()
		for _, group := range []string{"together", "scattered0", "short", "none"} {
			want, err := rowsOf(d, group, now)
			require.NoError(t, err)
			query := storage.GroupQuery(group)
			query.AnyOrder = true
			for range 2 { // with statements that were used before
				got := pairsOf(t, d.Reads().Scan(background, query, now))
				slices.SortFunc(got, byKey)
				require.Equal(t, want, got, group)
			}
			got := pairsOf(t, snapshot.Scan(background, query, now))
			slices.SortFunc(got, byKey)
			require.Equal(t, want, got, group)
		}
	})
}

// A group that is most of the table, but for strangers, dead rows and holes.
func TestPairsOfTheTablesMainGroup(t *testing.T) {
	const now = 1000
	d := open(t, temporary(t))
	var rows []kv.Row
	for i := range 2 * longGroup {
		key := fmt.Sprintf("%06d", 2*longGroup-i)
		switch {
		case i%40 == 0:
			rows = append(rows, row("stranger", key, "v"))
		case i%41 == 0:
			rows = append(rows, mortal("main", key, now))
		default:
			rows = append(rows, row("main", key, "value of "+key))
		}
	}
	require.NoError(t, write(d, rows...))
	w := d.Writer()
	require.NoError(t, w.Begin())
	for i := 300; i < 900; i += 50 {
		_, err := w.Delete("main", fmt.Sprintf("%06d", i))
		require.NoError(t, err)
	}
	require.NoError(t, w.Commit())
	requireSamePairs(t, d, "main", now)
	requireSamePairs(t, d, "stranger", now)
}

// Another program may have given any rowids, and left gaps between them.
func TestPairsAtOddRowids(t *testing.T) {
	for name, insert := range map[string]string{
		"from the least one":  "SELECT -9223372036854775808 + x, 'g', printf('%06d', x), 'v' FROM n WHERE x < 1000",
		"to the greatest one": "SELECT 9223372036854775807 - x, 'g', printf('%06d', x), 'v' FROM n WHERE x < 1000",
		"both": "SELECT CASE WHEN x % 2 THEN 9223372036854775807 - x ELSE -9223372036854775808 + x END, 'g', " +
			"printf('%06d', x), 'v' FROM n WHERE x < 1000",
		"behind a gap": "SELECT x + CASE WHEN x < 5000 THEN 0 ELSE 2000000 END, " +
			"CASE WHEN x < 5000 THEN 'other' ELSE 'g' END, printf('%06d', x), 'v' FROM n",
	} {
		t.Run(name, func(t *testing.T) {
			path := temporary(t)
			require.NoError(t, open(t, path).Close())
			program(t, path, "WITH RECURSIVE n (x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n WHERE x < 6000) "+
				"INSERT INTO entries (rowid, group_name, entry_key, entry_value) "+insert)
			d := open(t, path)
			requireSamePairs(t, d, "g", 0)
		})
	}
}

func requireSamePairs(t *testing.T, d *Database, group string, now int64) {
	t.Helper()
	want, err := rowsOf(d, group, now)
	require.NoError(t, err)
	require.NotEmpty(t, want)
	query := storage.GroupQuery(group)
	query.AnyOrder = true
	got := pairsOf(t, d.Reads().Scan(background, query, now))
	slices.SortFunc(got, byKey)
	require.Equal(t, want, got)
}
