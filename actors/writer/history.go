package writer

import (
	"fmt"
	"log/slog"
	"math"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

const (
	// maxRecord is what one request may add to the log, a part of the 1,000,000,000
	// bytes that SQLite takes in one value. Only the names of what a DeletePrefix
	// removes can come to that.
	maxRecord = 768 << 20
	// endBatch is what a commit may weigh before it takes no further requests.
	endBatch = 64 << 20
	// keptTouched is the shortest touched value that a request keeps once: a shorter one
	// costs no more than to remember its key.
	keptTouched = 4 << 10
	// keptBuffer is the largest buffer for records that is kept between commits.
	keptBuffer = 1 << 20
	// keptEvents is the longest array of events that is.
	keptEvents = 8 << 10

	// Surplus rows of the log are removed some at a time, so that no commit
	// waits long for it, but at least as much as the commit adds, and only once
	// there is something worth it: the log may be larger than its bounds by
	// 1/trimSlack.
	trimSlack = 16
	trimRows  = 256
	trimBytes = 4 << 20
)

// history is the log's extent and its bounds. Like the ledger, what the open
// transaction makes of it is taken over after COMMIT only.
type history struct {
	storage.LogExtent
	bounds kv.Retention
	kept   bool // its oldest rows can't be removed: a page of theirs is damaged
}

// trimError says that the oldest rows could not be removed.
type trimError struct{ cause error }

func (e *trimError) Error() string { return "trim the log: " + e.cause.Error() }
func (e *trimError) Unwrap() error { return e.cause }

// readLog finds out where the log ends. Until that is known nothing can be
// committed, since no revision can be given.
func (a *Actor) readLog() error {
	extent, err := a.Database.LogExtent()
	if err != nil {
		a.Logger.Error("the log can't be read; nothing can be written", slog.Any("error", err))
		return fmt.Errorf("read the log: %w", err)
	}
	a.log = history{LogExtent: extent, bounds: a.Retention}
	a.logKnown = true
	return nil
}

// record writes the transaction's row of the log and removes what has become
// surplus. It returns the buffer, which may have grown.
func (t *transaction) record(buffer []byte) ([]byte, error) {
	if len(t.events) == 0 {
		return buffer, nil
	}
	buffer = commitlog.Append(buffer[:0], t.at, t.events)
	if t.log.First > t.log.Last { // the log is empty
		t.log.Oldest = t.now
	}
	row := kv.LogRow{First: t.log.Last + 1, Last: t.revision, At: t.now, Record: buffer}
	t.log.Last, t.log.End = t.revision, t.log.End+int64(len(buffer))
	if err := t.database.AppendLog(row, t.log.End); err != nil {
		return buffer, fmt.Errorf("write the log: %w", err)
	}
	if err := t.trim(int64(len(buffer))); err != nil {
		return buffer, &trimError{err}
	}
	return buffer, nil
}

// exceeds reports whether a log that begins with the revision first, behind
// begin bytes, at oldest, is over its bounds by more than a part of them.
func (t *transaction) exceeds(first uint64, begin, oldest int64, part func(int64) int64) bool {
	bounds, age := &t.log.bounds, t.log.bounds.Age.Milliseconds()
	return int64(t.log.Last-first+1) > int64(bounds.Revisions)+part(int64(bounds.Revisions)) ||
		t.log.End-begin > bounds.Bytes+part(bounds.Bytes) ||
		t.now-oldest > age+part(age)
}

func slack(bound int64) int64 { return min(bound/trimSlack, math.MaxInt64-bound) }
func none(int64) int64        { return 0 }

// trim removes the oldest rows while the log exceeds its bounds. The newest
// row always stays: it says what the last revision is.
func (t *transaction) trim(added int64) error {
	if t.log.kept || !t.exceeds(t.log.First, t.log.Begin, t.log.Oldest, slack) {
		return nil
	}
	for removed := int64(0); removed < max(added, 1); {
		extent, err := t.surplus(max(added, trimBytes) - removed)
		if err != nil || extent.First == t.log.First {
			return err
		}
		removed += extent.Begin - t.log.Begin
		t.log.LogExtent = extent
		if err := t.database.TrimLog(extent.First - 1); err != nil {
			return err
		}
	}
	return nil
}

// surplus is what is left of the log without its oldest rows: as many as exceed
// the bounds, but at most trimRows, and no more once they weigh bytes.
func (t *transaction) surplus(bytes int64) (extent storage.LogExtent, err error) {
	extent = t.log.LogExtent
	marks, err := t.database.OldestLog(trimRows + 1)
	if err != nil {
		return extent, err
	}
	for i := 0; i < len(marks)-1 && bytes > 0; i++ {
		if !t.exceeds(extent.First, extent.Begin, extent.Oldest, none) {
			break
		}
		bytes -= marks[i].Bytes
		extent.First, extent.Begin, extent.Oldest = marks[i].Last+1, extent.Begin+marks[i].Bytes, marks[i+1].At
	}
	return extent, nil
}
