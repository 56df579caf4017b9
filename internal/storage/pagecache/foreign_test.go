package pagecache

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/cabi"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"
)

// work is what a program does with a database of its own.
func work(path string, rows int) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(3)
	for _, statement := range []string{"PRAGMA journal_mode = WAL", "PRAGMA cache_size = 20", "CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b TEXT)", "CREATE INDEX IF NOT EXISTS i ON t (b)"} {
		if _, err := db.Exec(statement); err != nil {
			return err
		}
	}
	for n := range 5 {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		for i := range rows {
			if _, err := tx.Exec("INSERT INTO t (b) VALUES (?)", fmt.Sprintf("%06d-%d", i*7919%rows, n)); err != nil {
				return err
			}
		}
		if n%2 == 1 {
			err = tx.Rollback()
		} else {
			err = tx.Commit()
		}
		if err != nil {
			return err
		}
		runtime.GC() // what SQLite holds must not be Go's
	}
	var answer string
	var count int
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&answer); err != nil || answer != "ok" {
		return fmt.Errorf("integrity: %s %w", answer, err)
	}
	if err := db.QueryRow("SELECT count(*) FROM t WHERE b LIKE '%-%'").Scan(&count); err != nil || count != 3*rows {
		return fmt.Errorf("%d rows: %w", count, err)
	}
	return nil
}

// Others of the process use SQLite by another driver, each with a database in a file or
// in memory, while connections come and go.
func TestOtherUsersOfTheProcess(t *testing.T) {
	require.True(t, Installed)
	var users sync.WaitGroup
	for user := range 4 {
		path := filepath.Join(t.TempDir(), "db")
		users.Go(func() {
			for range 3 {
				if err := work(path+fmt.Sprint(user), 300); err != nil {
					t.Error(err)
				}
				if err := os.Remove(path + fmt.Sprint(user)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	users.Wait()
}

// Who has used SQLite before the package is loaded keeps the cache that SQLite has, and
// so does everybody after: the two never meet in one connection.
func TestUserFromBefore(t *testing.T) {
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	// Within the module, so that it may import what is internal.
	inside, err := os.MkdirTemp(filepath.Join(root, "internal", "storage"), "_before") // sorts before this package
	require.NoError(t, err)
	defer os.RemoveAll(inside)
	require.NoError(t, os.MkdirAll(filepath.Join(inside, "early"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(inside, "main.go"), []byte(fmt.Sprintf(beforeProgram, filepath.Base(inside))), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(inside, "early", "early.go"), []byte(earlyPackage), 0o600))
	command := exec.Command("go", "run", ".")
	command.Dir = inside
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Equal(t, "installed: false\nok\n", string(out))
}

// earlyPackage has SQLite set itself up, and opens a database that it keeps, while
// packages are initialised: in the order of their paths, as far as they don't depend on
// each other. (Who uses SQLite by database/sql comes after the store by that order.)
const earlyPackage = `package early

import (
	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

var Result = open()

func open() int32 {
	tls := libc.NewTLS() // it is never closed
	name, err := libc.CString(":memory:")
	if err != nil {
		panic(err)
	}
	place, err := libc.CString("eight bytes")
	if err != nil {
		panic(err)
	}
	return lib.Xsqlite3_open(tls, name, place)
}
`

// beforeProgram uses databases by both drivers then.
const beforeProgram = `package main

import (
	"database/sql"
	"fmt"

	"forge.lthn.ai/core/go-store/internal/storage/pagecache"
	"forge.lthn.ai/core/go-store/internal/storage/%s/early"

	_ "modernc.org/sqlite"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

func main() {
	fmt.Println("installed:", pagecache.Installed)
	if early.Result != 0 {
		panic(early.Result)
	}
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		panic(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE t (a)"); err != nil {
		panic(err)
	}
	conn, err := sqlite.OpenConn(":memory:", sqlite.OpenReadWrite)
	if err != nil {
		panic(err)
	}
	for i := range 2000 {
		if _, err := db.Exec("INSERT INTO t VALUES (?)", i); err != nil {
			panic(err)
		}
	}
	if err := sqlitex.ExecuteScript(conn, "CREATE TABLE u (a); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO u SELECT i FROM n;", nil); err != nil {
		panic(err)
	}
	if err := conn.Close(); err != nil {
		panic(err)
	}
	var n int
	if err := db.QueryRow("SELECT count(*) FROM t").Scan(&n); err != nil || n != 2000 {
		panic(fmt.Sprint(n, err))
	}
	if err := db.Close(); err != nil {
		panic(err)
	}
	fmt.Println("ok")
}
`

// SQLite is promised memory whose addresses are multiples of eight, whatever the sizes
// that it asks for, each page's and what it keeps beside apart from all others.
func TestPagesAreAlignedAndApart(t *testing.T) {
	for _, sizes := range [][2]int{{512, 120}, {4096, 136}, {65536, 250}, {509, 131}, {1, 1}} {
		c := newCache(sizes[0], sizes[1], true)
		c.resize(500)
		type block struct{ from, to uintptr }
		var blocks []block
		for key := range uint32(300) {
			p, found := c.fetch(key+1, 2)
			require.False(t, found)
			of := *cabi.At[page](p)
			for _, address := range []uintptr{p, of.buffer, of.extra} {
				require.Zero(t, address%8, "sizes %v", sizes)
			}
			blocks = append(blocks, block{of.buffer, of.buffer + uintptr(sizes[0])}, block{of.extra, of.extra + uintptr(sizes[1])}, block{p, p + 24})
		}
		for i, a := range blocks {
			for _, b := range blocks[i+1:] {
				require.True(t, a.to <= b.from || b.to <= a.from, "%v and %v share memory", a, b)
			}
		}
		c.destroy()
		require.Empty(t, c.slabs)
	}
}

// SQLite's functions outlive every collection: what is handed to it is held by a
// variable of the package.
func TestMethodsAreHeld(t *testing.T) {
	for range 5 {
		runtime.GC()
		require.NoError(t, work(filepath.Join(t.TempDir(), "db"), 100))
	}
}
