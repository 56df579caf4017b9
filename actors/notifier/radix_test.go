package notifier

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRadixAgreesWithAMap(t *testing.T) {
	alphabet := []string{"a", "b", "aa", "\x00", "\xff", "é"}
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 7))
		text := func() (s string) {
			for range random.IntN(6) {
				s += alphabet[random.IntN(len(alphabet))]
			}
			return s
		}
		var tree *radix[int]
		want := make(map[string]int)
		for step := range 500 {
			at := text()
			old, before := tree, len(want)
			if random.IntN(3) > 0 {
				tree = tree.with(at, func(had int) (int, bool) {
					require.Equal(t, want[at], had)
					return step + 1, true
				})
				want[at] = step + 1
			} else {
				tree = tree.with(at, func(int) (int, bool) { return 0, false })
				delete(want, at)
			}
			n := 0
			old.each(func(int) { n++ })
			require.Equal(t, before, n, "a change has reached the tree before it")
			name := text()
			got, found := tree.get(name)
			value, there := want[name]
			require.Equal(t, there, found)
			require.Equal(t, value, got)
			var along, fits []int
			require.True(t, tree.eachPrefix(name, func(v int) bool { along = append(along, v); return true }))
			for prefix, v := range want {
				if strings.HasPrefix(name, prefix) {
					fits = append(fits, v)
				}
			}
			require.ElementsMatch(t, fits, along, "seed %d, %q", seed, name)
			if len(along) > 1 {
				require.False(t, tree.eachPrefix(name, func(int) bool { return false }))
			}
			n = 0
			tree.each(func(int) { n++ })
			require.Len(t, want, n)
		}
		for at := range want {
			tree = tree.with(at, func(int) (int, bool) { return 0, false })
		}
		require.Nil(t, tree)
	}
}
