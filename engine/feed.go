package engine

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"forge.lthn.ai/core/go-store/actors/notifier"
	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/kv"
)

const (
	// feedBytes is how much of the log a subscriber reads at a time.
	feedBytes = 1 << 20
	// pollInterval is how often the log of a store that another process owns is
	// looked at. Within a process no subscriber polls.
	pollInterval = 20 * time.Millisecond
	// largeRecord is the largest record whose events are decoded all at once, and
	// decodedAtOnce how many of a larger one are.
	largeRecord   = 64 << 10
	decodedAtOnce = 512
)

// feed is one loop over a subscription. It is driven by the subscriber's own
// goroutine: events come from the notifier while it keeps up, and from the log
// at first and whenever it does not. Both are in the order of commits, so one
// number, the position, joins them without a gap or an event twice.
type feed struct {
	engine   *Engine
	ctx      context.Context
	options  kv.SubscribeOptions
	yield    func(kv.Event, error) bool
	position uint64     // everything that matches has been yielded up to this revision
	reported uint64     // the last revision that the subscriber was told of
	events   []kv.Event // decoded, to be used again

	subscription *notifier.Subscription // that it follows; nil: none
	poller       *poller                // what it tells of itself, in a read-only store; otherwise nil
}

// errStopped ends a loop whose subscriber wants no more.
var errStopped = errors.New("the subscriber has left its loop")

// Subscribe yields the events that match, in commit order, those of a request
// together. An error is yielded once, last; the end of either context is one.
func (e *Engine) Subscribe(ctx, bound context.Context, options kv.SubscribeOptions) iter.Seq2[kv.Event, error] {
	options, err := options.Complete()
	options.Filters = slices.Clone(options.Filters)
	position := options.From - 1
	if options.From == 0 && err == nil {
		// From now: from the moment of this call, not of the loop.
		position, err = e.Revision(ctx)
	}
	return func(yield func(kv.Event, error) bool) {
		f := &feed{engine: e, options: options, yield: yield, position: position, reported: position}
		var release func()
		f.ctx, release = join(ctx, bound)
		defer release()
		ended := err
		if ended == nil {
			ended = f.run()
		}
		if cause := context.Cause(f.ctx); cause != nil && errors.Is(ended, context.Canceled) {
			ended = cause // of the two contexts' the one that has ended
		}
		if !errors.Is(ended, errStopped) {
			yield(kv.Event{}, ended)
		}
	}
}

// join is a context that ends with either of two.
func join(ctx, bound context.Context) (_ context.Context, release func()) {
	if bound.Done() == nil {
		return ctx, func() {}
	}
	both, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(bound, func() { cancel(bound.Err()) })
	return both, func() {
		stop()
		cancel(nil)
	}
}

func (f *feed) run() error {
	if err := f.check(); err != nil {
		return err
	}
	if f.options.State {
		if err := f.state(); err != nil {
			return err
		}
	}
	current, err := f.engine.Revision(f.ctx)
	if err != nil {
		return err
	}
	if f.position > current {
		return &kv.FutureRevisionError{Requested: f.position + 1, Current: current}
	}
	if f.engine.actors == nil {
		return f.poll()
	}
	return f.follow()
}

func (f *feed) check() error {
	if err := f.engine.usable(); err != nil {
		return err
	}
	return f.ctx.Err()
}

// follow takes events from the notifier, and from the log what did not come
// that way.
func (f *feed) follow() error {
	n := f.engine.actors.notifier
	s := n.Subscribe(f.options.Filters, f.options.Buffer)
	f.subscription = s
	defer n.Unsubscribe(s)
	ticks := newTicker(f.engine.clock, f.options.Progress)
	defer ticks.stop()
	joined := false
	for {
		behind := s.Behind() // before the chunks: none comes after it until it has caught up
		select {
		case chunk := <-s.Chunks:
			if err := f.chunk(s, chunk); err != nil {
				return err
			}
			continue
		default:
		}
		if behind != 0 {
			f.position = max(f.position, s.Sent())
			if err := f.rejoin(s, joined); err != nil {
				return err
			}
			joined = s.CaughtUp(behind) || joined
			continue
		}
		select {
		case chunk := <-s.Chunks:
			if err := f.chunk(s, chunk); err != nil {
				return err
			}
		case <-s.Wake:
		case <-ticks.C:
			// Events up to here are with the notifier: it passes this on
			// behind them.
			if announced := f.engine.announced.Load(); announced > f.reported {
				n.Mark(s, f.progress(announced))
			}
			ticks.next()
		case <-n.Done():
			return kv.ClosedError
		case <-f.ctx.Done():
			return f.ctx.Err()
		}
	}
}

// rejoin makes up for events that did not come by chunks: from the log, unless
// the buffer was full and the options say otherwise.
func (f *feed) rejoin(s *notifier.Subscription, joined bool) error {
	if s.Overrun() && joined {
		f.engine.slowSubscriber(f.options.Slow)
		switch f.options.Slow {
		case kv.SlowEnd:
			return kv.SlowConsumerError
		case kv.SlowSkip:
			current, err := f.engine.Revision(f.ctx)
			if err != nil {
				return err
			}
			s.Skipped() // before the loop's body takes its time with the gap
			return f.skip(current)
		}
	}
	return f.catchUp()
}

// poll reads the log again and again.
func (f *feed) poll() error {
	f.poller = f.engine.pollers.add(f.options.Filters, f.position)
	defer f.engine.pollers.remove(f.poller)
	ticks := newTicker(f.engine.clock, f.options.Progress)
	defer ticks.stop()
	polls := newTicker(f.engine.clock, pollInterval)
	defer polls.stop()
	for {
		if err := f.catchUp(); err != nil {
			return err
		}
		select {
		case <-polls.C:
			polls.next()
		case <-ticks.C:
			if err := f.mark(f.progress(f.position)); err != nil {
				return err
			}
			ticks.next()
		case <-f.engine.ended:
			return kv.ClosedError
		case <-f.ctx.Done():
			return f.ctx.Err()
		}
	}
}

// chunk yields what the notifier sent.
func (f *feed) chunk(s *notifier.Subscription, events []kv.Event) error {
	s.Took(events)
	if err := f.ctx.Err(); err != nil { // there may be no end of chunks
		return err
	}
	if events[0].Type == kv.EventProgress {
		return f.mark(events[0])
	}
	return f.deliver(events, events[len(events)-1].Revision, nil)
}

// deliver yields events that are after the position and match, and moves it. They are
// counted where they were read in the log.
func (f *feed) deliver(events []kv.Event, last uint64, log *notifier.Subscription) error {
	for i := range events {
		if e := &events[i]; e.Revision > f.position && f.matches(e) {
			if log != nil {
				log.Read(1)
			}
			f.reported = e.Revision
			if !f.yield(*e, nil) {
				return errStopped
			}
		}
	}
	f.move(last)
	return nil
}

// move notes that everything up to a revision was yielded.
func (f *feed) move(to uint64) {
	f.position = max(f.position, to)
	if f.poller != nil {
		f.poller.read.Store(f.position)
	}
}

func (f *feed) matches(e *kv.Event) bool {
	for i := range f.options.Filters {
		if f.options.Filters[i].Matches(e) {
			return true
		}
	}
	return false
}

func (f *feed) progress(revision uint64) kv.Event {
	return kv.Event{Type: kv.EventProgress, Revision: revision, Timestamp: f.engine.clock.Now()}
}

// mark yields progress, if there has been any that the subscriber does not know
// of.
func (f *feed) mark(progress kv.Event) error {
	if progress.Revision <= f.reported {
		return nil
	}
	f.move(progress.Revision)
	f.reported = progress.Revision
	if !f.yield(progress, nil) {
		return errStopped
	}
	return nil
}

// skip says that everything up to a revision is missed.
func (f *feed) skip(to uint64) error {
	if to <= f.position {
		return nil
	}
	gap := kv.Event{Type: kv.EventGap, Revision: to, Timestamp: f.engine.clock.Now(),
		Gap: &kv.Gap{From: f.position + 1, To: to}}
	f.move(to)
	f.reported = to
	if !f.yield(gap, nil) {
		return errStopped
	}
	return nil
}

// catchUp reads the log from the position to its end.
func (f *feed) catchUp() error {
	for {
		rows, err := f.engine.logRows(f.ctx, f.position+1)
		var compacted *kv.CompactedError
		if f.options.Slow == kv.SlowSkip && errors.As(err, &compacted) {
			if err := f.skip(compacted.Oldest - 1); err != nil {
				return err
			}
			continue
		}
		if err != nil || len(rows) == 0 {
			return err
		}
		if err := f.rows(rows); err != nil {
			return err
		}
	}
}

// rows yields what rows of the log hold.
func (f *feed) rows(rows []kv.LogRow) (err error) {
	// A subscriber that waits holds nothing.
	defer func() { clear(f.events[:cap(f.events)]) }()
	for i := range rows {
		if err := f.check(); err != nil {
			return err
		}
		row := rows[i]
		if len(row.Record) > largeRecord {
			rows[i].Record = nil
			err = f.large(&row)
		} else if f.events, err = commitlog.Decode(f.events[:0], row); err == nil {
			err = f.deliver(f.events, row.Last, f.subscription)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// large yields what a row with a large record holds, some events at a time: a subscriber
// that stands still in the midst of it holds no more than the record, which it shares with
// all others that do.
func (f *feed) large(row *kv.LogRow) error {
	effects, err := f.engine.records.open(row)
	if err != nil {
		return err
	}
	last := row.Last
	for r := effects.Reader(); ; {
		events := r.Next(f.events[:0], decodedAtOnce)
		if f.events = events; len(events) == 0 {
			f.move(last)
			return nil
		}
		// The position is that before the request until all of its events were yielded.
		if err := f.deliver(events, f.position, f.subscription); err != nil {
			return err
		}
		if err := f.check(); err != nil {
			return err
		}
	}
}
