package sqlite

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A WAL that the writer begins anew while the checkpointer looks at it was cut by no program:
// its frames were counted before, and are looked for after.
func TestWALThatBeginsAnewWhileItIsLookedAt(t *testing.T) {
	d := open(t, temporary(t))
	require.NoError(t, write(d, numbered("g", 500)...))
	w, looks := fileOf(d), 0
	require.NoError(t, w.guard.Sound(func() int {
		frames := w.walFrames()
		if looks++; looks == 1 {
			require.Greater(t, frames, 5)
			_, err := checkpoint(w.conn, "RESTART")
			require.NoError(t, err)
			require.NoError(t, w.setStamp(w.present())) // past the guard, which is at work
		}
		return frames
	}))
	require.NoError(t, write(d, row("g", "l", "v")))
}
