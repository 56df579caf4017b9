package sqlite

import (
	"context"
	"math"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// However many rows a page is to pass over, it ends, whoever reads it.
func TestPagesBehindTheEnd(t *testing.T) {
	eachAccess(t, func(t *testing.T, access Config) {
		for name, dead := range map[string]bool{"all live": false, "one dead": true} {
			t.Run(name, func(t *testing.T) { testPagesBehindTheEnd(t, access, dead) })
		}
	})
}

func testPagesBehindTheEnd(t *testing.T, access Config, dead bool) {
	const now = 10
	rows := numbered("g", 100)
	if dead {
		rows[7].Deadline = now
	}
	d := openWith(t, access.buffered().at(temporary(t)))
	require.NoError(t, write(d, rows...))
	snapshot, err := d.Snapshot(background)
	require.NoError(t, err)
	defer snapshot.Close()
	for _, offset := range []int{gathered - 1, gathered, 98, 99, 100, 1<<31 - 1, math.MaxInt - gathered, math.MaxInt - 1, math.MaxInt} {
		for _, limit := range []int{1, 10, math.MaxInt} {
			ctx, cancel := context.WithTimeout(background, fuzzBound)
			want, err := d.reads.(*fileReads).sqlReads.Page(ctx, "g", offset, limit, now)
			require.NoError(t, err)
			for _, from := range []func(context.Context, string, int, int, int64) ([]kv.KeyValue, error){d.reads.Page, snapshot.Page} {
				var page []kv.KeyValue
				within(t, time.Minute, func() { page, err = from(ctx, "g", offset, limit, now) })
				require.NoError(t, err)
				require.Equal(t, want, page, "offset %d, limit %d", offset, limit)
			}
			cancel()
		}
	}
}
