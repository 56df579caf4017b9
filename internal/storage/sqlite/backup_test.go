package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// allRows is everything that a file holds.
const allRows = "SELECT hex(group_name), hex(entry_key), hex(entry_value), expires_at, revision FROM entries ORDER BY 1, 2"

// logged commits rows as the store does: with revisions, and a row of the log.
func logged(t testing.TB, d *Database, rows ...kv.Row) {
	t.Helper()
	w := d.Writer()
	extent, err := w.LogExtent()
	require.NoError(t, err)
	require.NoError(t, w.Begin())
	record := []byte(fmt.Sprintf("record of %d", extent.Last+1))
	for i := range rows {
		rows[i].Revision = extent.Last + 1
		require.NoError(t, w.Upsert(rows[i]))
	}
	if f, ok := w.(*fileWriter); ok && f.over != nil { // whose log is read
		record = recordOf(extent.Last+1, rows)
	}
	require.NoError(t, w.AppendLog(kv.LogRow{First: extent.Last + 1, Last: extent.Last + 1, At: 7, Record: record},
		extent.End+int64(len(record))))
	require.NoError(t, w.Commit())
}

// names is what a folder holds.
func names(t testing.TB, folder string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}

func TestBackup(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		logged(t, d, row("g", "k\x00\xff", "v"), mortal("g", "l", 42), row("", "", ""))
		logged(t, d, row("large", "k", strings.Repeat("v", 100_000)))
		folder := t.TempDir()
		path := filepath.Join(folder, "copy.db")
		var last, whole int64
		require.NoError(t, d.Backup(background, path, func(done, total int64) {
			assert.LessOrEqual(t, last, done)
			assert.LessOrEqual(t, done, total)
			last, whole = done, total
		}))
		assert.Equal(t, whole, last)
		assert.Equal(t, []string{"copy.db"}, names(t, folder), "one file, without others beside it")
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())

		again := open(t, path)
		assert.Equal(t, d.UUID(), again.UUID())
		for _, key := range [][2]string{{"g", "k\x00\xff"}, {"g", "l"}, {"", ""}, {"large", "k"}} {
			want, _, err := d.Reads().Get(background, key[0], key[1])
			require.NoError(t, err)
			got, found, err := again.Reads().Get(background, key[0], key[1])
			require.NoError(t, err)
			require.True(t, found)
			assert.Equal(t, want, got)
		}
		want, err := d.Reads().Log(background, 1, 1<<20)
		require.NoError(t, err)
		got, err := again.Reads().Log(background, 1, 1<<20)
		require.NoError(t, err)
		assert.Equal(t, want, got)
		extent, err := d.Reads().LogExtent(background)
		require.NoError(t, err)
		copied, err := again.Reads().LogExtent(background)
		require.NoError(t, err)
		assert.Equal(t, extent, copied)
		logged(t, again, row("g", "after", "v"))
		require.NoError(t, again.Close())
		assert.Equal(t, []string{"ok"}, query(t, path, "PRAGMA integrity_check"))
	})
}

// What is committed while the copy is made is not in it, and the copy does not
// begin anew for it.
func TestBackupIsOfOneMoment(t *testing.T) {
	d := open(t, temporary(t))
	require.NoError(t, write(d, numbered("g", 60_000)...))
	require.NoError(t, fileOf(d).foldTail()) // so that there are pages to be copied
	path := temporary(t)
	reports := 0
	require.NoError(t, d.Backup(background, path, func(int64, int64) {
		reports++
		for i := range 20 {
			require.NoError(t, write(d, row("g", fmt.Sprintf("%06d", i*1000), "changed"), row("h", fmt.Sprint(reports, i), "new")))
		}
	}))
	require.Greater(t, reports, 1)
	require.Less(t, reports, 20)
	assert.Equal(t, []string{"60000|0"}, query(t, path, "SELECT count(*), total(entry_value = 'changed') FROM entries"))
	require.NoError(t, d.Close())
}

// A backup needs nothing of the owner but the file.
func TestBackupBesideAnOwner(t *testing.T) {
	path := temporary(t)
	require.NoError(t, open(t, path).Close())
	_, kill := otherProcess(t, path)
	d := openWith(t, Config{Path: path, ReadOnly: true})
	to := temporary(t)
	require.NoError(t, d.Backup(background, to, nil))
	assert.Equal(t, []string{"other|process"}, query(t, to, "SELECT group_name, entry_key FROM entries"))
	require.NoError(t, d.Close())
	kill()
}

func TestBackupKeepsModeAndReplaces(t *testing.T) {
	source, path := temporary(t), temporary(t)
	d := open(t, source)
	require.NoError(t, os.Chmod(source, 0o640))
	require.NoError(t, write(d, row("g", "k", "first")))
	require.NoError(t, d.Backup(background, path, nil))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o640), info.Mode().Perm(), "a new one has the source's")

	require.NoError(t, os.Chmod(path, 0o604))
	require.NoError(t, write(d, row("g", "k", "second")))
	require.NoError(t, d.Backup(background, path, nil))
	info, err = os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o604), info.Mode().Perm(), "one that is replaced keeps its own")
	assert.Equal(t, []string{"second"}, query(t, path, "SELECT entry_value FROM entries"))

	link := filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Symlink(path, link))
	require.NoError(t, write(d, row("g", "k", "third")))
	require.NoError(t, d.Backup(background, link, nil))
	target, err := os.Readlink(link)
	require.NoError(t, err, "the link stays one")
	assert.Equal(t, []string{"third"}, query(t, target, "SELECT entry_value FROM entries"))
}

// wide are rows of a page each: a backup of them takes several steps.
func wide(n int) []kv.Row {
	rows := numbered("g", n)
	for i := range rows {
		rows[i].Value = strings.Repeat("v", 3000)
	}
	return rows
}

// Whatever ends a backup early leaves what was there, and nothing beside it.
func TestBackupThatEndsEarly(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "copy.db")
	fill := func(t *testing.T) *Database {
		d := open(t, temporary(t))
		require.NoError(t, write(d, wide(1000)...))
		return d
	}
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(background)
		err := fill(t).Backup(ctx, path, func(int64, int64) { cancel() })
		require.ErrorIs(t, err, context.Canceled)
		assert.Empty(t, names(t, folder))
		require.ErrorIs(t, fill(t).Backup(ctx, path, nil), context.Canceled)
	})
	t.Run("close", func(t *testing.T) {
		d := fill(t)
		closed := make(chan error, 1)
		began := false
		err := d.Backup(background, path, func(int64, int64) {
			if !began {
				began = true
				go func() { closed <- d.Close() }()
				<-d.done
			}
		})
		require.ErrorIs(t, err, kv.ClosedError)
		require.NoError(t, <-closed)
		assert.Empty(t, names(t, folder))
		assert.ElementsMatch(t, []string{"store.db", "store.db-lock"}, names(t, filepath.Dir(d.Path())), "a plain file all the same")
		require.ErrorIs(t, d.Backup(background, path, nil), kv.ClosedError)
	})
	t.Run("full disk", func(t *testing.T) {
		d := open(t, storage.MemoryPath)
		require.NoError(t, write(d, wide(1000)...))
		defer faultfs.Inject(t, faultfs.Failing("write", "partial", faultfs.Code(sqlite.ResultFull)))()
		require.Error(t, d.Backup(background, path, nil))
		assert.Empty(t, names(t, folder))
	})
	t.Run("damage", func(t *testing.T) {
		d := fill(t)
		require.NoError(t, d.Close())
		damage(t, d.Path(), 3)
		d = open(t, d.Path())
		require.ErrorIs(t, d.Backup(background, path, nil), kv.DamagedError)
		assert.Empty(t, names(t, folder))
	})
	t.Run("panic", func(t *testing.T) {
		d := fill(t)
		require.PanicsWithError(t, "callback", func() {
			_ = d.Backup(background, path, func(int64, int64) { panic(errors.New("callback")) })
		})
		assert.Empty(t, names(t, folder))
		require.NoError(t, d.Close())
	})
}

// damage overwrites one in so many pages of a closed database, but the first
// few.
func damage(t testing.TB, path string, every int) {
	t.Helper()
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	for page := 4; page < len(file)/filePageSize; page++ {
		if page%every == 0 {
			copy(file[page*filePageSize:], strings.Repeat("\xDE", filePageSize))
		}
	}
	require.NoError(t, os.WriteFile(path, file, 0o600))
}
