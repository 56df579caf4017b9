package writer

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// sender submits mutations of one lane, and does not wait for them.
type sender struct {
	b       *bench
	lane    uint64
	answers chan result
}

func (b *bench) sender(lane uint64) *sender {
	return &sender{b: b, lane: lane, answers: make(chan result, 100)}
}

func (s *sender) Answered(outcome kv.Outcome, err error) { s.answers <- result{outcome, err} }

func (s *sender) Lane() uint64 { return s.lane }

func (s *sender) submit(m kv.Mutation) {
	s.b.t.Helper()
	_, err := s.b.Submit(m, s)
	require.NoError(s.b.t, err)
}

// inOrder receives n answers, all without error, each of a later revision.
func (s *sender) inOrder(n int) {
	s.b.t.Helper()
	last := uint64(0)
	for i := range n {
		got := testkit.Await(s.b.t, "an answer", s.answers)
		require.NoError(s.b.t, got.err)
		require.Greater(s.b.t, got.Revision, last, "answer %d", i)
		last = got.Revision
	}
}

// row is what is stored under a key, "" if nothing is.
func (b *bench) row(group, key string) string {
	b.t.Helper()
	row, found, err := b.database.Reads().Get(b.t.Context(), group, key)
	require.NoError(b.t, err)
	if !found {
		return ""
	}
	return row.Value
}

func put(group, key, value string) kv.Mutation {
	return kv.Mutation{Kind: kv.Set, Group: group, Key: key, Value: value}
}

// TestParkedWritesKeepTheirOrder: what has no quota to be judged waits behind what has,
// if both are of one sender, and comes before what was sent later.
func TestParkedWritesKeepTheirOrder(t *testing.T) {
	b, quota := start(t, options{hold: true}), kv.QuotaConfig{MaxKeys: 100}
	one, other := b.sender(1), b.sender(3)
	one.submit(within(put("n:g", "k", "first"), "n", quota))
	one.submit(kv.Mutation{Kind: kv.Delete, Group: "n:g", Key: "k"})
	one.submit(put("m:g", "k", "elsewhere"))
	other.submit(put("m:g", "l", "v"))
	other.inOrder(1) // it does not wait for others' counts
	b.settle()
	require.Empty(t, b.row("m:g", "k"), "it has not overtaken")
	count := testkit.Await(t, "the count", b.counts)
	one.submit(within(put("n:g", "k", "last"), "n", quota))
	count.count()
	one.inOrder(4)
	require.Equal(t, "last", b.row("n:g", "k"))
}

// TestCountedComesBeforePending: what was parked is committed before what has arrived
// since, in the same commit even.
func TestCountedComesBeforePending(t *testing.T) {
	b, quota := start(t, options{hold: true}), kv.QuotaConfig{MaxKeys: 100}
	s := b.sender(1)
	for i := range 3 {
		s.submit(within(put("n:g", "k", fmt.Sprint(i)), "n", quota))
	}
	count := testkit.Await(t, "the count", b.counts)
	b.settle()
	// The request stands before the count's answer in the mailbox, its flush behind it.
	hold := make(chan struct{})
	b.system.Root.Send(b.to.PID, standing{hold: hold})
	s.submit(within(put("n:g", "k", "last"), "n", quota))
	count.count()
	close(hold)
	s.inOrder(4)
	require.Equal(t, "last", b.row("n:g", "k"))
}

// standing keeps the writer where it is.
type standing struct {
	probe
	hold chan struct{}
}

func (s standing) handle(*Actor) { <-s.hold }

// TestSetAsideWritesKeepTheirOrder: a request that waits for expired rows to be removed
// is not overtaken by its sender's next ones.
func TestSetAsideWritesKeepTheirOrder(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		b := start(t, options{path: path})
		for i := range 3 {
			var rows []kv.Operation
			for j := range maxDeadRows {
				rows = append(rows, kv.Operation{Kind: kv.Set, Group: "g", Key: fmt.Sprint(i, "-", j), HasTTL: true, TimeToLive: time.Second})
			}
			require.NoError(t, b.apply(kv.Mutation{Kind: kv.Batch, Operations: rows}).err)
		}
		require.NoError(t, b.apply(put("g", "alive", "v")).err)
		b.source.Advance(time.Minute)
		one, other := b.sender(1), b.sender(3)
		hold := make(chan struct{})
		b.system.Root.Send(b.to.PID, standing{hold: hold})
		one.submit(kv.Mutation{Kind: kv.DeleteGroup, Group: "g"})
		one.submit(put("g", "k", "mine"))
		other.submit(put("h", "k", "v"))
		close(hold)
		one.inOrder(2)
		other.inOrder(1)
		require.Equal(t, "mine", b.row("g", "k"))
		require.Empty(t, b.row("g", "alive"))
		b.settle()
	})
}

// TestRefusedCountLetsOthersGoOn: of a lane only that fails which needs the count.
func TestRefusedCountLetsOthersGoOn(t *testing.T) {
	b, quota := start(t, options{hold: true}), kv.QuotaConfig{MaxKeys: 100}
	s := b.sender(1)
	s.submit(within(put("n:g", "k", "first"), "n", quota))
	s.submit(put("n:g", "k", "second"))
	s.submit(within(put("m:g", "k", "third"), "m", quota))
	count := testkit.Await(t, "the count", b.counts)
	count.snapshot.Close()
	count.answer(kv.Usage{}, errors.New("damaged"))
	require.ErrorIs(t, testkit.Await(t, "the refusal", s.answers).err, kv.RolledBackError)
	s.inOrder(1)
	require.Equal(t, "second", b.row("n:g", "k"))
	testkit.Await(t, "the other count", b.counts).count()
	s.inOrder(1)
	require.Equal(t, "third", b.row("m:g", "k"))
}
