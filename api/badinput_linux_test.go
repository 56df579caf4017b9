package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// A place where no user, root neither, can write.
func TestPathIsUnwritable(t *testing.T) {
	for _, path := range []string{"/proc/store.db", "/proc/self/store.db", "/proc/version"} {
		store, err := api.New(path)
		require.Nil(t, store)
		require.ErrorContains(t, err, "store.New: ")
		require.ErrorContains(t, err, "/proc/")
	}
	_, err := api.New("/dev/null")
	require.ErrorIs(t, err, api.NotADatabaseError)
}
