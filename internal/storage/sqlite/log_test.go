package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// markedRow is a row of the log with where it ends.
type markedRow struct {
	kv.LogRow
	end int64
}

// logModel is the simplest log that does the same.
type logModel struct {
	rows []markedRow
	last uint64
	end  int64
}

func (m *logModel) clone() logModel {
	return logModel{rows: slices.Clone(m.rows), last: m.last, end: m.end}
}

// add is the next row, of some revisions and bytes.
func (m *logModel) add(revisions, size int) markedRow {
	record := make([]byte, size)
	for i := range record {
		record[i] = byte(m.last) + byte(i)
	}
	row := markedRow{kv.LogRow{First: m.last + 1, Last: m.last + uint64(revisions), At: int64(m.last) * 10, Record: record}, m.end + int64(size)}
	m.rows, m.last, m.end = append(m.rows, row), row.Last, row.end
	return row
}

func (m *logModel) extent() storage.LogExtent {
	oldest := m.rows[0]
	return storage.LogExtent{First: oldest.First, Last: m.last, Begin: oldest.end - int64(len(oldest.Record)), End: m.end, Oldest: oldest.At}
}

// from is what a read from a revision on, of so many bytes, is to find.
func (m *logModel) from(revision uint64, bytes int) (rows []kv.LogRow) {
	for _, row := range m.rows {
		if row.Last >= revision && bytes > 0 {
			rows = append(rows, row.LogRow)
			bytes -= len(row.Record)
		}
	}
	return rows
}

// requireLog compares a database with the model, from within (the writer) and
// from outside.
func (m *logModel) requireLog(t *testing.T, d *Database, random *rand.Rand) {
	t.Helper()
	extent, err := d.Writer().LogExtent()
	require.NoError(t, err)
	require.Equal(t, m.extent(), extent)
	revision, err := d.Reads().Revision(background)
	require.NoError(t, err)
	require.Equal(t, m.last, revision)
	number := random.IntN(len(m.rows) + 2)
	marks, err := d.Writer().OldestLog(number)
	require.NoError(t, err)
	require.Len(t, marks, min(number, len(m.rows)))
	for i, mark := range marks {
		row := m.rows[i]
		require.Equal(t, storage.LogMark{First: row.First, Last: row.Last, At: row.At, Bytes: int64(len(row.Record))}, mark)
	}
	from, size := uint64(random.IntN(int(m.last)+3)), 1+random.IntN(200)
	for _, read := range []func() ([]kv.LogRow, error){
		func() ([]kv.LogRow, error) { return d.Reads().Log(background, from, size) },
		func() ([]kv.LogRow, error) { return d.Writer().ReadLog(from, size) },
	} {
		rows, err := read()
		require.NoError(t, err)
		require.Equal(t, m.from(from, size), rows, "from %d, %d bytes", from, size)
	}
}

// Whatever is appended, trimmed and rolled back, the log of a file and that of
// memory are what a slice would be, and the file's is so after a restart.
func TestLogsAgreeWithAModel(t *testing.T) {
	for _, path := range []string{storage.MemoryPath, temporary(t)} {
		t.Run(map[bool]string{true: "memory", false: "file"}[path == storage.MemoryPath], func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			d := openWith(t, Config{Path: path, Durability: kv.DurabilityBuffered, Overlay: direct})
			m := logModel{}
			for i := range 300 {
				w, before := d.Writer(), m.clone()
				require.NoError(t, w.Begin())
				for range random.IntN(3) {
					row := m.add(1+random.IntN(3), 1+random.IntN(60))
					require.NoError(t, w.AppendLog(row.LogRow, row.end))
				}
				if len(m.rows) > 1 && random.IntN(3) == 0 {
					cut := random.IntN(min(len(m.rows), 5)) // never all
					m.rows = m.rows[cut:]
					require.NoError(t, w.TrimLog(m.rows[0].First-1))
				}
				switch random.IntN(6) {
				case 0:
					require.NoError(t, w.Rollback())
					m = before
				case 1:
					require.NoError(t, w.Resynchronise())
					m = before
				default:
					require.NoError(t, w.Commit())
				}
				if len(m.rows) == 0 {
					continue
				}
				m.requireLog(t, d, random)
				if i%50 == 0 && path != storage.MemoryPath {
					require.NoError(t, d.Close())
					d = openWith(t, Config{Path: path, Durability: kv.DurabilityBuffered, Overlay: direct})
					m.requireLog(t, d, random)
				}
			}
			require.Greater(t, len(m.rows), 20, "the test is of a log that has rows")
		})
	}
}

// An empty log says where the next revision begins.
func TestExtentOfAnEmptyLog(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		extent, err := d.Writer().LogExtent()
		require.NoError(t, err)
		assert.Equal(t, storage.LogExtent{First: 1}, extent)
		rows, err := d.Reads().Log(background, 0, 1<<20)
		require.NoError(t, err)
		assert.Empty(t, rows)
	})
}

// What was trimmed within a transaction is seen by the writer at once, by
// others from COMMIT on.
func TestTrimIsSeenFromCommitOn(t *testing.T) {
	eachTableKind(t, func(t *testing.T, d *Database) {
		m, w := logModel{}, d.Writer()
		require.NoError(t, appendRows(w, &m, 3, 10))
		require.NoError(t, w.Begin())
		require.NoError(t, w.TrimLog(2))
		row := m.add(1, 10)
		require.NoError(t, w.AppendLog(row.LogRow, row.end))
		inside, err := w.ReadLog(0, 1<<20)
		require.NoError(t, err)
		outside, err := d.Reads().Log(background, 0, 1<<20)
		require.NoError(t, err)
		assert.Equal(t, m.from(3, 1<<20), inside)
		assert.Equal(t, m.from(0, 1<<20)[:3], outside)
		require.NoError(t, w.Commit())
		outside, err = d.Reads().Log(background, 0, 1<<20)
		require.NoError(t, err)
		assert.Equal(t, inside, outside)
	})
}

// appendRows commits rows of the log, each in a transaction of its own.
func appendRows(w storage.Writer, m *logModel, rows, size int) error {
	for range rows {
		row := m.add(1, size)
		if err := errors.Join(w.Begin(), w.AppendLog(row.LogRow, row.end), w.Commit()); err != nil {
			return err
		}
	}
	return nil
}

// The record is the database's own: its caller uses the buffer again.
func TestTheLogKeepsItsOwnRecords(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		w, record := d.Writer(), []byte("record")
		require.NoError(t, w.Begin())
		require.NoError(t, w.AppendLog(kv.LogRow{First: 1, Last: 1, Record: record}, 6))
		copy(record, "RECORD")
		require.NoError(t, w.Commit())
		rows, err := d.Reads().Log(background, 1, 1)
		require.NoError(t, err)
		require.Equal(t, "record", string(rows[0].Record))
	})
}

// Nothing is written to the log outside a transaction, or after the end.
func TestTheLogWantsATransaction(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		w := d.Writer()
		require.Error(t, w.AppendLog(kv.LogRow{First: 1, Last: 1, Record: []byte("r")}, 1))
		require.Error(t, w.TrimLog(1))
		require.NoError(t, d.Close())
		for what, err := range map[string]error{
			"AppendLog": w.AppendLog(kv.LogRow{First: 1, Last: 1, Record: []byte("r")}, 1),
			"TrimLog":   w.TrimLog(1),
			"ReadLog":   second(w.ReadLog(0, 1)),
			"OldestLog": second(w.OldestLog(1)),
			"LogExtent": second(w.LogExtent()),
			"Log":       second(d.Reads().Log(background, 0, 1)),
			"Revision":  second(d.Reads().Revision(background)),
		} {
			assert.ErrorIs(t, err, kv.ClosedError, what)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// sealed is a record that shows whether it is whole and which revision's it is.
func sealed(revision uint64, size int) []byte {
	record := binary.LittleEndian.AppendUint64(nil, revision)
	record = append(record, bytes.Repeat([]byte{byte(revision)}, size)...)
	return binary.LittleEndian.AppendUint32(record, crc32.ChecksumIEEE(record))
}

func checkSealed(rows []kv.LogRow) error {
	for i, row := range rows {
		body := row.Record[:len(row.Record)-4]
		switch {
		case i > 0 && row.First != rows[i-1].Last+1:
			return fmt.Errorf("after revision %d comes %d", rows[i-1].Last, row.First)
		case binary.LittleEndian.Uint32(row.Record[len(body):]) != crc32.ChecksumIEEE(body):
			return fmt.Errorf("the record of revision %d is not whole", row.First)
		case binary.LittleEndian.Uint64(body) != row.First:
			return fmt.Errorf("the record of revision %d stands at %d", binary.LittleEndian.Uint64(body), row.First)
		}
	}
	return nil
}

// Readers hold what they have read, whole and dense, while the writer appends,
// trims, and rolls either back.
func TestReadersHoldTheirViewOfTheLog(t *testing.T) {
	eachTableKind(t, func(t *testing.T, d *Database) {
		const readers, kept = 2, 40
		var stop atomic.Bool
		failures := make(chan error, readers)
		for reader := range readers {
			go func() {
				random := rand.New(rand.NewPCG(uint64(reader), 1))
				var held [][]kv.LogRow
				var err error
				for err == nil && !stop.Load() {
					var rows []kv.LogRow
					rows, err = d.Reads().Log(background, 0, 1<<random.IntN(16))
					held = append(held, rows)
					for _, rows := range held { // the old ones too
						err = errors.Join(err, checkSealed(rows))
					}
					held = held[max(0, len(held)-4):]
				}
				failures <- err
			}()
		}
		write := func() error {
			w, random := d.Writer(), rand.New(rand.NewPCG(9, 9))
			for last, end := uint64(0), int64(0); last < 300; {
				record := sealed(last+1, random.IntN(300))
				err := errors.Join(w.Begin(), w.AppendLog(kv.LogRow{First: last + 1, Last: last + 1, Record: record}, end+int64(len(record))))
				if last > kept && err == nil && random.IntN(4) == 0 {
					err = w.TrimLog(last - kept)
				}
				if err == nil && random.IntN(5) == 0 {
					err = w.Rollback()
				} else if err == nil {
					err = w.Commit()
					last, end = last+1, end+int64(len(record))
				}
				if err != nil {
					return err
				}
			}
			return nil
		}
		err := write()
		stop.Store(true)
		for range readers {
			err = errors.Join(err, <-failures)
		}
		require.NoError(t, err)
	})
}

// A log begun anew has the revision that it had, whatever is done next.
func TestDiscardedLog(t *testing.T) {
	path, m := temporary(t), logModel{}
	d := open(t, path)
	require.NoError(t, write(d, kv.Row{Group: "g", Key: "k", Deadline: kv.NoDeadline, Revision: 3}))
	require.NoError(t, appendRows(d.Writer(), &m, 5, 10))
	require.NoError(t, d.Close())
	for range 2 { // twice: there is nothing to discard then
		d = openWith(t, Config{Path: path, DiscardLog: true})
		extent, err := d.Writer().LogExtent()
		require.NoError(t, err)
		require.Equal(t, storage.LogExtent{First: 6, Last: 5}, extent)
		require.NoError(t, d.Close())
	}
	d = open(t, path)
	m.end = 0
	require.NoError(t, appendRows(d.Writer(), &m, 1, 7))
	extent, err := d.Writer().LogExtent()
	require.NoError(t, err)
	require.Equal(t, storage.LogExtent{First: 6, Last: 6, End: 7, Oldest: 50}, extent)
	row, _, err := d.Reads().Get(background, "g", "k")
	require.NoError(t, err)
	require.Equal(t, uint64(3), row.Revision)
}

// A read of the log obeys its context.
func TestLogReadsObeyTheirContext(t *testing.T) {
	ended, cancel := context.WithCancel(background)
	cancel()
	eachKind(t, func(t *testing.T, d *Database) {
		assert.ErrorIs(t, second(d.Reads().Log(ended, 0, 1)), context.Canceled)
		assert.ErrorIs(t, second(d.Reads().Revision(ended)), context.Canceled)
	})
}
