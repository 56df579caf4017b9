package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// What can't be read of a row is mended by setting its key anew or deleting it, or its group,
// as the error says: at once, though the table has the row until it is folded.
func TestDamagedRowsThatAnOverlayDecides(t *testing.T) {
	for name, mend := range map[string]func(w storage.Writer) error{
		"set":          func(w storage.Writer) error { return w.Upsert(row("g", "bad", "new")) },
		"delete":       func(w storage.Writer) error { _, err := w.Delete("g", "bad"); return err },
		"delete group": func(w storage.Writer) error { _, err := w.DeleteGroup("g"); return err },
	} {
		for _, reverse := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, reverse %v", name, reverse), func(t *testing.T) {
				path := temporary(t)
				d := open(t, path)
				require.NoError(t, write(d, row("f", "k", "v"), row("g", "a", "v"), row("g", "bad", "v"), row("g", "c", "v"), row("h", "k", "v")))
				require.NoError(t, d.Close())
				program(t, path, "UPDATE entries SET expires_at = 'soon' WHERE entry_key = 'bad'")
				d = openWith(t, Config{Path: path, Overlay: 8 << 20, Events: decodeLog, loose: true})
				queries := []storage.Query{{Groups: everything, Keys: storage.AllKeys, Reverse: reverse}, storage.GroupQuery("g")}
				queries[1].Reverse = reverse
				var keys [2][]string
				read := func() (err error) {
					for i, q := range queries {
						keys[i] = nil
						for row, err := range d.Reads().Scan(background, q, 0) {
							if err != nil {
								return err
							}
							keys[i] = append(keys[i], row.Key)
						}
					}
					return nil
				}
				require.True(t, storage.IsDamagedRow(read()))
				w := d.Writer()
				require.NoError(t, w.Begin())
				require.NoError(t, mend(w))
				require.NoError(t, w.Commit())
				require.NoError(t, read())
				all := map[string]int{"set": 5, "delete": 4, "delete group": 2}[name]
				require.Len(t, keys[0], all)
				require.Len(t, keys[1], all-2)
				usage, err := d.Reads().Usage(background, everything, 0)
				require.NoError(t, err)
				require.Equal(t, int64(all), usage.Keys)
				n, err := d.Reads().Count(background, kv.GroupRange("g"), 0)
				require.NoError(t, err)
				require.Equal(t, all-2, n)
				require.NoError(t, fileOf(d).foldOver())
				require.NoError(t, read())
				require.Len(t, keys[0], all)
			})
		}
	}
}

// While its file is away a store says that, and not that it can't write to its table: that it
// can as soon as the file is back.
func TestAFileThatIsAwayIsNoFaultOfTheFold(t *testing.T) {
	path := temporary(t)
	d := openWith(t, Config{Path: path, Overlay: 8 << 20, Events: decodeLog})
	require.NoError(t, write(d, row("g", "k", "v")))
	folder := filepath.Dir(path)
	require.NoError(t, os.Rename(folder, folder+".away"))
	_, err := d.Health()
	require.ErrorIs(t, err, kv.FileLostError)
	require.Positive(t, fileOf(d).Fold(true))
	require.NoError(t, os.Rename(folder+".away", folder))
	_, err = d.Health()
	require.NoError(t, err)
	for fileOf(d).Fold(true) > 0 {
	}
	require.Equal(t, []string{"v"}, query(t, path, "SELECT entry_value FROM entries"))
}
