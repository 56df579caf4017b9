package sqlite

import (
	"sync"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// What interrupts a connection may come while it is closed, and after: nothing of it
// touches the memory that the connection has given back.
func TestInterruptsBesideClosing(t *testing.T) {
	path := temporary(t)
	d := open(t, path)
	require.NoError(t, write(d, numbered("g", 10)...))
	var ended atomic.Bool
	var guards, openers sync.WaitGroup
	for i := range 2 {
		guards.Go(func() {
			if err := watchOver(byte(0xB0+i), &ended); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 4 {
		openers.Go(func() {
			for n := range 60 {
				done := make(chan struct{})
				r, err := openReader(&Database{path: path, done: done}, pragmas(reading, kv.DurabilityBuffered, readerCacheKiB))
				if err != nil {
					t.Error(err)
					return
				}
				var racing sync.WaitGroup
				switch (n + i) % 3 {
				case 0:
					racing.Go(func() { close(done) })
				case 1:
					close(done)
				case 2:
					defer close(done) // long after
				}
				_, _, err = getRow(r.get, "g", "000001")
				if err != nil && code(err) != sqlite.ResultInterrupt {
					t.Error(err)
				}
				if err := r.conn.Close(); err != nil {
					t.Error(err)
				}
				racing.Wait()
			}
		})
	}
	openers.Wait()
	ended.Store(true)
	guards.Wait()
}

// The settings that go by SQLite's own handle are taken, and nothing else is written.
func TestConnectionsAreHardened(t *testing.T) {
	path := temporary(t)
	require.NoError(t, open(t, path).Close())
	conn, err := openConnection(path, sqlite.OpenReadWrite, nil, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	handle, err := handleOf(conn)
	require.NoError(t, err)
	require.NotZero(t, handle)
	for pragma, want := range map[string]int64{"trusted_schema": 0, "cell_size_check": 1, "mmap_size": 0, "foreign_keys": 0} {
		got, err := queryInt(conn, "PRAGMA "+pragma)
		require.NoError(t, err)
		require.Equal(t, want, got, pragma)
	}
	for _, l := range limits {
		require.Equal(t, l.value, conn.Limit(l.limit, -1), l.limit)
	}
	require.NoError(t, execute(conn, "PRAGMA writable_schema = ON"))
	require.Error(t, execute(conn, "UPDATE sqlite_schema SET sql = sql"), "defensive")
	require.NoError(t, execute(conn, "CREATE VIEW v AS SELECT 1"))
	require.ErrorContains(t, execute(conn, "SELECT * FROM v"), "prohibited")
	require.NoError(t, execute(conn, "CREATE TABLE other (a)"))
	require.NoError(t, execute(conn, "CREATE TRIGGER t AFTER INSERT ON other BEGIN DELETE FROM other; END"))
	require.NoError(t, execute(conn, "INSERT INTO other VALUES (1)"))
	n, err := queryInt(conn, "SELECT count(*) FROM other")
	require.NoError(t, err)
	require.Equal(t, int64(1), n, "no trigger has run")
	require.NoError(t, boundSteps(conn, 1000))
	require.Equal(t, sqlite.ResultInterrupt, code(execute(conn, endless)))
}
