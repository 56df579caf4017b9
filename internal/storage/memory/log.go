package memory

import (
	"context"
	"slices"
	"sort"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// changeLog is the log of a ":memory:" database. It is a value: what readers
// hold of it stays as it was while the writer appends behind their end, in the
// same array, or cuts its own view shorter.
type changeLog struct {
	rows    []logRow // dense, oldest first
	end     int64
	last    uint64
	trimmed int64 // bytes of the rows before these in the same array
	cut     int   // how many those are
}

type logRow struct {
	kv.LogRow
	end int64
}

// from is the rows from a revision on.
func (l *changeLog) from(revision uint64, bytes int) (rows []kv.LogRow) {
	at := sort.Search(len(l.rows), func(i int) bool { return l.rows[i].Last >= revision })
	for ; at < len(l.rows) && bytes > 0; at++ {
		rows = append(rows, l.rows[at].LogRow)
		bytes -= len(l.rows[at].Record)
	}
	return rows
}

func (w *Writer) AppendLog(row kv.LogRow, end int64) error {
	if err := w.check(true); err != nil {
		return err
	}
	row.Record = slices.Clone(row.Record) // the caller's buffer is used again
	l := &w.working.log
	l.rows, l.end, l.last = append(l.rows, logRow{row, end}), end, row.Last
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
	for _, row := range w.working.log.rows[:min(rows, len(w.working.log.rows))] {
		marks = append(marks, storage.LogMark{First: row.First, Last: row.Last, At: row.At, Bytes: int64(len(row.Record))})
	}
	return marks, nil
}

// TrimLog removes the rows up to a revision. Readers may still look at them, so
// they stay in the array until there are as many, or as much, as those that are
// left: those then get an array of their own.
func (w *Writer) TrimLog(through uint64) error {
	if err := w.check(true); err != nil {
		return err
	}
	l := &w.working.log
	n := sort.Search(len(l.rows), func(i int) bool { return l.rows[i].Last > through })
	for _, row := range l.rows[:n] {
		l.trimmed += int64(len(row.Record))
	}
	l.rows, l.cut, w.logged = l.rows[n:], l.cut+n, true
	left := int64(0)
	if len(l.rows) > 0 {
		left = l.end - l.rows[0].end + int64(len(l.rows[0].Record))
	}
	if l.cut > len(l.rows) || l.trimmed > left {
		l.rows, l.cut, l.trimmed = slices.Clone(l.rows), 0, 0
	}
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
	if len(l.rows) > 0 {
		oldest := &l.rows[0]
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
