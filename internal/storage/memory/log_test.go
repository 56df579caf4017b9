package memory

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
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
	require.LessOrEqual(t, alive, 3*kept, "large records that no reader can reach")
	runtime.KeepAlive(d)
}

// What readers hold of a log stays as it was, whatever is added, cut or rolled back since,
// and what the writer has is what a slice would have.
func TestLogsThatReadersHold(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	type held struct {
		log  changeLog
		want []logRow
	}
	var views []held
	committed := held{}
	working := committed
	same := func(h held) {
		t.Helper()
		require.Equal(t, len(h.want), h.log.n)
		for i := range h.want {
			want, got := &h.want[i], h.log.at(i)
			if got.First != want.First || got.Last != want.Last || got.end != want.end || !bytes.Equal(got.Record, want.Record) {
				t.Fatalf("row %d is %v", i, got)
			}
		}
		if len(h.want) > 0 {
			from := random.IntN(len(h.want))
			rows := h.log.from(h.want[from].First, 1000)
			require.Equal(t, h.want[from].LogRow, rows[0])
			require.Equal(t, h.want[0].end-int64(len(h.want[0].Record)), h.log.extent().Begin)
		}
		require.Equal(t, h.log.last+1-uint64(len(h.want)), h.log.extent().First)
	}
	var w Writer
	for range 1000 {
		switch random.IntN(20) {
		case 0:
			working = committed // a rollback
		case 1:
			n := random.IntN(len(working.want) + 1)
			working.log.cut(n)
			working.want = slices.Clone(working.want[n:])
		case 2:
			views = append(views, committed)
		default:
			for range random.IntN(60) {
				record := []byte(strings.Repeat(string(rune('a'+random.IntN(26))), random.IntN(100)))
				if random.IntN(50) == 0 {
					record = make([]byte, 5000)
				}
				row := logRow{kv.LogRow{First: working.log.last + 1, Last: working.log.last + 1, At: 1, Record: w.records.keep(record)}, working.log.end + int64(len(record))}
				working.log.add(row)
				row.Record = slices.Clone(record)
				working.want = append(slices.Clip(working.want), row)
			}
		}
		if random.IntN(3) > 0 {
			committed = working
		}
		same(working)
	}
	require.Greater(t, len(views), 20)
	for _, view := range views {
		same(view)
	}
}
