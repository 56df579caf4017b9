package api_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// TestGroupsFrom: from wherever it begins it yields what Groups has from there on, in a
// view within the namespace alone.
func TestGroupsFrom(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		names := []string{"", "\x00", "a", "a:", "a:b", "a:b:c", "a;", "b", "é", "\xFF", "\xFF\xFF", "\xFFz"}
		for _, name := range names {
			require.NoError(t, store.Set(name, "k", "v"))
		}
		require.NoError(t, store.SetWithTTL("a:dead", "k", "v", 0))
		for _, prefix := range append(names, "none") {
			all, err := store.Groups(prefix)
			require.NoError(t, err)
			for _, from := range append(names, "none", "a:a", "\xFF\xFF\xFF\xFF") {
				var want, got []string
				for _, name := range all {
					if strings.Compare(name, from) >= 0 {
						want = append(want, name)
					}
				}
				for name, err := range store.(api.Storer).GroupsFrom(prefix, from) {
					require.NoError(t, err)
					got = append(got, name)
				}
				require.Equal(t, want, got, "prefix %q from %q", prefix, from)
			}
		}
		for range store.(api.Storer).GroupsFrom("", "") {
			break // leaves nothing behind: the store closes
		}
	})
}
