package storage

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// However many wait, come back and give up, each place is with one of them, and
// nobody waits for a place that is free.
func TestPlacesAreWithOneAtATime(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) { testPlacesAreWithOneAtATime(t, n) })
	}
}

func testPlacesAreWithOneAtATime(t *testing.T, n int) {
	const goroutines, rounds = 32, 300
	p := newPlaces(n)
	var taken atomic.Int32
	owners := make(map[*place]*atomic.Bool)
	for range n {
		owners[p.try()] = new(atomic.Bool)
	}
	require.Nil(t, p.try())
	for one := range owners {
		p.put(one)
	}
	var all sync.WaitGroup
	for i := range goroutines {
		all.Go(func() {
			gone := make(chan struct{})
			if i%4 == 0 {
				close(gone) // has given up before it waits
			}
			for range rounds {
				one := p.wait(nil, gone)
				if one == nil {
					continue
				}
				if owners[one].Swap(true) {
					t.Error("two have one place")
				}
				taken.Add(1)
				runtime.Gosched() // so that others come and wait
				owners[one].Store(false)
				p.put(one)
			}
		})
	}
	all.Wait()
	require.GreaterOrEqual(t, int(taken.Load()), goroutines*3/4*rounds)
	for range n {
		require.NotNil(t, p.try(), "a place was lost")
	}
}

// Whoever was woken in vain too often is given the next place, past all who ask.
func TestStarvingWaiterIsGivenThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(1)
		one := p.try()
		got := make(chan *place, 1)
		go func() { got <- p.wait(nil, nil) }()
		synctest.Wait()
		for p.starving.Load() == 0 {
			p.wake() // in vain: nothing is free
			synctest.Wait()
		}
		p.put(one)
		require.Nil(t, p.try(), "it was free for others")
		require.Same(t, one, <-got)
	})
}

// Several that come back while one is woken are found by others all the same.
func TestWokenWaiterWakesTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(2)
		one, two := p.try(), p.try()
		got := make(chan *place, 2)
		for range 2 {
			go func() { got <- p.wait(nil, nil) }()
		}
		synctest.Wait()
		p.woken.Store(true) // as if one were about to ask
		p.put(one)
		p.put(two)
		p.again <- struct{}{} // now it does
		require.NotSame(t, <-got, <-got)
	})
}

// A waiter that gives up leaves nothing behind, and those behind it are woken.
func TestWaitersGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(1)
		one := p.try()
		for _, starving := range []bool{false, true} {
			closed, done := make(chan struct{}), make(chan struct{})
			got := make(chan *place, 3)
			go func() { got <- p.wait(closed, nil) }()
			go func() { got <- p.wait(nil, done) }()
			synctest.Wait()
			for starving && p.starving.Load() < 2 {
				p.wake()
				synctest.Wait()
			}
			go func() { got <- p.wait(nil, nil) }()
			synctest.Wait()
			close(closed)
			close(done)
			require.Nil(t, <-got)
			require.Nil(t, <-got)
			p.put(one)
			require.Same(t, one, <-got)
			require.Zero(t, p.waiting.Load())
			require.Zero(t, p.starving.Load())
		}
	})
}

// Close waits for the places that are taken, and all who wait for one are told.
func TestCloseBesideWaiters(t *testing.T) {
	d := openWith(t, Config{NoPages: true, Path: temporary(t), Readers: 1})
	require.NoError(t, write(d, row("g", "k", "v")))
	pool := d.reads.(*fileReads).pool
	one, err := pool.take(background)
	require.NoError(t, err)
	const n = 8
	failures := make(chan error, n)
	for range n {
		go func() {
			_, _, err := d.Reads().Get(background, "g", "k")
			failures <- err
		}()
	}
	for pool.places.waiting.Load() < n {
		runtime.Gosched()
	}
	for pool.places.starving.Load() == 0 {
		pool.places.wake()
		runtime.Gosched()
	}
	closed := make(chan error, 1)
	go func() { closed <- d.Close() }()
	for range n {
		require.ErrorIs(t, <-failures, kv.ClosedError)
	}
	pool.give(one)
	require.NoError(t, <-closed)
}
