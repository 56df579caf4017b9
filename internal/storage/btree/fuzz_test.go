package btree

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/pages"

	"github.com/stretchr/testify/require"
)

// counting is a Source that counts the pages that were asked for.
type counting struct {
	Source
	asked int
}

func (c *counting) Page(n uint32) ([]byte, error) {
	c.asked++
	return c.Source.Page(n)
}

// exercise reads everything in every way from a database of any bytes: each ends soon
// and without a panic, and an error is one that its caller can tell from others. yes
// says whether something could be read.
func exercise(t testing.TB, data, wal []byte) (yes bool) {
	m, p, ok := newImage(data, wal)
	if !ok || p.Count > 1<<16 {
		return false
	}
	source := &counting{Source: m}
	p.Source = source
	// known checks an error, and that what came before it did not take too many pages:
	// so many, and those of the chains of that many records.
	known := func(err error, times int) bool {
		t.Helper()
		var damaged *DamagedError
		if err != nil && !errors.As(err, &damaged) && !errors.Is(err, RefusedError) {
			t.Fatalf("an error of another kind: %v", err)
		}
		if damaged != nil && (damaged.Page == 0 || damaged.Page > p.Count) {
			t.Fatalf("a page that is not there: %v", damaged)
		}
		if most := times * (int(p.Count) + 2*deepest); source.asked > most {
			t.Fatalf("%d pages were read of %d", source.asked, p.Count)
		}
		source.asked = 0
		yes = yes || err == nil
		return err == nil
	}
	roots := []uint32{1}
	for n := uint32(2); n <= min(p.Count, 8); n++ {
		roots = append(roots, n)
	}
	for _, root := range roots {
		exerciseTable(&Table{p, root}, known)
		exerciseIndex(t, &Index{p, root}, known)
	}
	return yes
}

const mostRows = 300 // of damaged trees, that are looked at

func exerciseTable(table *Table, known func(error, int) bool) {
	var c TableCursor
	var reader TableReader
	var record Record
	c.Reset(table)
	reader.Reset(table)
	ok, err := c.First()
	known(err, 1)
	for i := 0; ok && i < mostRows; i++ {
		row, err := c.Row()
		if known(err, 1) {
			_, err = row.Column(0)
			known(err, 1)
			_, err = row.Column(3)
			known(err, 2)
			_, _, err = row.Measure(2)
			known(err, 2)
			_, err = row.AppendColumn(nil, 2)
			known(err, 4)
			_, err = row.Column(100)
			known(err, 2)
		}
		if c.Valid() {
			_, err = reader.Get(c.Rowid(), &record)
			known(err, 1)
		}
		ok, err = c.Next()
		known(err, 1)
	}
	ok, err = c.Last()
	known(err, 1)
	for i := 0; ok && i < mostRows; i++ {
		ok, err = c.Prev()
		known(err, 1)
	}
	rowids := []int64{1, 2, 3, 7, 300, 9, 1 << 40, 5}
	for i := range 60 {
		rowids = append(rowids, int64(i*i))
	}
	known(reader.Each(rowids, &record, func(int) error { return nil }), len(rowids))
	for _, rowid := range []int64{math.MinInt64, -1, 0, 1, 7, 300, 1 << 40, math.MaxInt64} {
		_, err = c.SeekGE(rowid)
		known(err, 1)
		_, err = c.SeekLE(rowid)
		known(err, 1)
		_, err = table.Get(rowid, &record)
		known(err, 1)
	}
}

func exerciseIndex(t testing.TB, index *Index, known func(error, int) bool) {
	var c IndexCursor
	c.Reset(index)
	ok, err := c.First()
	known(err, 1)
	n := 0
	for ; ok && n < mostRows; n++ {
		_, _, _, err := c.Pair()
		known(err, 3)
		if entry, err := c.Entry(); known(err, 1) {
			_, err = entry.Column(2)
			known(err, 2)
		}
		if c.Valid() {
			ok, err = c.Next()
		}
		if !known(err, 1) || !c.Valid() {
			break
		}
	}
	count, err := index.Count(nil, nil, nil)
	if known(err, 1) && n < mostRows && !c.Valid() && count < n {
		t.Fatalf("%d entries were read of %d", n, count)
	}
	exerciseGather(t, index, known)
	ok, err = c.Last()
	known(err, 1)
	for i := 0; ok && i < mostRows; i++ {
		ok, err = c.Prev()
		known(err, 1)
	}
	for _, key := range [][]Value{{Text("")}, {Text("b"), Text("a")}, {{}}, {Integer(7)}, {Text("ab\x00"), Text("ab"), Integer(3)}, {{Kind: pages.Blob}}} {
		for _, seek := range []func(...Value) (bool, error){c.SeekGE, c.SeekGT, c.SeekLE, c.SeekLT} {
			ok, err := seek(key...)
			known(err, 2*16*deepest)
			if ok {
				ok, err = c.Skip(100)
				known(err, 1)
			}
			if ok {
				_, err = c.Next()
				known(err, 1)
				_, err = c.Prev()
				known(err, 1)
			}
		}
		_, err = index.Count(key, []Value{Text("b"), Text("b")}, nil)
		known(err, 4*16*deepest)
	}
	_, _, err = index.Find("b", "a")
	known(err, 2*16*deepest)
}

// exerciseGather compares what is gathered with what is read entry by entry.
func exerciseGather(t testing.TB, index *Index, known func(error, int) bool) {
	var c, one IndexCursor
	c.Reset(index)
	one.Reset(index)
	ok, err := c.First()
	known(err, 1)
	_, err = one.First()
	known(err, 1)
	gathered := make([]int64, 0, 40)
	for i := 0; ok && i < mostRows; i++ {
		first, second, _, err := c.Pair()
		if !known(err, 3) {
			ok, err = c.Next()
			known(err, 1)
			_, err = one.Next()
			known(err, 1)
			continue
		}
		name, end, bounded := string(first), string(second)+"\x00", i%2 == 0
		var rowids []int64
		rowids, ok, err = c.Gather(name, end, bounded, gathered)
		whole := known(err, 1)
		for i, rowid := range rowids {
			first, second, other, err := one.Pair()
			require.True(t, known(err, 3))
			require.Equal(t, name, string(first))
			require.Equal(t, rowid, other)
			require.True(t, !bounded || string(second) < end)
			_, err = one.Next()
			require.True(t, known(err, 1) || i == len(rowids)-1 && !whole)
		}
		if !whole {
			return
		}
		if len(rowids) == 0 && ok {
			ok, err = c.Next()
			known(err, 1)
			_, err = one.Next()
			known(err, 1)
		}
		require.Equal(t, ok, one.Valid() && c.Valid())
	}
}

// example is a small database of every kind of page, and its WAL.
func example(t testing.TB, seed uint64, size, reserved, rows int) (data, wal []byte) {
	r := rand.New(rand.NewPCG(seed, 7))
	d := create(t, size, reserved, fmt.Sprintf("PRAGMA auto_vacuum=%d", seed%3), schema, "CREATE TABLE other (k TEXT PRIMARY KEY, v) WITHOUT ROWID",
		"INSERT INTO other VALUES ('a', 1), ('b', 2)", "CREATE INDEX e ON entries (expires_at)")
	fill(d, r, rows)
	d.run("PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0", "UPDATE entries SET entry_value = 1 WHERE rowid % 4 = 1")
	m, _ := d.image()
	return m.data, m.wal
}

func FuzzDatabase(f *testing.F) {
	for seed := range uint64(3) {
		data, wal := example(f, seed, 512, int(seed)*16, 20)
		f.Add(data, wal)
	}
	f.Add([]byte("SQLite format 3\x00"), []byte{0x37, 0x7f, 6, 0x82})
	f.Fuzz(func(t *testing.T, data, wal []byte) { exercise(t, data, wal) })
}

// FuzzDamage changes bytes of a healthy database, one for each four bytes of its input:
// three that say where, and the new one.
func FuzzDamage(f *testing.F) {
	var bases [][]byte
	for seed := range uint64(6) {
		data, _ := example(f, seed, 512<<(seed%3), int(seed/3)*24, 60)
		bases = append(bases, data)
	}
	f.Add(byte(0), []byte("\x00\x02\x00\x02"))
	f.Add(byte(1), []byte("\x00\x04\x03\xff\x00\x08\x08\x01\x00\x10\x00\x05"))
	f.Add(byte(5), []byte("\x00\x20\x0b\x01\x00\x0c\x01\x80\x00\x03\xf0\xff\x00\x01\xf4\x81"))
	f.Fuzz(func(t *testing.T, base byte, edits []byte) {
		data := slices.Clone(bases[int(base)%len(bases)])
		for ; len(edits) >= 4; edits = edits[4:] {
			at := int(edits[0])<<16 | int(edits[1])<<8 | int(edits[2])
			data[at%len(data)] = edits[3]
		}
		exercise(t, data, nil)
	})
}

// What the fuzzers do to bytes, in so many ways that each test run tries some: bits that
// flip, and pages that are another, or noise.
func TestDamageIsAnError(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	type base struct{ data, wal []byte }
	var bases []base
	for seed := range uint64(3) {
		data, wal := example(t, seed, 512<<seed, int(seed)*8, 60)
		require.True(t, exercise(t, data, wal))
		bases = append(bases, base{data, wal})
	}
	read := 0
	for range 600 {
		from := bases[r.IntN(len(bases))]
		if exercise(t, damage(r, from.data, 0), damage(r, from.wal, 0)) {
			read++
		}
	}
	require.Greater(t, read, 100, "what is damaged is hardly read")
}

// damage is a copy with some of what lies behind a place changed.
func damage(r *rand.Rand, data []byte, behind int) []byte {
	data = append([]byte(nil), data...)
	if len(data) <= behind+512 {
		return data
	}
	rest := data[behind:]
	for range 1 + r.IntN(5) {
		at := r.IntN(len(rest))
		block := at &^ 511
		switch r.IntN(8) {
		case 0:
			for i := range min(64, len(rest)-at) {
				rest[at+i] = byte(r.Uint32())
			}
		case 1:
			other := r.IntN(len(rest)) &^ 511
			copy(rest[block:min(block+512, len(rest))], rest[other:])
		case 2, 3, 4: // in a page's header, or what points to its cells
			rest[min(block+r.IntN(40), len(rest)-1)] = byte(r.Uint32() >> r.IntN(32))
		default:
			rest[at] ^= 1 << r.IntN(8)
		}
	}
	return data
}
