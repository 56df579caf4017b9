package overlay

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/tidwall/btree"
)

const benchKeys = 100_000

func benchNames() []string {
	names := make([]string, benchKeys)
	for i := range names {
		names[i] = fmt.Sprintf("%016x", uint64(i)*0x9E3779B97F4A7C15)
	}
	return names
}

func filled(names []string) *Overlay {
	o := New(0)
	for i, name := range names {
		o.Set(kv.Row{Group: "g", Key: name, Value: strings.Repeat("v", 100), Deadline: kv.NoDeadline, Revision: uint64(i + 1)})
	}
	o.Commit(uint64(len(names)))
	o.Prune()
	return o
}

// BenchmarkSet is one Set of any of 100,000 keys, in commits of 64: of keys that the run has
// (again), of those that it has not (new), and the same in a tree of the memory store's
// library, of which each commit publishes a copy.
func BenchmarkSet(b *testing.B) {
	names, value := benchNames(), strings.Repeat("v", 100)
	b.Run("again", func(b *testing.B) {
		o := filled(names)
		random := rand.New(rand.NewPCG(1, 1))
		revision := uint64(benchKeys)
		b.ReportAllocs()
		for b.Loop() {
			revision++
			o.Set(kv.Row{Group: "g", Key: names[random.IntN(benchKeys)], Value: value, Deadline: kv.NoDeadline, Revision: revision})
			if revision%64 == 0 {
				o.Commit(revision)
				o.Prune()
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		o, n := New(0), 0
		b.ReportAllocs()
		for b.Loop() {
			if n++; n%benchKeys == 0 {
				o.Commit(uint64(n))
				o.Prune()
				o = New(uint64(n))
			}
			o.Set(kv.Row{Group: "g", Key: names[n%benchKeys], Value: value, Deadline: kv.NoDeadline, Revision: uint64(n)})
			if n%64 == 0 {
				o.Commit(uint64(n))
				o.Prune()
			}
		}
	})
	b.Run("new/tree", func(b *testing.B) {
		less := func(a, b *kv.Row) bool { return compare(a, b) < 0 }
		make := func() *btree.BTreeG[*kv.Row] {
			return btree.NewBTreeGOptions(less, btree.Options{Degree: 16, NoLocks: true})
		}
		tree, n := make(), 0
		var published *btree.BTreeG[*kv.Row]
		b.ReportAllocs()
		for b.Loop() {
			if n++; n%benchKeys == 0 {
				tree = make()
			}
			name := strings.Clone("g" + names[n%benchKeys])
			tree.Set(&kv.Row{Group: name[:1], Key: name[1:], Value: strings.Clone(value), Deadline: kv.NoDeadline, Revision: uint64(n)})
			if n%64 == 0 {
				published = tree.Copy()
			}
		}
		_ = published
	})
}

// BenchmarkGet is a Get of any of 100,000 keys that are there, and of as many that are not.
func BenchmarkGet(b *testing.B) {
	names := benchNames()
	o := filled(names)
	for _, there := range []bool{true, false} {
		b.Run(fmt.Sprintf("there=%v", there), func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 1))
			b.ReportAllocs()
			for b.Loop() {
				name := names[random.IntN(benchKeys)]
				if !there {
					name = name[:15]
				}
				if _, verdict := o.Get("g", name); (verdict == Present) != there {
					b.Fatal(verdict)
				}
			}
		})
	}
	b.Run("there=true/tree", func(b *testing.B) {
		tree := btree.NewBTreeGOptions(func(a, b *kv.Row) bool { return compare(a, b) < 0 }, btree.Options{Degree: 16, NoLocks: true})
		for _, name := range names {
			tree.Set(&kv.Row{Group: "g", Key: name})
		}
		random := rand.New(rand.NewPCG(1, 1))
		b.ReportAllocs()
		for b.Loop() {
			if _, found := tree.Get(&kv.Row{Group: "g", Key: names[random.IntN(benchKeys)]}); !found {
				b.Fatal("not found")
			}
		}
	})
}

// BenchmarkIterate is an entry of a walk over 100,000.
func BenchmarkIterate(b *testing.B) {
	o := filled(benchNames())
	for _, reverse := range []bool{false, true} {
		b.Run(fmt.Sprintf("reverse=%v", reverse), func(b *testing.B) {
			s := o.Pin()
			defer s.Release()
			b.ReportAllocs()
			walk := s.Iterate(Bounds{Unbounded: true}, reverse)
			for b.Loop() {
				if _, ok := walk.Next(); !ok {
					walk = s.Iterate(Bounds{Unbounded: true}, reverse)
				}
			}
		})
	}
}

// BenchmarkSlice is an entry of a fold's slices of 512.
func BenchmarkSlice(b *testing.B) {
	o := filled(benchNames())
	a, err := o.Freeze().Arrange(nil)
	if err != nil {
		b.Fatal(err)
	}
	o.Arranged(a)
	begin := o.Progress()
	c := begin
	left := 0
	b.ReportAllocs()
	for b.Loop() {
		if left--; left <= 0 {
			slice, end := o.Slice(c, 512, 1<<30)
			if left, c = len(slice), end; end.Run > 1 {
				c = begin
			}
		}
	}
}

// BenchmarkPin is taking a state and giving it back, by many at a time.
func BenchmarkPin(b *testing.B) {
	o := filled(benchNames()[:100])
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			o.Pin().Release()
		}
	})
}

// BenchmarkLoad is a Set in a tail of the log that is read at opening: 98,000 of any of
// 100,000 keys, in records of 64.
func BenchmarkLoad(b *testing.B) {
	const sets, batch = 98_000, 64
	names, value := benchNames(), strings.Repeat("v", 100)
	random := rand.New(rand.NewPCG(1, 1))
	var log []kv.LogRow
	for first := uint64(1); first <= sets; first += batch {
		events := make([]kv.Event, batch)
		for i := range events {
			events[i] = kv.Event{Type: kv.EventSet, Group: "g", Key: names[random.IntN(benchKeys)], Value: value, Revision: first + uint64(i)}
		}
		log = append(log, kv.LogRow{First: first, Last: first + batch - 1, Record: commitlog.Append(nil, time.UnixMilli(0), events)})
	}
	var events []kv.Event
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		if n++; n%sets != 1 {
			continue
		}
		o := New(0)
		for _, row := range log {
			var err error
			if events, err = commitlog.Decode(events[:0], row); err != nil {
				b.Fatal(err)
			}
			for i := range events {
				o.Apply(&events[i])
			}
			o.Commit(row.Last)
			o.Prune()
		}
	}
}
