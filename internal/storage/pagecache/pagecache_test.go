package pagecache

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/cabi"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

const testPage, testExtra = 509, 131 // SQLite's are even; nothing may rest on that

// fetched is a page of the cache, found or made.
func fetched(t require.TestingT, c *cache, key uint32, create int32) (p uintptr, found bool) {
	p, found = c.fetch(key, create)
	if p == 0 {
		return 0, false
	}
	if !found {
		mark(p, key)
	}
	requireMark(t, p, key)
	return p, found
}

// mark fills all the memory of a page with its key.
func mark(p uintptr, key uint32) {
	for i := range testPage {
		*cabi.At[byte](cabi.At[page](p).buffer + uintptr(i)) = byte(key) ^ byte(key>>8)
	}
	for i := range testExtra {
		*cabi.At[byte](cabi.At[page](p).extra + uintptr(i)) = byte(key) ^ byte(key>>8)
	}
}

func requireMark(t require.TestingT, p uintptr, key uint32) {
	want := byte(key) ^ byte(key>>8)
	for i := range testPage {
		if *cabi.At[byte](cabi.At[page](p).buffer + uintptr(i)) != want {
			require.Fail(t, "another page's memory", "byte %d of page %d", i, key)
		}
	}
	for i := range testExtra {
		if *cabi.At[byte](cabi.At[page](p).extra + uintptr(i)) != want {
			require.Fail(t, "another page's memory", "byte %d beside page %d", i, key)
		}
	}
}

// The cache does what a map and a list in the order of use would do.
func TestCacheAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		purgeable := rapid.Bool().Draw(t, "purgeable")
		c := newCache(testPage, testExtra, purgeable)
		defer c.destroy()
		limit := 0
		pinned := make(map[uint32]uintptr)
		var idle []uint32 // the one used last comes last
		count := func() int { return len(pinned) + len(idle) }
		forget := func(key uint32) { idle = slices.DeleteFunc(idle, func(k uint32) bool { return k == key }) }
		trim := func() {
			for purgeable && count() > limit && len(idle) > 0 {
				idle = idle[1:]
			}
		}
		keys := rapid.Uint32Range(1, 300)
		fetch := func(t *rapid.T) {
			key, create := keys.Draw(t, "key"), rapid.Int32Range(0, 2).Draw(t, "create")
			_, inUse := pinned[key]
			known := inUse || slices.Contains(idle, key)
			p, found := fetched(t, c, key, create)
			require.Equal(t, known, found)
			switch {
			case known:
				forget(key)
			case create == 0 || create == 1 && purgeable && 9*limit < 10*len(pinned)+10: // nine tenths are in use
				require.Zero(t, p)
				return
			case purgeable && count() >= limit && len(idle) > 0:
				idle = idle[1:]
			}
			require.NotZero(t, p)
			if inUse {
				require.Equal(t, pinned[key], p)
			}
			pinned[key] = p
		}
		anyPinned := func(t *rapid.T) (key uint32, p uintptr) {
			if len(pinned) == 0 {
				t.Skip("none is in use")
			}
			all := make([]uint32, 0, len(pinned))
			for key := range pinned {
				all = append(all, key)
			}
			slices.Sort(all)
			key = rapid.SampledFrom(all).Draw(t, "pinned")
			return key, pinned[key]
		}
		t.Repeat(map[string]func(*rapid.T){
			"fetch": fetch, "fetch again": fetch, "fetch more": fetch,
			"unpin": func(t *rapid.T) {
				key, p := anyPinned(t)
				discard := rapid.Bool().Draw(t, "discard")
				over := purgeable && count() > limit
				c.unpin(cabi.At[page](p).slot, discard)
				delete(pinned, key)
				if !discard && !over {
					idle = append(idle, key)
				}
			},
			"rekey": func(t *rapid.T) {
				key, p := anyPinned(t)
				to := keys.Draw(t, "to")
				if _, taken := pinned[to]; taken {
					t.Skip("SQLite drops what is in use there itself")
				}
				c.rekey(cabi.At[page](p).slot, to)
				mark(p, to)
				forget(to)
				delete(pinned, key)
				pinned[to] = p
			},
			"truncate": func(t *rapid.T) {
				from := rapid.Uint32Range(0, 301).Draw(t, "from")
				c.truncate(from)
				for key := range pinned {
					if key >= from {
						delete(pinned, key)
					}
				}
				idle = slices.DeleteFunc(idle, func(key uint32) bool { return key >= from })
			},
			"resize": func(t *rapid.T) {
				limit = rapid.IntRange(0, 200).Draw(t, "limit")
				c.resize(limit)
				trim()
			},
			"shrink": func(*rapid.T) {
				c.shrink()
				idle = nil
			},
			"": func(t *rapid.T) {
				require.Equal(t, count(), c.count)
				require.Equal(t, len(pinned), c.pinned)
				listed := 0
				for i := c.oldest; i != none; i = c.slots[i].newer {
					require.Equal(t, idle[listed], c.slots[i].key)
					listed++
				}
				require.Len(t, idle, listed)
				for key, p := range pinned {
					requireMark(t, p, key)
				}
			},
		})
	})
}

// However many pages there are, chains stay short, and each page is found.
func TestCacheGrows(t *testing.T) {
	const pages = 5_000
	c := newCache(testPage, testExtra, false)
	defer c.destroy()
	for key := range uint32(pages) {
		_, found := fetched(t, c, key, 2)
		require.False(t, found)
	}
	require.GreaterOrEqual(t, len(c.byKey), pages)
	for key := range uint32(pages) {
		_, found := fetched(t, c, key, 0)
		require.True(t, found)
	}
}

// Caches come and go while others are used, as with temporary tables.
func TestRegistry(t *testing.T) {
	var r registry
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			for range 300 {
				var numbers []uintptr
				var mine []*cache
				for range 10 {
					c := newCache(testPage, testExtra, true)
					mine, numbers = append(mine, c), append(numbers, r.add(c))
				}
				for i, number := range numbers {
					if r.get(number) != mine[i] || r.remove(number) != mine[i] {
						t.Error("a number is another cache's")
					}
				}
			}
		})
	}
	users.Wait()
	require.Len(t, r.free, len(*r.all.Load()), "every number is free again")
}

// SQLite has taken the functions, and what it does with them is right: a table far
// larger than the cache, changed, rolled back, vacuumed and checked.
func TestSQLiteUsesIt(t *testing.T) {
	require.True(t, Installed)
	conn, err := sqlite.OpenConn(filepath.Join(t.TempDir(), "db"), sqlite.OpenReadWrite, sqlite.OpenCreate)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	for _, statement := range []string{
		"PRAGMA cache_size = 20",
		"CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)",
		"CREATE INDEX i ON t (b)",
		`WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000)
			INSERT INTO t SELECT x, printf('%08d', x * 7919 % 20000) FROM n`,
		"BEGIN", "DELETE FROM t WHERE a % 3 = 0", "ROLLBACK",
		"DELETE FROM t WHERE a > 15000",
		"SAVEPOINT s", "UPDATE t SET b = b || 'x'", "ROLLBACK TO s", "RELEASE s",
		"PRAGMA shrink_memory", "VACUUM", "PRAGMA cache_size = 2000",
		"PRAGMA auto_vacuum = FULL", "VACUUM", "CREATE TABLE u (a)", "DROP TABLE u", // pages change their numbers
	} {
		require.NoError(t, sqlitex.ExecuteTransient(conn, statement, nil), statement)
	}
	require.NotEmpty(t, *caches.all.Load(), "no cache was asked for")
	one := func(query string) (answer string) {
		require.NoError(t, sqlitex.ExecuteTransient(conn, query, &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
			answer = stmt.ColumnText(0)
			return nil
		}}))
		return answer
	}
	require.Equal(t, "ok", one("PRAGMA integrity_check"))
	require.Equal(t, fmt.Sprint(15000), one("SELECT count(*) FROM t"))
	require.Equal(t, "0", one("SELECT count(*) FROM t WHERE b <> printf('%08d', a * 7919 % 20000)"))
}
