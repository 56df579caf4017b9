//go:build unix

package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/testkit/report"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

func TestNewFileIsPrivateAndStamped(t *testing.T) {
	path := temporary(t)
	d := open(t, path)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	uuid := d.UUID()
	require.Len(t, uuid, 36)
	require.NoError(t, d.Close())

	assert.Equal(t, []string{"1198478196"}, query(t, path, "PRAGMA application_id"))
	assert.Equal(t, []string{"4"}, query(t, path, "PRAGMA user_version"))
	assert.Equal(t, []string{"4096"}, query(t, path, "PRAGMA page_size"))
	assert.Equal(t, []string{"ok"}, query(t, path, "PRAGMA integrity_check"))
	assert.Equal(t, uuid, open(t, path).UUID(), "a database keeps its UUID")
	assert.NotEqual(t, uuid, open(t, temporary(t)).UUID())
}

func TestUntouchedStoreClosesToOnePlainFile(t *testing.T) {
	path := temporary(t)
	require.NoError(t, open(t, path).Close())
	before := folder(t, filepath.Dir(path))
	assert.Len(t, before, 2)
	require.NoError(t, open(t, path).Close())
	assert.Len(t, folder(t, filepath.Dir(path)), 2)
	require.NoError(t, openWith(t, Config{Path: path, ReadOnly: true}).Close())
}

func TestCloseLeavesOnePlainFile(t *testing.T) {
	path := temporary(t)
	d := open(t, path)
	require.NoError(t, write(d, numbered("g", 1000)...))
	require.NoError(t, d.Close())
	require.NoError(t, d.Close(), "again")
	files := folder(t, filepath.Dir(path))
	assert.Len(t, files, 2)
	assert.Contains(t, files, "store.db")
	assert.Contains(t, files, "store.db-lock")
	h, err := readHeader(path)
	require.NoError(t, err)
	assert.False(t, h.wal, "any program reads it from any medium")
	assert.Equal(t, []string{"1000"}, query(t, path, "SELECT count(*) FROM entries"))
}

func TestReopenKeepsEverything(t *testing.T) {
	path := temporary(t)
	d := open(t, path)
	require.NoError(t, write(d, row("g", "a", "1"), mortal("g", "b", 10), mortal("g", "c", -5)))
	require.NoError(t, d.Close())
	d = open(t, path)
	for _, want := range []kv.Row{row("g", "a", "1"), mortal("g", "b", 10), mortal("g", "c", -5)} {
		got, found, err := d.Reads().Get(background, "g", want.Key)
		require.NoError(t, err)
		require.True(t, found)
		assert.Equal(t, want, got)
	}
}

func TestEmptyFileBecomesADatabase(t *testing.T) {
	path := temporary(t)
	require.NoError(t, os.WriteFile(path, nil, 0o644))
	d := open(t, path)
	require.NoError(t, write(d, row("g", "k", "v")))
	require.NoError(t, d.Close())
	assert.Equal(t, []string{"g|k|v"}, query(t, path, "SELECT group_name, entry_key, entry_value FROM entries"))
}

func TestACrashedStoreRecovers(t *testing.T) {
	path := temporary(t)
	pid, kill := otherProcess(t, path)
	kill()
	d := open(t, path)
	got, found, err := d.Reads().Get(background, "other", "process")
	require.NoError(t, err)
	require.True(t, found)
	assert.NotZero(t, pid)
	assert.NotEmpty(t, got.Value)
}

func TestPathsThatLeadNowhere(t *testing.T) {
	folder := t.TempDir()
	loop := filepath.Join(folder, "loop")
	require.NoError(t, os.Symlink(loop, loop))
	fifo := filepath.Join(folder, "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	file := filepath.Join(folder, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, c := range []struct {
		path, says string
		is         error
	}{
		{"", `use ":memory:"`, kv.InvalidOptionError},
		{"a\x00b", "NUL", kv.InvalidOptionError},
		{folder, "is a folder", syscall.EISDIR},
		{fifo, "not a regular file", kv.NotADatabaseError},
		{loop, "", syscall.ELOOP},
		{filepath.Join(folder, "missing", "store.db"), "does not exist", fs.ErrNotExist},
		{filepath.Join(file, "store.db"), "not a directory", syscall.ENOTDIR},
		{"/proc/store.db", "lock file", nil},
	} {
		for _, readOnly := range []bool{false, true} {
			_, err := Open(Config{Path: c.path, ReadOnly: readOnly})
			require.Error(t, err, c.path)
			if c.is != nil {
				assert.ErrorIs(t, err, c.is, c.path)
			}
			if !readOnly {
				assert.ErrorContains(t, err, c.says)
			}
		}
	}
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, entries, 3)
}

func TestPathWhoseFolderIsGone(t *testing.T) {
	folder, err := os.MkdirTemp(t.TempDir(), "")
	require.NoError(t, err)
	t.Chdir(folder)
	require.NoError(t, os.Remove(folder))
	_, err = Open(Config{Path: "store.db"})
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestLinksLeadToOneFile(t *testing.T) {
	folder := t.TempDir()
	real := filepath.Join(folder, "real.db")
	link := filepath.Join(folder, "link.db")
	require.NoError(t, os.Symlink("real.db", link), "a link to a file that is yet to be made")
	absolute := filepath.Join(folder, "absolute.db")
	require.NoError(t, os.Symlink(real, absolute))

	d := open(t, link)
	require.NoError(t, write(d, row("g", "k", "v")))
	for _, path := range []string{real, link, absolute} {
		_, err := Open(Config{Path: path})
		var locked *kv.LockedError
		require.ErrorAs(t, err, &locked, path)
		assert.Equal(t, d.Path(), locked.Path)
	}
	require.NoError(t, d.Close())
	got, _, err := open(t, absolute).Reads().Get(background, "g", "k")
	require.NoError(t, err)
	assert.Equal(t, "v", got.Value)
}

func TestNamesThatMeanSomethingToSQLite(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"./file:x.db", "100% #1?.db", "\xff\xfe.db", " ", "a=b?c.db", "x:y.db"} {
		d := open(t, name)
		require.NoError(t, write(d, row("g", "k", name)))
		require.NoError(t, d.Close())
		_, err := os.Stat(name)
		require.NoError(t, err)
		got, _, err := open(t, name).Reads().Get(background, "g", "k")
		require.NoError(t, err)
		assert.Equal(t, name, got.Value)
	}
}

func TestMemoryIsPrivateAndWritable(t *testing.T) {
	a, b := open(t, storage.MemoryPath), open(t, storage.MemoryPath)
	require.NoError(t, write(a, row("g", "k", "v")))
	_, found, err := b.Reads().Get(background, "g", "k")
	require.NoError(t, err)
	assert.False(t, found)
	assert.NotEqual(t, a.UUID(), b.UUID())
	assert.Equal(t, storage.MemoryPath, a.Path())
	_, err = Open(Config{Path: storage.MemoryPath, ReadOnly: true})
	require.ErrorIs(t, err, kv.InvalidOptionError)
}

// A program that uses SQLite without our lock is named as what it is.
func TestLockedByAForeignProgram(t *testing.T) {
	impatient(t)
	path := temporary(t)
	require.NoError(t, open(t, path).Close())
	before := folder(t, filepath.Dir(path))
	foreign, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	require.NoError(t, err)
	require.NoError(t, execute(foreign, "BEGIN EXCLUSIVE"))
	for _, readOnly := range []bool{false, true} {
		_, err = Open(Config{Path: path, ReadOnly: readOnly})
		require.ErrorContains(t, err, "is locked by another program")
	}
	require.NoError(t, foreign.Close())
	assert.Equal(t, before, folder(t, filepath.Dir(path)))
	open(t, path)
}

func TestReadOnlyBesideAnOwner(t *testing.T) {
	path := temporary(t)
	owner := open(t, path)
	require.NoError(t, write(owner, row("g", "k", "first")))
	reader := openWith(t, Config{Path: path, ReadOnly: true})
	assert.Nil(t, reader.Writer())
	assert.Equal(t, owner.UUID(), reader.UUID())
	require.NoError(t, write(owner, row("g", "k", "second")))
	got, found, err := reader.Reads().Get(background, "g", "k")
	require.NoError(t, err)
	require.True(t, found)
	assert.Equal(t, "second", got.Value)

	require.NoError(t, owner.Close(), "the reader is in the way of leaving WAL mode, and loses nothing")
	got, _, err = reader.Reads().Get(background, "g", "k")
	require.NoError(t, err)
	assert.Equal(t, "second", got.Value)
	require.NoError(t, reader.Close())

	require.NoError(t, open(t, path).Close())
	assert.Len(t, folder(t, filepath.Dir(path)), 2)
}

func TestReadOnlyAloneCreatesNothing(t *testing.T) {
	path := temporary(t)
	_, err := Open(Config{Path: path, ReadOnly: true})
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.Empty(t, folder(t, filepath.Dir(path)))

	require.NoError(t, write(open(t, path), numbered("g", 600)...))
	_, err = Open(Config{Path: path})
	var locked *kv.LockedError
	require.ErrorAs(t, err, &locked)
}

func TestReadOnlyReadsAClosedStore(t *testing.T) {
	path := temporary(t)
	d := open(t, path)
	require.NoError(t, write(d, numbered("g", 600)...))
	require.NoError(t, d.Close())
	before := folder(t, filepath.Dir(path))
	d = openWith(t, Config{Path: path, ReadOnly: true})
	rows, err := rowsOf(d, "g", 0)
	require.NoError(t, err)
	assert.Len(t, rows, 600)
	require.NoError(t, d.Close())
	assert.Equal(t, before, folder(t, filepath.Dir(path)))
}

func TestReadOnlyRefusesWhatItWouldHaveToWrite(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, string){
		"is of an older layout":         statements("CREATE TABLE kv (grp TEXT, key TEXT, value TEXT)"),
		"an older layout":               statements(seedSchema),
		"layout, which a read-only":     statements(seedSchema, "PRAGMA journal_mode = WAL"),
		"belongs to another program":    statements("CREATE TABLE t (a)"),
		"open it once without read-onl": contents(""),
	} {
		path := temporary(t)
		prepare(t, path)
		before := folder(t, filepath.Dir(path))
		_, err := Open(Config{Path: path, ReadOnly: true})
		require.ErrorContains(t, err, name)
		assert.Equal(t, before, folder(t, filepath.Dir(path)))
	}
}

// Whatever fails while a file is opened, nothing is left of the attempt.
func TestFaultsWhileOpening(t *testing.T) {
	skipSyncs(t)
	seed := temporary(t)
	program(t, seed, seedSchema, "INSERT INTO entries VALUES ('g', 'k', 'v', NULL)")
	content, err := os.ReadFile(seed)
	require.NoError(t, err)
	for _, existing := range []bool{false, true} {
		// Let the first operation fail, then the second, and so on, until
		// nothing fails any more.
		for n, done := 0, false; !done; n += report.Rounds(3, 1, 1) {
			path := temporary(t)
			if existing {
				require.NoError(t, os.WriteFile(path, content, 0o600))
			}
			before := folder(t, filepath.Dir(path))
			var reached atomic.Bool
			heal := faultfs.Inject(t, func(o faultfs.Operation) error {
				if o.Call == "delete" || o.Call == "disk.remove" {
					return nil // what can't be removed again is a crash, not a refusal
				}
				if o.N >= n {
					reached.Store(true)
					return faultfs.Code(sqlite.ResultIOErr)
				}
				return nil
			})
			d, err := Open(Config{Path: path})
			heal()
			if err != nil {
				after := folder(t, filepath.Dir(path))
				if existing {
					// A hot journal puts the file right when it is opened next.
					d, err := Open(Config{Path: path})
					require.NoError(t, err, n)
					got, found, err := d.Reads().Get(background, "g", "k")
					require.NoError(t, err)
					require.True(t, found)
					require.Equal(t, "v", got.Value)
					require.NoError(t, d.Close())
				} else {
					delete(after, "store.db-lock") // which stays if it can't be told whose it is by then
					require.Equal(t, before, after, n)
				}
				continue
			}
			done = !reached.Load()
			require.NoError(t, errors.Join(d.Close()))
			require.Less(t, n, 1000)
		}
	}
}

// What the operating system refuses is said in words.
func TestRefusalsOfTheSystemInWords(t *testing.T) {
	for says, fault := range map[string]faultfs.Fault{
		"can't be opened; check the permissions": faultfs.Failing("open", "database", faultfs.Code(sqlite.ResultCantOpen)),
		"can't be written to; check its":         faultfs.Failing("write", "journal", faultfs.Code(sqlite.ResultReadOnly)),
		"is damaged":                             faultfs.Failing("write", "journal", faultfs.Code(sqlite.ResultCorrupt)),
		"disk I/O error":                         faultfs.Failing("write", "journal", faultfs.Code(sqlite.ResultIOErr)),
	} {
		path := temporary(t)
		heal := faultfs.Inject(t, fault)
		_, err := Open(Config{Path: path})
		heal()
		require.ErrorContains(t, err, says)
		assert.Empty(t, folder(t, filepath.Dir(path)))
	}
}
