package stress

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// bounded is a run of so many steps in all, the same in every run but for the
// interleaving.
func bounded(steps int) Config { return Config{Seed: 1, Callers: 16, Steps: steps / 16} }

// untilCaught is such a run that ends with the first finding.
func untilCaught(steps int) Config {
	config := bounded(steps)
	config.Enough = 1
	return config
}

func openTarget(t *testing.T, path string) Target {
	target, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, target.Close()) })
	return target
}

// dropper acknowledges one write in 10,000 of those that match, without
// making it.
type dropper struct {
	Target
	matches func(Call) bool
	writes  atomic.Uint64
}

func (d *dropper) Do(call Call) Answer {
	if call.Kind.Writes() && d.matches(call) && d.writes.Add(1)%10_000 == 500 {
		return Answer{}
	}
	return d.Target.Do(call)
}

// A write of a key with one writer is looked for before the next one.
func TestRun_CatchesALostWrite(t *testing.T) {
	target := &dropper{Target: openTarget(t, ":memory:"), matches: func(call Call) bool {
		return strings.HasPrefix(call.Group, "own-") && (call.Kind == Set || call.Kind == SetWithTTL)
	}}
	result := Run(context.Background(), target, untilCaught(20_000))
	assert.NotZero(t, result.Violations[LostWrite], result.Findings)
}

// What others have written over since left no trace but that its event is
// missing. Of other writes more is known.
func TestRun_CatchesAnyLostWrite(t *testing.T) {
	target := &dropper{Target: openTarget(t, ":memory:"), matches: func(call Call) bool {
		return slices.Contains([]Kind{Set, SetWithTTL, SetScoped, SetAll, Increment}, call.Kind) // these always change something
	}}
	result := Run(context.Background(), target, untilCaught(20_000))
	assert.False(t, result.Passed())
}

func TestRun_AHealthyStorePasses(t *testing.T) {
	result := Run(context.Background(), openTarget(t, ":memory:"), bounded(16_000))
	assert.Empty(t, result.Findings)
	assert.EqualValues(t, 16_000, result.Steps)
}

// silent carries no Touch out, and says that it is not known whether it did.
type silent struct{ Target }

func (s *silent) Do(call Call) Answer {
	if call.Kind == Touch {
		return Answer{Err: api.UnknownOutcomeError}
	}
	return s.Target.Do(call)
}

// What did not take place, though it may have, is not missed.
func TestRun_NoEventIsOwedForWhatChangedNothing(t *testing.T) {
	result := Run(context.Background(), &silent{openTarget(t, ":memory:")}, bounded(16_000))
	assert.Empty(t, result.Findings)
	assert.NotZero(t, result.Unknown)
}

// reorderer swaps two events of a key, once, in what the watchers of
// everything receive.
type reorderer struct{ Target }

func (r *reorderer) Watch(group, key string) Watcher {
	inner := r.Target.Watch(group, key)
	if group != "*" || key != "*" {
		return inner
	}
	return &reordering{Watcher: inner}
}

type reordering struct {
	Watcher
	received int
	held     *api.Event
	queue    []api.Event // to be delivered first
}

func (r *reordering) Next() (api.Event, bool) {
	if len(r.queue) > 0 {
		event := r.queue[0]
		r.queue = r.queue[1:]
		return event, true
	}
	event, ok := r.Watcher.Next()
	r.received++
	switch {
	case !ok && r.held != nil:
		event, ok, r.held = *r.held, true, nil
	case r.held != nil && event.Group == r.held.Group && event.Key == r.held.Key:
		r.queue, r.held = []api.Event{*r.held}, nil
	case r.received == 1000 && strings.HasPrefix(event.Group, "own-"):
		r.held = &event
		return r.Next()
	case r.received == 1000:
		r.received-- // an event of another kind of key: the next one, then
	}
	return event, ok
}

func TestRun_CatchesReorderedEvents(t *testing.T) {
	result := Run(context.Background(), &reorderer{openTarget(t, ":memory:")}, untilCaught(20_000))
	assert.NotZero(t, result.Violations[EventOrder], result.Findings)
	assert.Zero(t, result.Violations[EventMissing]+result.Violations[LostWrite], result.Findings)
}

// slipper lets a quota slip by one, once. It lets one write of the namespace
// pass at a time, as one that comes between the refusal and its neglect could
// make room.
type slipper struct {
	Target
	mu struct {
		sync.Mutex
		slipped bool
	}
}

func (s *slipper) Do(call Call) Answer {
	if call.Kind != SetScoped && (!call.Kind.Writes() || !strings.HasPrefix(call.Group, quotaPrefix)) {
		return s.Target.Do(call)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := s.Target.Do(call)
	if call.Kind == SetScoped && errors.Is(answer.Err, api.QuotaExceededError) && !s.mu.slipped {
		s.mu.slipped = true
		return s.Target.Do(Call{Kind: Set, Group: quotaPrefix + call.Group, Key: call.Key, Value: call.Value})
	}
	return answer
}

func TestRun_CatchesAQuotaThatSlips(t *testing.T) {
	result := Run(context.Background(), &slipper{Target: openTarget(t, ":memory:")}, untilCaught(20_000))
	assert.NotZero(t, result.Violations[QuotaExceeded], result.Findings)
	assert.Len(t, result.Violations, 1, result.Findings)
}

// forgetter answers one read in a thousand, of a key that was just written,
// with what was there before.
type forgetter struct {
	Target
	mu struct {
		sync.Mutex
		reads  int
		before map[string]Answer
	}
}

func (f *forgetter) Do(call Call) Answer {
	at := call.Group + "/" + call.Key
	if call.Kind == Set && strings.HasPrefix(call.Group, "own-") {
		before := f.Target.Do(Call{Kind: Get, Group: call.Group, Key: call.Key})
		answer := f.Target.Do(call)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.mu.before[at] = before
		return answer
	}
	if call.Kind == Get {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.mu.reads++
		if before, ok := f.mu.before[at]; ok && f.mu.reads >= 1000 {
			f.mu.reads = 0
			return before
		}
	}
	return f.Target.Do(call)
}

func TestRun_CatchesAStaleRead(t *testing.T) {
	target := &forgetter{Target: openTarget(t, ":memory:")}
	target.mu.before = map[string]Answer{}
	result := Run(context.Background(), target, untilCaught(20_000))
	assert.NotZero(t, result.Violations[StaleRead], result.Findings)
	assert.Zero(t, result.Violations[EventMissing]+result.Violations[EventOrder], result.Findings)
}

// skipper loses one revision of what subscribers are told.
type skipper struct{ Target }

func (s *skipper) Subscribe(ctx context.Context, wish Wish) iter.Seq2[api.Event, error] {
	inner := s.Target.Subscribe(ctx, wish)
	return func(yield func(api.Event, error) bool) {
		for event, err := range inner {
			if event.Revision != 500 && !yield(event, err) {
				return
			}
		}
	}
}

func TestRun_CatchesARevisionThatIsMissing(t *testing.T) {
	result := Run(context.Background(), &skipper{openTarget(t, ":memory:")}, untilCaught(20_000))
	assert.NotZero(t, result.Violations[EventMissing], result.Findings)
	assert.Zero(t, result.Violations[LostWrite]+result.Violations[StaleRead], result.Findings)
}

// halver commits the second half of a batch by itself.
type halver struct {
	Target
	batches atomic.Uint64
}

func (h *halver) Do(call Call) Answer {
	if call.Kind != SetAll || h.batches.Add(1) < 100 || len(call.Items) < 2 {
		return h.Target.Do(call)
	}
	first, second := call, call
	first.Items, second.Items = call.Items[:3], call.Items[3:]
	if answer := h.Target.Do(first); answer.Err != nil {
		return answer
	}
	return h.Target.Do(second)
}

func TestRun_CatchesABatchInTwoCommits(t *testing.T) {
	result := Run(context.Background(), &halver{Target: openTarget(t, ":memory:")}, bounded(20_000))
	assert.NotZero(t, result.Violations[TornScan]+result.Violations[EventMissing], result.Findings)
	assert.Zero(t, result.Violations[LostWrite], result.Findings)
}

// hoarder reads keys for ever once they were read.
type hoarder struct {
	Target
	mu struct {
		sync.Mutex
		read map[string]Answer
	}
}

func (h *hoarder) Do(call Call) Answer {
	answer := h.Target.Do(call)
	if call.Kind != Get || call.Group != sessionGroup {
		return answer
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if kept, ok := h.mu.read[call.Key]; ok {
		return kept
	}
	if answer.Err == nil {
		h.mu.read[call.Key] = answer
	}
	return answer
}

func TestRun_CatchesAnExpiredKeyThatIsRead(t *testing.T) {
	target := &hoarder{Target: openTarget(t, ":memory:")}
	target.mu.read = map[string]Answer{}
	result := Run(context.Background(), target, untilCaught(20_000))
	assert.NotZero(t, result.Violations[ExpiredRead], result.Findings)
	assert.Len(t, result.Violations, 1, result.Findings)
}

// spoiler answers reads of one key with something else.
type spoiler struct {
	Target
	answer Answer
}

func (s *spoiler) Do(call Call) Answer {
	if call.Group == "data" && call.Key == "a" && call.Kind == Get {
		return s.answer
	}
	return s.Target.Do(call)
}

// Entries that were there from the beginning are never missing, nor others.
func TestRun_CatchesWhatHappensToTheDataSet(t *testing.T) {
	config := untilCaught(16_000)
	config.Data = []api.Item{{Group: "data", Key: "a", Value: "1"}}
	for violation, answer := range map[Violation]Answer{LostWrite: {Err: api.NotFoundError}, PhantomWrite: {Value: "2"}} {
		result := Run(context.Background(), &spoiler{openTarget(t, ":memory:"), answer}, config)
		assert.NotZero(t, result.Violations[violation], result.Findings)
	}
	swept := &dropper{Target: openTarget(t, ":memory:")}
	swept.matches = func(call Call) bool {
		if call.Kind == Transfer {
			assert.NoError(t, swept.Target.Do(Call{Kind: Delete, Group: "data", Key: "b"}).Err)
		}
		return false
	}
	config.Data = []api.Item{{Group: "data", Key: "b", Value: "1"}}
	result := Run(context.Background(), swept, config)
	assert.False(t, result.Passed())
	config.Enough = 0
	result = Run(context.Background(), openTarget(t, ":memory:"), config)
	assert.Empty(t, result.Findings)
}
