package bench

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWrittenBytes(t *testing.T) {
	before, told := writtenBytes()
	if !told {
		t.Skip("/proc/self/io can't be read here")
	}
	file, err := os.CreateTemp(t.TempDir(), "written")
	require.NoError(t, err)
	_, err = file.Write(make([]byte, 1<<20))
	require.NoError(t, err)
	require.NoError(t, file.Sync())
	require.NoError(t, file.Close())
	after, _ := writtenBytes()
	if after != before { // else temporary files are in memory
		require.GreaterOrEqual(t, after-before, int64(1<<20))
	}
}
