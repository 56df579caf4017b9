package kv

import (
	"fmt"
	"time"
)

// SlowPolicy says what becomes of a subscription that did not keep up.
type SlowPolicy int

const (
	SlowCatchUp SlowPolicy = iota // it reads the log, and misses nothing
	SlowSkip                      // it misses what it has missed, told by an EventGap
	SlowEnd                       // it ends with a SlowConsumerError
)

// SubscribeOptions says what a subscription yields.
type SubscribeOptions struct {
	Filters  []Filter // an event is yielded if one of them matches; none: every event
	From     uint64   // the first revision wanted; 0: the next one
	State    bool     // begin with the entries that there are; excludes From
	Slow     SlowPolicy
	Buffer   int           // events that wait in memory for the subscriber; default 256
	Progress time.Duration // between EventProgress; 0: none
}

// DefaultSubscribeBuffer is that of a subscription which names none.
const DefaultSubscribeBuffer = 256

// Complete fills the defaults in and refuses what can't be, with an
// InvalidOptionError.
func (o SubscribeOptions) Complete() (SubscribeOptions, error) {
	switch {
	case o.State && o.From != 0:
		return o, fmt.Errorf("a subscription begins with the state or from revision %d, not both: %w", o.From, InvalidOptionError)
	case o.Slow < SlowCatchUp || o.Slow > SlowEnd:
		return o, fmt.Errorf("slow policy %d: it is one of SlowCatchUp, SlowSkip, SlowEnd: %w", o.Slow, InvalidOptionError)
	case o.Buffer < 0 || o.Buffer > 1<<20:
		return o, fmt.Errorf("buffer of %d events: must be between 1 and %d, or 0 for %d: %w",
			o.Buffer, 1<<20, DefaultSubscribeBuffer, InvalidOptionError)
	case o.Progress < 0 || o.Progress > 0 && o.Progress < time.Millisecond:
		return o, fmt.Errorf("progress every %v: must be a millisecond at least, or 0 for none: %w", o.Progress, InvalidOptionError)
	}
	if o.Buffer == 0 {
		o.Buffer = DefaultSubscribeBuffer
	}
	if len(o.Filters) == 0 {
		o.Filters = []Filter{{}}
	}
	return o, nil
}
