package sqlite

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// However many rows a page is to pass over, it ends, whichever way it is read.
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

// Wherever a page begins, it is the same rows as in the whole group, whatever of them the
// overlay decides and whatever of that is in the table already.
func TestPagesOverAnOverlay(t *testing.T) {
	far := farOff
	t.Cleanup(func() { farOff = far })
	for name, bound := range map[string]int64{"nothing folded": 8 << 20, "folding": 16 << 10} {
		for _, rows := range []int{0, 30, 2000} {
			t.Run(fmt.Sprint(name, ", ", rows, " rows"), func(t *testing.T) {
				d := openWith(t, Config{Path: temporary(t), Overlay: bound, loose: true, Events: decodeLog}.buffered())
				require.NoError(t, write(d, withDeadlines(numbered("g", rows))...))
				require.NoError(t, write(d, row("f", "k", "v"), row("h", "k", "v")))
				require.NoError(t, fileOf(d).foldOver())
				random := rand.New(rand.NewPCG(1, uint64(rows)))
				for round := range 12 {
					change(t, d, random, rows)
					if round == 9 {
						w := d.Writer()
						require.NoError(t, w.Begin())
						_, err := w.DeleteGroup("g")
						require.NoError(t, err)
						require.NoError(t, w.Commit())
						change(t, d, random, rows)
					}
					checkPages(t, d, random)
				}
			})
		}
	}
}

// change has a commit set keys between the rows and of them, and remove some.
func change(t *testing.T, d *Database, random *rand.Rand, rows int) {
	t.Helper()
	w := d.Writer()
	require.NoError(t, w.Begin())
	for range 1 + random.IntN(1+rows/20) {
		key := numbered("g", rows+1)[random.IntN(rows+1)].Key
		switch random.IntN(4) {
		case 0:
			_, err := w.Delete("g", key)
			require.NoError(t, err)
		case 1:
			require.NoError(t, w.Upsert(row("g", key+"+", fmt.Sprint(random.Int()))))
		case 2:
			short := row("g", key, fmt.Sprint(random.Int()))
			short.Deadline = random.Int64N(3 * diesAt)
			require.NoError(t, w.Upsert(short))
		default:
			require.NoError(t, w.Upsert(row("g", key, fmt.Sprint(random.Int()))))
		}
	}
	require.NoError(t, w.Commit())
	w.Fold(false)
}

// withDeadlines gives some rows a deadline.
func withDeadlines(rows []kv.Row) []kv.Row {
	for i := 3; i < len(rows); i += 9 {
		rows[i].Deadline = diesAt
	}
	return rows
}

const diesAt = 1000

// checkPages asks before any row of the table is dead, when a part of the overlay's are, and
// when some of both are.
func checkPages(t *testing.T, d *Database, random *rand.Rand) {
	t.Helper()
	snapshot, err := d.Snapshot(background)
	require.NoError(t, err)
	defer snapshot.Close()
	for _, now := range []int64{-1, diesAt / 2, diesAt} {
		all, err := rowsOf(d, "g", now)
		require.NoError(t, err)
		for _, farOff = range []int{1, 256} {
			for _, reads := range []answers{d.Reads(), snapshot} {
				for range 20 {
					offset, limit := random.IntN(len(all)+3), 1+random.IntN(9)
					page, err := reads.Page(background, "g", offset, limit, now)
					require.NoError(t, err)
					want := all[min(offset, len(all)):min(offset+limit, len(all))]
					require.Equal(t, len(want), len(page), "offset %d of %d", offset, len(all))
					if len(want) > 0 {
						require.Equal(t, want, page, "offset %d of %d", offset, len(all))
					}
				}
				page, err := reads.Page(background, "g", math.MaxInt, 1, now)
				require.NoError(t, err)
				require.Empty(t, page)
			}
		}
	}
}
