package sqlite

import (
	"fmt"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// A group as a map is what a scan of it yields: rows that share their strings' memory, larger
// ones, such as leave their page, and dead ones, now and in a snapshot.
func TestGetAll(t *testing.T) {
	const now = 1000
	eachKind(t, func(t *testing.T, d *Database) {
		var rows []kv.Row
		for i := range longGroup {
			key := fmt.Sprintf("%06d", longGroup-i)
			rows = append(rows, row("large", key, strings.Repeat(key, i%60)), row("other", key, key))
		}
		rows = append(rows, row("large", "", "of the empty key"), row("large", "empty", ""),
			row("large", "long", strings.Repeat("long", 1000)), row("large", "longer", strings.Repeat("longer", 100_000)),
			mortal("large", "dead", now), mortal("large", "mortal", now+1), mortal("dead", "dead", now))
		rows = append(rows, numbered("short", 3)...)
		require.NoError(t, write(d, rows...))
		snapshot, err := d.Snapshot(background)
		require.NoError(t, err)
		defer snapshot.Close()
		before := map[string]map[string]string{}
		for _, group := range []string{"large", "other", "short", "dead", "none"} {
			before[group] = requireGetAll(t, d, group, now)
		}
		w := d.Writer()
		require.NoError(t, w.Begin())
		_, err = w.DeleteGroup("other")
		require.NoError(t, err)
		_, err = w.Delete("large", "000003")
		require.NoError(t, err)
		require.NoError(t, w.Upsert(row("large", "000004", "changed")))
		require.NoError(t, w.Upsert(mortal("large", "000005", now)))
		require.NoError(t, w.Upsert(row("none", "not any more", "")))
		require.NoError(t, w.Commit())
		for group, want := range before {
			requireGetAll(t, d, group, now)
			got, err := snapshot.GetAll(background, group, now)
			require.NoError(t, err)
			require.Equal(t, want, got, group)
		}
	})
}

func requireGetAll(t *testing.T, d *Database, group string, now int64) map[string]string {
	t.Helper()
	want, err := storage.Gather(d.Reads().Scan(background, storage.GroupQuery(group), now))
	require.NoError(t, err)
	got, err := d.Reads().GetAll(background, group, now)
	require.NoError(t, err)
	require.NotNil(t, got)
	require.Equal(t, want, got, group)
	return got
}
