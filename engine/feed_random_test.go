package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// observer is a subscriber that notes what it is told. It may be slow, and leave its
// loop to resume with another.
type observer struct {
	name    string
	options kv.SubscribeOptions
	pace    func()      // called for each event, and may block
	leave   func() bool // whether to leave the loop here
	midway  bool        // it may leave within a revision, and asks for it again then

	mu struct {
		sync.Mutex
		told []told
		err  error
	}
}

// run subscribes again and again, until the context ends.
func (o *observer) run(ctx context.Context, e *Engine) {
	for options, loop := o.options, 0; o.once(ctx, e, options, loop); loop++ {
		options.State, options.From = false, o.position()+1
	}
}

func (o *observer) once(ctx context.Context, e *Engine, options kv.SubscribeOptions, loop int) (resume bool) {
	for event, err := range e.Subscribe(ctx, context.Background(), options) {
		if errors.Is(err, kv.SlowConsumerError) && options.Slow == kv.SlowEnd {
			return true
		}
		if err != nil {
			if ctx.Err() == nil {
				o.fail(err)
			}
			return false
		}
		change := event.Type <= kv.EventExpire
		if change && o.leave != nil && (o.midway || event.Revision > o.position()) && o.leave() {
			o.forget(event.Revision)
			return true
		}
		o.mu.Lock()
		o.mu.told = append(o.mu.told, told{event, loop})
		o.mu.Unlock()
		if change && o.pace != nil {
			o.pace()
		}
	}
	return false
}

func (o *observer) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.err
}

func (o *observer) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.err = err
}

// forget drops what was told of a revision that may not be complete.
func (o *observer) forget(revision uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n := len(o.mu.told); n > 0 && o.mu.told[n-1].Revision == revision && o.mu.told[n-1].Type <= kv.EventExpire; n-- {
		o.mu.told = o.mu.told[:n-1]
	}
}

// position is the revision up to which it was told everything, or is being told.
func (o *observer) position() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.mu.told); n > 0 {
		return o.mu.told[n-1].Revision
	}
	return 0
}

// account is what it was told up to a revision.
func (o *observer) account(log []kv.Event, current uint64) (a account, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, heard := range o.mu.told {
		if heard.Revision <= current || heard.Type == kv.EventGap && heard.Gap.From <= current {
			a.told = append(a.told, heard)
		}
	}
	for _, event := range log {
		if event.Revision <= current && matches(o.options.Filters, event) {
			a.log = append(a.log, event)
		}
	}
	return a, o.mu.err
}

// mixer does everything that a store can do, at random.
type mixer struct {
	e      *Engine
	random *rand.Rand
}

var mixedGroups = []string{"a", "ab", "abc", "b", "", "tight:g", "tight:h", "roomy:g", "a\xff\x00"}

func (m *mixer) group() string { return mixedGroups[m.random.IntN(len(mixedGroups))] }

func (m *mixer) operation() (o kv.Operation) {
	o.Group, o.Key = m.group(), []string{"", "k", "ka", "kb", "x"}[m.random.IntN(5)]
	switch m.random.IntN(16) {
	case 0, 1, 2:
		o.Kind = kv.Delete
	case 3:
		o.Kind = kv.DeleteGroup
	case 4:
		o.Kind, o.Range = kv.DeletePrefix, kv.PrefixRange([]string{"a", "ab", "tight:", "nothing"}[m.random.IntN(4)])
	case 5:
		o.Kind, o.HasTTL, o.TimeToLive = kv.Touch, true, time.Duration(m.random.IntN(4))*time.Millisecond
	case 6, 7:
		o.Kind, o.Delta = kv.Increment, 1
	case 8, 9, 10:
		o.HasTTL, o.TimeToLive = true, time.Duration(m.random.IntN(4))*time.Millisecond
		fallthrough
	default:
		o.Value = fmt.Sprint(m.random.IntN(1000))
	}
	return o
}

// step makes one request. Many are refused: for their conditions, their quota,
// a key that is not there, a value that is no number.
func (m *mixer) step() {
	o := m.operation()
	mutation := kv.Mutation{Kind: o.Kind, Group: o.Group, Key: o.Key, Value: o.Value,
		HasTTL: o.HasTTL, TimeToLive: o.TimeToLive, Delta: o.Delta, Range: o.Range}
	switch m.random.IntN(6) {
	case 0:
		mutation = kv.Mutation{Kind: kv.Batch, Operations: []kv.Operation{o}}
		for range m.random.IntN(5) {
			mutation.Operations = append(mutation.Operations, m.operation())
		}
	case 1:
		mutation.Conditions = []kv.Condition{{Group: o.Group, Key: o.Key, Revision: []uint64{0, kv.AnyRevision}[m.random.IntN(2)]}}
	case 2:
		if m.random.IntN(4) == 0 {
			_, _ = m.e.PurgeExpired(context.Background(), kv.PrefixRange(""))
		}
	}
	if namespace, scoped := kv.NamespaceOf(o.Group); scoped && mutation.Kind == kv.Set {
		mutation = within(mutation, namespace, kv.QuotaConfig{MaxKeys: 3, MaxGroups: 1})
	}
	_, _ = m.e.Apply(context.Background(), mutation)
}

// observers are all ways to subscribe. Slow ones call wait now and then.
func observers(wait func(), random func(n int) int) (all []*observer) {
	slow := func() {
		if random(4) == 0 {
			wait()
		}
	}
	sometimes := func(odds int) func() bool { return func() bool { return random(odds) == 0 } }
	add := func(name string, o *observer) {
		o.name, o.options.Progress = name, time.Millisecond
		if !o.options.State {
			o.options.From = 1
		}
		all = append(all, o)
	}
	add("fast", &observer{})
	add("fast with a small buffer", &observer{options: kv.SubscribeOptions{Buffer: 1}})
	add("slow", &observer{options: kv.SubscribeOptions{Buffer: 2}, pace: slow})
	add("slow with a large buffer", &observer{pace: slow})
	add("skipping", &observer{options: kv.SubscribeOptions{Buffer: 2, Slow: kv.SlowSkip}, pace: slow})
	add("skipping with a filter", &observer{options: kv.SubscribeOptions{Buffer: 1, Slow: kv.SlowSkip,
		Filters: []kv.Filter{{Group: kv.Prefix("a")}}}, pace: slow})
	add("ended when slow", &observer{options: kv.SubscribeOptions{Buffer: 2, Slow: kv.SlowEnd}, pace: slow})
	add("resuming", &observer{leave: sometimes(5)})
	add("resuming after each event", &observer{options: kv.SubscribeOptions{Filters: []kv.Filter{{Key: kv.Exactly("k")}}}, leave: sometimes(2)})
	add("resuming midway", &observer{leave: sometimes(7), midway: true})
	add("slow and resuming", &observer{options: kv.SubscribeOptions{Buffer: 1}, pace: slow, leave: sometimes(7), midway: true})
	matches := map[string]kv.Match{"any": {}, "exactly": kv.Exactly("a"), "prefix": kv.Prefix("ab")}
	keys := map[string]kv.Match{"any": {}, "exactly": kv.Exactly("k"), "prefix": kv.Prefix("k")}
	for groupName, group := range matches {
		for keyName, key := range keys {
			add("filtered by group "+groupName+", key "+keyName, &observer{options: kv.SubscribeOptions{Filters: []kv.Filter{{Group: group, Key: key}}}})
		}
	}
	add("filtered by the empty names", &observer{options: kv.SubscribeOptions{Filters: []kv.Filter{{Group: kv.Exactly(""), Key: kv.Exactly("")}}}})
	add("filtered by overlapping filters", &observer{options: kv.SubscribeOptions{Buffer: 2, Filters: []kv.Filter{
		{Group: kv.Prefix("a")}, {Group: kv.Prefix("ab"), Key: kv.Exactly("k")}, {Key: kv.Prefix("k")},
		{Group: kv.Exactly("a"), Key: kv.Exactly("k")}, {Group: kv.Prefix("a\xff")}}}})
	add("filtered by a namespace", &observer{options: kv.SubscribeOptions{Filters: []kv.Filter{{Group: kv.Prefix("tight:")}}}})
	return all
}

// lockedRandom is a source for several goroutines.
func lockedRandom(seed uint64) func(n int) int {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, seed))
	return func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}
}

// TestEverySubscriberIsToldEverything: some goroutines do everything at random,
// all kinds of subscribers listen, and what each of them was told is held
// against the log.
func TestEverySubscriberIsToldEverything(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) { everythingIsTold(t, path, testkit.NewFaults(), 0) })
}

// TestSubscribersOfAFailingStore: and so they are when every step of every actor
// fails now and then.
func TestSubscribersOfAFailingStore(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) { everythingIsTold(t, path, testkit.NewFaults(), 40) })
}

func everythingIsTold(t *testing.T, path string, faults *testkit.Faults, odds int) {
	const seed = 3
	e := open(t, Config{Path: path, Durability: kv.DurabilityBuffered, PurgeInterval: time.Millisecond, Failpoint: faults.Hook})
	tokens, hurried := make(chan struct{}), make(chan struct{})
	wait := func() {
		select {
		case <-hurried: // for a start no observer is slow
			<-tokens
		default:
		}
	}
	all := observers(wait, lockedRandom(seed))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer func() {
		cancel()
		testkit.Within(t, "the subscribers' end", running.Wait)
	}()
	faults.Scatter(seed, odds)
	mix(t, e, seed, func(steps int) { // they come while others write
		if n := steps / 20; steps%20 == 0 && n < len(all) {
			running.Go(func() { all[n].run(ctx, e) })
		}
	})
	allReach(t, e, all)
	close(hurried)
	mix(t, e, seed+1, func(steps int) {
		select {
		case tokens <- struct{}{}:
		default:
		}
	})
	faults.Scatter(seed, 0)
	close(tokens)
	current := allReach(t, e, all)
	log := readLog(t, e)
	require.Greater(t, len(log), 200)
	gaps := 0
	for _, o := range all {
		a, err := o.account(log, current)
		require.NoError(t, err, o.name)
		verify(t, o.name, a)
		for _, heard := range a.told {
			if heard.Type == kv.EventGap {
				gaps++
			}
		}
	}
	require.NotZero(t, gaps, "no observer was ever slow")
}

// mix has some goroutines do everything at random, and calls each after every
// step, with how many were made.
func mix(t *testing.T, e *Engine, seed uint64, each func(steps int)) {
	t.Helper()
	const writers, steps = 8, 100
	var mu sync.Mutex
	var writing sync.WaitGroup
	made := 0
	for id := range writers {
		m := &mixer{e: e, random: rand.New(rand.NewPCG(seed, uint64(id)))}
		writing.Go(func() {
			for range steps {
				m.step()
				mu.Lock()
				each(made)
				made++
				mu.Unlock()
			}
		})
	}
	testkit.Within(t, "the writers", writing.Wait)
}

// allReach waits until every observer was told everything up to a revision.
func allReach(t *testing.T, e *Engine, all []*observer) (revision uint64) {
	t.Helper()
	testkit.Until(t, "a write", func() bool {
		outcome, err := e.Apply(context.Background(), set("at last", "k", "v"))
		revision = outcome.Revision
		return err == nil
	})
	for _, o := range all {
		testkit.Until(t, o.name, func() bool { return o.position() >= revision || o.failed() != nil })
	}
	return revision
}
