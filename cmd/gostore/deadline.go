package main

import (
	"fmt"
	"time"

	"forge.lthn.ai/core/go-store/cmd/gostore/internal/rows"
)

// The moments that RFC 3339, and so JSON's usual form of times, can carry. A
// file may hold others: they are told as milliseconds since 1970.
var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC) // a deadline is one to the millisecond
)

// isCarried reports whether RFC 3339 can carry a moment, in its own zone.
func isCarried(moment time.Time) bool {
	year := moment.Year()
	return year >= earliest.Year() && year <= latest.Year()
}

// inMilliseconds is how texts tell a moment that has no date.
func inMilliseconds(moment time.Time) string { return fmt.Sprintf("%d ms", moment.UnixMilli()) }

// isTaken reports whether an import takes a row's deadline.
func isTaken(deadline time.Time) bool { return deadline.IsZero() || isCarried(deadline.UTC()) }

// clamped is the nearest deadline that an import takes.
func clamped(deadline time.Time) time.Time {
	switch {
	case isTaken(deadline):
		return deadline
	case deadline.After(latest):
		return latest
	default:
		return rows.Moment(earliest.UnixMilli())
	}
}

// deadlineError says what is wrong with the deadline of a row. Most such come
// from a program that counts in smaller units.
func deadlineError(row rows.Row) error {
	ms := row.Expires.UnixMilli()
	guess := ""
	for _, unit := range []struct {
		name string
		size int64
	}{{"microseconds", 1e3}, {"nanoseconds", 1e6}} {
		if meant := time.UnixMilli(ms / unit.size).UTC(); ms > 0 && meant.Year() <= likely {
			guess = fmt.Sprintf(", and as %s that would be %s", unit.name, meant.Format(time.DateOnly))
			break
		}
	}
	return &rows.LineError{Line: row.Line, Err: fmt.Errorf("the row expires at %d: the years 1 to 9999 are taken, "+
		"in milliseconds since 1970%s; --clamp-expiries takes the nearest moment within", ms, guess)}
}

// likely is the last year of which a deadline in a wrong unit is thought: the
// last that nanoseconds can tell.
const likely = 2262

// lateDeadlines counts the entries of an export that an import won't take as
// they are.
type lateDeadlines struct {
	count int
	first rows.Row
}

func (l *lateDeadlines) see(row rows.Row) {
	if isTaken(row.Expires) {
		return
	}
	if l.count++; l.count == 1 {
		l.first = rows.Row{Group: row.Group, Key: row.Key, Expires: row.Expires}
	}
}

// warning is what there is to say of them; empty if there were none.
func (l *lateDeadlines) warning() string {
	if l.count == 0 {
		return ""
	}
	verb, first := "expire", "the first is "
	if l.count == 1 {
		verb, first = "expires", ""
	}
	return fmt.Sprintf("%s %s outside the years 1 to 9999, %skey %q in group %q at %d ms since 1970: importing them needs --clamp-expiries",
		plural(l.count, "entry", "entries"), verb, first, l.first.Key, l.first.Group, l.first.Expires.UnixMilli())
}
