package sqlite

import (
	"context"
	"math"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// strange are strings that a careless binding, comparison or SQL function
// would change, cut or mistake.
var strange = []string{
	"", " ", "\x00", "a\x00", "a\x00b", "\xff", "\xff\xff", "\xc3\x28", "\xed\xa0\x80", "é", "日本語", "مرحبا",
	"'; DROP TABLE entries; --", `"`, "%", "_", "*", "1", "1.0", "0x31", "NULL",
	strings.Repeat("k", 10_000), strings.Repeat("\x00\xff", 40_000),
}

func TestBytesRoundTrip(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		var rows []kv.Row
		for i, group := range strange {
			for j, key := range strange {
				rows = append(rows, row(group, key, strange[(i+j)%len(strange)]))
			}
		}
		require.NoError(t, write(d, rows...))
		for _, want := range rows {
			got, found, err := d.Reads().Get(background, want.Group, want.Key)
			require.NoError(t, err)
			require.True(t, found)
			if want != got {
				require.Equal(t, want, got)
			}
			got, found, err = d.Writer().Get(want.Group, want.Key)
			require.NoError(t, err)
			require.True(t, found)
			if want != got {
				require.Equal(t, want, got)
			}
		}
		for _, group := range strange {
			found, err := rowsOf(d, group, 0)
			require.NoError(t, err)
			require.Len(t, found, len(strange))
			for i := 1; i < len(found); i++ {
				require.Less(t, found[i-1].Key, found[i].Key)
			}
			n, err := d.Reads().Count(background, kv.GroupRange(group), 0)
			require.NoError(t, err)
			require.Equal(t, len(strange), n)
		}
		groups, err := groupsOf(d, everything, 0)
		require.NoError(t, err)
		require.ElementsMatch(t, strange, groups)
	})
}

func TestRangesAreBytes(t *testing.T) {
	groups := []string{"", "A", "a", "a\x00", "a\xff", "a\xff\xff", "a\xffb", "ab", "b", "\xfe\xff", "\xff", "\xff\x00", "\xff\xff", "\xff\xff\xff"}
	eachKind(t, func(t *testing.T, d *Database) {
		for _, group := range groups {
			require.NoError(t, write(d, row(group, "k", "v"), mortal(group, "dead", 5)))
		}
		for _, prefix := range append(groups, "%", "_", "c") {
			var want []string
			for _, group := range groups {
				if strings.HasPrefix(group, prefix) {
					want = append(want, group)
				}
			}
			r := kv.PrefixRange(prefix)
			got, err := groupsOf(d, r, 10)
			require.NoError(t, err)
			assert.ElementsMatch(t, want, got, "%q", prefix)
			n, err := d.Reads().Count(background, r, 10)
			require.NoError(t, err)
			assert.Equal(t, len(want), n, "%q", prefix)
			usage, err := d.Reads().Usage(background, r, 10)
			require.NoError(t, err)
			assert.Equal(t, kv.Usage{Keys: int64(len(want)), Groups: int64(len(want))}, usage)
			dead, err := d.Reads().Expired(background, r, 10)
			require.NoError(t, err)
			assert.Equal(t, kv.Usage{Keys: int64(len(want))}, dead)
			rows, err := d.Writer().Expired(r, math.MinInt64, 10, 1000)
			require.NoError(t, err)
			assert.Len(t, rows, len(want))

			var walked []string
			for after, started := "", false; ; started = true {
				group, found, err := d.Writer().NextGroup(r, after, started)
				require.NoError(t, err)
				if !found {
					break
				}
				walked, after = append(walked, group), group
			}
			assert.Equal(t, got, walked, "%q", prefix)
		}
		group, found, err := d.Writer().NextGroup(kv.PrefixRange("b"), "a", true)
		require.NoError(t, err)
		assert.True(t, found)
		assert.Equal(t, "b", group, "after lies before the range")
	})
}

func TestDeadRowsAreNotSeen(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		require.NoError(t, write(d,
			row("mixed", "a", "v"), mortal("mixed", "b", 10), mortal("mixed", "c", 11),
			mortal("dead", "a", 9), mortal("dead", "b", 10), row("live", "a", "v")))
		r := d.Reads()
		rows, err := rowsOf(d, "mixed", 10)
		require.NoError(t, err)
		assert.Equal(t, []kv.KeyValue{{Key: "a", Value: "v"}, {Key: "c", Value: "value of c"}}, rows)
		page, err := r.Page(background, "mixed", 1, 5, 10)
		require.NoError(t, err)
		assert.Equal(t, []kv.KeyValue{{Key: "c", Value: "value of c"}}, page)
		groups, err := groupsOf(d, everything, 10)
		require.NoError(t, err)
		assert.Equal(t, []string{"live", "mixed"}, groups)
		for group, want := range map[string]bool{"mixed": true, "dead": false, "live": true, "none": false} {
			found, err := r.GroupExists(background, group, 10)
			require.NoError(t, err)
			assert.Equal(t, want, found, group)
			found, err = d.Writer().HasLiveRow(group, 10)
			require.NoError(t, err)
			assert.Equal(t, want, found, group)
			found, err = d.Writer().HasGroup(group)
			require.NoError(t, err)
			assert.Equal(t, group != "none", found, group)
		}
		usage, err := r.Usage(background, everything, 10)
		require.NoError(t, err)
		assert.Equal(t, kv.Usage{Keys: 3, Groups: 2}, usage)
		dead, err := r.Expired(background, everything, 10)
		require.NoError(t, err)
		assert.Equal(t, kv.Usage{Keys: 3, Groups: 1}, dead)
		stored, found, err := r.Get(background, "dead", "a")
		require.NoError(t, err)
		assert.True(t, found, "the caller judges")
		assert.Equal(t, mortal("dead", "a", 9), stored)

		snapshot, err := d.Writer().Snapshot()
		require.NoError(t, err)
		physical, err := snapshot.Usage(everything)
		require.NoError(t, err)
		assert.Equal(t, kv.Usage{Keys: 6, Groups: 3}, physical)
		snapshot.Close()
	})
}

func TestExpiredRowsComeByDeadline(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		w := d.Writer()
		earliest, err := w.Earliest()
		require.NoError(t, err)
		assert.Equal(t, kv.NoDeadline, earliest)
		require.NoError(t, write(d, row("g", "never", "v"),
			mortal("g", "e", 50), mortal("h", "b", 20), mortal("g", "a", math.MinInt64), mortal("g", "c", 30), mortal("g", "d", 30)))
		earliest, err = w.Earliest()
		require.NoError(t, err)
		assert.Equal(t, int64(math.MinInt64), earliest)

		for _, c := range []struct {
			r          kv.Range
			after, now int64
			limit      int
			keys       string
		}{
			{everything, math.MinInt64, 100, 100, "abcde"},
			{everything, math.MinInt64, 49, 100, "abcd"},
			{everything, math.MinInt64, 50, 2, "ab"},
			{everything, 20, 50, 100, "cde"},
			{kv.GroupRange("g"), math.MinInt64, 50, 100, "acde"},
			{kv.GroupRange("g"), 29, 30, 1, "c"},
			{everything, math.MinInt64, 50, 0, ""},
			{everything, math.MinInt64, 50, -1, ""},
			{everything, 50, 50, 10, ""},
		} {
			rows, err := w.Expired(c.r, c.after, c.now, c.limit)
			require.NoError(t, err)
			keys := ""
			for _, row := range rows {
				keys += row.Key
				assert.Equal(t, "value of "+row.Key, row.Value)
			}
			assert.Equal(t, c.keys, keys, c)
		}
	})
}

// A page is the same beside dead rows, which an offset does not count, and without.
func TestPages(t *testing.T) {
	const now = 5
	eachKind(t, func(t *testing.T, d *Database) {
		require.NoError(t, write(d, numbered("g", 1000)...))
		for _, dead := range [][]kv.Row{nil, {mortal("g", "0", now), mortal("g", "000500a", now)}} {
			require.NoError(t, write(d, dead...))
			for _, c := range []struct{ offset, limit, first, n int }{
				{0, 10, 0, 10}, {990, 20, 990, 10}, {1000, 10, 0, 0}, {5, 0, 0, 0}, {5, -1, 0, 0}, {3, 900, 3, 900}, {0, 5000, 0, 1000},
			} {
				page, err := d.Reads().Page(background, "g", c.offset, c.limit, now)
				require.NoError(t, err)
				require.Len(t, page, c.n, c)
				for i, row := range numbered("g", 1000)[c.first : c.first+c.n] {
					require.Equal(t, kv.KeyValue{Key: row.Key, Value: row.Value}, page[i])
				}
			}
		}
	})
}

// A context that has ended stops everything before it begins.
func TestEndedContexts(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		require.NoError(t, write(d, numbered("g", 10)...))
		ctx, cancel := context.WithCancel(background)
		cancel()
		for name, err := range everyRead(ctx, d) {
			assert.ErrorIs(t, err, context.Canceled, name)
		}
	})
}

// everyRead is what each method of Reads answers.
func everyRead(ctx context.Context, d *Database) map[string]error {
	r, errs := d.Reads(), map[string]error{}
	_, _, errs["Get"] = r.Get(ctx, "g", "k")
	_, errs["GetMany"] = r.GetMany(ctx, "g", []string{"k"})
	_, errs["GetMany, aside"] = r.GetMany(ctx, "g", make([]string, 2*firstChunkRows))
	_, errs["GroupExists"] = r.GroupExists(ctx, "g", 0)
	_, errs["Count"] = r.Count(ctx, everything, 0)
	_, errs["Page"] = r.Page(ctx, "g", 0, 10, 0)
	_, errs["Usage"] = r.Usage(ctx, everything, 0)
	_, errs["Expired"] = r.Expired(ctx, everything, 0)
	for _, err := range r.Scan(ctx, storage.GroupQuery("g"), 0) {
		errs["Scan"] = err
	}
	for _, err := range r.Groups(ctx, everything, 0) {
		errs["Groups"] = err
	}
	return errs
}

// A context that ends meanwhile stops a long read between chunks.
func TestContextsThatEndMeanwhile(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		var rows []kv.Row
		for _, row := range numbered("g", 5000) {
			row.Deadline = 5
			rows = append(rows, row, kv.Row{Group: "h" + row.Key, Key: "k", Deadline: kv.NoDeadline}, kv.Row{Group: "i", Key: row.Key, Deadline: kv.NoDeadline})
		}
		require.NoError(t, write(d, rows...))

		ctx, cancel := context.WithCancel(background)
		defer cancel()
		seen := 0
		var last error
		for _, err := range d.Reads().Scan(ctx, storage.GroupQuery("i"), 10) {
			if last = err; err == nil {
				seen++
			}
			cancel()
		}
		require.ErrorIs(t, last, context.Canceled)
		assert.Less(t, seen, 5000)

		ctx, cancel = context.WithCancel(background)
		defer cancel()
		for _, err := range d.Reads().Groups(ctx, everything, 10) {
			last = err
			cancel()
		}
		require.ErrorIs(t, last, context.Canceled)

		// These look at the context themselves, every so many rows.
		for _, left := range []int{1, 2, 3} {
			ctx := &countdown{Context: background, left: left}
			_, err := d.Reads().Page(ctx, "i", 0, 5000, 10)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		if d.Path() != storage.MemoryPath {
			return // one statement each
		}
		for _, left := range []int{1, 2, 3} {
			_, err := d.Reads().Count(&countdown{Context: background, left: left}, everything, 10)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			_, err = d.Reads().Expired(&countdown{Context: background, left: left}, everything, 10)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		last = nil
		for _, err := range d.Reads().Groups(&countdown{Context: background, left: 5}, everything, 10) {
			last = err
		}
		require.ErrorIs(t, last, context.DeadlineExceeded)
	})
}

// countdown is a context that ends after it was looked at so many times.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

func TestClosedDatabase(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		w := d.Writer()
		require.NoError(t, d.Close())
		for name, err := range everyRead(background, d) {
			assert.ErrorIs(t, err, kv.ClosedError, name)
		}
		_, _, e1 := w.Get("g", "k")
		_, e2 := w.Update(row("g", "k", "v"))
		_, e3 := w.Delete("g", "k")
		_, e4 := w.DeleteGroup("g")
		_, e5 := w.HasGroup("g")
		_, e6 := w.HasLiveRow("g", 0)
		_, _, e7 := w.NextGroup(everything, "", false)
		_, e8 := w.Expired(everything, 0, 0, 1)
		_, e9 := w.Earliest()
		_, e10 := w.Snapshot()
		for i, err := range []error{w.Begin(), w.Commit(), w.Upsert(row("g", "k", "v")), w.Insert(row("g", "k", "v")),
			w.Resynchronise(), e1, e2, e3, e4, e5, e6, e7, e8, e9, e10} {
			assert.ErrorIs(t, err, kv.ClosedError, i)
		}
		assert.NoError(t, w.Rollback())
		assert.False(t, w.InTransaction())
	})
}
