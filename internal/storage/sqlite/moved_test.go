package sqlite

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// Rows whose rowids others have since mislead no reader: every read is what a map says.
func TestRowsThatHaveLostTheirRowids(t *testing.T) {
	d := openWith(t, Config{Path: temporary(t), Readers: 2, Durability: kv.DurabilityBuffered})
	random := rand.New(rand.NewPCG(1, 2))
	key := func() (group, key string) { return fmt.Sprint("g", random.IntN(3)), fmt.Sprint(random.IntN(40)) }
	want := make(map[[2]string]string)
	w := d.Writer()
	for n := range 2_000 {
		group, name := key()
		require.NoError(t, w.Begin())
		switch random.IntN(8) {
		case 0:
			_, err := w.Delete(group, name)
			require.NoError(t, err)
			delete(want, [2]string{group, name})
		case 1:
			_, err := w.DeleteGroup(group) // so that rowids are given again
			require.NoError(t, err)
			for at := range want {
				if at[0] == group {
					delete(want, at)
				}
			}
		default:
			value := fmt.Sprint(n)
			require.NoError(t, w.Upsert(row(group, name, value)))
			want[[2]string{group, name}] = value
		}
		require.NoError(t, w.Commit())
		for range 5 {
			group, name := key()
			got, found, err := d.Reads().Get(background, group, name)
			require.NoError(t, err)
			value, there := want[[2]string{group, name}]
			require.Equal(t, there, found)
			require.Equal(t, value, got.Value)
		}
	}
	snapshot, err := d.Snapshot(background)
	require.NoError(t, err)
	defer snapshot.Close()
	program(t, d.path, "DELETE FROM entries", "INSERT INTO entries (group_name, entry_key, entry_value) VALUES ('g0', 'new', 'v')")
	for at, value := range want {
		got, found, err := snapshot.Get(background, at[0], at[1])
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, value, got.Value)
	}
}
