package storetest

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"
)

var crashes = flag.Int("storetest.crashes", 4, "at how many of the times that a program comes by a point EachCrash kills it there; 0: all")

// EachCrash finds out by which points of the store a program comes, and runs it once more
// for each of them, and for each of several times that it comes by: there the process dies.
//
// prepare, which may be nil, makes the state from which the program starts, on a store that
// is not killed. program does what is to be tested: its calls fail from the crash on. It
// then calls Kill, or PowerLoss, and checks what is there. In the first run, from which the
// points are known, nothing happens before that.
//
//	storetest.EachCrash(t, openAccounts, func(t *testing.T, s *storetest.Store) {
//		err := transfer(s.Store, "ada", "bob", 10)
//		s.Kill()
//		checkSum(t, s.Store, 100)
//		if err == nil {
//			checkTransferred(t, s.Store)
//		}
//	})
//
// Each run is a subtest that is named after the point, and is tried again by that name:
// go test -run 'TestTransfer/writer.commit/2'. Of a point that the program comes
// by often a few times are tried, spread evenly: -storetest.crashes says how many. It needs
// a store on disk, and fails the test for one in memory.
func EachCrash(t *testing.T, prepare func(s *Store), program func(t *testing.T, s *Store), options ...Option) {
	t.Helper()
	hits := make(map[string]int)
	begin := func(t *testing.T) *Store {
		s := New(t, options...)
		if s.folder == nil {
			t.Fatal("storetest: EachCrash: a store in memory leaves nothing")
		}
		if prepare != nil {
			prepare(s)
		}
		return s
	}
	ran := false
	count := func(t *testing.T) {
		ran = true
		s := begin(t)
		s.points.count()
		program(t, s)
		hits = s.points.counted()
	}
	some := *crashes
	if !t.Run("uninterrupted", count) {
		return
	}
	if !ran { // -run names a point: any may be meant, and go test leaves the others out
		if count(t); t.Failed() {
			return
		}
		some = 0
	}
	for _, point := range slices.Sorted(maps.Keys(hits)) {
		for _, n := range spread(hits[point], some) {
			t.Run(fmt.Sprintf("%s/%d", point, n), func(t *testing.T) {
				s := begin(t)
				s.points.plan(point, n, Crash)
				program(t, s)
			})
		}
	}
}

// spread is some of the numbers from 1 to n, evenly: the first and the last among them.
func spread(n, some int) (numbers []int) {
	if some <= 0 || some >= n {
		some = n
	}
	if some == 1 {
		return []int{n}
	}
	for i := range some {
		numbers = append(numbers, 1+i*(n-1)/(some-1))
	}
	return numbers
}
