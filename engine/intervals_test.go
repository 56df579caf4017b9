package engine

import (
	"math/rand/v2"
	"testing"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// TestIntervals against a list of the same ranges.
func TestIntervals(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	group := func() string { return string(rune('a'+random.IntN(8))) + []string{"", "\x00", "m"}[random.IntN(3)] }
	for range 500 {
		var set intervals
		var list []kv.Range
		overlap := func(r kv.Range) bool {
			for _, other := range list {
				if (other.Unbounded || other.To > other.From) && (r.Unbounded || r.To > r.From) &&
					(other.Unbounded || r.From < other.To) && (r.Unbounded || other.From < r.To) {
					return true
				}
			}
			return false
		}
		for range random.IntN(10) {
			r := kv.Range{From: group(), To: group(), Unbounded: random.IntN(12) == 0}
			if random.IntN(3) == 0 {
				r = kv.GroupRange(r.From)
			}
			before := set.copy()
			held := before.contains(r.From)
			set.add(r)
			require.Equal(t, held, before.contains(r.From), "a copy stays as it is")
			list = append(list, r)
		}
		for range 50 {
			g, contained := group(), false
			for _, r := range list {
				contained = contained || r.Contains(g)
			}
			require.Equal(t, contained, set.contains(g), "%q in %q", g, list)
			r := kv.Range{From: group(), To: group(), Unbounded: random.IntN(5) == 0}
			require.Equal(t, overlap(r), set.overlaps(r), "%q and %q", r, list)
		}
		var last *kv.Range
		set.all(func(r kv.Range) {
			require.True(t, last == nil || !last.Unbounded && last.To < r.From, "in order, and apart")
			last = &r
		})
	}
}
