package memory

import (
	"context"
	"slices"
	"sort"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// changeLog is the log of a ":memory:" database. It is a value: what readers
// hold of it stays as it was while the writer adds rows behind their end, in the
// same chunk, or cuts its own view shorter.
type changeLog struct {
	chunks  []*logChunk // all of them full but the last
	first   int         // rows that were cut of the first chunk
	n       int         // rows that there are: dense, oldest first
	end     int64
	last    uint64
	trimmed int64 // bytes of the rows that were cut and are in the first chunk yet
}

// chunkRows is how many rows lie together. An array that grows would be copied again and
// again: at a Set each that was 300 bytes of them.
const chunkRows = 128

type logChunk [chunkRows]logRow

type logRow struct {
	kv.LogRow
	end int64
}

// at is a row, counted from the oldest.
func (l *changeLog) at(i int) *logRow {
	i += l.first
	return &l.chunks[i/chunkRows][i%chunkRows]
}

// add appends a row.
func (l *changeLog) add(row logRow) {
	place := l.first + l.n
	if place == len(l.chunks)*chunkRows {
		l.chunks = append(l.chunks, new(logChunk))
	}
	l.chunks[place/chunkRows][place%chunkRows] = row
	l.n, l.end, l.last = l.n+1, row.end, row.Last
}

// cut removes the oldest rows. Readers may still look at them, so they stay in their chunk,
// until they are as much as what is left: then that gets a chunk of its own.
func (l *changeLog) cut(n int) {
	for i := range n {
		l.trimmed += int64(len(l.at(i).Record))
	}
	l.first, l.n = l.first+n, l.n-n
	if whole := l.first / chunkRows; whole > 0 {
		l.chunks, l.first, l.trimmed = slices.Clone(l.chunks[whole:]), l.first%chunkRows, 0
		for _, row := range l.cutOf() {
			l.trimmed += int64(len(row.Record))
		}
	}
	left := int64(0)
	if l.n > 0 {
		left = l.end - l.at(0).end + int64(len(l.at(0).Record))
	}
	if l.trimmed > left {
		anew := new(logChunk)
		copy(anew[l.first:], l.chunks[0][l.first:])
		l.chunks, l.trimmed = slices.Clone(l.chunks), 0
		l.chunks[0] = anew
	}
}

// cutOf are the rows of the first chunk that were cut.
func (l *changeLog) cutOf() []logRow {
	if l.first == 0 {
		return nil
	}
	return l.chunks[0][:l.first]
}

// from is the rows from a revision on.
func (l *changeLog) from(revision uint64, bytes int) (rows []kv.LogRow) {
	for i := l.find(revision); i < l.n && bytes > 0; i++ {
		row := l.at(i).LogRow
		rows = append(rows, row)
		bytes -= len(row.Record)
	}
	return rows
}

// find is the first row that ends at a revision, or behind it.
func (l *changeLog) find(revision uint64) int {
	return sort.Search(l.n, func(i int) bool { return l.at(i).Last >= revision })
}

// records keeps those of the log together, as long as they are small: of many a garbage
// collector would have to look at each.
type records struct{ block []byte }

const (
	recordBlock = 16 << 10
	largeRecord = 2 << 10
)

// keep is a copy of a record.
func (r *records) keep(record []byte) []byte {
	if len(record) > largeRecord {
		return slices.Clone(record)
	}
	if cap(r.block)-len(r.block) < len(record) {
		r.block = make([]byte, 0, recordBlock)
	}
	from := len(r.block)
	r.block = append(r.block, record...)
	return r.block[from:len(r.block):len(r.block)]
}

func (w *Writer) AppendLog(row kv.LogRow, end int64) error {
	if err := w.check(true); err != nil {
		return err
	}
	row.Record = w.records.keep(row.Record) // the caller's buffer is used again
	w.working.log.add(logRow{row, end})
	w.logged = true
	return nil
}

func (w *Writer) ReadLog(from uint64, bytes int) ([]kv.LogRow, error) {
	if err := w.check(false); err != nil {
		return nil, err
	}
	return w.working.log.from(from, bytes), nil
}

func (w *Writer) OldestLog(rows int) (marks []storage.LogMark, err error) {
	if err := w.check(false); err != nil {
		return nil, err
	}
	l := &w.working.log
	rows = min(rows, l.n)
	marks = make([]storage.LogMark, 0, rows)
	for i := range rows {
		row := l.at(i)
		marks = append(marks, storage.LogMark{First: row.First, Last: row.Last, At: row.At, Bytes: int64(len(row.Record))})
	}
	return marks, nil
}

// TrimLog removes the rows up to a revision.
func (w *Writer) TrimLog(through uint64) error {
	if err := w.check(true); err != nil {
		return err
	}
	l := &w.working.log
	l.cut(sort.Search(l.n, func(i int) bool { return l.at(i).Last > through }))
	w.logged = true
	return nil
}

func (w *Writer) LogExtent() (extent storage.LogExtent, err error) {
	if err := w.check(false); err != nil {
		return extent, err
	}
	return w.working.log.extent(), nil
}

func (l *changeLog) extent() storage.LogExtent {
	extent := storage.LogExtent{First: l.last + 1, Last: l.last, Begin: l.end, End: l.end}
	if l.n > 0 {
		oldest := l.at(0)
		extent.First, extent.Begin, extent.Oldest = oldest.First, oldest.end-int64(len(oldest.Record)), oldest.At
	}
	return extent
}

func (m *Store) LogExtent(ctx context.Context) (storage.LogExtent, error) {
	f, err := m.load(ctx)
	if err != nil {
		return storage.LogExtent{}, err
	}
	return f.log.extent(), nil
}

func (m *Store) Revision(ctx context.Context) (uint64, error) {
	f, err := m.load(ctx)
	if err != nil {
		return 0, err
	}
	return f.log.last, nil
}

func (m *Store) Log(ctx context.Context, from uint64, bytes int) ([]kv.LogRow, error) {
	f, err := m.load(ctx)
	if err != nil {
		return nil, err
	}
	return f.log.from(from, bytes), nil
}
