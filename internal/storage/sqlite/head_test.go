package sqlite

import (
	"fmt"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// TestHeadIsGetWithoutTheValue, read by SQLite or from the pages, of rows that lie in one
// page or in many, and that another program has written.
func TestHeadIsGetWithoutTheValue(t *testing.T) {
	for _, overlay := range []int64{0, 8 << 20} {
		t.Run(fmt.Sprint("overlay ", overlay), func(t *testing.T) {
			path := temporary(t)
			d := open(t, path)
			for i, size := range []int{0, 1, 5000, 1 << 20} {
				r := row("g", fmt.Sprint("size ", size), strings.Repeat("v", size))
				if r.Revision = uint64(i + 1); i%2 == 1 {
					r.Deadline = int64(i)
				}
				require.NoError(t, write(d, r))
			}
			require.NoError(t, write(d, row("g", "blob", "v"), row("g", "damaged", "v")))
			require.NoError(t, d.Close())
			program(t, path, `UPDATE entries SET entry_value = X'00ff00' WHERE entry_key = 'blob';
				UPDATE entries SET expires_at = 'soon' WHERE entry_key = 'damaged'`)
			d = openWith(t, Config{Path: path, Overlay: overlay, Events: decodeLog, loose: true})
			w := d.Writer()
			require.NoError(t, w.Begin())
			for _, key := range []string{"size 0", "size 1", "size 5000", "size 1048576", "blob", "damaged", "none"} {
				want, found, err := w.Get("g", key)
				head, size, same, headErr := w.Head("g", key)
				require.Equal(t, found, same, key)
				require.Equal(t, key == "damaged", storage.IsDamagedRow(err))
				require.Equal(t, fmt.Sprint(err), fmt.Sprint(headErr))
				if err == nil {
					require.Equal(t, len(want.Value), size, key)
				}
				want.Value = ""
				require.Equal(t, want, head)
			}
			require.NoError(t, w.Rollback())
			require.NoError(t, d.Close())
			_, _, _, err := w.Head("g", "k")
			require.ErrorIs(t, err, kv.ClosedError)
		})
	}
}
