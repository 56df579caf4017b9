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

// Of a group of which the overlay decides few rows, or most, or none of the pages', each is as
// the overlay has it, or else as the pages have it, also where values fill pages of their own.
func TestGetAllOverAnOverlay(t *testing.T) {
	for name, size := range map[string]int{"short": 20, "pages of their own": 3 * filePageSize} {
		for _, changed := range []int{1, 5, 90} {
			t.Run(fmt.Sprint(name, ", ", changed, " of 100"), func(t *testing.T) {
				d := openWith(t, Config{Path: temporary(t), Overlay: 8 << 20, loose: true, Events: decodeLog}.buffered())
				want := make(map[string]string)
				set := func(i int, value string) kv.Row {
					r := row("g", fmt.Sprintf("%03d", i), strings.Repeat(value, size))
					want[r.Key] = r.Value
					return r
				}
				var rows []kv.Row
				for i := range 100 {
					rows = append(rows, set(i, "v"))
				}
				require.NoError(t, write(d, rows...))
				require.NoError(t, fileOf(d).foldOver())
				w := d.Writer()
				require.NoError(t, w.Begin())
				for i := range changed {
					if i%3 == 1 {
						_, err := w.Delete("g", fmt.Sprintf("%03d", i))
						require.NoError(t, err)
						delete(want, fmt.Sprintf("%03d", i))
						continue
					}
					require.NoError(t, w.Upsert(set(i, "w")))
				}
				dead := row("g", "050", "dead")
				dead.Deadline = 5
				delete(want, dead.Key)
				require.NoError(t, w.Upsert(dead))
				require.NoError(t, w.Upsert(set(200, "n")))
				require.NoError(t, w.Commit())
				all, err := d.Reads().GetAll(background, "g", 5)
				require.NoError(t, err)
				require.Equal(t, want, all)
			})
		}
	}
}
