package sqlite

import (
	"fmt"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// Whether a group has a row costs the same however many of its keys went before: those of
// the overlay's, and those of the table's that the overlay has removed.
func TestGroupsAreEmptiedKeyByKeyInLinearTime(t *testing.T) {
	const keys = 6000
	name := func(i int) string { return fmt.Sprintf("%06d", i) }
	for where, access := range map[string]Config{"mapped": {}, "by SQLite": {}} {
		for _, folded := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in the table %v", where, folded), func(t *testing.T) {
				access.Path, access.Overlay, access.Events = temporary(t), 64<<20, decodeLog
				d := openWith(t, access)
				w := fileOf(d)
				var rows []kv.Row
				for i := range keys {
					rows = append(rows, row("g", name(i), "v"))
				}
				require.NoError(t, write(d, rows...))
				if folded {
					require.NoError(t, w.foldOver())
				}
				if where == "by SQLite" {
					w.views.mu.Lock()
					w.views.replace(nil)
					w.views.mu.Unlock()
				}
				require.NoError(t, w.Begin())
				w.last = w.over.Published().Revision() // this transaction is given up
				began := testkit.ProcessorTime()
				for i := range keys {
					has, err := w.HasGroup("g")
					require.NoError(t, err)
					require.True(t, has, i)
					require.NoError(t, w.Savepoint())
					removed, err := w.Delete("g", name(i))
					require.NoError(t, err)
					require.True(t, removed)
					if i%2 == 0 { // which a refused request does
						require.NoError(t, w.RollbackTo())
						has, err = w.HasGroup("g")
						require.NoError(t, err)
						require.True(t, has, i)
						removed, err = w.Delete("g", name(i))
						require.NoError(t, err)
						require.True(t, removed)
					} else {
						require.NoError(t, w.Release())
					}
					// A key that comes before all others, and goes.
					require.NoError(t, w.Upsert(row("g", "0", "v")))
					has, err = w.HasGroup("g")
					require.NoError(t, err)
					require.True(t, has, i)
					_, err = w.Delete("g", "0")
					require.NoError(t, err)
				}
				has, err := w.HasGroup("g")
				require.NoError(t, err)
				require.False(t, has)
				require.Less(t, testkit.ProcessorTime()-began, 4*time.Second, "by the square it takes far more")
				require.NoError(t, w.Rollback())
				has, err = w.HasGroup("g")
				require.NoError(t, err)
				require.True(t, has)
			})
		}
	}
}

// Whether a group has a row, and one that lives, is right whatever came and went before, was
// undone, folded, or deleted as a group.
func TestWhetherAGroupHasRows(t *testing.T) {
	for seed := range uint64(8) {
		d := openWith(t, Config{Path: temporary(t), Overlay: 64 << 10, Events: decodeLog, loose: true})
		w, random := fileOf(d), newRandom(seed)
		want := map[string]int64{} // deadlines of the group's keys
		require.NoError(t, w.Begin())
		for step := range 1500 {
			kept := make(map[string]int64, len(want))
			for key, deadline := range want {
				kept[key] = deadline
			}
			require.NoError(t, w.Savepoint())
			for range 1 + random.IntN(3) {
				key := fmt.Sprint(random.IntN(12))
				switch random.IntN(12) {
				case 0:
					_, err := w.DeleteGroup("g")
					require.NoError(t, err)
					clear(want)
				case 1, 2, 3, 4:
					deadline := kv.NoDeadline
					if random.IntN(2) == 0 {
						deadline = int64(random.IntN(100))
					}
					require.NoError(t, w.Upsert(kv.Row{Group: "g", Key: key, Deadline: deadline}))
					want[key] = deadline
				default:
					_, err := w.Delete("g", key)
					require.NoError(t, err)
					delete(want, key)
				}
				requireHas(t, w, want, int64(random.IntN(100)), step)
			}
			if random.IntN(3) == 0 {
				require.NoError(t, w.RollbackTo())
				want = kept
			} else {
				require.NoError(t, w.Release())
			}
			requireHas(t, w, want, int64(random.IntN(100)), step)
			if random.IntN(10) > 0 {
				continue
			}
			require.NoError(t, w.Commit())
			switch random.IntN(6) {
			case 0:
				require.NoError(t, w.foldOver())
			case 1:
				if !w.over.Frozen() && w.over.Gathered() > 0 {
					w.freeze()
				}
			case 2:
				w.views.mu.Lock()
				w.views.replace(nil)
				w.views.mu.Unlock()
			case 3:
				w.views.sighted(w.shown)
			}
			require.NoError(t, w.Begin())
		}
		require.NoError(t, w.Rollback())
	}
}

func requireHas(t *testing.T, w *fileWriter, want map[string]int64, now int64, step int) {
	t.Helper()
	has, err := w.HasGroup("g")
	require.NoError(t, err)
	require.Equal(t, len(want) > 0, has, step)
	lives := false
	for _, deadline := range want {
		lives = lives || deadline > now
	}
	has, err = w.HasLiveRow("g", now)
	require.NoError(t, err)
	require.Equal(t, lives, has, step)
}
