package gateway

import (
	"fmt"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/stretchr/testify/require"
)

// reading is a pool whose reads stand still until the test lets them go.
type reading struct {
	*pool
	core  *core
	begun chan string
}

func newReading(t *testing.T, workers int) *reading {
	c := newCore(systemOf(t), nil)
	c.mu.woken = true // there is no actor to be told
	return &reading{newPool(workers), c, make(chan string, 2*maxReads)}
}

// take has the pool read something, which ends once goOn is closed.
func (p *reading) take(name string, long bool, goOn chan struct{}) (busy bool) {
	_, busy = p.pool.take(&request{core: p.core, long: long, read: func() {
		p.begun <- name
		<-goOn
	}})
	return busy
}

// However many reads take long, one of a single key waits for none of them.
func TestLongReadsLeaveRoomForKeys(t *testing.T) {
	for _, workers := range []int{1, 2, 8} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			p, goOn, keys := newReading(t, workers), make(chan struct{}), make(chan struct{})
			most := max(workers/2, 1)
			for range most + maxReads {
				require.False(t, p.take("long", true, goOn))
			}
			require.True(t, p.take("long", true, goOn))
			for range most {
				require.Equal(t, "long", testkit.Await(t, "a long read", p.begun))
			}
			close(keys)
			for range 10 {
				require.False(t, p.take("key", false, keys), "the queue is not theirs")
				require.Equal(t, "key", testkit.Await(t, "the read of a key", p.begun))
			}
			close(goOn)
			p.end(t)
		})
	}
}

// What has waited longest is next, of either kind: neither starves the other.
func TestReadsInTurn(t *testing.T) {
	p, first, goOn := newReading(t, 2), make(chan struct{}), make(chan struct{})
	require.False(t, p.take("key", false, first))
	require.False(t, p.take("key", false, first))
	testkit.Await(t, "a read", p.begun)
	testkit.Await(t, "a read", p.begun)
	require.False(t, p.take("long 1", true, goOn))
	for range 5 {
		require.False(t, p.take("key", false, goOn))
	}
	first <- struct{}{}
	require.Equal(t, "long 1", testkit.Await(t, "a read", p.begun))
	close(first)
	require.Equal(t, "key", testkit.Await(t, "a read", p.begun))
	close(goOn)
	p.end(t)
}

func (p *reading) end(t *testing.T) {
	testkit.Until(t, "the pool's end", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.mu.running == 0
	})
	require.Zero(t, p.mu.long)
	require.Nil(t, p.first())
}
