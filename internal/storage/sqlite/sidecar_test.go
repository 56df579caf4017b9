package sqlite

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A write to a lock or to a journal's header that is cut short leaves a part of what stores
// write there, and none of them is refused for it.
func TestSidecarsThatWereWrittenInPart(t *testing.T) {
	skipSyncs(t)
	// A lock, over what it said before.
	number := strings.Repeat("7", lockNumber) + "\n"
	texts := []string{"", closedMark, number, number + strings.Repeat("0", lockNumber) + "\n"}
	locked := temporary(t)
	require.NoError(t, open(t, locked).Close())
	for _, before := range texts {
		for _, text := range texts {
			for n := range len(text) {
				text := text[:n] + before[min(n, len(before)):]
				require.NoError(t, os.WriteFile(locked+lockSuffix, []byte(text), 0o600))
				l, err := acquireLock(locked)
				require.NoError(t, err, text)
				require.NoError(t, l.release())
			}
		}
	}
	// The journal of a transaction whose COMMIT was cut short while it marked the journal
	// as complete.
	path := temporary(t)
	require.NoError(t, open(t, path).Close())
	header := append(make([]byte, 20), 0, 0, 2, 0, 0, 0, 16, 0) // sectors of 512 bytes, pages of 4096
	// (With all of the magic number the journal says that there was nothing before.)
	for n := range journalMagic {
		copy(header, journalMagic[:n])
		require.NoError(t, os.WriteFile(path+journalSuffix, append(header, make([]byte, 484)...), 0o600))
		require.NoError(t, open(t, path).Close(), n)
	}
	require.NoError(t, os.WriteFile(path+journalSuffix, []byte("somebody's own 28 bytes, and more"), 0o600))
	_, err := Open(Config{Path: path})
	require.Error(t, err)
}
