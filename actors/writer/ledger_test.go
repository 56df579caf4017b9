package writer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// TestCountAndBookingsAreExact: while a namespace is being counted, elsewhere
// and slowly, it is written to. What the count found and what was booked since
// its snapshot make the exact figure.
func TestCountAndBookingsAreExact(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		b, quota := start(t, options{path: path, hold: true}), kv.QuotaConfig{MaxKeys: 10}
		for i := range 6 {
			require.NoError(t, b.apply(set(fmt.Sprint("n:", i%3), fmt.Sprint(i))).err)
		}
		parked := b.send(within(set("n:new", "k"), "n", quota))
		pending := testkit.Await(t, "the count", b.counts)
		another := b.send(within(set("n:new", "l"), "n", quota))
		for _, m := range []kv.Mutation{
			set("n:0", "6"), set("n:0", "0"), set("n:3", "7"),
			{Kind: kv.DeleteGroup, Group: "n:1"},
			{Kind: kv.Delete, Group: "n:2", Key: "2"},
			{Kind: kv.Delete, Group: "n:2", Key: "5"},
			ttl(set("n:4", "8"), -time.Second),
			{Kind: kv.PurgeExpired, Range: kv.NamespaceRange("n"), Limit: PurgeChunk},
		} {
			require.NoError(t, b.apply(m).err, "no other waits for the count")
		}
		require.Empty(t, b.counts, "one count is enough")
		_, known := b.told("n")
		require.False(t, known)
		pending.count()
		require.NoError(t, testkit.Await(t, "the write that waited", parked).err)
		require.NoError(t, testkit.Await(t, "the other one", another).err)
		usage, _ := b.told("n")
		require.Equal(t, kv.Usage{Keys: 6, Groups: 3}, usage)
		require.Equal(t, b.stored("n"), usage)
	})
}

func TestCountThatFailsAnswersWaitingCallers(t *testing.T) {
	b, quota := start(t, options{hold: true}), kv.QuotaConfig{MaxKeys: 10}
	first, second := b.send(within(set("n:g", "k"), "n", quota)), b.send(within(set("n:g", "l"), "n", quota))
	pending := testkit.Await(t, "the count", b.counts)
	b.settle() // the second one is received, and its flush is in the mailbox
	b.settle() // it is parked too
	pending.snapshot.Close()
	cause := errors.New("damaged page")
	pending.answer(kv.Usage{}, cause)
	require.ErrorIs(t, testkit.Await(t, "the first", first).err, cause)
	require.ErrorIs(t, testkit.Await(t, "the second", second).err, cause)
	require.Zero(t, b.stored("n"))

	again := b.send(within(set("n:g", "k"), "n", quota))
	testkit.Await(t, "another count", b.counts).count()
	require.NoError(t, testkit.Await(t, "the write", again).err)
	usage, _ := b.told("n")
	require.Equal(t, kv.Usage{Keys: 1, Groups: 1}, usage)
}

// TestFailureWhileParkedJobsGoOn: they leave the account one by one; a failure
// at the first must not lose the others.
func TestFailureWhileParkedJobsGoOn(t *testing.T) {
	faults := testkit.NewFaults()
	b, quota := start(t, options{hold: true, hook: faults.Hook}), kv.QuotaConfig{MaxKeys: 100}
	var parked []<-chan result
	for i := range 5 {
		parked = append(parked, b.send(within(set("n:g", fmt.Sprint(i)), "n", quota)))
	}
	pending := testkit.Await(t, "the count", b.counts)
	b.settle()
	faults.Plan("writer.accept", 1)
	pending.count()
	for i, p := range parked {
		if got := testkit.Await(t, "a parked write", p); got.err != nil {
			require.ErrorIs(t, got.err, kv.RolledBackError, "parked write %d", i)
		}
	}
	require.Zero(t, b.gate.InFlight())
}

// TestFiguresAgreeWithTheRows drives random mutations, refused ones and expiry
// among them, and after each compares the published figures with what really
// takes rows, and the live rows with a model.
func TestFiguresAgreeWithTheRows(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			b := start(t, options{})
			random := rand.New(rand.NewPCG(seed, 7))
			model := newShadow(b.source)
			namespaces := []string{"n", "m", "loose"}
			quotas := map[string]kv.QuotaConfig{"n": {MaxKeys: 12}, "m": {MaxKeys: 20, MaxGroups: 3}, "loose": {}}
			for step := range 400 {
				namespace := namespaces[random.IntN(3)]
				m := randomMutation(random, namespace)
				if random.IntN(2) == 0 && (m.Kind == kv.Set || m.Kind == kv.Batch) {
					m = within(m, namespace, quotas[namespace])
				}
				got := b.apply(m)
				require.Equal(t, model.allows(m), got.err == nil, "seed %d, step %d: %+v: %v", seed, step, m, got.err)
				if got.err != nil {
					require.ErrorIs(t, got.err, kv.QuotaExceededError)
				} else {
					model.apply(m)
				}
				for _, namespace := range namespaces {
					if usage, known := b.told(namespace); known {
						require.Equal(t, b.stored(namespace), usage, "seed %d, step %d, %+v", seed, step, m)
					}
					live, err := b.database.Reads().Usage(t.Context(), kv.NamespaceRange(namespace), b.source.Now().UnixMilli())
					require.NoError(t, err)
					require.Equal(t, model.usage(namespace), live, "seed %d, step %d, %+v", seed, step, m)
				}
				if random.IntN(4) == 0 {
					b.source.Advance(time.Duration(random.IntN(1500)) * time.Millisecond)
				}
			}
			_, known := b.told("n")
			require.True(t, known)
		})
	}
}
