package storage

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

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
			for group := range sparse + 2 {
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
			query := GroupQuery(group)
			query.AnyOrder = true
			for range 2 { // with statements that were used before
				got := pairsOf(t, d.Reads().Scan(background, query, now))
				if d.path != MemoryPath {
					require.Equal(t, group == "together", !slices.IsSortedFunc(got, byKey), "%s is read from the table", group)
				}
				slices.SortFunc(got, byKey)
				require.Equal(t, want, got, group)
			}
			got := pairsOf(t, snapshot.Scan(background, query, now))
			slices.SortFunc(got, byKey)
			require.Equal(t, want, got, group)
		}
	})
}
