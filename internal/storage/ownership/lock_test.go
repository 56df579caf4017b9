package ownership

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A lock file that its creator removes between another's open and lock must not
// be taken for the one that is there afterwards.
func TestLockFileThatWasReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	stale, err := openLockFile(path)
	require.NoError(t, err)
	require.NoError(t, tryLock(stale.file))
	assert.True(t, isCurrent(stale))
	require.NoError(t, os.Remove(path+LockSuffix))
	assert.False(t, isCurrent(stale))
	fresh, err := Acquire(path)
	require.NoError(t, err)
	assert.False(t, isCurrent(stale))
	require.NoError(t, stale.file.Close())
	assert.False(t, isCurrent(stale))
	require.NoError(t, fresh.Release())
}

func TestLockThatCannotBe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	require.NoError(t, os.Mkdir(path+LockSuffix, 0o700))
	_, err := Acquire(path)
	require.ErrorContains(t, err, "lock file")
	path = filepath.Join(t.TempDir(), "store.db")
	require.NoError(t, os.Symlink("/dev/full", path+LockSuffix))
	_, err = Acquire(path)
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

func isCurrent(l *Lock) bool {
	current, err := l.current()
	return current && err == nil
}

// A write to a lock that is cut short leaves a part of what stores write there, over what it
// said before, and none of them is refused for it.
func TestLocksThatWereWrittenInPart(t *testing.T) {
	number := strings.Repeat("7", lockNumber) + "\n"
	texts := []string{"", closedMark, number, number + strings.Repeat("0", lockNumber) + "\n"}
	locked := filepath.Join(t.TempDir(), "store.db")
	for _, before := range texts {
		for _, text := range texts {
			for n := range len(text) {
				text := text[:n] + before[min(n, len(before)):]
				require.NoError(t, os.WriteFile(locked+LockSuffix, []byte(text), 0o600))
				l, err := Acquire(locked)
				require.NoError(t, err, text)
				require.NoError(t, l.Release())
			}
		}
	}
}
