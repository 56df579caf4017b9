//go:build unix

package api_test

import (
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"
)

// requirePrivate asks that no user but a file's owner may read it.
func requirePrivate(t testing.TB, info fs.FileInfo) {
	t.Helper()
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), info.Name())
}
