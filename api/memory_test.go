package api_test

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"modernc.org/libc"

	"forge.lthn.ai/core/go-store/api"
)

// SQLite's memory is the process's, outside the Go heap, where neither the
// compiler nor the race detector looks. A call that hands SQLite too few
// arguments has it write to whatever address a freed block holds: such a write
// was seen to turn a value into "\x01". So others watch over blocks of the
// size that argument lists have, while stores open connections.
func TestConnectionsWriteToTheirOwnMemoryOnly(t *testing.T) {
	const guards, stores = 2, 12
	var done atomic.Bool
	damage := make(chan error, 1)
	go func() {
		damage <- together(guards, func(i int) error {
			pattern := bytes.Repeat([]byte{byte(0xA0 + i)}, 16)
			tls := libc.NewTLS()
			defer tls.Close()
			var blocks [8]uintptr
			for !done.Load() {
				for j := range blocks {
					blocks[j] = libc.Xmalloc(tls, 16)
					copy(memoryAt(blocks[j]), pattern)
				}
				for _, block := range blocks {
					if !bytes.Equal(memoryAt(block), pattern) {
						return fmt.Errorf("a block that is nobody else's reads % x", memoryAt(block))
					}
					libc.Xfree(tls, block)
				}
			}
			return nil
		})
	}()
	for range stores {
		store := openStore(t, newPath(t), api.WithReaders(32), api.WithDurability(api.DurabilityBuffered))
		require.NoError(t, together(32, func(int) error { _, err := store.Count("g"); return err }))
		require.NoError(t, store.Close())
	}
	done.Store(true)
	require.NoError(t, <-damage)
}

func memoryAt(block uintptr) []byte { return unsafe.Slice((*byte)(unsafe.Add(nil, block)), 16) }
