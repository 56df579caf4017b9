package outbox

import (
	"errors"
	"fmt"
	"testing"

	"forge.lthn.ai/core/go-store/api"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// mute is a receiver's process that takes everything and answers nothing.
type mute struct{}

func (mute) SendUserMessage(*actor.PID, any)   {}
func (mute) SendSystemMessage(*actor.PID, any) {}
func (mute) Stop(*actor.PID)                   {}

// stepped is a lane that a test runs step by step, with the IDs of messages that were read.
// Every timeout and pause is over at once.
func stepped(t *testing.T, messages int, rested *rest, options Options) (l *lane, ids []string) {
	store, err := api.New(":memory:")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	for i := range messages {
		require.NoError(t, store.Tell("orders", fmt.Sprint(i)))
	}
	page, err := store.OutboxPage("orders", "", messages)
	require.NoError(t, err)
	for _, m := range page {
		ids = append(ids, m.ID)
	}
	system := quietSystem(t)
	o, err := prepare(store, system, options)
	require.NoError(t, err)
	t.Cleanup(o.cancel)
	o.self = actor.NewPID(system.Address(), "self")
	system.ProcessRegistry.Add(mute{}, "orders")
	o.options.Timeout, o.options.FirstPause, o.options.LastPause = -1, -1, -1
	l = newLane(o, "orders")
	if rested != nil {
		rested.first, rested.last = ids[0], ids[messages-1]
		for i, n := range rested.acks {
			rested.acks[i] = ids[n[0]-'0']
		}
		l.resume(rested)
	}
	l.woken("")
	l.collect()
	l.fill()
	return l, ids
}

func attempts(l *lane) (all []int) {
	for _, f := range l.window {
		all = append(all, f.attempt)
	}
	return all
}

func dead(t *testing.T, l *lane) []api.OutboxMessage {
	page, err := l.outbox.store.DeadPage(l.address, "", 1000)
	require.NoError(t, err)
	return page
}

// TestAnAnswerHasAttemptsCountAnew: of messages behind it, not of those that were passed over.
func TestAnAnswerHasAttemptsCountAnew(t *testing.T) {
	t.Run("with a place", func(t *testing.T) {
		l, ids := stepped(t, 4, nil, Options{})
		for range 3 {
			l.lapse()
			l.send()
		}
		require.Equal(t, []int{3, 3, 3, 3}, attempts(l))
		require.True(t, l.acknowledged(ids[1]))
		l.collect()
		require.Equal(t, []int{3, 1, 1}, attempts(l))
	})
	for name, c := range map[string]struct {
		acks []string
		want []int
	}{
		"without a place, none":       {nil, []int{19, 19, 19}},
		"without a place, the first":  {[]string{"0"}, []int{1, 1}},
		"without a place, the second": {[]string{"1"}, []int{19, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := stepped(t, 3, &rest{attempts: 19, failures: 19, acks: c.acks}, Options{})
			require.Equal(t, c.want, attempts(l))
		})
	}
}

// TestWhatIsPassedOverIsGivenUpAlone: it does not stand for what is behind it, whatever the
// receiver does next.
func TestWhatIsPassedOverIsGivenUpAlone(t *testing.T) {
	const messages, passed = 100, 20
	for name, step := range map[string]func(*lane){
		"silent": func(l *lane) { l.lapse(); l.send() },
		"gone": func(l *lane) {
			l.outbox.options.Resolve = func(string) (*actor.PID, error) { return nil, errors.New("gone") }
			l.again()
			l.send()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, ids := stepped(t, messages, nil, Options{Window: passed + 10, Attempts: 6})
			for i := range 5 { // passed over
				l.send()
				require.True(t, l.acknowledged(ids[passed+i]))
				l.collect()
				l.lapse()
			}
			l.send()
			require.Equal(t, 6, l.window[0].attempt)
			step(l)
			require.Nil(t, l.lost, "its first failure")
			require.LessOrEqual(t, len(dead(t, l)), passed)
			for len(l.window) > 0 { // and then nothing is answered any more
				step(l)
				l.fill()
			}
			require.Len(t, dead(t, l), messages-5)
		})
	}
}

// TestAMessageThatEndsItsReceiverIsGivenUpAlone: what is behind it was never taken, and the
// address had a receiver each time.
func TestAMessageThatEndsItsReceiverIsGivenUpAlone(t *testing.T) {
	l, ids := stepped(t, 10, nil, Options{Window: 4, Attempts: 5})
	for range 4 {
		l.send()
		l.terminated()
		l.collect()
		require.Empty(t, dead(t, l))
	}
	l.send()
	l.terminated()
	l.collect()
	require.False(t, l.deaf())
	given := dead(t, l)
	require.Len(t, given, 1)
	require.Equal(t, ids[0], given[0].ID)
	require.Equal(t, "its receiver has ended each time", given[0].Reason)
	l.fill()
	l.send()
	require.True(t, l.acknowledged(ids[1]))
	l.collect()
	require.Equal(t, []int{1, 1, 1}, attempts(l))
}

// TestTheFirstAnswerCounts: of two to one message, with a place and without.
func TestTheFirstAnswerCounts(t *testing.T) {
	for name, c := range map[string]struct {
		answers string // r: Reject, a: Ack
		reason  string
	}{
		"a refusal, then an acknowledgement": {"ra", "rejected: first"},
		"an acknowledgement, then a refusal": {"ar", ""},
		"two refusals":                       {"rr", "rejected: first"},
	} {
		for _, placed := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", placed ", placed), func(t *testing.T) {
				l, ids := stepped(t, 2, nil, Options{})
				l.send()
				resting := &rest{attempts: 1, first: ids[0], last: ids[1]}
				for i, answer := range c.answers {
					reason := []string{"first", "second"}[i]
					switch {
					case placed && answer == 'a':
						l.acknowledged(ids[0])
					case placed:
						l.rejected(ids[0], reason)
					case answer == 'a':
						resting.acknowledged(ids[0], 2)
					default:
						resting.rejected(ids[0], reason, 2)
					}
				}
				if !placed {
					l = newLane(l.outbox, l.address)
					l.resume(resting)
				}
				l.end()
				page := dead(t, l)
				if c.reason == "" {
					require.Zero(t, len(page))
				} else {
					require.Len(t, page, 1)
					require.Equal(t, c.reason, page[0].Reason)
				}
				left, err := l.outbox.store.OutboxPage(l.address, "", 10)
				require.NoError(t, err)
				require.Len(t, left, 1)
				require.Equal(t, ids[1], left[0].ID)
			})
		}
	}
}
