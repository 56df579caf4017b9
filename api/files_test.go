//go:build unix

package api_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// What people do to files, by mistake or because they know no better.

// requireKeys checks that a store has the children's keys of these numbers.
func requireKeys(t testing.TB, store *api.Store, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		got, err := store.Get(childGroup, strconv.Itoa(i))
		require.NoError(t, err, "key %d", i)
		require.Equal(t, strconv.Itoa(i), got)
	}
}

// TestForeignDatabases are refused by every way in, and stay as they are.
func TestForeignDatabases(t *testing.T) {
	for name, statements := range map[string][]string{
		"Django's":                  {`CREATE TABLE auth_user (id)`},
		"in WAL mode":               {`PRAGMA journal_mode = WAL`, `CREATE TABLE auth_user (id)`},
		"beside the original's":     {seedSchema, `CREATE TABLE auth_user (id)`},
		"with the original's names": {`CREATE TABLE entries (id, group_name, entry_key, entry_value)`},
		"with a view":               {seedSchema, `CREATE VIEW v AS SELECT 1`},
		"with a trigger":            {seedSchema, `CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries; END`},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			execute(t, path, statements...)
			for _, options := range [][]api.Option{nil, {api.WithReadOnly()}, {api.WithDiscardedLog()}} {
				require.ErrorIs(t, requireRefused(t, filepath.Dir(path), path, options...), api.NotADatabaseError)
			}
		})
	}
}

// TestLockFileOfSomebodyElse: what a link leads to, and what is no lock, is not
// emptied.
func TestLockFileOfSomebodyElse(t *testing.T) {
	for name, make := range map[string]func(t *testing.T, precious, lock string){
		"a link":        func(t *testing.T, p, l string) { require.NoError(t, os.Symlink(p, l)) },
		"a hard link":   func(t *testing.T, p, l string) { require.NoError(t, os.Link(p, l)) },
		"a file":        func(t *testing.T, p, l string) { copyFile(t, p, l) },
		"a broken link": func(t *testing.T, p, l string) { require.NoError(t, os.Symlink(p+".none", l)) },
		"a folder":      func(t *testing.T, p, l string) { require.NoError(t, os.Mkdir(l, 0o700)) },
		"a FIFO":        func(t *testing.T, p, l string) { require.NoError(t, syscall.Mkfifo(l, 0o600)) },
	} {
		for _, suffix := range []string{"-lock", "-wal", "-shm", "-journal"} {
			t.Run(name+" as "+suffix, func(t *testing.T) {
				path := newPath(t)
				precious := filepath.Join(filepath.Dir(path), "precious")
				require.NoError(t, os.WriteFile(precious, []byte("precious"), 0o600))
				make(t, precious, path+suffix)
				_, err := api.New(path)
				require.ErrorIs(t, err, api.ForeignFileError)
				content, err := os.ReadFile(precious)
				require.NoError(t, err)
				require.Equal(t, "precious", string(content))
				require.NoFileExists(t, path)
				require.NoFileExists(t, precious+".none")
			})
		}
	}
}

// TestOneFileOfTwoNames has one owner.
func TestOneFileOfTwoNames(t *testing.T) {
	if !ownsInodes {
		return // elsewhere the name alone is locked: see the package storage
	}
	path := newPath(t)
	store := openStore(t, path)
	require.NoError(t, store.Set("g", "k", "v"))
	link := path + ".link"
	require.NoError(t, os.Link(path, link))
	_, err := api.New(link)
	var locked *api.LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, os.Getpid(), locked.PID)
	_, err = api.New(link, api.WithReadOnly())
	require.ErrorIs(t, err, api.MissingWALError, "what is in the other name's WAL would be missing")
	require.NoError(t, store.Close())
	requireValue(t, openStore(t, link), "g", "k", "v")

	path = newPath(t)
	other := startChild(t, taskServe, path)
	require.NoError(t, os.Link(path, path+".link"))
	_, err = api.New(path + ".link")
	require.ErrorAs(t, err, &locked)
	require.Equal(t, other.cmd.Process.Pid, locked.PID)
	require.NoFileExists(t, path+".link-lock")
	other.sets(0, 10)
	other.kill()
	_, err = api.New(path + ".link")
	require.ErrorIs(t, err, api.MissingWALError)
	requireKeys(t, openStore(t, path), 0, 10)
}

// TestFileTakenAway: a store notices before the next write, refuses it by name, and
// leaves alone what lies at its names.
func TestFileTakenAway(t *testing.T) {
	precious := []byte(strings.Repeat("somebody's ", 10_000))
	for name, take := range map[string]func(path string) error{
		"removed":  func(path string) error { return os.Remove(path) },
		"renamed":  func(path string) error { return os.Rename(path, path+".moved") },
		"replaced": func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, precious, 0o600)) },
		"renamed over": func(path string) error {
			return errors.Join(os.WriteFile(path+".new", precious, 0o600), os.Rename(path+".new", path))
		},
		"a link":      func(path string) error { return errors.Join(os.Remove(path), os.Symlink("/dev/null", path)) },
		"truncated":   func(path string) error { return os.Truncate(path, 0) },
		"cut":         func(path string) error { return os.Truncate(path, 4096) },
		"overwritten": func(path string) error { return os.WriteFile(path, precious, 0o600) },
	} {
		for _, suffix := range []string{"", "-wal"} {
			t.Run(name+suffix, func(t *testing.T) {
				path := newPath(t)
				store, err := api.New(path)
				require.NoError(t, err)
				for i := range 100 {
					require.NoError(t, store.Set("g", strconv.Itoa(i), "v"))
				}
				require.NoError(t, store.Health().Err)
				require.NoError(t, take(path+suffix))
				acknowledged := 0
				for err = error(nil); err == nil; acknowledged++ {
					require.Less(t, acknowledged, 70)
					err = store.Set("g", "late", strconv.Itoa(acknowledged))
				}
				require.ErrorIs(t, err, api.FileLostError)
				require.ErrorContains(t, err, "store.Set: ")
				health := store.Health()
				require.ErrorIs(t, health.Err, api.FileLostError)
				require.False(t, health.Since.IsZero())
				before, _ := os.ReadFile(path + suffix)
				require.ErrorIs(t, store.Close(), api.FileLostError)
				after, _ := os.ReadFile(path + suffix)
				require.Equal(t, before, after)
			})
		}
	}
}

// TestFileThatComesBack: what was moved away and back is the store's again.
func TestFileThatComesBack(t *testing.T) {
	path := newPath(t)
	folder, moved := filepath.Dir(path), filepath.Dir(path)+".moved"
	store := openStore(t, path)
	require.NoError(t, store.Set("g", "k", "v"))
	require.NoError(t, os.Rename(folder, moved))
	require.ErrorIs(t, store.Health().Err, api.FileLostError)
	require.ErrorIs(t, store.Set("g", "k", "w"), api.FileLostError)
	if ownsInodes {
		_, err := api.New(filepath.Join(moved, filepath.Base(path)))
		var locked *api.LockedError
		require.ErrorAs(t, err, &locked, "it is the same file where it is now")
	}
	require.NoError(t, os.Rename(moved, folder))
	require.NoError(t, store.Health().Err)
	require.NoError(t, store.Set("g", "k", "x"))
}

// TestWALOfAnotherGeneration is not replayed over a database that was restored.
func TestWALOfAnotherGeneration(t *testing.T) {
	path := newPath(t)
	fillTo := func(n int) {
		store := openStore(t, path)
		items := make([]api.Item, n)
		for i := range items {
			items[i] = api.Item{Group: "g", Key: strconv.Itoa(i), Value: strings.Repeat("v", 100)}
		}
		require.NoError(t, store.SetAll(items))
		require.NoError(t, store.Close())
	}
	fillTo(3_001)
	copyFile(t, path, path+".backup")
	fillTo(6_000)
	owner := startChild(t, taskServe, path)
	owner.sets(0, 1)
	owner.kill()
	copyFile(t, path, path+".crashed")
	copyFile(t, path+".backup", path)
	for _, options := range [][]api.Option{nil, {api.WithReadOnly()}} {
		require.ErrorIs(t, requireRefused(t, filepath.Dir(path), path, options...), api.StaleWALError)
	}
	// Both ways out that the error names.
	require.NoError(t, os.Rename(path+"-wal", path+"-wal.away"))
	store := openStore(t, path)
	requireCount(t, store, "", 3_001)
	require.NoError(t, store.Close())
	require.NoError(t, os.Rename(path+"-wal.away", path+"-wal"))
	copyFile(t, path+".crashed", path)
	store = openStore(t, path)
	requireKeys(t, store, 0, 1)
	requireCount(t, store, "", 6_001)
}

// TestCloseBesideAReader leaves a complete file, and no WAL that would replay over
// what is put in its place.
func TestCloseBesideAReader(t *testing.T) {
	path := newPath(t)
	require.NoError(t, openStore(t, path).Close())
	copyFile(t, path, path+".backup")
	reader := startChild(t, taskRead, path)
	store := openStore(t, path)
	for i := range 50 {
		require.NoError(t, store.Set(childGroup, strconv.Itoa(i), strconv.Itoa(i)))
	}
	require.NoError(t, store.Close())
	copied := newPath(t)
	copyFile(t, path, copied)
	before := fingerprint(t, filepath.Dir(copied))
	if ownsInodes {
		read, err := api.New(copied, api.WithReadOnly())
		require.NoError(t, err)
		requireKeys(t, read, 0, 50)
		require.NoError(t, read.Close())
	}
	require.Equal(t, before, fingerprint(t, filepath.Dir(copied)), "reading neither writes nor creates")
	requireKeys(t, openStore(t, copied), 0, 50)
	reader.kill()
	copyFile(t, path+".backup", path)
	requireCount(t, openStore(t, path), "", 0)
}

// TestCloseBesideAnOldSnapshot: what can't be moved is said.
func TestCloseBesideAnOldSnapshot(t *testing.T) {
	path := newPath(t)
	store, err := api.New(path)
	require.NoError(t, err)
	require.NoError(t, store.Set(childGroup, "0", "0"))
	reader := openRaw(t, path)
	reader.SetMaxOpenConns(1)
	transaction, err := reader.Begin()
	require.NoError(t, err)
	var n int
	require.NoError(t, transaction.QueryRow(`SELECT count(*) FROM entries`).Scan(&n))
	require.NoError(t, store.Set(childGroup, "1", "1"))
	require.ErrorIs(t, store.Close(), api.IncompleteFileError)
	copied := newPath(t)
	copyFile(t, path, copied)
	require.ErrorIs(t, requireRefused(t, filepath.Dir(copied), copied), api.MissingWALError)
	require.NoError(t, transaction.Rollback())
	require.NoError(t, reader.Close())
	requireKeys(t, openStore(t, path), 0, 2)
}

// TestCopyOfALiveFile without its WAL is refused, with it whole.
func TestCopyOfALiveFile(t *testing.T) {
	path := newPath(t)
	owner := startChild(t, taskServe, path)
	// While it is open nothing is moved into the file, however long this takes.
	reader := openStore(t, path, api.WithReadOnly())
	snapshot, err := reader.Snapshot()
	require.NoError(t, err)
	owner.sets(0, 50)
	copied := newPath(t)
	copyFile(t, path, copied)
	for _, options := range [][]api.Option{nil, {api.WithReadOnly()}} {
		require.ErrorIs(t, requireRefused(t, filepath.Dir(copied), copied, options...), api.MissingWALError)
	}
	copyFile(t, path+"-wal", copied+"-wal")
	require.ErrorIs(t, requireRefused(t, filepath.Dir(copied), copied, api.WithReadOnly()), api.UnrecoveredError)
	requireKeys(t, openStore(t, copied), 0, 50)
	owner.kill()
	require.NoError(t, snapshot.Close())
	require.NoError(t, reader.Close())
	require.NoError(t, os.Remove(path+"-wal"))
	require.ErrorIs(t, requireRefused(t, filepath.Dir(path), path), api.MissingWALError)
}

// TestAnotherDescriptor of the file in the owner's process drops SQLite's locks, and
// must not let another program take the file for unused.
func TestAnotherDescriptor(t *testing.T) {
	if !ownsInodes {
		return // documented: nothing can be held there that a close does not drop
	}
	path := newPath(t)
	owner := startChild(t, taskServe, path)
	owner.sets(0, 30)
	require.Equal(t, "ok", owner.tell("read"))
	require.Equal(t, "ok", owner.tell("fold"))
	require.Equal(t, 30, query[int](t, path, `SELECT count(*) FROM entries`)) // its driver closes the file when it is done
	require.FileExists(t, path+"-wal")
	owner.sets(30, 40)
	owner.kill()
	requireKeys(t, openStore(t, path), 0, 40)
}

// TestAnotherProgramRecovers a store that was killed, and moves its WAL into the
// file: nothing is missing then.
func TestAnotherProgramRecovers(t *testing.T) {
	path := newPath(t)
	owner := startChild(t, taskServe, path)
	owner.sets(0, 30)
	require.Equal(t, "ok", owner.tell("fold"))
	owner.kill()
	require.Equal(t, 30, query[int](t, path, `SELECT count(*) FROM entries`))
	require.NoFileExists(t, path+"-wal")
	requireKeys(t, openStore(t, path), 0, 30)
}

// TestLockFileRemoved while a store is open: no other process becomes an owner.
func TestLockFileRemoved(t *testing.T) {
	if !ownsInodes {
		return
	}
	path := newPath(t)
	owner := startChild(t, taskServe, path)
	require.NoError(t, os.Remove(path+"-lock"))
	_, err := api.New(path)
	var locked *api.LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, owner.cmd.Process.Pid, locked.PID)
	require.Contains(t, owner.tell("health"), "was removed", "so the next transaction looks after it") // one that comes soon after another would not
	owner.sets(0, 1)
	require.Equal(t, "ok", owner.tell("health"), "it has made its lock anew")
	require.FileExists(t, path+"-lock")
	_, err = api.New(path)
	require.ErrorAs(t, err, &locked)
	require.Equal(t, "ok", owner.tell("close"))
	requireKeys(t, openStore(t, path), 0, 1)
}

// TestOwnerAndMode of what is made beside a database are the database's.
func TestOwnerAndMode(t *testing.T) {
	path := newPath(t)
	require.NoError(t, openStore(t, path).Close())
	require.NoError(t, os.Chmod(path, 0o660))
	require.NoError(t, os.Remove(path+"-lock"))
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 1234, 1235
		require.NoError(t, os.Chown(path, uid, gid))
	}
	store := openStore(t, path)
	require.NoError(t, store.Set("g", "k", "v"))
	for _, suffix := range []string{"", "-wal", "-shm", "-lock"} {
		info, err := os.Stat(path + suffix)
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o660), info.Mode().Perm(), suffix)
		stat := info.Sys().(*syscall.Stat_t)
		assert.Equal(t, [2]int{uid, gid}, [2]int{int(stat.Uid), int(stat.Gid)}, suffix)
	}
}

// TestManyOpeners that wait are each served.
func TestManyOpeners(t *testing.T) {
	path := newPath(t)
	require.NoError(t, openStore(t, path).Close())
	require.NoError(t, together(20, func(i int) error {
		store, err := api.New(path, api.WithLockTimeout(time.Minute))
		if err != nil {
			return err
		}
		return errors.Join(store.Set(childGroup, strconv.Itoa(i), strconv.Itoa(i)), store.Close())
	}))
	requireKeys(t, openStore(t, path), 0, 20)

	holder := openStore(t, path+".held")
	began := time.Now()
	_, err := api.New(path+".held", api.WithLockTimeout(50*time.Millisecond))
	var locked *api.LockedError
	require.ErrorAs(t, err, &locked)
	require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
	require.NoError(t, holder.Close())
	_, err = api.New(path, api.WithLockTimeout(-1))
	require.ErrorIs(t, err, api.InvalidOptionError)
}

// TestReadersBesideOwnersThatComeAndGo find the store at every moment, and are in
// no owner's way.
func TestReadersBesideOwnersThatComeAndGo(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	require.NoError(t, store.Set("g", "k", "v"))
	require.NoError(t, store.Close())
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				reader, err := api.New(path, api.WithReadOnly())
				if !assert.NoError(t, err) {
					return
				}
				_, err = reader.Get("g", "k")
				assert.NoError(t, err)
				assert.NoError(t, reader.Close())
			}
		})
	}
	for i := range 12 {
		store, err := api.New(path)
		if !assert.NoError(t, err) {
			break
		}
		assert.NoError(t, store.Set("g", "k", strconv.Itoa(i)))
		if !assert.NoError(t, store.Close()) {
			break
		}
	}
	close(done)
	readers.Wait()
}

// TestPathsLikeURIs are refused with what to write.
func TestPathsLikeURIs(t *testing.T) {
	t.Chdir(t.TempDir())
	for path, says := range map[string]string{
		"file:app.db":                   `"app.db"`,
		"file:app.db?mode=ro":           `"app.db"`,
		"file:///tmp/app.db?cache=x":    `"/tmp/app.db"`,
		"app.db?_pragma=journal_mode=x": `"app.db"`,
		"app.db?_journal=WAL&mode=rwc":  `"app.db"`,
		"file::memory:":                 `":memory:"`,
		"file::memory:?cache=shared":    `":memory:"`,
		":memory:?cache=shared":         `":memory:"`,
		"file:x?mode=memory":            `":memory:"`,
		"sqlite:///tmp/app.db":          `"/tmp/app.db"`,
		"app.db-lock":                   "name the database (app.db)",
		"app.db-wal":                    "name the database (app.db)",
		"app.db-shm":                    "name the database (app.db)",
		"app.db-journal":                "name the database (app.db)",
	} {
		for _, options := range [][]api.Option{nil, {api.WithReadOnly()}} {
			_, err := api.New(path, options...)
			require.ErrorIs(t, err, api.InvalidOptionError, path)
			require.ErrorContains(t, err, says)
		}
	}
	made, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Empty(t, made)
	// Where the link leads is what counts.
	require.NoError(t, os.Symlink("app.db-wal", "link"))
	_, err = api.New("link")
	require.ErrorIs(t, err, api.InvalidOptionError)
}

// TestTriggers of other programs would change what is written: nothing is.
func TestTriggers(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	require.NoError(t, store.Set("g", "k", "v"))
	require.NoError(t, store.Close())
	for _, table := range []string{"entries", "log", "store_meta"} {
		execute(t, path, fmt.Sprintf(`CREATE TRIGGER veto BEFORE INSERT ON %s BEGIN SELECT RAISE(IGNORE); END`, table))
		require.ErrorIs(t, requireRefused(t, filepath.Dir(path), path), api.ForeignSchemaError)
		reader := openStore(t, path, api.WithReadOnly())
		requireValue(t, reader, "g", "k", "v")
		require.NoError(t, reader.Close())
		execute(t, path, `DROP TRIGGER veto`)
	}
	requireValue(t, openStore(t, path), "g", "k", "v")
}
