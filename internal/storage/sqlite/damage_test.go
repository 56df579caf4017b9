package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Tables without rowids have no order of their own to go by.
func TestTableWithoutRowids(t *testing.T) {
	path := temporary(t)
	program(t, path, "CREATE TABLE entries (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, "+
		"entry_value TEXT NOT NULL, expires_at INTEGER, PRIMARY KEY (group_name, entry_key)) WITHOUT ROWID")
	d := open(t, path)
	require.NoError(t, write(d, numbered("g", longGroup)...))
	query := storage.GroupQuery("g")
	query.AnyOrder = true
	require.Len(t, pairsOf(t, d.Reads().Scan(background, query, 0)), longGroup)
}

// A table without rowids is a store's like another: no call accepts it that another refuses.
func TestTableWithoutRowidsIsWhole(t *testing.T) {
	path := temporary(t)
	program(t, path, "CREATE TABLE entries (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, "+
		"entry_value TEXT NOT NULL, expires_at INTEGER, PRIMARY KEY (group_name, entry_key)) WITHOUT ROWID",
		"INSERT INTO entries VALUES ('g', 'old', 'theirs', NULL)")
	d := open(t, path)
	require.NoError(t, write(d, row("g", "k", "ours")))
	require.Empty(t, check(t, d).Findings)
	copied := filepath.Join(t.TempDir(), "copy.db")
	require.NoError(t, d.Backup(background, copied, nil))
	require.NoError(t, d.Close())
	restored := temporary(t)
	require.NoError(t, restore(restored, copied))
	require.Equal(t, []string{"ours", "theirs"}, query(t, restored, values))
	require.Empty(t, check(t, open(t, restored)).Findings)
	_, report := salvaged(t, copied)
	require.Equal(t, int64(2), report.Entries)
}

// openWithNull is a store whose entries lost its constraints and holds NULLs,
// as in the original's coverage suite.
func openWithNull(t *testing.T) *Database {
	path := temporary(t)
	d := open(t, path)
	require.NoError(t, write(d, row("g", "k", "v"), row("h", "k", "v")))
	require.NoError(t, d.Close())
	program(t, path,
		"ALTER TABLE entries RENAME TO entries_backup",
		"CREATE TABLE entries (group_name TEXT, entry_key TEXT, entry_value TEXT, expires_at INTEGER)",
		"INSERT INTO entries SELECT group_name, entry_key, entry_value, expires_at FROM entries_backup",
		"INSERT INTO entries VALUES ('g', NULL, 'value', NULL), ('v', 'k', NULL, NULL), (NULL, 'k', 'v', 3), ('d', 'k', NULL, 3), ('x', 'k', 'value of k', 5)",
	)
	return open(t, path)
}

func TestRowsWithNull(t *testing.T) {
	d := openWithNull(t)
	_, err := rowsOf(d, "g", 0)
	require.ErrorIs(t, err, errNull)
	assert.Regexp(t, "^scan row: ", err.Error())
	_, err = d.Reads().Page(background, "g", 0, 10, 0)
	require.ErrorIs(t, err, errNull)
	_, _, err = d.Reads().Get(background, "v", "k")
	require.ErrorIs(t, err, errNull)
	assert.False(t, isStorageFault(err))
	rows, err := rowsOf(d, "h", 0)
	require.NoError(t, err)
	assert.Equal(t, []kv.KeyValue{{Key: "k", Value: "v"}}, rows, "others are unharmed")

	w := d.Writer()
	_, _, err = w.Get("v", "k")
	require.ErrorIs(t, err, errNull)
	expired, err := w.Expired(everything, 0, 10, 10)
	require.NoError(t, err)
	want := mortal("x", "k", 5)
	want.Revision = 1 // as rows have that were there before there were revisions
	assert.Equal(t, []kv.Row{want}, expired, "what can't be read keeps nothing else from expiring")
	earliest, err := w.Earliest()
	require.NoError(t, err)
	assert.Equal(t, int64(5), earliest)
	require.NoError(t, w.Begin())
	err = w.Upsert(row("g", "new", "v"))
	require.ErrorContains(t, err, "ON CONFLICT")
	assert.False(t, isStorageFault(err), "the request fails, not its neighbours")
	require.True(t, w.InTransaction())
	require.NoError(t, w.Insert(row("g", "new", "v")))
	require.NoError(t, w.Commit())
}

func TestDamagedPages(t *testing.T) {
	path := temporary(t)
	d := open(t, path)
	require.NoError(t, write(d, numbered("g", 5000)...))
	require.NoError(t, d.Close())
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	middle := len(file) / 3 / 4096 * 4096
	copy(file[middle:], bytes.Repeat([]byte{0xDE}, len(file)/2))
	require.NoError(t, os.WriteFile(path, file, 0o600))

	for _, readOnly := range []bool{false, true} {
		d = openWith(t, Config{Path: path, ReadOnly: readOnly})
		_, err = rowsOf(d, "g", 0)
		require.Error(t, err)
		assert.Regexp(t, "^rows iteration: ", err.Error())
		assert.True(t, isStorageFault(err))
		for _, offset := range []int{0, 4999} {
			_, err = d.Reads().Page(background, "g", offset, 10000, 0)
			require.Error(t, err)
			assert.Regexp(t, "^rows iteration: ", err.Error())
		}
		query := storage.GroupQuery("g")
		query.AnyOrder = true
		for _, each := range d.Reads().Scan(background, query, 0) {
			err = each
		}
		require.Error(t, err)
		assert.Regexp(t, "^rows iteration: ", err.Error())
		_, err = d.Reads().Count(background, everything, 0)
		require.Error(t, err)
		require.NoError(t, d.Close())
	}
}

func TestDamagedSchema(t *testing.T) {
	path := temporary(t)
	require.NoError(t, open(t, path).Close())
	program(t, path, "PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = 'nonsense' WHERE name = 'entries'")
	for _, readOnly := range []bool{false, true} {
		_, err := Open(Config{Path: path, ReadOnly: readOnly})
		require.ErrorContains(t, err, "is damaged")
	}
}

func TestStoreWithoutIdentity(t *testing.T) {
	path := temporary(t)
	require.NoError(t, open(t, path).Close())
	program(t, path, "DROP TABLE store_meta")
	for _, readOnly := range []bool{false, true} {
		_, err := Open(Config{Path: path, ReadOnly: readOnly})
		require.ErrorContains(t, err, "has go-store's mark, but no table store_meta")
	}
}

// disordered is a store whose index has its first entries behind all others.
func disordered(t *testing.T, access Config, first int, rows []kv.Row) *Database {
	t.Helper()
	path := temporary(t)
	d := open(t, path)
	require.NoError(t, write(d, rows...))
	root := int(viewsOf(t, d).current.Load().shape.index)
	require.NoError(t, d.Close())
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	page := file[(root-1)*filePageSize:]
	const leaf, leafHeader = 10, 8
	require.EqualValues(t, leaf, page[0])
	require.Equal(t, len(rows), int(page[3])<<8|int(page[4]))
	cells := page[leafHeader : leafHeader+2*len(rows)]
	copy(cells, slices.Concat(cells[2*first:], cells[:2*first]))
	require.NoError(t, os.WriteFile(path, file, 0o600))
	return openWith(t, access.buffered().at(path))
}

// keysOf is so many rows of a group: their keys are a prefix and a number.
func keysOf(group, prefix string, n int, value string) (rows []kv.Row) {
	for i := range n {
		rows = append(rows, row(group, fmt.Sprintf("%s%02d", prefix, i), value))
	}
	return rows
}

// atMost is what a loop yields, which must end after so much.
func atMost[T any](t *testing.T, most int, from iter.Seq2[T, error]) (all []T, err error) {
	t.Helper()
	for item, err := range from {
		if err != nil {
			return all, err
		}
		all = append(all, item)
		require.LessOrEqual(t, len(all), most, "it goes round")
	}
	return all, nil
}

// scans are those of a database, or of a snapshot.
type scans interface {
	Scan(ctx context.Context, q storage.Query, now int64) iter.Seq2[kv.Row, error]
	Groups(ctx context.Context, r kv.Range, now int64) iter.Seq2[string, error]
}

// eachScans runs a test by pages and by SQLite, and each with a snapshot too. held: that is
// of pages.
func eachScans(t *testing.T, first int, rows []kv.Row, test func(t *testing.T, from scans, held bool)) {
	for name, access := range map[string]Config{"mapped": {}, "read": {NoMmap: true}, "SQLite": {NoPages: true}} {
		t.Run(name, func(t *testing.T) {
			d := disordered(t, access, first, rows)
			test(t, d.Reads(), false)
			s, err := d.Snapshot(background)
			require.NoError(t, err)
			defer s.Close()
			test(t, s, !access.NoPages)
		})
	}
}

// The groups of an index that is out of order are those of a part of it, and never come
// twice.
func TestGroupsOutOfOrderEnd(t *testing.T) {
	rows := slices.Concat(keysOf("a", "z", 10, "v"), keysOf("b", "k", 8, "v"), keysOf("c", "k", 8, "v"))
	eachScans(t, 10, rows, func(t *testing.T, from scans, held bool) {
		names, err := atMost(t, 3, from.Groups(background, everything, 0))
		if held {
			require.ErrorIs(t, err, kv.DamagedError)
		}
		require.True(t, slices.IsSorted(names), names)
		require.Len(t, slices.Compact(names), len(names))
	})
}

func TestUsageOfGroupsOutOfOrderEnds(t *testing.T) {
	rows := slices.Concat(keysOf("a", "z", 10, "v"), keysOf("b", "k", 8, "v"), keysOf("c", "k", 8, "v"))
	d := disordered(t, Config{}, 10, rows)
	ctx, cancel := context.WithTimeout(background, fuzzBound)
	defer cancel()
	usage, err := d.Reads().Usage(ctx, everything, 0)
	require.NoError(t, err)
	require.LessOrEqual(t, usage.Groups, int64(3))
	s, err := d.Snapshot(background)
	require.NoError(t, err)
	defer s.Close()
	_, err = s.Usage(everything)
	require.ErrorIs(t, err, kv.DamagedError)
}

// A scan that passes over what is not wanted does not come to the same rows again.
func TestScansOutOfOrderEnd(t *testing.T) {
	rows := slices.Concat(keysOf("a", "z", 10, "v"), keysOf("b", "k", 8, "v"), keysOf("c", "k", 8, "v"))
	eachScans(t, 10, rows, func(t *testing.T, from scans, held bool) {
		for _, q := range []storage.Query{
			{Groups: everything, Keys: kv.PrefixRange("k")},
			{Groups: everything, Keys: kv.PrefixRange("k"), Reverse: true},
			{Groups: everything, Keys: storage.AllKeys},
			{Groups: everything, Keys: storage.AllKeys, Reverse: true},
			{Groups: everything, Keys: kv.PrefixRange("z"), Reverse: true},
		} {
			_, err := atMost(t, len(rows), from.Scan(background, q, 0))
			if held && !q.Reverse {
				require.ErrorIs(t, err, kv.DamagedError)
			}
		}
	})
}

// The same of the keys of a group.
func TestKeysOutOfOrderEnd(t *testing.T) {
	rows := keysOf("g", "k", 26, "v")
	eachScans(t, 10, rows, func(t *testing.T, from scans, held bool) {
		for _, keys := range []kv.Range{{From: "k05", Unbounded: true}, {From: "k05", To: "k20"}, {To: "k20"}} {
			for _, reverse := range []bool{false, true} {
				_, _ = atMost(t, len(rows), from.Scan(background, storage.Query{Groups: kv.GroupRange("g"), Keys: keys, Reverse: reverse}, 0))
			}
		}
	})
}

// Each chunk begins where SQLite finds the row behind the last one.
func TestChunksOutOfOrderEnd(t *testing.T) {
	value := strings.Repeat("v", chunkBytes/16)
	rows := keysOf("g", "k", 40, value)
	eachScans(t, 28, rows, func(t *testing.T, from scans, _ bool) {
		for _, reverse := range []bool{false, true} {
			for _, groups := range []kv.Range{everything, kv.GroupRange("g")} {
				q := storage.Query{Groups: groups, Keys: storage.AllKeys, Reverse: reverse}
				_, _ = atMost(t, 2*len(rows), from.Scan(background, q, 0))
			}
		}
	})
}

// Of a sound index nothing is taken for out of order, not even where nothing is asked for.
func TestRangesOfASoundIndex(t *testing.T) {
	rows := slices.Concat(keysOf("a", "k", 30, "v"), keysOf("b", "k", 30, "v"), keysOf("c", "k", 30, "v"))
	d := disordered(t, Config{}, 0, rows)
	s, err := d.Snapshot(background)
	require.NoError(t, err)
	defer s.Close()
	for _, groups := range []kv.Range{everything, kv.GroupRange("b"), {From: "b", Unbounded: true}} {
		for _, keys := range []kv.Range{storage.AllKeys, {From: "k10", Unbounded: true}, {To: "k10"}, {From: "k10", To: "k20"}, {From: "k20", To: "k10"}, {From: "z", Unbounded: true}, {To: "a"}} {
			for _, reverse := range []bool{false, true} {
				q := storage.Query{Groups: groups, Keys: keys, Reverse: reverse}
				want, err := atMost(t, len(rows), d.reads.(*fileReads).sqlReads.Scan(background, q, 0))
				require.NoError(t, err)
				got, err := atMost(t, len(rows), s.Scan(background, q, 0))
				require.NoError(t, err, "%+v", q)
				require.Equal(t, want, got, "%+v", q)
			}
		}
	}
}
