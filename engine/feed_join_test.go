package engine

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// TestJoinBetweenTheWritersLookAndCommit: no subscriber listened when the writer began
// a batch. One comes before COMMIT, and finds nothing in the log to its end.
// The events must come by memory.
func TestJoinBetweenTheWritersLookAndCommit(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		pause := testkit.NewPause("writer.commit")
		e := open(t, Config{Path: path, Failpoint: pause.Hook})
		write := send(context.Background(), e, set("g", "k", "v"))
		testkit.Await(t, "the moment before COMMIT", pause.Reached)
		s := e.actors.notifier.Subscribe([]kv.Filter{{}}, 8)
		defer e.actors.notifier.Unsubscribe(s)
		behind := s.Behind()
		rows, err := e.reads.Log(context.Background(), 1, feedBytes)
		require.NoError(t, err)
		require.Empty(t, rows)
		require.True(t, s.CaughtUp(behind))
		close(pause.Resume)
		require.NoError(t, testkit.Await(t, "the write", write).err)
		chunk := testkit.Await(t, "the events", s.Chunks)
		require.Len(t, chunk, 1)
		require.EqualValues(t, 1, chunk[0].Revision)
		require.Zero(t, s.Behind())
	})
}

// inCommit are the steps of a batch, in their order, up to its answer.
var inCommit = []string{"writer.accept", "writer.begin", "writer.apply", "writer.seal", "writer.commit", "writer.committed", "writer.publish"}

// TestJoinAtEveryStepOfACommit: subscribers of all kinds come while a batch
// stands still at one of its steps, with and without others listening. Each is
// told of it once, unless it is in the state that the loop begins with, and of the next.
func TestJoinAtEveryStepOfACommit(t *testing.T) {
	for _, step := range inCommit {
		for _, others := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/others=%v", step, others), func(t *testing.T) {
				pause := testkit.NewPause("")
				e := open(t, Config{Failpoint: func(hit string) {
					if hit == step {
						pause.Hook("")
					}
				}})
				first := send(context.Background(), e, set("g", "k", "1"))
				testkit.Await(t, "the first batch", pause.Reached)
				pause.Resume <- struct{}{}
				require.NoError(t, testkit.Await(t, "the first write", first).err)
				if others {
					e.Watch("", "g", "k")
				}
				pause.Again()
				write := send(context.Background(), e, set("g", "k", "2"))
				testkit.Await(t, step, pause.Reached)
				resumed := subscribe(t, e, kv.SubscribeOptions{From: 2})
				all := subscribe(t, e, kv.SubscribeOptions{From: 1, Buffer: 1, Filters: []kv.Filter{{Group: kv.Prefix("g")}}})
				require.Equal(t, "1", all.next().Value)
				state := subscribe(t, e, kv.SubscribeOptions{State: true})
				begins := state.next()
				require.Equal(t, kv.EventSynced, state.next().Type)
				close(pause.Resume)
				require.NoError(t, testkit.Await(t, "the write", write).err)
				must(t, e, set("g", "k", "3"))
				for _, s := range []*handOver{resumed, all, state} {
					for _, want := range []string{"2", "3"} {
						if s == state && begins.Value == want {
							continue
						}
						require.Equal(t, want, s.next().Value)
					}
				}
			})
		}
	}
}

// TestFailureBetweenCommitAndHandOver: an actor fails when a batch is committed
// and the listeners have not been told, or not all of them. They are told once.
func TestFailureBetweenCommitAndHandOver(t *testing.T) {
	for _, step := range []string{"writer.committed", "writer.publish", "notifier.deliver", "notifier.delivered"} {
		t.Run(step, func(t *testing.T) {
			eachStorage(t, func(t *testing.T, path string) {
				faults := testkit.NewFaults()
				e := open(t, Config{Path: path, Failpoint: faults.Hook, Durability: kv.DurabilityBuffered})
				var all []*handOver
				for _, policy := range []kv.SlowPolicy{kv.SlowCatchUp, kv.SlowSkip, kv.SlowEnd} {
					all = append(all, subscribe(t, e, kv.SubscribeOptions{Slow: policy}),
						subscribe(t, e, kv.SubscribeOptions{Slow: policy, Filters: []kv.Filter{{Key: kv.Exactly("k")}, {Group: kv.Prefix("g")}}}))
				}
				for i := range 30 {
					if i%10 == 5 {
						faults.Plan(step, 1)
					}
					must(t, e, set("g", "k", fmt.Sprint(i))) // it was committed: the caller is told so
					for n, s := range all {
						require.Equal(t, fmt.Sprint(i), s.next().Value, "subscriber %d", n)
					}
				}
				_, panics := faults.Hits(step)
				require.Equal(t, 3, panics)
			})
		})
	}
}

// TestNothingIsLeftOfALoop: however it ends, the notifier knows of it no more.
func TestNothingIsLeftOfALoop(t *testing.T) {
	e := open(t, Config{Retention: kv.Retention{Revisions: 1}})
	for range 3 {
		must(t, e, set("g", "k", "v"))
	}
	ctx, cancel := context.WithCancel(context.Background())
	loop := func(options kv.SubscribeOptions, body func()) func() {
		return func() {
			for _, err := range e.Subscribe(ctx, context.Background(), options) {
				if err == nil {
					body()
				}
			}
		}
	}
	listening := func() {
		if !e.actors.notifier.Listening() {
			t.Error("a subscriber of which no actor knows")
		}
	}
	last := kv.SubscribeOptions{From: 3}
	for name, run := range map[string]func(){
		"break": func() {
			for range e.Subscribe(ctx, context.Background(), last) {
				listening()
				break
			}
		},
		"panic": func() {
			defer func() { _ = recover() }()
			loop(last, func() { listening(); panic("in the body") })()
		},
		"the end of the goroutine":   loop(last, func() { listening(); runtime.Goexit() }),
		"an error at first":          loop(kv.SubscribeOptions{From: 9}, nil),
		"an error later":             loop(kv.SubscribeOptions{From: 1}, nil),
		"the end of the context":     loop(last, func() { listening(); cancel() }),
		"a context that has ended":   loop(last, nil),
		"no loop":                    func() { e.Subscribe(context.Background(), context.Background(), kv.SubscribeOptions{}) },
		"a state left in the middle": loop(kv.SubscribeOptions{State: true}, runtime.Goexit),
	} {
		if ctx.Err() != nil {
			ctx, cancel = context.WithCancel(context.Background())
		}
		if name == "a context that has ended" {
			cancel()
		}
		testkit.Within(t, name, run)
		require.False(t, e.actors.notifier.Listening(), name)
	}
	cancel()
}
