package api

import (
	"context"
	"iter"

	"forge.lthn.ai/core/go-store/kv"
)

// Match is a condition on a group's or a key's name: the zero value fits every
// name, Exactly one, and Prefix those that begin with something.
type Match = kv.Match

// Filter says which events are wanted: those whose group and key fit its two
// fields, Group and Key. The zero value wants all. An EventDeleteGroup is wanted
// by every filter that the group fits, whatever its Key: it concerns all keys.
type Filter = kv.Filter

// Exactly fits one name.
func Exactly(name string) Match { return kv.Exactly(name) }

// Prefix fits the names that begin with text, byte for byte.
func Prefix(text string) Match { return kv.Prefix(text) }

// What only a subscription yields, beside the changes.
const (
	// EventGap: the revisions from Gap.From to Gap.To were not delivered.
	EventGap = kv.EventGap
	// EventSynced: the current state, as of Revision, has been delivered; what
	// follows are changes.
	EventSynced = kv.EventSynced
	// EventProgress: everything that is wanted up to Revision has been
	// delivered, so that a subscription may resume from the one after it.
	EventProgress = kv.EventProgress
)

// Gap is the revisions From to To, both included.
type Gap = kv.Gap

// SlowPolicy says what becomes of a subscription that did not keep up.
type SlowPolicy = kv.SlowPolicy

const (
	// SlowCatchUp, the default, reads what did not fit into the buffer from the
	// log: nothing is lost, as long as the log holds it (see WithHistory).
	// Otherwise the subscription ends with a *CompactedError.
	SlowCatchUp = kv.SlowCatchUp
	// SlowSkip goes on with what comes next and yields an EventGap for what was
	// missed.
	SlowSkip = kv.SlowSkip
	// SlowEnd ends the subscription with SlowConsumerError.
	SlowEnd = kv.SlowEnd
)

// SubscribeOptions says what a subscription yields. The zero value asks for
// every change from now on.
//
//   - Filters: an event is yielded if one of them fits; none: every event.
//   - From: the first revision wanted, 0 for the next one. To resume, ask for
//     the one after the last Revision that was dealt with. Events of a batch
//     share theirs: a loop that was left among them asks for that one again, and
//     gets all of it.
//   - State: begin with the entries that there are, an EventSet for each with
//     its revision and without Timestamp, in the order of groups and keys; then
//     an EventSynced; then every change after it. It excludes From.
//   - Slow: what becomes of a subscriber that does not keep up.
//   - Buffer: how many events may wait for the subscriber before it is slow, wherever they wait;
//     default 256, at most 1,048,576. A single commit may hold more. In memory there
//     are never more than 4 MiB of them, or 4,096 commits: the others, and a commit of
//     more than 4 MiB, are read in the log.
//   - Progress: how often an EventProgress is yielded while nothing else is, if
//     revisions were given meanwhile; a millisecond at least, 0: never.
type SubscribeOptions = kv.SubscribeOptions

// Subscribe yields committed changes in the order of their commits, each once:
// those of one request together and without anything between them. Unlike a
// watcher's channel it loses nothing: what its loop is too slow for is read from
// the log, from which it can also resume after a restart, by the Revision of
// the last event that was seen.
//
// The subscription begins with this call, but takes memory only while there is
// a loop over it, in which anything may be called; the loop holds no other call up. It
// ends with an error, yielded once and last: ctx's when that ends (or that of
// WithContext), ClosedError
// when the store closes, a *CompactedError or a *FutureRevisionError when the
// log does not hold what is asked for, InvalidOptionError, SlowConsumerError, or
// a *CorruptLogError. A second loop begins anew.
//
// With State the loop keeps a snapshot open until the EventSynced: if it takes
// long for that, the store's write-ahead log grows meanwhile.
//
// On a store opened WithReadOnly it follows what another process commits, some
// 20 ms behind it.
func (s *Store) Subscribe(ctx context.Context, options SubscribeOptions) iter.Seq2[Event, error] {
	if err := s.missing(); err != nil {
		return failed("Subscribe", err)
	}
	if ctx == nil {
		return failed("Subscribe", errNilContext)
	}
	return events("Subscribe", s.inner().Subscribe(ctx, s.context(), options))
}

// failed yields an error.
func failed(function string, err error) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) { yield(Event{}, wrap(function, err)) }
}

// History yields what happened to a key, oldest first, as far as the log still
// holds it, up to the moment at which the loop began. The deletion of the key's
// group is part of it. It reads the whole log: see WithHistory for its size. An
// error is yielded once, last.
func (s *Store) History(group, key string) iter.Seq2[Event, error] {
	return events("History", s.inner().History(s.context(), group, key))
}

// events puts the function's name before the error.
func events(function string, from iter.Seq2[Event, error]) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for event, err := range from {
			if !yield(event, wrap(function, err)) {
				return
			}
		}
	}
}

// Subscribe is Store.Subscribe for the changes of the namespace: its filters are
// of groups within it. Events carry the full group name.
func (s *ScopedStore) Subscribe(ctx context.Context, options SubscribeOptions) iter.Seq2[Event, error] {
	filters := options.Filters
	if len(filters) == 0 {
		filters = []Filter{{}}
	}
	options.Filters = make([]Filter, len(filters))
	for i, filter := range filters {
		filter.Group = filter.Group.Within(s.within())
		options.Filters[i] = filter
	}
	return s.parent().Subscribe(ctx, options)
}

// History is Store.History within the namespace.
func (s *ScopedStore) History(group, key string) iter.Seq2[Event, error] {
	return s.parent().History(s.within()+group, key)
}
