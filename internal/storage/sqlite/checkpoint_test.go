package sqlite

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

const frameSize = filePageSize + 24

// churn commits batches of 64 random upserts, as a busy store does.
func churn(t *testing.T, d *Database, batches int) (largest int64) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	w := d.Writer()
	for n := range batches {
		require.NoError(t, w.Begin())
		for i := range 64 {
			require.NoError(t, w.Upsert(row("g", fmt.Sprintf("%06d", random.IntN(50_000)), fmt.Sprintf("%0100d", n*64+i))))
		}
		require.NoError(t, w.Commit())
		largest = max(largest, ownership.Size(d.Path()+ownership.WALSuffix))
	}
	return largest
}

// Under load with readers the WAL stays within its bound.
func TestTheWALIsBounded(t *testing.T) {
	d := openWith(t, Config{Path: temporary(t), Durability: kv.DurabilityBuffered})
	ctx, cancel := context.WithCancel(background)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				_, _, err := d.Reads().Get(background, "g", fmt.Sprintf("%06d", rand.IntN(50_000)))
				assert.NoError(t, err)
			}
		})
	}
	largest := churn(t, d, 400) // some 30,000 pages
	cancel()
	readers.Wait()
	assert.LessOrEqual(t, largest, int64(20<<20))
	assert.Positive(t, ownership.Size(d.Path()), "checkpoints have moved pages")
}

// Without its help the writer keeps the bound by itself.
func TestTheWALIsBoundedWithoutTheGoroutine(t *testing.T) {
	d := openWith(t, Config{Path: temporary(t), Durability: kv.DurabilityBuffered})
	c := fileOf(d).checkpoints
	close(c.quit)
	<-c.ended
	largest := churn(t, d, 200)
	c.quit = make(chan struct{}) // for Close
	assert.LessOrEqual(t, largest, int64(forcePages+1500)*frameSize)
}

// A loop that stands still keeps the WAL from starting anew; once it has gone
// on, the WAL gives its space back.
func TestALoopThatStandsStillPinsTheWAL(t *testing.T) {
	log, _ := logger()
	d := openWith(t, Config{Path: temporary(t), Durability: kv.DurabilityBuffered, Logger: log})
	require.NoError(t, write(d, numbered("g", longGroup)...))
	next, stop := iter.Pull2(d.Reads().Scan(background, storage.GroupQuery("g"), 0))
	_, _, _ = next()
	largest := churn(t, d, 200)
	assert.Greater(t, largest, int64(forcePages)*frameSize)
	stop()
	c := fileOf(d).checkpoints
	c.request()
	testkit.Until(t, "it is moved", func() bool { return unmoved(t, d) == 0 })
	c.tail.Store(true)
	churn(t, d, 1)
	assert.LessOrEqual(t, ownership.Size(d.Path()+ownership.WALSuffix), int64(walLimit))
}

// unmoved is how many pages of the WAL are not in the database yet.
func unmoved(t *testing.T, d *Database) int {
	t.Helper()
	wal, err := checkpoint(fileOf(d).conn, "NOOP")
	require.NoError(t, err)
	return wal.rest()
}

// A store that is left alone moves its WAL into the database, once, and leaves the
// file as long as it is.
func TestAnIdleStoreMovesItsWAL(t *testing.T) {
	path := temporary(t)
	synctest.Test(t, func(t *testing.T) {
		d, err := Open(Config{Path: path})
		require.NoError(t, err)
		require.NoError(t, write(d, numbered("g", 100)...))
		require.Positive(t, unmoved(t, d))
		time.Sleep(idleDelay / 2)
		require.NoError(t, write(d, row("g", "later", "v")))
		time.Sleep(idleDelay * 3 / 4)
		synctest.Wait()
		require.Positive(t, unmoved(t, d), "it was not idle for long enough")
		size := ownership.Size(path + ownership.WALSuffix)
		time.Sleep(idleDelay * 2)
		synctest.Wait()
		require.Zero(t, unmoved(t, d))
		require.Equal(t, size, ownership.Size(path+ownership.WALSuffix))

		// A reader in the way puts it off.
		require.NoError(t, write(d, numbered("h", longGroup)...))
		next, stop := iter.Pull2(d.Reads().Scan(background, storage.GroupQuery("h"), 0))
		_, _, _ = next()
		require.NoError(t, write(d, row("g", "later still", "v")))
		time.Sleep(idleDelay * 3)
		synctest.Wait()
		require.Positive(t, unmoved(t, d))
		stop()
		time.Sleep(idleDelay * 3)
		synctest.Wait()
		require.Zero(t, unmoved(t, d))
		require.NoError(t, d.Close())
	})
}

// Checkpoints that fail are logged, and commits go on.
func TestCheckpointsThatFail(t *testing.T) {
	log, lines := logger()
	path := temporary(t)
	d := openWith(t, Config{Path: path, Durability: kv.DurabilityBuffered, Logger: log})
	heal := faultfs.Inject(t, faultfs.Failing("write", "database", faultfs.Code(sqlite.ResultIOErrWrite)))
	churn(t, d, 100)
	w := fileOf(d)
	for err := error(nil); err == nil; { // nil while the goroutine is at it
		err = w.Checkpoint()
	}
	w.checkpoints.force.Store(true)
	require.NoError(t, w.Begin(), "it is logged")
	require.NoError(t, w.Rollback())
	heal()
	churn(t, d, 100)
	require.NoError(t, w.Checkpoint())
	require.NoError(t, d.Close())
	assert.Equal(t, 1, strings.Count(lines.String(), "can't be moved from the -wal"), "it is logged once")
	assert.Contains(t, lines.String(), "is moved from the -wal into the database again")
	assert.Equal(t, []string{"ok"}, query(t, path, "PRAGMA integrity_check"))
	require.ErrorIs(t, w.Checkpoint(), kv.ClosedError)
}

// While the database can't be written to Health says so, and the disk is left alone between
// two attempts, whatever is committed meanwhile.
func TestCheckpointsPauseAndAreTold(t *testing.T) {
	pause := checkpointPause
	checkpointPause = time.Hour
	t.Cleanup(func() { checkpointPause = pause })
	var changes, attempts atomic.Int32
	d := openWith(t, Config{Path: temporary(t), Durability: kv.DurabilityBuffered, HealthChanged: func() { changes.Add(1) }})
	heal := faultfs.Inject(t, func(o faultfs.Operation) error {
		if o.Kind == "database" && o.Call == "write" {
			attempts.Add(1)
			return syscall.EIO
		}
		return nil
	})
	churn(t, d, 300)
	testkit.Until(t, "the fault", func() bool { _, err := d.Health(); return err != nil })
	since, err := d.Health()
	require.ErrorIs(t, err, kv.CheckpointError)
	require.False(t, since.IsZero())
	churn(t, d, 1000)
	require.LessOrEqual(t, attempts.Load(), int32(2), "the goroutine's and the writer's")
	require.Equal(t, int32(1), changes.Load())
	heal()
	w := fileOf(d)
	_, err = w.checkpoints.attempt(w.conn, "PASSIVE", 0)
	require.NoError(t, err)
	_, err = d.Health()
	require.NoError(t, err)
	require.Equal(t, int32(2), changes.Load())
	require.Zero(t, unmoved(t, d))
}

// An idle store whose disk fails tries again later.
func TestMovingThatFails(t *testing.T) {
	path := temporary(t)
	synctest.Test(t, func(t *testing.T) {
		d, err := Open(Config{Path: path})
		require.NoError(t, err)
		require.NoError(t, write(d, numbered("g", 100)...))
		heal := faultfs.Inject(t, faultfs.Failing("write", "database", faultfs.Code(sqlite.ResultIOErrWrite)))
		time.Sleep(idleDelay * 3)
		synctest.Wait()
		require.Positive(t, unmoved(t, d))
		heal()
		time.Sleep(idleDelay * 2)
		synctest.Wait()
		require.Zero(t, unmoved(t, d))
		require.NoError(t, d.Close())
	})
}

func TestAWALThatCannotBeMeasured(t *testing.T) {
	log, lines := logger()
	d := openWith(t, Config{Path: temporary(t), Logger: log})
	w := fileOf(d)
	w.checkpoints.written = measurePages
	broken, err := sqlite.OpenConn(":memory:", sqlite.OpenReadWrite)
	require.NoError(t, err)
	interrupt := make(chan struct{})
	close(interrupt)
	broken.SetInterrupt(interrupt)
	w.checkpoints.committed(broken)
	require.NoError(t, broken.Close())
	require.NoError(t, d.Close())
	assert.Contains(t, lines.String(), "can't be measured")
	_, err = os.Stat(d.Path() + ownership.WALSuffix)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// A checkpoint beside which a writer commits syncs nothing, though it says that all has
// been moved: what the file grew by does not count as safe.
func TestGrowthIsSafeOnceItIsSynced(t *testing.T) {
	d := open(t, temporary(t))
	c := fileOf(d).checkpoints
	besideCommit := func(key string) (synced int) {
		t.Helper()
		committed := false
		heal := faultfs.Inject(t, func(o faultfs.Operation) error {
			switch {
			case o.Kind == "database" && o.Call == "write" && !committed:
				committed = true
				require.NoError(t, write(d, row("beside", key, "v")))
			case o.Kind == "database" && o.Call == "sync":
				synced++
			}
			return nil
		})
		defer heal()
		_, err := c.checkpoint("PASSIVE")
		require.NoError(t, err)
		require.True(t, committed)
		return synced
	}
	before := fileOf(d).synced.bytes.Load()
	require.NoError(t, write(d, numbered("g", 500)...))
	require.Zero(t, besideCommit("first"))
	require.Greater(t, ownership.Size(d.Path()), before)
	require.NoError(t, write(d, numbered("h", 500)...))
	require.Zero(t, besideCommit("second"))
	require.Equal(t, before, fileOf(d).synced.bytes.Load())
	_, err := c.checkpoint("PASSIVE")
	require.NoError(t, err)
	require.Greater(t, fileOf(d).synced.bytes.Load(), before)
}
