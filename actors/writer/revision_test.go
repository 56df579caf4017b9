package writer

import (
	"fmt"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// logRows is the whole log, checked to be dense.
func (b *bench) logRows() []kv.LogRow {
	b.t.Helper()
	rows, err := b.database.Reads().Log(b.t.Context(), 0, 1<<30)
	require.NoError(b.t, err)
	for i := range rows {
		require.LessOrEqual(b.t, rows[i].First, rows[i].Last)
		if i > 0 {
			require.Equal(b.t, rows[i-1].Last+1, rows[i].First, "dense")
		}
	}
	return rows
}

// logged is what the log says from a revision on.
func (b *bench) logged(from uint64) (events []kv.Event) {
	b.t.Helper()
	for _, row := range b.logRows() {
		decoded, err := commitlog.Decode(nil, row)
		require.NoError(b.t, err)
		for i, e := range decoded {
			require.GreaterOrEqual(b.t, e.Revision, row.First)
			if i > 0 {
				require.LessOrEqual(b.t, e.Revision-decoded[i-1].Revision, uint64(1), "dense")
			}
			if e.Revision >= from {
				events = append(events, e)
			}
		}
	}
	return events
}

func revisions(events []kv.Event) (all []uint64) {
	for _, e := range events {
		all = append(all, e.Revision)
	}
	return all
}

func batch(operations ...kv.Operation) kv.Mutation {
	return kv.Mutation{Kind: kv.Batch, Operations: operations}
}

// TestOneRevisionARequest: a request that changes something has one, shared by
// all that it does; one that changes nothing has none and leaves no row.
func TestOneRevisionARequest(t *testing.T) {
	prefix := kv.Mutation{Kind: kv.DeletePrefix, Range: kv.PrefixRange("p")}
	purgeAll := kv.Mutation{Kind: kv.PurgeExpired, Range: kv.PrefixRange(""), Limit: 10}
	for name, c := range map[string]struct {
		mutation kv.Mutation
		want     []string // what it does; none: nothing
		err      error
	}{
		"set":                 {set("g", "new"), []string{"set g/new"}, nil},
		"set to what it was":  {set("g", "k"), []string{"set g/k"}, nil},
		"set of a dead key":   {set("dead", "1"), []string{"expire dead/1", "set dead/1"}, nil},
		"delete":              {kv.Mutation{Kind: kv.Delete, Group: "g", Key: "k"}, []string{"delete g/k"}, nil},
		"delete of nothing":   {kv.Mutation{Kind: kv.Delete, Group: "g", Key: "nobody"}, nil, nil},
		"delete of the dead":  {kv.Mutation{Kind: kv.Delete, Group: "dead", Key: "1"}, []string{"expire dead/1"}, nil},
		"delete group":        {kv.Mutation{Kind: kv.DeleteGroup, Group: "p1"}, []string{"delete_group p1/"}, nil},
		"delete empty group":  {kv.Mutation{Kind: kv.DeleteGroup, Group: "nobody"}, nil, nil},
		"delete prefix":       {prefix, []string{"delete_group p1/", "delete_group p2/", "delete_group p3/"}, nil},
		"delete empty prefix": {kv.Mutation{Kind: kv.DeletePrefix, Range: kv.PrefixRange("nobody")}, nil, nil},
		"purge":               {purgeAll, []string{"expire dead/1", "expire dead/2"}, nil},
		"purge of nothing":    {kv.Mutation{Kind: kv.PurgeExpired, Range: kv.PrefixRange("g"), Limit: 10}, nil, nil},
		"touch":               {ttl(kv.Mutation{Kind: kv.Touch, Group: "g", Key: "k"}, time.Hour), []string{"set g/k"}, nil},
		"touch of nobody":     {ttl(kv.Mutation{Kind: kv.Touch, Group: "g", Key: "nobody"}, time.Hour), nil, kv.NotFoundError},
		"touch of the dead":   {ttl(kv.Mutation{Kind: kv.Touch, Group: "dead", Key: "1"}, time.Hour), nil, kv.NotFoundError},
		"persist":             {kv.Mutation{Kind: kv.Touch, Group: "g", Key: "k"}, nil, nil},
		"increment":           {kv.Mutation{Kind: kv.Increment, Group: "g", Key: "n", Delta: 1}, []string{"set g/n"}, nil},
		"increment of a text": {kv.Mutation{Kind: kv.Increment, Group: "g", Key: "k", Delta: 1}, nil, kv.NotANumberError},
		"empty batch":         {batch(), nil, nil},
		"batch": {batch(kv.Operation{Group: "g", Key: "a"}, kv.Operation{Kind: kv.Delete, Group: "g", Key: "k"}, kv.Operation{Kind: kv.DeletePrefix, Group: "p", Range: kv.PrefixRange("p2")}),
			[]string{"set g/a", "delete g/k", "delete_group p2/"}, nil},
		"batch of nothings": {batch(kv.Operation{Kind: kv.Delete, Group: "g", Key: "nobody"}, kv.Operation{Kind: kv.DeleteGroup, Group: "nobody"}), nil, nil},
		"failing batch":     {batch(kv.Operation{Group: "g", Key: "a"}, kv.Operation{Kind: kv.Increment, Group: "g", Key: "k", Delta: 1}), nil, kv.NotANumberError},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, options{})
			require.NoError(t, b.apply(batch(kv.Operation{Group: "g", Key: "k", Value: "v"}, kv.Operation{Group: "p1", Key: "k"},
				kv.Operation{Group: "p2", Key: "k"}, kv.Operation{Group: "p3", Key: "k"},
				kv.Operation{Group: "dead", Key: "1", HasTTL: true, TimeToLive: time.Second},
				kv.Operation{Group: "dead", Key: "2", HasTTL: true, TimeToLive: time.Second})).err)
			b.source.Advance(time.Minute)
			got := b.apply(c.mutation)
			require.ErrorIs(t, got.err, c.err)
			require.Equal(t, c.want, kinds(got.Events))
			require.Equal(t, c.want, kinds(b.logged(2)), "the log says what the events say")
			last := uint64(1)
			if c.want != nil {
				last = 2
				require.Equal(t, last, got.Revision)
			} else {
				require.Zero(t, got.Revision)
			}
			for _, e := range b.logged(2) {
				require.Equal(t, last, e.Revision)
			}
			require.Len(t, b.logRows(), int(last))
			b.settle()
			require.Equal(t, last, b.announced.Load())
			after := b.apply(set("g", "after"))
			require.NoError(t, after.err)
			require.Equal(t, last+1, after.Revision, "nothing was left out")
		})
	}
}

// TestRevisionsInArrivalOrder: a group commit has one row in the log, with a
// revision for each request that changed something, in the order in which they
// came.
func TestRevisionsInArrivalOrder(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		gate := newFlushGate()
		b := start(t, options{path: path, hook: gate.hook})
		missing := ttl(kv.Mutation{Kind: kv.Touch, Group: "g", Key: "nobody"}, time.Hour)
		results := gate.together(b, set("g", "1"), missing, set("g", "2"),
			kv.Mutation{Kind: kv.Delete, Group: "g", Key: "nobody"}, batch(items("h", "a", "b")...), set("g", "3"))
		var got []uint64
		for _, r := range results {
			got = append(got, r.Revision)
		}
		require.Equal(t, []uint64{1, 0, 2, 0, 3, 4}, got)
		rows := b.logRows()
		require.Len(t, rows, 1)
		require.Equal(t, [2]uint64{1, 4}, [2]uint64{rows[0].First, rows[0].Last})
		require.Equal(t, b.source.Now().UnixMilli(), rows[0].At)
		require.Equal(t, []string{"set g/1", "set g/2", "set h/a", "set h/b", "set g/3"}, kinds(b.logged(0)))
		require.Equal(t, []uint64{1, 2, 3, 3, 4}, revisions(b.logged(0)))
	})
}

// TestTheLogNeedsNoAudience: with no listener the same is in the log.
func TestTheLogNeedsNoAudience(t *testing.T) {
	b := start(t, options{})
	b.mu.deaf = true
	for _, m := range []kv.Mutation{set("g", "k"), ttl(set("g", "l"), time.Hour), {Kind: kv.DeleteGroup, Group: "g"}} {
		got := b.apply(m)
		require.NoError(t, got.err)
		require.Empty(t, got.Events)
		require.NotZero(t, got.Revision)
	}
	events := b.logged(0)
	require.Equal(t, []string{"set g/k", "set g/l", "delete_group g/"}, kinds(events))
	require.Equal(t, b.source.Now().Add(time.Hour).UnixMilli(), events[1].ExpiresAt.UnixMilli())
}

// TestRevisionsAfterAnUnknownOutcome: the writer does not go by what it meant
// to commit. Whether the commit was made or not, the next revision is the one
// after what the database holds.
func TestRevisionsAfterAnUnknownOutcome(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		b := start(t, options{path: path})
		require.NoError(t, b.apply(set("g", "1")).err)
		fails := true
		panicOnce := func() {
			if fails {
				fails = false
				panic("around COMMIT")
			}
		}
		b.settle()
		b.faulty.after = panicOnce // it was made
		require.ErrorIs(t, b.apply(set("g", "2")).err, kv.UnknownOutcomeError)
		require.Equal(t, uint64(3), b.apply(set("g", "3")).Revision)
		b.settle()
		fails, b.faulty.after, b.faulty.before = true, nil, panicOnce // it was not
		require.ErrorIs(t, b.apply(set("g", "4")).err, kv.RolledBackError)
		require.Equal(t, uint64(4), b.apply(set("g", "5")).Revision)
		require.Equal(t, []string{"set g/1", "set g/2", "set g/3", "set g/5"}, kinds(b.logged(0)))
		require.Equal(t, []uint64{1, 2, 3, 4}, revisions(b.logged(0)))
	})
}

// TestPanicsKeepTheLogWhole: whatever step fails, the log holds what was
// committed and nothing else.
func TestPanicsKeepTheLogWhole(t *testing.T) {
	for _, step := range []string{"writer.accept", "writer.begin", "writer.apply", "writer.seal", "writer.commit", "writer.committed", "writer.publish"} {
		t.Run(step, func(t *testing.T) {
			eachStorage(t, func(t *testing.T, path string) {
				faults := testkit.NewFaults()
				b := start(t, options{path: path, hook: faults.Hook})
				want, last := []string{"set g/0"}, uint64(1)
				require.NoError(t, b.apply(set("g", "0")).err)
				for i := 1; i < 4; i++ {
					b.settle()
					faults.Plan(step, 1)
					if got := b.apply(set("g", fmt.Sprint(i))); got.err == nil {
						want, last = append(want, fmt.Sprint("set g/", i)), last+1
						require.Equal(t, last, got.Revision)
					} else {
						require.ErrorIs(t, got.err, kv.RolledBackError)
					}
				}
				b.settle()
				require.Equal(t, last, b.announced.Load())
				require.Equal(t, want, kinds(b.logged(0)))
			})
		})
	}
}

// TestFaultsOfTheLog: if the log can't be written nothing is.
func TestFaultsOfTheLog(t *testing.T) {
	for _, method := range []string{"AppendLog", "OldestLog", "TrimLog"} {
		for _, lose := range []bool{false, true} {
			t.Run(fmt.Sprint(method, "/", lose), func(t *testing.T) {
				b := start(t, options{retention: kv.Retention{Revisions: 1, Bytes: 1 << 20, Age: time.Hour}})
				require.Equal(t, uint64(1), b.apply(set("g", "before")).Revision)
				b.next(method)
				b.faulty.lose = lose
				got := b.apply(set("g", "k"))
				require.ErrorIs(t, got.err, errDisk)
				require.ErrorContains(t, got.err, "the log")
				require.Empty(t, got.Events)
				b.settle()
				require.Zero(t, b.faulty.fail[method])
				require.False(t, b.has("g", "k"))
				require.Equal(t, []string{"set g/before"}, kinds(b.logged(0)))
				require.Equal(t, uint64(2), b.apply(set("g", "after")).Revision)
				require.Equal(t, []string{"set g/after"}, kinds(b.logged(0)))
			})
		}
	}
}

// TestLogOfUnknownExtent: until the writer knows where the log ends it gives no
// revision, so nothing can be written. Then everything goes on.
func TestLogOfUnknownExtent(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		b := start(t, options{path: path})
		require.NoError(t, b.apply(set("g", "1")).err)
		b.next("LogExtent")
		b.faulty.fail["LogExtent"] = 3 // by the new incarnation, and by two commits
		require.ErrorIs(t, b.apply(kv.Mutation{Kind: 99}).err, kv.RolledBackError)
		for range 2 {
			got := b.apply(set("g", "refused"))
			require.ErrorIs(t, got.err, errDisk)
			require.ErrorContains(t, got.err, "read the log")
		}
		require.Equal(t, uint64(2), b.apply(set("g", "2")).Revision)
		require.Equal(t, []string{"set g/1", "set g/2"}, kinds(b.logged(0)))
	})
}
