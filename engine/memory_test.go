package engine

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheReadCacheIsSizedByTheMemoryThatThereIs(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for limit, want := range map[int64]int{
		8 << 20: 1 << 20,
		1 << 10: smallestCache,
		1 << 40: int(min(machineMemory()/cacheShare, largestCache)),
	} {
		debug.SetMemoryLimit(limit)
		config, err := Config{}.complete()
		require.NoError(t, err)
		assert.Equal(t, want, config.ReadCache, "limit %d", limit)
	}
	config, err := Config{ReadCache: 1}.complete()
	require.NoError(t, err)
	assert.Equal(t, 1, config.ReadCache, "what was asked for")
}
