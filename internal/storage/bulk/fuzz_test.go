package bulk

import (
	"fmt"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/pages"

	"github.com/stretchr/testify/require"
)

// FuzzTrees writes rows and keys whose sizes are the input's, for pages of all sizes, and
// has SQLite look at them.
func FuzzTrees(f *testing.F) {
	f.Add(uint8(0), uint8(0), []byte{1, 2, 3})
	f.Add(uint8(0), uint8(32), []byte(strings.Repeat("\x20\x9f", 400)))
	f.Add(uint8(1), uint8(8), []byte(strings.Repeat("\x05\xff\x80", 300)))
	f.Add(uint8(3), uint8(0), []byte(strings.Repeat("\x01", 2000)))
	f.Fuzz(func(t *testing.T, shift, reserved uint8, sizes []byte) {
		size := 512 << (shift % 8)
		if size-int(reserved) < 480 {
			reserved = 0
		}
		var entries []entry
		total := 0
		for i, n := range sizes[:min(len(sizes), 4000)] {
			// Small ones, and those about the sizes at which something changes.
			key, value := int(n&15), int(n>>4)
			switch n >> 6 {
			case 2:
				key = max(pages.MostInIndex(size-int(reserved))-20+int(n&63), 0)
			case 3:
				value = size - int(reserved) - 60 + int(n&63)
			}
			if total += key + value; total > 1<<21 {
				break
			}
			e := entry{g: "g", k: fmt.Sprintf("%06d", i) + strings.Repeat("k", key), v: strings.Repeat("v", value)}
			if n&1 == 1 {
				e.d = int64(n) << (i % 50)
			}
			entries = append(entries, e)
		}
		path := empty(t, size, int(reserved), schema)
		load(t, path, entries)
		require.Equal(t, []string{"ok"}, ask(t, path, "PRAGMA integrity_check"))
		require.Equal(t, []string{fmt.Sprint(len(entries))}, ask(t, path, "SELECT count(*) FROM entries WHERE d IS NULL OR d IS NOT NULL"))
	})
}
