package atomicfile

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func names(t *testing.T, folder string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}

func TestFile_IsThereWhenItIsComplete(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "x")
	for _, text := range []string{"first", "second"} {
		before := names(t, folder)
		file, err := Create(path)
		require.NoError(t, err)
		_, err = io.WriteString(file, text)
		require.NoError(t, err)
		assert.Len(t, names(t, folder), len(before)+1, "under another name")
		require.NoError(t, file.Commit())
		file.Discard()
		assert.Equal(t, text, read(t, path))
		assert.Equal(t, []string{"x"}, names(t, folder))
	}
	file, err := Create(path)
	require.NoError(t, err)
	_, err = io.WriteString(file, "third")
	require.NoError(t, err)
	file.Discard()
	assert.Equal(t, "second", read(t, path))
	assert.Equal(t, []string{"x"}, names(t, folder))
	if runtime.GOOS != "windows" {
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

func TestCreate_LinksAndOtherFiles(t *testing.T) {
	folder := t.TempDir()
	target, link, broken := filepath.Join(folder, "target"), filepath.Join(folder, "link"), filepath.Join(folder, "broken")
	require.NoError(t, os.WriteFile(target, []byte("before"), 0o600))
	if err := os.Symlink(target, link); err != nil {
		t.Skip("no links here:", err)
	}
	require.NoError(t, os.Symlink(target+".gone", broken))
	file, err := Create(link)
	require.NoError(t, err)
	_, err = io.WriteString(file, "after")
	require.NoError(t, err)
	require.NoError(t, file.Commit())
	assert.Equal(t, "after", read(t, target), "the link stays one")

	for _, path := range []string{broken, folder, os.DevNull, filepath.Join(folder, "no folder", "x")} {
		_, err := Create(path)
		assert.Error(t, err, path)
	}
	assert.True(t, Same(link, target))
	assert.True(t, Same(filepath.Join(folder, ".", "new"), filepath.Join(folder, "new")))
	assert.False(t, Same(target, filepath.Join(folder, "new")))
}
