package metamorphic

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

var background = context.Background()

// reading is one read, from a handle.
type reading struct {
	On int
	read
}

func (o reading) run(w *world) error {
	h := &w.handles[o.On]
	return o.read.check(h.writer, w.model.view(h.prefix))
}

// scanning is a scan. It may go on where another one, or an earlier part of its
// own, was left: From 0 is the beginning, and it is kept under Keep.
type scanning struct {
	On, After, Keep int
	scan
}

func (o scanning) run(w *world) error {
	h := &w.handles[o.On]
	end, err := o.scan.check(h, w.model.view(h.prefix), w.marks[o.After])
	if err == nil && end != nil && o.Keep > 0 {
		w.marks[o.Keep] = end
	}
	return err
}

type keptSnapshot struct {
	*api.Snapshot
	view
}

// snapshot takes a snapshot and keeps it.
type snapshot struct{ On, Slot int }

func (o snapshot) run(w *world) error {
	h := &w.handles[o.On]
	taken, err := h.Snapshot()
	if err != nil {
		return err
	}
	if revision := taken.Revision(); revision != w.model.revision {
		return fmt.Errorf("its revision is %d, not %d", revision, w.model.revision)
	}
	if old := w.snapshots[o.Slot]; old != nil {
		if err := old.Close(); err != nil {
			return err
		}
		if _, err := old.Count(""); !errors.Is(err, api.SnapshotClosedError) {
			return fmt.Errorf("a closed snapshot says: %w", err)
		}
	}
	w.snapshots[o.Slot] = &keptSnapshot{taken, w.model.view(h.prefix).kept()}
	return nil
}

// snapshotReading reads from a snapshot that was kept.
type snapshotReading struct {
	Slot int
	Read read
	Scan *scan // instead
}

func (o snapshotReading) run(w *world) error {
	kept := w.snapshots[o.Slot]
	switch {
	case kept == nil:
		return nil
	case o.Scan != nil:
		_, err := o.Scan.check(kept.Snapshot, kept.view, nil)
		return err
	default:
		return o.Read.check(kept.Snapshot, kept.view)
	}
}

// watch registers a watcher and keeps it.
type watch struct {
	On, Slot   int
	Group, Key string
}

type keptWatcher struct {
	*api.Watcher
	group, key string // in full, or "*"
	prefix     string
	at         int    // in the model's events
	dropped    uint64 // so far
	unsure     bool   // the disk has failed since
}

func (o watch) run(w *world) error {
	h := &w.handles[o.On]
	if old := w.watchers[o.Slot]; old != nil {
		h.Unwatch(old.Watcher)
		if err := w.drain(old, true); err != nil {
			return err
		}
	}
	k := &keptWatcher{Watcher: h.Watch(o.Group, o.Key), group: o.Group, key: o.Key, prefix: h.prefix, at: len(w.model.events)}
	if k.group != "*" {
		k.group = h.prefix + k.group
	}
	w.watchers[o.Slot] = k
	return nil
}

func (k *keptWatcher) wants(e api.Event) bool {
	if k.group != "*" && e.Group != k.group || !strings.HasPrefix(e.Group, k.prefix) {
		return false
	}
	if e.Type == api.EventDeleteGroup {
		return k.key == "*" || k.key == ""
	}
	return k.key == "*" || e.Key == k.key
}

// drained takes what a watcher has received.
type drained struct{ Slot int }

func (o drained) run(w *world) error {
	if k := w.watchers[o.Slot]; k != nil {
		return w.drain(k, false)
	}
	return nil
}

// drain compares what a watcher has received since the last time: the first of the
// events that it wants, as many as its channel holds. closed: the channel is.
func (w *world) drain(k *keptWatcher, closed bool) error {
	var want []api.Event
	for _, e := range w.model.events[k.at:] {
		if k.wants(e) {
			want = append(want, e)
		}
	}
	k.at = len(w.model.events)
	fits := min(len(want), cap(k.Events))
	if w.Reaper && !w.Faults { // no call has waited for the events of the background
		for limit := time.Now().Add(testkit.Patience); len(k.Events) < fits || k.Dropped()-k.dropped < uint64(len(want)-fits); {
			if time.Now().After(limit) {
				return fmt.Errorf("%d events have come, not %s", len(k.Events), list(want))
			}
			time.Sleep(20 * time.Microsecond)
		}
	}
	var got []api.Event
	for {
		select {
		case e, open := <-k.Events:
			if open {
				got = append(got, e)
				continue
			}
			if !closed {
				return errors.New("the watcher is closed")
			}
			return w.compareWatched(k, got, want)
		default:
			if closed {
				return errors.New("the watcher is not closed")
			}
			return w.compareWatched(k, got, want)
		}
	}
}

func (w *world) compareWatched(k *keptWatcher, got, want []api.Event) error {
	if w.Faults || k.unsure { // an actor that failed, or a COMMIT that did, may have lost some
		return within(got, want)
	}
	dropped := k.Dropped() - k.dropped
	k.dropped += dropped
	if len(want) <= cap(k.Events) {
		if dropped != 0 {
			return fmt.Errorf("%d events were dropped, and there was room", dropped)
		}
		return sameEvents(got, want)
	}
	if len(got) != cap(k.Events) || dropped != uint64(len(want)-len(got)) {
		return fmt.Errorf("of %d events %d were received and %d dropped", len(want), len(got), dropped)
	}
	last := got[len(got)-1].Revision // of which some may be missing
	whole := func(events []api.Event) []api.Event {
		return slices.DeleteFunc(slices.Clone(events), func(e api.Event) bool { return e.Revision >= last })
	}
	return sameEvents(whole(got), whole(want))
}

// within reports events that are none of those wanted.
func within(got, want []api.Event) error {
	last := uint64(0)
	for _, g := range got {
		if g.Revision < last || !slices.ContainsFunc(want, func(e api.Event) bool { return sameEvent(e, g) }) {
			return fmt.Errorf("this never happened, or not then: %s, of %s", list([]api.Event{g}), list(want))
		}
		last = g.Revision
	}
	return nil
}

// subscribe begins a subscription and keeps it.
type subscribe struct {
	On, Slot int
	Back     int // how many revisions before the next one it begins; 0: now; -1: in the future
	State    bool
	Group    string // a filter: groups with this prefix
	Key      string // and with this key; "": any
	Slow     api.SlowPolicy
	Buffer   int
}

// feed is a subscription that is pulled from: its loop stands still meanwhile.
type feed struct {
	next   func() (api.Event, error, bool)
	stop   func()
	filter api.Filter
	slow   api.SlowPolicy
	buffer int
	at     int    // in the model's events
	done   uint64 // every revision up to this was seen
}

type subscribing interface {
	Subscribe(ctx context.Context, options api.SubscribeOptions) iter.Seq2[api.Event, error]
}

func (o subscribe) run(w *world) error {
	h := &w.handles[o.On]
	options := api.SubscribeOptions{State: o.State, Slow: o.Slow, Buffer: o.Buffer}
	inner := api.Filter{Group: api.Prefix(o.Group)}
	if o.Key != "" {
		inner.Key = api.Exactly(o.Key)
	}
	if o.Group != "" || o.Key != "" {
		options.Filters = []api.Filter{inner}
	}
	f := &feed{filter: inner, slow: o.Slow, buffer: o.Buffer, at: len(w.model.events), done: w.model.revision}
	f.filter.Group = inner.Group.Within(h.prefix)
	if o.Back != 0 && !o.State {
		options.From = max(w.first, uint64(max(int64(w.model.revision)+1-int64(o.Back), 1)))
		if f.at = len(w.model.events); options.From <= w.model.revision {
			f.at -= len(w.model.since(options.From))
		}
		f.done = options.From - 1
	}
	f.next, f.stop = iter.Pull2(h.Subscribe(background, options))
	if old := w.feeds[o.Slot]; old != nil {
		old.stop()
	}
	if o.State {
		if err := f.state(w); err != nil {
			return err
		}
	}
	if options.From > w.model.revision+1 {
		_, err, _ := f.next()
		f.stop()
		var future *api.FutureRevisionError
		if !errors.As(err, &future) {
			return fmt.Errorf("a subscription to the future: %w", err)
		}
		delete(w.feeds, o.Slot)
		return nil
	}
	w.feeds[o.Slot] = f
	return nil
}

// state compares the entries that a subscription begins with.
func (f *feed) state(w *world) error {
	for _, r := range w.model.rows {
		want := api.Event{Type: api.EventSet, Group: r.group, Key: r.key, Value: r.value, Revision: r.revision, ExpiresAt: r.expiresAt()}
		if !r.live(w.model.now) || !f.filter.Matches(&want) {
			continue
		}
		got, err, _ := f.next()
		if err != nil || !sameEvent(got, want) {
			return fmt.Errorf("the state has %s, not %s: %w", list([]api.Event{got}), list([]api.Event{want}), err)
		}
	}
	got, err, _ := f.next()
	if err != nil || got.Type != api.EventSynced || got.Revision != w.model.revision {
		return fmt.Errorf("the state ends with %s: %w", list([]api.Event{got}), err)
	}
	return nil
}

// pulled takes what a subscription has, of so many revisions.
type pulled struct{ Slot, Revisions int }

func (o pulled) run(w *world) error {
	f := w.feeds[o.Slot]
	for n := 0; f != nil && n < o.Revisions; n++ {
		ended, err := f.revision(w)
		if err != nil {
			return err
		}
		if ended {
			f.stop()
			delete(w.feeds, o.Slot)
			return nil
		}
	}
	return nil
}

// wanted are the next events that match, of one revision, and where the ones after
// them begin.
func (f *feed) wanted(w *world) (events []api.Event, behind int) {
	all := w.model.events
	for behind = f.at; behind < len(all); behind++ {
		if len(events) > 0 && all[behind].Revision != events[0].Revision {
			break
		}
		if f.filter.Matches(&all[behind]) {
			events = append(events, all[behind])
		}
	}
	return events, behind
}

// revision takes the events of one revision, if there is one more.
func (f *feed) revision(w *world) (ended bool, err error) {
	want, behind := f.wanted(w)
	var got []api.Event
	for len(got) < len(want) {
		e, err, more := f.next()
		switch {
		case err != nil || !more:
			return true, f.mayEnd(w, err)
		case e.Type == api.EventGap:
			if len(got) > 0 || f.slow != api.SlowSkip || e.Gap.From > want[0].Revision || e.Gap.From <= f.done || e.Gap.To > w.model.revision {
				return true, fmt.Errorf("a gap from %d to %d, before %s", e.Gap.From, e.Gap.To, list(want))
			}
			f.done = e.Gap.To
			if e.Gap.To < want[0].Revision {
				continue // none of these were wanted
			}
			f.at = len(w.model.events) - len(w.model.since(e.Gap.To+1))
			return false, nil
		}
		got = append(got, e)
	}
	f.at = behind
	if len(want) > 0 {
		f.done = want[0].Revision
	}
	return false, sameEvents(got, want)
}

// mayEnd says what is wrong with a subscription's end, if something is.
func (f *feed) mayEnd(w *world, err error) error {
	var compacted *api.CompactedError
	switch {
	case errors.As(err, &compacted) && w.bounded && f.slow != api.SlowSkip:
		return nil
	case errors.Is(err, api.SlowConsumerError) && f.slow == api.SlowEnd:
		return nil
	}
	return fmt.Errorf("the subscription has ended: %w", err)
}

// finish takes what a subscription to a closed store yields until it ends.
func (f *feed) finish(w *world) error {
	defer f.stop()
	var got []api.Event
	for {
		e, err, more := f.next()
		if !more || err != nil {
			if !errors.Is(err, api.ClosedError) {
				return f.mayEnd(w, err)
			}
			break
		}
		if e.Type != api.EventGap {
			got = append(got, e)
		}
	}
	var want []api.Event
	for _, e := range w.model.events[f.at:] {
		if f.filter.Matches(&e) {
			want = append(want, e)
		}
	}
	return within(got, want)
}

// history is History.
type history struct {
	On         int
	Group, Key string
}

func (o history) run(w *world) error {
	h := &w.handles[o.On]
	oldest, err := w.oldest()
	if err != nil {
		return err
	}
	var want []api.Event
	filter := api.Filter{Group: api.Exactly(h.prefix + o.Group), Key: api.Exactly(o.Key)}
	for _, e := range w.model.since(oldest) {
		if filter.Matches(&e) {
			want = append(want, e)
		}
	}
	got, err := collect(h.History(o.Group, o.Key))
	if err != nil {
		return err
	}
	return sameEvents(got, want)
}

// oldest is the first revision in the log. It holds what it must.
func (w *world) oldest() (uint64, error) {
	stats, err := w.store.Stats()
	if err != nil {
		return 0, err
	}
	keys, groups := len(w.model.view("").all(api.Match{})), len(w.model.view("").groups(""))
	if stats.Keys != int64(keys) || stats.Groups != int64(groups) || stats.Expired != int64(len(w.model.dead(""))) || stats.Revision != w.model.revision {
		return 0, fmt.Errorf("the statistics are %+v, not %d keys, %d groups, %d expired, revision %d",
			stats, keys, groups, len(w.model.dead("")), w.model.revision)
	}
	held := int64(stats.Revision) + 1 - int64(stats.OldestRevision)
	switch {
	case !w.bounded && stats.OldestRevision != w.first && stats.Revision != 0,
		stats.OldestRevision < w.first,
		held < 1 && w.first <= stats.Revision,
		w.fewest > 0 && held < min(int64(w.fewest), int64(stats.Revision+1-w.first)):
		return 0, fmt.Errorf("the log begins with %d and ends with %d; it began with %d, and its bounds are %+v", stats.OldestRevision, stats.Revision, w.first, w.History)
	}
	return stats.OldestRevision, nil
}
