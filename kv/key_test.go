package kv

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeysAreOrderedByGroupThenKeyAsBytes(t *testing.T) {
	ordered := []Key{{}, {"", "b"}, {"a", ""}, {"a", "b"}, {"a", "b\x00"}, {"a", "c"}, {"a\x00", ""}, {"\xff", ""}}
	shuffled := slices.Clone(ordered)
	slices.Reverse(shuffled)
	slices.SortFunc(shuffled, Key.Compare)
	require.Equal(t, ordered, shuffled)
	require.Zero(t, Key{"a", "b"}.Compare(Key{"a", "b"}))
}
