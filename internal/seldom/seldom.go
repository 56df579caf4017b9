// Package seldom keeps what is said again and again from being said too often.
//
// It owns how often something was said lately. It says nothing by itself, starts nothing,
// and waits for no goroutine.
package seldom

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// LeftOut is the attribute that says how many records of the kind were left out before.
const LeftOut = "left_out"

// Limit lets a number of records through in an interval, and counts the others. It is safe
// for use by any number of goroutines.
type Limit struct {
	burst    int
	interval time.Duration

	mu struct {
		sync.Mutex
		began  time.Time // the interval
		passed int       // in it
		left   uint64    // since one passed
	}
}

// New is a Limit of burst records in each interval.
func New(burst int, interval time.Duration) *Limit { return &Limit{burst: burst, interval: interval} }

// Allow reports whether one more is to pass, and how many were left out before it.
func (l *Limit) Allow() (left uint64, ok bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.began.IsZero() || now.Sub(l.mu.began) >= l.interval {
		l.mu.began, l.mu.passed = now, 0
	}
	if l.mu.passed == l.burst {
		l.mu.left++
		return 0, false
	}
	l.mu.passed++
	left, l.mu.left = l.mu.left, 0
	return left, true
}

// Left takes how many were left out and not spoken of since.
func (l *Limit) Left() (left uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	left, l.mu.left = l.mu.left, 0
	return left
}

// Log has the logger log a record, if it is to pass. A record that is left out costs no more than
// looking at the clock.
func (l *Limit) Log(logger *slog.Logger, level slog.Level, message string, attrs ...slog.Attr) {
	left, ok := l.Allow()
	if !ok {
		return
	}
	if left > 0 {
		attrs = append(attrs, slog.Uint64(LeftOut, left))
	}
	logger.LogAttrs(context.Background(), level, message, attrs...)
}
