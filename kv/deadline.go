package kv

import (
	"fmt"
	"math"
	"time"
)

// The deadlines that a call may name, in Unix milliseconds: the years 1 to 9999,
// which time.Time, JSON and every other program can show. Deadlines outside them
// may stand in a file that another program wrote; they count as they are.
const (
	MinDeadline int64 = -62_135_596_800_000 // the first millisecond of the year 1
	MaxDeadline int64 = 253_402_300_799_999 // the last one of the year 9999
)

// DeadlineTime is a deadline as an instant; the zero time for NoDeadline, and for
// nothing else. It is in local time, unless that would give it a year that JSON
// can't carry.
func DeadlineTime(deadline int64) time.Time {
	if deadline == NoDeadline {
		return time.Time{}
	}
	t := time.UnixMilli(deadline)
	if t.IsZero() {
		t = t.Add(1) // this millisecond is a deadline like any other
	}
	if year := t.Year(); year < 1 || year > 9999 {
		t = t.UTC()
	}
	return t
}

// DeadlineOf is an instant's deadline. An instant too far for milliseconds is
// math.MinInt64 or math.MaxInt64, which no call may name.
func DeadlineOf(t time.Time) int64 {
	const seconds = math.MaxInt64/1000 - 1
	switch s := t.Unix(); {
	case s > seconds:
		return math.MaxInt64
	case s < -seconds:
		return math.MinInt64
	default:
		return t.UnixMilli()
	}
}

// CheckDeadline refuses a deadline that no call may name with an
// InvalidDeadlineError.
func CheckDeadline(deadline int64) error {
	if deadline >= MinDeadline && deadline <= MaxDeadline {
		return nil
	}
	return fmt.Errorf("deadline %d ms after 1970: must lie in the years 1 to 9999; "+
		"were microseconds or nanoseconds perhaps taken for milliseconds? %w", deadline, InvalidDeadlineError)
}

// DeadlineAfter is when a time to live that begins at now (Unix milliseconds)
// ends: to the millisecond, within what a call may name. What is to live for no
// time at all has its end at now, or before it.
func DeadlineAfter(now time.Time, timeToLive time.Duration) int64 {
	return min(max(now.Add(timeToLive).UnixMilli(), MinDeadline), MaxDeadline)
}

// CheckTimeToLive refuses a time to live that would end after the last deadline
// that a call may name, and every one while the clock itself shows a moment
// outside of those: with an InvalidDeadlineError.
func CheckTimeToLive(now time.Time, timeToLive time.Duration) error {
	if ms := now.UnixMilli(); ms < MinDeadline || ms > MaxDeadline {
		return fmt.Errorf("the store's clock shows %v: set it to a year from 1 to 9999, or write without a time to live: %w",
			now.UTC(), InvalidDeadlineError)
	}
	if end := now.Add(timeToLive); end.UnixMilli() > MaxDeadline {
		return fmt.Errorf("a time to live of %v ends %v, after the year 9999: %w", timeToLive, end.UTC(), InvalidDeadlineError)
	}
	return nil
}
