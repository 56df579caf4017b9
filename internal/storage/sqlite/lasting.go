package sqlite

import (
	"sync/atomic"
	"time"
)

// lasting is a fault that what has met it tries to get over, again and again, and that Health
// tells until it is over.
type lasting struct {
	is      atomic.Pointer[fault] // nil: there is none
	changed func()                // Health may say something else; nil: not called
}

type fault struct {
	since, again time.Time // it is tried
	err          error
}

// note notes an attempt that has failed, the next of which is to come after a pause, and reports
// whether it is the first. Then tell follows, once it was logged.
func (l *lasting) note(err error, pause time.Duration) (first bool) {
	now, was := time.Now(), l.is.Load()
	f := &fault{since: now, again: now.Add(pause), err: err}
	if was != nil {
		f.since = was.since
	}
	l.is.Store(f)
	return was == nil
}

// end notes that it is over, and says what was; nil: there was none. Then tell follows.
func (l *lasting) end() *fault {
	if l.is.Load() == nil {
		return nil
	}
	return l.is.Swap(nil)
}

func (l *lasting) tell() {
	if l.changed != nil {
		l.changed()
	}
}

// pause is how long it is not to be tried yet.
func (l *lasting) pause() time.Duration {
	if f := l.is.Load(); f != nil {
		return max(time.Until(f.again), 0)
	}
	return 0
}

// health is what is wrong, and since when; nil: nothing.
func (l *lasting) health() (since time.Time, err error) {
	if f := l.is.Load(); f != nil {
		return f.since, f.err
	}
	return since, nil
}
