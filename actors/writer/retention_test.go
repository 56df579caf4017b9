package writer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// endless are bounds that no test reaches.
func endless() kv.Retention {
	return kv.Retention{Revisions: 1 << 30, Bytes: 1 << 40, Age: 1e5 * time.Hour}
}

// extent is what storage says that the log holds, compared with its rows.
func (b *bench) extent() storage.LogExtent {
	b.t.Helper()
	b.settle()
	extent, err := b.database.Writer().LogExtent() // the writer is idle
	require.NoError(b.t, err)
	rows, held := b.logRows(), int64(0)
	for _, row := range rows {
		held += int64(len(row.Record))
	}
	require.NotEmpty(b.t, rows)
	require.Equal(b.t, storage.LogExtent{First: rows[0].First, Last: rows[len(rows)-1].Last, Begin: extent.End - held,
		End: extent.End, Oldest: rows[0].At}, extent)
	require.Equal(b.t, extent.Last, b.announced.Load())
	return extent
}

// value is a set of so many bytes.
func value(key string, size int) kv.Mutation {
	m := set("g", key)
	m.Value = strings.Repeat("x", size)
	return m
}

// TestRetention: the log grows to a bound and 1/16 more, is then cut to the
// bound, and that again and again.
func TestRetention(t *testing.T) {
	const step = time.Second
	for name, c := range map[string]struct {
		narrow      func(*kv.Retention)
		measure     func(storage.LogExtent, time.Time) int64
		bound, last int64 // last: what the youngest row adds
	}{
		"revisions": {func(h *kv.Retention) { h.Revisions = 64 },
			func(e storage.LogExtent, _ time.Time) int64 { return int64(e.Last - e.First + 1) }, 64, 1},
		"bytes": {func(h *kv.Retention) { h.Bytes = 16_000 },
			func(e storage.LogExtent, _ time.Time) int64 { return e.End - e.Begin }, 16_000, 250},
		"age": {func(h *kv.Retention) { h.Age = 64 * step },
			func(e storage.LogExtent, now time.Time) int64 { return now.UnixMilli() - e.Oldest }, 64_000, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			eachTable(t, func(t *testing.T, path string) {
				retention := endless()
				c.narrow(&retention)
				b := start(t, options{path: path, retention: retention})
				trims, before := 0, int64(0)
				for i := range 200 {
					b.source.Advance(step)
					require.NoError(t, b.apply(value(fmt.Sprint(i), 200)).err)
					held := c.measure(b.extent(), b.source.Now())
					require.LessOrEqual(t, held, c.bound+c.bound/16)
					if held < before {
						trims++
						require.LessOrEqual(t, held, c.bound, "cut to the bound")
						require.Greater(t, held, c.bound-c.last-1, "and no further")
						require.Greater(t, before+c.last, c.bound+c.bound/16, "not before the slack is used up")
					}
					before = held
				}
				require.Greater(t, trims, 10)
				require.Less(t, trims, 60, "in chunks")
			})
		})
	}
}

// TestTheNewestCommitStays, whatever the bounds: it says what the last revision
// is.
func TestTheNewestCommitStays(t *testing.T) {
	for name, retention := range map[string]kv.Retention{
		"revisions": {Revisions: 1, Bytes: 1 << 40, Age: 1e5 * time.Hour},
		"bytes":     {Revisions: 1 << 30, Bytes: 1, Age: 1e5 * time.Hour},
		"age":       {Revisions: 1 << 30, Bytes: 1 << 40, Age: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			eachTable(t, func(t *testing.T, path string) {
				gate := newFlushGate()
				b := start(t, options{path: path, retention: retention, hook: gate.hook})
				for range 3 {
					gate.together(b, set("g", "1"), set("g", "2"), value("3", 1000))
					b.source.Advance(time.Hour)
					require.Len(t, b.logRows(), 1)
					extent := b.extent()
					require.Equal(t, uint64(2), extent.Last-extent.First)
				}
			})
		})
	}
}

// TestTrimsAreBounded: however much is surplus, a commit removes some of it
// only, and the next ones the rest.
func TestTrimsAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		commits, size, atOnce int // atOnce: rows that one commit may remove
	}{
		"by rows":  {2*trimRows + 50, 1, trimRows},
		"by bytes": {6, trimBytes / 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			retention := endless()
			retention.Age = time.Hour
			b := start(t, options{retention: retention})
			for i := range c.commits {
				require.NoError(t, b.apply(value(fmt.Sprint(i), c.size)).err)
			}
			require.Len(t, b.logRows(), c.commits)
			b.source.Advance(24 * time.Hour)
			for commits, old := 1, c.commits; old > 0; commits++ {
				require.NoError(t, b.apply(set("g", "k")).err)
				old = max(old-c.atOnce, 0)
				require.Len(t, b.logRows(), old+commits)
				b.extent()
			}
		})
	}
}

// TestTrimsKeepUp: a commit that adds more than what is removed at a time removes
// as much as it adds, so that the log does not outgrow its bounds.
func TestTrimsKeepUp(t *testing.T) {
	const bound = 2 * trimBytes
	retention := endless()
	retention.Bytes = bound
	b := start(t, options{retention: retention})
	for i := range bound / 4096 {
		require.NoError(t, b.apply(value(fmt.Sprint(i%10), 4096-100)).err)
	}
	for range 6 {
		require.NoError(t, b.apply(value("large", trimBytes*3/2)).err)
		extent := b.extent()
		require.LessOrEqual(t, extent.End-extent.Begin, int64(bound+bound/trimSlack))
	}
}

// TestUndoneTrims: a commit that trimmed and was rolled back has trimmed
// nothing, neither in the database nor in the writer's figures.
func TestUndoneTrims(t *testing.T) {
	eachTable(t, func(t *testing.T, path string) {
		retention := endless()
		retention.Revisions = 4
		b := start(t, options{path: path, retention: retention})
		for i := range 4 {
			require.NoError(t, b.apply(set("g", fmt.Sprint(i))).err)
		}
		before := b.extent()
		for _, step := range []string{"Commit", "TrimLog", "AppendLog"} {
			b.next(step)
			require.ErrorIs(t, b.apply(set("g", "refused")).err, errDisk)
			require.Equal(t, before, b.extent())
		}
		require.Equal(t, uint64(5), b.apply(set("g", "4")).Revision)
		after := b.extent()
		require.Equal(t, [2]uint64{2, 5}, [2]uint64{after.First, after.Last})
		require.Equal(t, []string{"set g/1", "set g/2", "set g/3", "set g/4"}, kinds(b.logged(0)))
	})
}

// TestExtentAfterARestart: a writer that starts anew, on the same file or after
// a failure, goes on from what the log holds, also with narrower bounds.
func TestExtentAfterARestart(t *testing.T) {
	path, retention := file(t), endless()
	retention.Revisions = 40
	b := start(t, options{path: path, retention: retention})
	for i := range 100 {
		require.NoError(t, b.apply(set("g", fmt.Sprint(i))).err)
	}
	before := b.extent()
	require.Positive(t, before.Begin, "rows were removed")
	require.ErrorIs(t, b.apply(kv.Mutation{Kind: 99}).err, kv.RolledBackError) // a panic
	require.Equal(t, before, b.extent())
	b.close()

	retention.Revisions = 10
	b = start(t, options{path: path, retention: retention})
	require.Equal(t, before, b.extent(), "opening trims nothing")
	require.Equal(t, uint64(101), b.apply(set("g", "k")).Revision)
	after := b.extent()
	require.Equal(t, [2]uint64{92, 101}, [2]uint64{after.First, after.Last})
	require.Equal(t, before.End+int64(len(b.logRows()[9].Record)), after.End)
}
