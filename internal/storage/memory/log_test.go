package memory

import (
	"runtime"
	"testing"
	"weak"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// Rows that were trimmed are garbage soon, even in a log that shrinks from very
// many small rows to a few large ones: the array of the many has room for
// thousands of large ones before it is outgrown.
func TestTrimmedRowsAreLetGo(t *testing.T) {
	d, w := openMemoryWriter(t)
	last, end := uint64(0), int64(0)
	add := func(size int) logRow {
		last, end = last+1, end+int64(size)
		return logRow{kv.LogRow{First: last, Last: last, At: int64(last), Record: make([]byte, size)}, end}
	}
	require.NoError(t, w.Begin())
	for range 5000 {
		row := add(40)
		require.NoError(t, w.AppendLog(row.LogRow, row.end))
	}
	require.NoError(t, w.Commit())
	var records []weak.Pointer[byte]
	const large, kept = 100, 4
	for range large {
		require.NoError(t, w.Begin())
		row := add(64 << 10)
		require.NoError(t, w.AppendLog(row.LogRow, row.end))
		require.NoError(t, w.TrimLog(row.Last-kept))
		require.NoError(t, w.Commit())
		rows, err := w.ReadLog(row.Last, 1)
		require.NoError(t, err)
		records = append(records, weak.Make(&rows[0].Record[0]))
	}
	runtime.GC()
	alive := 0
	for _, record := range records {
		if record.Value() != nil {
			alive++
		}
	}
	require.GreaterOrEqual(t, alive, kept)
	require.LessOrEqual(t, alive, 3*kept, "large records that nobody can reach")
	runtime.KeepAlive(d)
}
