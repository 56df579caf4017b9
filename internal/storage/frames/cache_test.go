package frames

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The cache keeps what it is asked for, of those that it has room for, and no more than
// its bytes.
func TestPageCacheIsBounded(t *testing.T) {
	const size = 4096
	c := NewCache(size)
	require.Equal(t, cacheBytes, len(c.sets)*ways*size)
	for number := uint32(1); number <= 50_000; number++ {
		c.Find(number%200+1, 7)
		c.Find(number%50+1, 7)
		c.Add(number, 7, make([]byte, 1))
	}
	kept := 0
	for number := uint32(1); number <= 200; number++ {
		if c.Find(number, 7) != nil {
			kept++
		}
	}
	require.Greater(t, kept, 180)
	c.Add(1, 8, []byte("8"))
	require.Nil(t, c.Find(1, 7), "in the place of the version before")
	require.Equal(t, []byte("8"), c.Find(1, 8))
	for _, size := range []int{512, 65536} {
		c := NewCache(size)
		require.Equal(t, cacheBytes, len(c.sets)*ways*size)
	}
}
