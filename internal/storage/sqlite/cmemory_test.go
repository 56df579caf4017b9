package sqlite

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"forge.lthn.ai/core/go-store/internal/testkit/report"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
	"modernc.org/libc"
	"zombiezen.com/go/sqlite"
)

// SQLite's memory is the process's, outside the Go heap, where neither the
// compiler nor the race detector looks. A call that hands SQLite too few
// arguments has it write to whatever address a freed block holds: that was seen
// to turn stored values into "\x01". So others watch over blocks of the size
// that argument lists have, while connections are opened, used, interrupted and
// closed. A write of that kind is noticed within some tens of connections.
func TestConnectionsWriteToTheirOwnMemoryOnly(t *testing.T) {
	path := temporary(t)
	d := open(t, path)
	require.NoError(t, write(d, numbered("g", 10)...))
	var ended atomic.Bool
	var guards, openers sync.WaitGroup
	failures := make(chan error, 6) // one for each goroutine
	for i := range 2 {
		guards.Go(func() { failures <- watchOver(byte(0xA0+i), &ended) })
	}
	for range 4 {
		openers.Go(func() { failures <- openInterruptClose(path, report.Rounds(15, 60, 60)) })
	}
	openers.Wait()
	ended.Store(true)
	guards.Wait()
	for range cap(failures) {
		require.NoError(t, <-failures)
	}
}

func openInterruptClose(path string, times int) error {
	for range times {
		done := make(chan struct{})
		r, err := openReader(&Database{path: path, done: done}, pragmas(reading, kv.DurabilityBuffered, readerCacheKiB))
		if err != nil {
			return err
		}
		_, found, err := getRow(r.get, "g", "000001")
		if err != nil || !found {
			return fmt.Errorf("found %t: %w", found, err)
		}
		close(done)
		if _, _, err := getRow(r.get, "g", "000001"); code(err) != sqlite.ResultInterrupt {
			return fmt.Errorf("not interrupted: %w", err)
		}
		if err := r.conn.Close(); err != nil {
			return err
		}
	}
	return nil
}

// watchOver takes blocks of memory and gives them back, and says whether
// any other code wrote to one meanwhile.
func watchOver(pattern byte, ended *atomic.Bool) error {
	whole := bytes.Repeat([]byte{pattern}, 16)
	tls := libc.NewTLS()
	defer tls.Close()
	var blocks [8]uintptr
	for !ended.Load() {
		for i := range blocks {
			blocks[i] = libc.Xmalloc(tls, 16)
			copy(memoryAt(blocks[i]), whole)
		}
		for _, block := range blocks {
			if !bytes.Equal(memoryAt(block), whole) {
				return fmt.Errorf("a block that no other code has reads % x", memoryAt(block))
			}
			libc.Xfree(tls, block)
		}
	}
	return nil
}

func memoryAt(block uintptr) []byte { return unsafe.Slice((*byte)(unsafe.Add(nil, block)), 16) }
