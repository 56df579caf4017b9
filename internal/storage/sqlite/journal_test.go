package sqlite

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// The journal of a first transaction, left where only the
// database was removed, would have SQLite empty the one that was put in its place.
func TestJournalOfANewDatabaseBesideAnOldOne(t *testing.T) {
	path := temporary(t)
	d := open(t, path)
	require.NoError(t, write(d, row("g", "k", "v")))
	require.NoError(t, d.Close())
	journal := make([]byte, 512)
	copy(journal, ownership.JournalMagic)
	binary.BigEndian.PutUint32(journal[20:], 512)
	binary.BigEndian.PutUint32(journal[24:], filePageSize)
	require.NoError(t, os.WriteFile(path+ownership.JournalSuffix, journal, 0o600))
	before := folder(t, filepath.Dir(path))
	for _, readOnly := range []bool{true, false} {
		_, err := Open(Config{Path: path, ReadOnly: readOnly})
		require.ErrorIs(t, err, kv.StaleWALError)
		require.Equal(t, before, folder(t, filepath.Dir(path)))
	}
	require.NoError(t, os.Remove(path+ownership.JournalSuffix))
	requireHealthy(t, open(t, path), 1)
}
