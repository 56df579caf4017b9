//go:build unix

package atomicfile

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	file, err := Create(path)
	require.NoError(t, err)
	defer file.Discard()
	info, err := os.Stat(file.Name())
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "until it is complete")
	_, err = io.WriteString(file, text)
	require.NoError(t, err)
	require.NoError(t, file.Commit())
}

func TestCommit_KeepsTheModeAndTheOwner(t *testing.T) {
	folder := t.TempDir()
	path, link := filepath.Join(folder, "x"), filepath.Join(folder, "link")
	require.NoError(t, os.Symlink(path, link))
	for _, mode := range []os.FileMode{0o644, 0o640, 0o664, 0o600, 0o444, 0o755} {
		require.NoError(t, os.WriteFile(path, []byte("before"), 0o600))
		require.NoError(t, os.Chmod(path, mode))
		owner, group := os.Getuid(), os.Getgid()
		if owner == 0 {
			owner, group = 12345, 54321
			require.NoError(t, os.Chown(path, owner, group))
		}
		for _, name := range []string{path, link} {
			write(t, name, "after")
			info, err := os.Stat(path)
			require.NoError(t, err)
			assert.Equal(t, mode, info.Mode().Perm())
			assert.EqualValues(t, owner, info.Sys().(*syscall.Stat_t).Uid)
			assert.EqualValues(t, group, info.Sys().(*syscall.Stat_t).Gid)
			assert.Equal(t, "after", read(t, path))
		}
		require.NoError(t, os.Remove(path))
	}
	write(t, path, "new")
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// What Commit replaces is what stands there then, not what stood there before.
func TestCommit_AFileThatCameOrWentMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	file, err := Create(path)
	require.NoError(t, err)
	defer file.Discard()
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Chmod(path, 0o644))
	require.NoError(t, file.Commit())
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o644), info.Mode().Perm())

	file, err = Create(path)
	require.NoError(t, err)
	defer file.Discard()
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o700))
	assert.ErrorContains(t, file.Commit(), "is no regular file any more")
}
