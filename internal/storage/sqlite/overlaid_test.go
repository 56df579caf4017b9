package sqlite

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// overlaidStore is a store of whose overlay nothing is folded before it is closed.
func overlaidStore(t *testing.T) *Database {
	t.Helper()
	d := openWith(t, Config{Path: temporary(t), Overlay: 8 << 20, Events: decodeLog})
	require.NotNil(t, fileOf(d).over)
	return d
}

// A commit is shown once it is committed, not before, and not at all if it fails.
func TestAnOverlayShowsWhatIsCommitted(t *testing.T) {
	d := overlaidStore(t)
	require.NoError(t, write(d, row("g", "k", "1")))
	looked := 0
	look := func(o faultfs.Operation) error {
		if o.Call == "write" && o.Kind == "wal" {
			got, found, _, err := fileOf(d).views.get("g", "k")
			assert.NoError(t, err)
			assert.True(t, found)
			assert.Equal(t, "1", got.Value, "it is not committed yet")
			looked++
		}
		return nil
	}
	heal := faultfs.Inject(t, look)
	require.NoError(t, write(d, row("g", "k", "2")))
	heal()
	require.NotZero(t, looked)
	requireValue(t, d, "g", "k", "2")

	heal = faultfs.Inject(t, faultfs.Failing("sync", "wal", syscall.EIO))
	w := d.Writer()
	err := write(d, row("g", "k", "3"), row("g", "new", "3"))
	require.Error(t, err)
	require.True(t, storage.IsIndeterminate(err))
	require.NoError(t, w.Rollback())
	heal()
	requireValue(t, d, "g", "k", "2")
	requireValue(t, d, "g", "new", "")
	require.Nil(t, fileOf(d).limbo.err())
	require.NoError(t, write(d, row("g", "k", "4")))
	requireValue(t, d, "g", "k", "4")
	p, ok := fileOf(d).views.look()
	require.True(t, ok, "there are views again")
	fileOf(d).views.leave(p)
}

// A reader of the log, as History and Subscribe do, or anything else by SQLite, is shown no
// commit before every reader is: else a key would still have its old value for one that has just
// heard of the new one. Between COMMIT and that moment they wait.
func TestTheLogIsNotAheadOfWhatIsShown(t *testing.T) {
	d := overlaidStore(t)
	require.NoError(t, write(d, row("g", "k", "1")))
	w, bySQLite := fileOf(d), d.reads.(*fileReads).sqlReads
	reads := map[string]func() (what string, err error){
		"log": func() (string, error) {
			rows, err := d.Reads().Log(background, 1, 1<<20)
			return fmt.Sprint(len(rows)), err
		},
		"extent": func() (string, error) {
			extent, err := d.Reads().LogExtent(background)
			return fmt.Sprint(extent.Last), err
		},
		"revision": func() (string, error) {
			revision, err := bySQLite.Revision(background)
			return fmt.Sprint(revision), err
		},
		"row": func() (string, error) {
			row, _, err := bySQLite.Get(background, "g", "k")
			return row.Value, err
		},
	}
	type answer struct {
		name string
		what string
		err  error
	}
	waited := make(chan answer, len(reads))
	require.NoError(t, w.Begin())
	changed := row("g", "k", "2")
	require.NoError(t, w.Upsert(changed))
	require.NoError(t, keepLog(d, []kv.Row{changed}))
	publish := w.commits(2)
	err := w.commitSQL(func() (*overlay.State, overlay.Cursor) {
		// COMMIT has succeeded, and other processes may see it. A read that would wait is told why.
		waits := errors.New("it waits")
		w.limbo.reason.Store(&waits)
		for name, read := range reads {
			_, err := read()
			assert.ErrorIs(t, err, waits, name)
		}
		w.limbo.reason.Store(nil)
		for name, read := range reads {
			go func() {
				what, err := read()
				waited <- answer{name, what, err}
			}()
		}
		return publish()
	})
	require.NoError(t, err)
	w.ended()
	w.views.busy(false)
	for range reads {
		is := <-waited
		require.NoError(t, is.err, is.name)
		require.Equal(t, "2", is.what, is.name)
	}
	requireValue(t, d, "g", "k", "2")
}

// What a snapshot shows stays, of keys that are in the overlay too.
func TestSnapshotsOfAnOverlay(t *testing.T) {
	d := overlaidStore(t)
	require.NoError(t, write(d, row("g", "k", "1"), row("g", "other", "1")))
	before, err := d.Snapshot(background)
	require.NoError(t, err)
	defer before.Close()
	for n := 2; n < 6; n++ {
		require.NoError(t, write(d, row("g", "k", fmt.Sprint(n)), row("g", fmt.Sprint("more", n), "")))
	}
	got, found, err := before.Get(background, "g", "k")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "1", got.Value)
	n, err := before.Count(background, everything, 0)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	requireValue(t, d, "g", "k", "5")
}

// deleteGroup commits the deletion of a group, with its row of the log.
func deleteGroup(t *testing.T, d *Database, group string) (removed int64) {
	t.Helper()
	w := fileOf(d)
	last := w.over.Published().Revision() + 1
	require.NoError(t, w.Begin())
	removed, err := w.DeleteGroup(group)
	require.NoError(t, err)
	record := commitlog.Append(nil, time.UnixMilli(1), []kv.Event{{Type: kv.EventDeleteGroup, Group: group, Revision: last}})
	require.NoError(t, w.AppendLog(kv.LogRow{First: last, Last: last, At: 1, Record: record}, int64(last)))
	require.NoError(t, w.Commit())
	return removed
}

// Of a group that was deleted nothing is left, wherever it was, and whatever comes after it.
func TestGroupsThatAnOverlayDeletes(t *testing.T) {
	d := overlaidStore(t)
	require.NoError(t, write(d, row("g", "folded", "v"), row("g", "both", "v"), row("h", "k", "v")))
	require.NoError(t, fileOf(d).foldOver())
	require.NoError(t, write(d, row("g", "both", "again"), row("g", "laid", "v")))
	require.Equal(t, int64(3), deleteGroup(t, d, "g"))
	for _, key := range []string{"folded", "both", "laid"} {
		requireValue(t, d, "g", key, "")
	}
	requireCount := func(want int) {
		t.Helper()
		n, err := d.Reads().Count(background, everything, 0)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	requireCount(1)
	require.NoError(t, write(d, row("g", "both", "new")))
	requireCount(2)
	rows, err := rowsOf(d, "g", 0)
	require.NoError(t, err)
	require.Equal(t, []kv.KeyValue{{Key: "both", Value: "new"}}, rows)
	require.NoError(t, d.Close())
	require.Equal(t, []string{"g|both|new", "h|k|v"}, query(t, d.Path(), "SELECT group_name, entry_key, entry_value FROM entries ORDER BY 1, 2"))
}

// The log is all that there is of what the table lacks.
func TestTheLogIsKeptUntilItIsFolded(t *testing.T) {
	d := overlaidStore(t)
	for n := range 4 {
		require.NoError(t, write(d, row("g", "k", fmt.Sprint(n))))
	}
	w := fileOf(d)
	marks, err := w.OldestLog(10)
	require.NoError(t, err)
	require.Len(t, marks, 1, "the first one is not to be removed, so none is")
	require.NoError(t, w.Begin())
	require.Error(t, w.TrimLog(1))
	require.NoError(t, w.Rollback())
	require.NoError(t, w.foldOver())
	require.NoError(t, write(d, row("g", "k", "4")))
	marks, err = w.OldestLog(10)
	require.NoError(t, err)
	require.Len(t, marks, 5)
	require.NoError(t, w.Begin())
	require.NoError(t, w.TrimLog(4))
	require.NoError(t, w.Commit())
	requireValue(t, d, "g", "k", "4")
}
