package sqlite

import (
	"os"
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
