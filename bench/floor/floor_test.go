package floor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/bench"
)

// Everything that a call returned for is in the file, whole and once.
func TestAppend_KeepsEveryWrite(t *testing.T) {
	folder := t.TempDir()
	target, err := Contender().Open(folder, bench.Settings{})
	require.NoError(t, err)
	const callers, calls = 32, 20
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			for call := range calls {
				assert.NoError(t, target.Set("<", fmt.Sprintf("%d.%d", caller, call), ">"))
			}
		})
	}
	group.Wait()
	require.NoError(t, target.Close())
	written, err := os.ReadFile(filepath.Join(folder, "append"))
	require.NoError(t, err)
	assert.Equal(t, callers*calls, strings.Count(string(written), "<"))
	for caller := range callers {
		for call := range calls {
			assert.Equal(t, 1, strings.Count(string(written), fmt.Sprintf("<%d.%d>", caller, call)))
		}
	}
}

func TestAppend_AFaultReachesEveryCaller(t *testing.T) {
	target, err := Contender().Open(t.TempDir(), bench.Settings{})
	require.NoError(t, err)
	require.NoError(t, target.Close())
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() { assert.ErrorIs(t, target.Set("g", "k", "v"), os.ErrClosed) })
	}
	group.Wait()
}
