package sqlite

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSecondOpenerInThisProcess(t *testing.T) {
	path := temporary(t)
	d := open(t, path)
	_, err := Open(Config{Path: path})
	var locked *kv.LockedError
	require.ErrorAs(t, err, &locked)
	assert.Equal(t, os.Getpid(), locked.PID)
	assert.Contains(t, err.Error(), strconv.Itoa(os.Getpid()))
	require.NoError(t, write(d, row("g", "k", "v")), "the owner is unharmed")
	require.NoError(t, d.Close())
	open(t, path)
}

func TestSecondOpenerInAnotherProcess(t *testing.T) {
	path := temporary(t)
	pid, kill := otherProcess(t, path)
	_, err := Open(Config{Path: path})
	var locked *kv.LockedError
	require.ErrorAs(t, err, &locked)
	assert.Equal(t, pid, locked.PID)
	d := openWith(t, Config{Path: path, ReadOnly: true})
	_, found, err := d.Reads().Get(background, "other", "process")
	require.NoError(t, err)
	assert.True(t, found)
	require.NoError(t, d.Close())
	kill()
	open(t, path)
}

// Of many openers one wins, and the others' failures leave it the lock.
func TestOpenersRace(t *testing.T) {
	path := temporary(t)
	for range 10 {
		var (
			group  sync.WaitGroup
			mu     sync.Mutex
			opened []*Database
			failed []error
		)
		for range 8 {
			group.Go(func() {
				d, err := Open(Config{Path: path})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					opened = append(opened, d)
				} else {
					failed = append(failed, err)
				}
			})
		}
		group.Wait()
		require.NotEmpty(t, opened)
		var locked *kv.LockedError
		for _, err := range failed {
			require.ErrorAs(t, err, &locked)
		}
		require.Len(t, opened, 1)
		require.NoError(t, opened[0].Close())
	}
}

// A lock file that its creator removes between another's open and lock must not
// be taken for the one that is there afterwards.
func TestLockFileThatWasReplaced(t *testing.T) {
	path := temporary(t)
	stale, err := openLockFile(path)
	require.NoError(t, err)
	require.NoError(t, tryLock(stale.file))
	assert.True(t, isCurrent(stale))
	require.NoError(t, os.Remove(path+lockSuffix))
	assert.False(t, isCurrent(stale))
	fresh, err := acquireLock(path)
	require.NoError(t, err)
	assert.False(t, isCurrent(stale))
	require.NoError(t, stale.file.Close())
	assert.False(t, isCurrent(stale))
	require.NoError(t, fresh.release())
}

func TestLockThatCannotBe(t *testing.T) {
	path := temporary(t)
	require.NoError(t, os.Mkdir(path+lockSuffix, 0o700))
	_, err := acquireLock(path)
	require.ErrorContains(t, err, "lock file")
	path = temporary(t)
	require.NoError(t, os.Symlink("/dev/full", path+lockSuffix))
	_, err = acquireLock(path)
	require.ErrorContains(t, err, "lock file", "the owner can't be written down")
	read, write, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, write.Close())
	require.NoError(t, read.Close())
	require.Error(t, tryLock(read))
}

func TestOwnerThatCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	assert.Zero(t, ownerOf(path), "no file")
	require.NoError(t, os.WriteFile(path, []byte("not a number"), 0o600))
	assert.Zero(t, ownerOf(path))
	require.NoError(t, os.WriteFile(path, []byte("123\n"), 0o600))
	assert.Equal(t, 123, ownerOf(path))
}

func isCurrent(l *lockFile) bool {
	current, err := l.current()
	return current && err == nil
}
