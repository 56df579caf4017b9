package writer

import (
	"fmt"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit/report"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// TestAccountsAreBounded: of very many namespaces only the accounts used last are
// kept, the projections are told which are not, and quotas hold as before.
func TestAccountsAreBounded(t *testing.T) {
	b, quota := start(t, options{}), kv.QuotaConfig{MaxKeys: 1}
	namespace := func(i int) string { return fmt.Sprint("n", i) }
	const many = maxAccounts + maxAccounts/2
	for i := range many {
		require.NoError(t, b.apply(within(set(namespace(i)+":g", "k"), namespace(i), quota)).err)
		if i%64 == 0 { // one that is in use all the time
			require.NoError(t, b.apply(within(set(namespace(0)+":g", "k"), namespace(0), quota)).err)
		}
	}
	b.settle()
	known := 0
	for i := range many {
		usage, told := b.told(namespace(i))
		if told {
			known++
			require.Equal(t, kv.Usage{Keys: 1, Groups: 1}, usage)
		}
	}
	require.LessOrEqual(t, known, maxAccounts)
	require.GreaterOrEqual(t, known, maxAccounts/2)
	_, told := b.told(namespace(0))
	require.True(t, told, "what is used all the time is kept")
	_, told = b.told(namespace(many - 1))
	require.True(t, told, "and what was used last")
	for i := range many {
		if _, told := b.told(namespace(i)); told {
			continue
		}
		require.ErrorIs(t, b.apply(within(set(namespace(i)+":g", "l"), namespace(i), quota)).err, kv.QuotaExceededError)
		require.NoError(t, b.apply(within(set(namespace(i)+":g", "k"), namespace(i), quota)).err)
		_, told = b.told(namespace(i))
		require.True(t, told)
		require.Equal(t, b.stored(namespace(i)), kv.Usage{Keys: 1, Groups: 1})
		break
	}
}

// TestRoomBesideManyExpiredRows: what has expired elsewhere makes a write at its limit
// neither slow nor wrong.
func TestRoomBesideManyExpiredRows(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		const tenants = 8
		elsewhere := report.Rounds(6_000, 60_000, 60_000)
		b, quota := start(t, options{path: path}), kv.QuotaConfig{MaxKeys: 4}
		for part := range 6 {
			m := kv.Mutation{Kind: kv.Batch}
			for i := range elsewhere / 6 {
				m.Operations = append(m.Operations, kv.Operation{Kind: kv.Set, Group: "elsewhere", Key: fmt.Sprint(part, "-", i),
					HasTTL: true, TimeToLive: time.Second})
			}
			require.NoError(t, b.apply(m).err)
		}
		namespace := func(i int) string { return fmt.Sprint("n", i) }
		for i := range tenants {
			n := namespace(i)
			require.NoError(t, b.apply(within(set(n+":g", "a"), n, quota)).err)
			require.NoError(t, b.apply(within(ttl(set(n+":g", "b"), time.Second), n, quota)).err)
			require.NoError(t, b.apply(within(ttl(set(n+":h", "c"), time.Second), n, quota)).err)
			require.NoError(t, b.apply(within(set(n+":g", "d"), n, quota)).err)
		}
		b.source.Jump(time.Minute)
		fastest, plain := time.Hour, time.Hour
		for i := range tenants {
			n := namespace(i)
			began := time.Now()
			require.NoError(t, b.apply(set("plain", n)).err)
			plain = min(plain, time.Since(began))
			began = time.Now()
			require.NoError(t, b.apply(within(set(n+":g", "e"), n, quota)).err)
			fastest = min(fastest, time.Since(began))
			require.NoError(t, b.apply(within(set(n+":g", "f"), n, quota)).err)
			require.ErrorIs(t, b.apply(within(set(n+":g", "g"), n, quota)).err, kv.QuotaExceededError)
			usage, _ := b.told(n)
			require.Equal(t, kv.Usage{Keys: 4, Groups: 1}, usage)
			require.Equal(t, b.stored(n), usage)
		}
		t.Logf("the fastest of them: %v; of writes without a quota: %v", fastest, plain)
		require.Less(t, fastest, 15*plain+time.Millisecond)
	})
}

// TestPurgeBesideManyExpiredRows: a purge of a namespace neither looks through what many
// others have left to expire, nor through its own rows more than once.
func TestPurgeBesideManyExpiredRows(t *testing.T) {
	const own = 2*PurgeChunk + 1
	for name, c := range map[string]struct {
		elsewhere         int
		counted, amongOwn bool
	}{
		"few of others":             {elsewhere: manyDead - own},
		"many of others":            {elsewhere: manyDead + 1, amongOwn: true},
		"less than a known one has": {elsewhere: own / 2, counted: true},
		"more than a known one has": {elsewhere: 3 * own, counted: true, amongOwn: true},
	} {
		t.Run(name, func(t *testing.T) {
			eachStorage(t, func(t *testing.T, path string) {
				b, live := start(t, options{path: path}), int64(own)
				write := func(group string, n int, ttl bool) {
					m := kv.Mutation{Kind: kv.Batch}
					for i := range n {
						m.Operations = append(m.Operations, kv.Operation{Kind: kv.Set, Group: group,
							Key: fmt.Sprintf("%05d %v", i, ttl), HasTTL: ttl, TimeToLive: time.Second})
					}
					require.NoError(t, b.apply(m).err)
				}
				write("elsewhere", c.elsewhere, true)
				write("n:g", own, true)
				write("n:g", own, false)
				if c.counted {
					require.NoError(t, b.apply(within(set("n:g", "k"), "n", kv.QuotaConfig{MaxKeys: 3 * own})).err)
					live++
				}
				b.source.Jump(time.Minute)
				b.settle()
				b.faulty.expired, b.faulty.deadFrom = 0, nil
				purge := kv.Mutation{Kind: kv.PurgeExpired, Range: kv.NamespaceRange("n"), Limit: PurgeChunk}
				removed, more := int64(0), true
				for more {
					got := b.apply(purge)
					require.NoError(t, got.err)
					removed, purge.From, more = removed+got.Removed, got.Next, got.More
				}
				b.settle()
				require.EqualValues(t, own, removed)
				require.Equal(t, kv.Usage{Keys: live, Groups: 1}, b.stored("n"))
				if !c.amongOwn {
					require.Equal(t, 3, b.faulty.expired)
					require.Empty(t, b.faulty.deadFrom)
					return
				}
				require.Zero(t, b.faulty.expired)
				at := func(i int) *kv.Key { return &kv.Key{Group: "n:g", Key: fmt.Sprintf("%05d true\x00", i*PurgeChunk-1)} }
				require.Equal(t, []*kv.Key{nil, at(1), at(2)}, b.faulty.deadFrom)
			})
		})
	}
}
