package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// requireTableHas asks another program how many rows the table has. With an overlay it has
// them once the store has rested, or was closed.
func requireTableHas(t *testing.T, path string, rows int) {
	t.Helper()
	has := query[int](t, path, `SELECT count(*) FROM entries`)
	if overlaid {
		require.LessOrEqual(t, has, rows)
		return
	}
	require.Equal(t, rows, has)
}
