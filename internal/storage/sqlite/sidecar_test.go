package sqlite

import (
	"os"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/ownership"

	"github.com/stretchr/testify/require"
)

// A write to a journal's header that is cut short leaves a part of what SQLite writes there,
// and none of them is refused for it.
func TestJournalsThatWereWrittenInPart(t *testing.T) {
	skipSyncs(t)
	// The journal of a transaction whose COMMIT was cut short while it marked the journal
	// as complete.
	path := temporary(t)
	require.NoError(t, open(t, path).Close())
	header := append(make([]byte, 20), 0, 0, 2, 0, 0, 0, 16, 0) // sectors of 512 bytes, pages of 4096
	// (With all of the magic number the journal says that there was nothing before.)
	for n := range ownership.JournalMagic {
		copy(header, ownership.JournalMagic[:n])
		require.NoError(t, os.WriteFile(path+ownership.JournalSuffix, append(header, make([]byte, 484)...), 0o600))
		require.NoError(t, open(t, path).Close(), n)
	}
	require.NoError(t, os.WriteFile(path+ownership.JournalSuffix, []byte("somebody's own 28 bytes, and more"), 0o600))
	_, err := Open(Config{Path: path})
	require.Error(t, err)
}
