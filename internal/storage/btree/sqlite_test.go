package btree

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/pages"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

const schema = `CREATE TABLE entries (group_name TEXT, entry_key TEXT, entry_value, expires_at,
	PRIMARY KEY (group_name, entry_key))`

// same compares what was read with what SQLite reads.
func same(t *testing.T, want []Value, got *Record) {
	for i := range want {
		w := want[i]
		kind, n, err := got.Measure(i)
		v, err2 := got.Column(i)
		if err != nil || err2 != nil || v.Kind != kind || len(v.Bytes) != n {
			t.Fatalf("column %d: %v, %v, %d of %d bytes", i, err, err2, len(v.Bytes), n)
		}
		if v.Kind == pages.Missing {
			v = Integer(1) // the default of the column that is added
		}
		if v.Kind == pages.Integer && w.Kind == pages.Float {
			v = Value{Kind: pages.Float, Float: float64(v.Int)}
		}
		if v.Kind != w.Kind || v.Int != w.Int || v.Float != w.Float || !bytes.Equal(v.Bytes, w.Bytes) {
			t.Fatalf("column %d is %v, and %v to SQLite", i, v, w)
		}
		if v.Kind >= pages.Text {
			all, err := got.AppendColumn([]byte("x"), i)
			if err != nil || string(all) != "x"+string(w.Bytes) {
				t.Fatalf("column %d: %v, appended %q", i, err, all)
			}
		}
	}
}

// fill writes random rows, and takes some away again.
func fill(d *database, r *rand.Rand, rows int) {
	most := 3 * int(d.number("PRAGMA page_size"))
	defer sqlitex.Save(d.conn)(new(error))
	for range rows {
		var value any
		switch r.IntN(6) {
		case 0:
			value = r.Int64() >> r.IntN(64)
		case 1:
			value = r.NormFloat64()
		case 2:
			value = []byte(text(r, most))
		case 3:
			value = nil
		default:
			value = text(r, most)
		}
		var group, key any = text(r, 10), text(r, 40)
		switch r.IntN(30) {
		case 0:
			key = text(r, most)
		case 1:
			group = nil
		case 2:
			key = []byte(text(r, 20))
		}
		var rowid any
		if r.IntN(5) == 0 {
			rowid = r.Int64() >> r.IntN(63) * int64(1-2*r.IntN(2))
		}
		d.insert("INSERT OR REPLACE INTO entries (rowid, group_name, entry_key, entry_value, expires_at) VALUES (?, ?, ?, ?, ?)",
			rowid, group, key, value, []any{nil, 1, 200, int64(1 << 40)}[r.IntN(4)])
	}
	d.insert("DELETE FROM entries WHERE rowid % 8 = 0")
}

func TestTheReadsAreSQLites(t *testing.T) {
	for _, size := range []int{512, 1024, 2048, 4096, 8192, 16384, 32768, 65536} {
		for i, reserved := range []int{0, 8, 255} {
			if size-reserved < 480 {
				reserved = 32
			}
			t.Run(fmt.Sprintf("%d-%d", size, reserved), func(t *testing.T) {
				r := rand.New(rand.NewPCG(uint64(size), uint64(reserved)))
				d := create(t, size, reserved, fmt.Sprintf("PRAGMA auto_vacuum=%d", i), schema)
				_, p := d.image()
				require.Equal(t, size-reserved, p.Usable)
				check(t, d, r)
				fill(d, r, 60+min(200, 1<<18/size)) // of large pages it takes few
				check(t, d, r)
				d.run("ALTER TABLE entries ADD COLUMN revision NOT NULL DEFAULT 1", "CREATE INDEX other ON entries (expires_at)", "PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0")
				fill(d, r, 30)
				fill(d, r, 30)
				check(t, d, r)
				require.Equal(t, [][]Value{{{Kind: pages.Text, Bytes: []byte("ok")}}}, d.rows("PRAGMA integrity_check"))
			})
		}
	}
}

func TestDeepTreesAreRead(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	d := create(t, 512, 32, schema, "BEGIN")
	for i := range 2000 {
		d.insert("INSERT INTO entries VALUES (?, ?, ?, NULL)", fmt.Sprintf("%30d", r.IntN(50)), fmt.Sprintf("%050d", i*7919%2000), fmt.Sprintf("%0*d", r.IntN(400), i))
	}
	d.run("COMMIT")
	_, p := d.image()
	index := Index{p, d.root("sqlite_autoindex_entries_1")}
	var c IndexCursor
	c.Reset(&index)
	ok, err := c.First()
	require.NoError(t, err)
	require.True(t, ok)
	require.GreaterOrEqual(t, c.depth, 4, "levels above the leaves")
	checkTable(t, d, r, Table{p, d.root("entries")})
	checkIndex(t, d, r, index)
}

// check compares everything that can be read.
func check(t *testing.T, d *database, r *rand.Rand) {
	m, p := d.image()
	if d.number("SELECT count(*) FROM sqlite_schema WHERE name = 'other'") > 0 {
		require.NotEmpty(t, m.frames, "nothing is in the WAL")
		checkNumbers(t, d, Index{p, d.root("other")})
	}
	checkTable(t, d, r, Table{p, d.root("entries")})
	checkIndex(t, d, r, Index{p, d.root("sqlite_autoindex_entries_1")})
	checkEach(t, d, Table{p, d.root("entries")})
	checkSchema(t, d, Table{p, 1})
}

// checkSchema reads the first page, which begins with the header.
func checkSchema(t *testing.T, d *database, table Table) {
	var c TableCursor
	c.Reset(&table)
	ok, err := c.First()
	for _, want := range d.rows("SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema ORDER BY rowid") {
		require.NoError(t, err)
		require.True(t, ok)
		row, err2 := c.Row()
		require.NoError(t, err2)
		same(t, want, row)
		ok, err = c.Next()
	}
	require.NoError(t, err)
	require.False(t, ok)
}

func checkTable(t *testing.T, d *database, r *rand.Rand, table Table) {
	want := d.rows("SELECT rowid, * FROM entries ORDER BY rowid")
	var c TableCursor
	c.Reset(&table)
	at := func(i int, ok bool, err error) {
		t.Helper()
		require.NoError(t, err)
		require.Equal(t, i >= 0 && i < len(want), ok)
		require.Equal(t, ok, c.Valid())
		if ok {
			require.Equal(t, want[i][0].Int, c.Rowid())
			row, err := c.Row()
			require.NoError(t, err)
			require.Equal(t, want[i][0].Int, row.Rowid)
			same(t, want[i][1:], row)
		}
	}
	ok, err := c.First()
	for i := range want {
		at(i, ok, err)
		ok, err = c.Next()
	}
	at(-1, ok, err)
	ok, err = c.Last()
	for i := len(want) - 1; i >= 0; i-- {
		at(i, ok, err)
		ok, err = c.Prev()
	}
	at(-1, ok, err)
	probes := []int64{math.MinInt64, math.MaxInt64, 0}
	for _, row := range want {
		probes = append(probes, row[0].Int, row[0].Int+1, row[0].Int-1)
	}
	var reader TableReader
	reader.Reset(&table)
	var record Record
	for i, rowid := range probes {
		if i%7 == 0 {
			rowid = probes[r.IntN(len(probes))]
		}
		n, has := slices.BinarySearchFunc(want, rowid, func(row []Value, rowid int64) int { return compareNumber(row[0].Int, rowid) })
		ok, err := c.SeekGE(rowid)
		at(n, ok, err)
		if ok {
			ok, err = c.Prev()
			at(n-1, ok, err)
		}
		last := n - 1
		if has {
			last = n
		}
		ok, err = c.SeekLE(rowid)
		at(last, ok, err)
		if ok {
			ok, err = c.Next()
			at(last+1, ok, err)
		}
		for _, get := range []func(int64, *Record) (bool, error){table.Get, reader.Get} {
			ok, err = get(rowid, &record)
			require.NoError(t, err)
			require.Equal(t, has, ok)
			if ok {
				require.Equal(t, rowid, record.Rowid)
				same(t, want[n][1:], &record)
			}
		}
	}
}

// checkEach reads rows several at once: in the order of the index, which is none of the
// table's, and with some that are not there.
func checkEach(t *testing.T, d *database, table Table) {
	want := d.rows("SELECT rowid, * FROM entries ORDER BY group_name, entry_key")
	var rowids []int64
	for i, row := range want {
		if rowids = append(rowids, row[0].Int); i%10 == 0 {
			want[i] = nil
			rowids[i] ^= 1 << 50
		}
	}
	var reader TableReader
	reader.Reset(&table)
	var record Record
	next := 0
	read := func(i int) error {
		for ; want[next] == nil; next++ {
		}
		require.Equal(t, next, i)
		require.Equal(t, rowids[i], record.Rowid)
		same(t, want[i][1:], &record)
		next++
		return nil
	}
	require.NoError(t, reader.Each(rowids, &record, read))
	for ; next < len(want); next++ {
		require.Nil(t, want[next])
	}
	next = 0
	require.NoError(t, reader.Each(rowids, &record, read), "again")
	if len(want) > 1 {
		require.ErrorIs(t, reader.Each(rowids, &record, func(int) error { return errFailing }), errFailing)
	}
}

func compareNumber(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func checkIndex(t *testing.T, d *database, r *rand.Rand, index Index) {
	want := d.rows("SELECT group_name, entry_key, rowid FROM entries ORDER BY group_name, entry_key, rowid")
	var c IndexCursor
	c.Reset(&index)
	at := func(i int, ok bool, err error) {
		t.Helper()
		require.NoError(t, err)
		require.Equal(t, i >= 0 && i < len(want), ok)
		require.Equal(t, ok, c.Valid())
		if !ok {
			return
		}
		entry, err := c.Entry()
		require.NoError(t, err)
		same(t, want[i], entry)
		first, second, rowid, err := c.Pair()
		if want[i][0].Kind != pages.Text || want[i][1].Kind != pages.Text {
			require.ErrorIs(t, err, RefusedError)
			return
		}
		require.NoError(t, err)
		require.True(t, bytes.Equal(want[i][0].Bytes, first))
		require.True(t, bytes.Equal(want[i][1].Bytes, second))
		require.Equal(t, want[i][2].Int, rowid)
	}
	ok, err := c.First()
	for i := range want {
		at(i, ok, err)
		ok, err = c.Next()
	}
	at(-1, ok, err)
	ok, err = c.Last()
	for i := len(want) - 1; i >= 0; i-- {
		at(i, ok, err)
		ok, err = c.Prev()
	}
	at(-1, ok, err)

	n, err := index.Count(nil, nil, nil)
	require.NoError(t, err)
	require.Equal(t, len(want), n)

	// What is less than a key, and what is not greater, by comparisons of SQLite's.
	bounds := func(key []Value) (less, notGreater int) {
		for _, row := range want {
			if d := compareKeyTo(row, key); d < 0 {
				less, notGreater = less+1, notGreater+1
			} else if d == 0 {
				notGreater++
			}
		}
		return less, notGreater
	}
	for range 40 {
		key := []Value{Text(text(r, 10)), Text(text(r, 40))}
		if len(want) > 0 && r.IntN(2) == 0 {
			key = slices.Clone(want[r.IntN(len(want))])[:2+r.IntN(2)]
		}
		if key[0].Kind == pages.Text && key[1].Kind == pages.Text {
			rowid, found, err := index.Find(string(key[0].Bytes), string(key[1].Bytes))
			require.NoError(t, err)
			less, notGreater := bounds(key[:2])
			require.Equal(t, notGreater > less, found)
			if found {
				require.Equal(t, want[less][2].Int, rowid)
			}
		}
		key = key[:1+r.IntN(len(key))]
		less, notGreater := bounds(key)
		for _, seek := range []struct {
			f    func(...Value) (bool, error)
			want int
		}{{c.SeekGE, less}, {c.SeekGT, notGreater}, {c.SeekLE, notGreater - 1}, {c.SeekLT, less - 1}} {
			ok, err := seek.f(key...)
			at(seek.want, ok, err)
			if ok {
				ok, err = c.Next()
				at(seek.want+1, ok, err)
			}
			if ok, _ = seek.f(key...); ok {
				ok, err = c.Prev()
				at(seek.want-1, ok, err)
			}
			if ok, _ = seek.f(key...); ok {
				n := r.IntN(1 + len(want))
				ok, err = c.Skip(n)
				if seek.want+n >= len(want) {
					at(-1, ok, err)
				} else {
					at(seek.want+n, ok, err)
				}
			}
		}
		other := []Value{Text(text(r, 10)), Text(text(r, 40))}
		from, _ := bounds(other)
		n, err := index.Count(other, key, nil)
		require.NoError(t, err)
		require.Equal(t, max(0, less-from), n)
		n, err = index.Count(key, other, nil)
		require.NoError(t, err)
		require.Equal(t, max(0, from-less), n)
	}
}

// compareKeyTo compares an entry with a key of text, or of what entries hold.
func compareKeyTo(entry, key []Value) int {
	rank := func(v Value) int {
		return map[pages.Kind]int{pages.Null: 0, pages.Integer: 1, pages.Text: 2, pages.Blob: 3}[v.Kind]
	}
	for i, k := range key {
		if d := rank(entry[i]) - rank(k); d != 0 {
			return d
		}
		if d := compareNumber(entry[i].Int, k.Int); d != 0 {
			return d
		}
		if d := bytes.Compare(entry[i].Bytes, k.Bytes); d != 0 {
			return d
		}
	}
	return 0
}

// checkNumbers seeks in an index of numbers and NULLs.
func checkNumbers(t *testing.T, d *database, index Index) {
	for _, least := range []int64{-1, 0, 1, 2, 200, 201, 1 << 40, 1 << 50} {
		n, err := index.Count([]Value{Integer(least)}, nil, nil)
		require.NoError(t, err)
		require.EqualValues(t, d.number("SELECT count(*) FROM entries WHERE expires_at >= ?", least), n)
	}
	n, err := index.Count(nil, []Value{{}, Integer(math.MinInt64)}, nil)
	require.NoError(t, err)
	require.Zero(t, n)
}

// The order of values is SQLite's, of whatever kinds they are.
func TestTheOrderIsSQLites(t *testing.T) {
	d := create(t, 4096, 0, "CREATE TABLE t (x)", "CREATE INDEX i ON t (x)")
	for _, v := range []any{nil, 0, 1, -1, 0.5, -0.5, int64(math.MaxInt64), int64(math.MinInt64), int64(math.MaxInt64 - 1), 9223372036854775807.0, 9223372036854774784.0,
		-9223372036854775808.0, 1e300, -1e300, math.Inf(1), math.Inf(-1), int64(9007199254740993), 9007199254740992.0, int64(9007199254740992), 1.5, 2,
		"", "a", "a\x00", "\xff", []byte{}, []byte("a"), []byte{0xff}, int64(1 << 40), 255, -129, 1 << 20, -1 << 30} {
		d.insert("INSERT INTO t VALUES (?)", v)
	}
	rows := d.rows("SELECT x, rowid FROM t ORDER BY x, rowid")
	_, p := d.image()
	index := Index{p, d.root("i")}
	var c IndexCursor
	c.Reset(&index)
	ok, err := c.First()
	for _, want := range rows {
		require.NoError(t, err)
		require.True(t, ok)
		entry, err2 := c.Entry()
		require.NoError(t, err2)
		same(t, want, entry)
		ok, err = c.Next()
	}
	require.False(t, ok)
	for i := range rows {
		for j := range rows {
			less := d.rows("SELECT a.x < b.x, a.x = b.x FROM t AS a, t AS b WHERE a.rowid = ? AND b.rowid = ?", rows[i][1].Int, rows[j][1].Int)[0]
			if less[0].Kind == pages.Null {
				continue // of NULLs, which are not compared so
			}
			got := compareValues(&rows[i][0], &rows[j][0])
			require.Equal(t, less[0].Int == 1, got < 0, "%v %v", rows[i], rows[j])
			require.Equal(t, less[1].Int == 1, got == 0, "%v %v", rows[i], rows[j])
		}
		ok, err := c.SeekGE(rows[i]...)
		require.NoError(t, err)
		require.True(t, ok)
		entry, err := c.Entry()
		require.NoError(t, err)
		same(t, rows[i], entry)
	}
}
