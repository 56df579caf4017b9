package btree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/pages"

	"github.com/stretchr/testify/require"
)

func TestAnotherKindOfTreeIsRefused(t *testing.T) {
	d := create(t, 1024, 0, schema, "CREATE TABLE other (k TEXT PRIMARY KEY, v) WITHOUT ROWID", "INSERT INTO other VALUES ('a', 'b')",
		"INSERT INTO entries VALUES (NULL, 'a', 1, 1)")
	_, p := d.image()
	var record Record
	_, err := (&Table{p, d.root("other")}).Get(1, &record)
	require.ErrorIs(t, err, RefusedError)
	_, _, err = (&Index{p, d.root("entries")}).Find("a", "b")
	require.ErrorIs(t, err, RefusedError)
	var c IndexCursor
	index := Index{p, d.root("sqlite_autoindex_entries_1")}
	c.Reset(&index)
	ok, err := c.First()
	require.NoError(t, err)
	require.True(t, ok)
	_, _, _, err = c.Pair()
	require.ErrorIs(t, err, RefusedError)
	require.True(t, c.Valid(), "Entry has what it is")
	entry, err := c.Entry()
	require.NoError(t, err)
	same(t, []Value{{}, Text("a"), Integer(1)}, entry)
	for _, root := range []uint32{0, p.Count + 1} {
		_, err = (&Table{p, root}).Get(1, &record)
		require.ErrorIs(t, err, RefusedError)
		_, _, err = (&Index{p, root}).Find("a", "b")
		require.ErrorIs(t, err, RefusedError)
	}
	for _, usable := range []int{0, 479, 1025, 70000} {
		p.Usable = usable
		_, err = (&Table{p, d.root("entries")}).Get(1, &record)
		require.ErrorIs(t, err, RefusedError)
	}
}

// failing is a Source that fails.
type failing struct{}

var errFailing = errors.New("failing")

func (failing) Page(uint32) ([]byte, error) { return nil, errFailing }

func TestASourcesErrorIsItsOwn(t *testing.T) {
	p := Pages{failing{}, 512, 512, 3}
	var record Record
	_, err := (&Table{p, 2}).Get(1, &record)
	require.ErrorIs(t, err, errFailing)
	_, _, err = (&Index{p, 2}).Find("a", "b")
	require.ErrorIs(t, err, errFailing)
}

// A page of a tree that leads to the page itself, and 19 that each lead a hundred times
// to the next: neither takes longer than a database of that size could.
func TestCirclesEnd(t *testing.T) {
	for _, kind := range []byte{tables, indexes} {
		for _, chain := range []int{1, 19} {
			data := make([]byte, 512*(chain+2))
			for i := 1; i <= chain; i++ {
				p := data[512*i:][:512]
				next := uint32(i + 2)
				if chain == 1 {
					next = uint32(i + 1) // itself
				}
				interior(p, kind, next, 40)
			}
			leaf := data[512*(chain+1):]
			copy(leaf, []byte{kind | leafBit, 0, 0, 0, 1, 1, 0, 0, 1, 0})
			copy(leaf[256:], "\x02\x07\x01\x00")
			m := &counting{Source: &image{data: data, size: 512}}
			p := Pages{m, 512, 512, uint32(chain + 2)}
			var err error
			if kind == tables {
				var c TableCursor
				c.Reset(&Table{p, 2})
				var ok bool
				for ok, err = c.First(); ok; ok, err = c.Next() {
				}
			} else {
				_, err = (&Index{p, 2}).Count(nil, nil, nil)
			}
			var damaged *DamagedError
			require.ErrorAs(t, err, &damaged)
			require.Less(t, m.asked, 100)
		}
	}
}

// interior makes a page with so many cells that all lead to one.
func interior(p []byte, kind byte, next uint32, cells int) {
	p[0] = kind
	binary.BigEndian.PutUint16(p[3:], uint16(cells))
	binary.BigEndian.PutUint32(p[8:], next)
	for i := range cells {
		at := 512 - 8*(i+1)
		binary.BigEndian.PutUint16(p[12+2*i:], uint16(at))
		binary.BigEndian.PutUint32(p[at:], next)
		p[at+4] = byte(2 * i)
	}
}

// Each is one change to a healthy database, and the page that the error names.
func TestADamagedPageIsNamed(t *testing.T) {
	big := strings.Repeat("x", 5000)
	build := func() (*image, Pages, uint32) {
		d := create(t, 512, 0, "CREATE TABLE t (k INTEGER PRIMARY KEY, v)")
		for i := range 20 {
			d.insert("INSERT INTO t VALUES (?, ?)", i, fmt.Sprint(i))
		}
		d.insert("INSERT INTO t VALUES (50, ?)", big)
		m, p := d.image()
		return m, p, d.root("t")
	}
	read := func(p Pages, root uint32) error {
		var r Record
		found, err := (&Table{p, root}).Get(50, &r)
		if err != nil {
			return err
		}
		require.True(t, found)
		v, err := r.Column(1)
		if err == nil {
			require.Equal(t, big, string(v.Bytes))
		}
		return err
	}
	m, p, root := build()
	require.NoError(t, read(p, root))
	// The row's leaf is the root's last child. Its overflow pages follow it.
	rootAt := int(root-1) * 512
	leaf := binary.BigEndian.Uint32(m.data[rootAt+8:])
	leafAt := int(leaf-1) * 512
	cell := leafAt + int(binary.BigEndian.Uint16(m.data[leafAt+8+2*(int(m.data[leafAt+4])-1):]))
	local := pages.Local(4+len(big), 512, true)
	first := binary.BigEndian.Uint32(m.data[cell+3+local:])
	for name, damage := range map[string]struct {
		page uint32
		do   func(data []byte)
	}{
		"a kind":              {leaf, func(data []byte) { data[leafAt] = 0 }},
		"of an index":         {leaf, func(data []byte) { data[leafAt] = pages.LeafIndex }},
		"no cells":            {leaf, func(data []byte) { data[leafAt+3], data[leafAt+4] = 0, 0 }},
		"too many cells":      {leaf, func(data []byte) { data[leafAt+3] = 2 }},
		"a pointer":           {leaf, func(data []byte) { clear(data[leafAt+8 : leafAt+100]) }},
		"a child":             {root, func(data []byte) { data[rootAt+8] = 1 }},
		"no child":            {root, func(data []byte) { clear(data[rootAt+8:][:4]) }},
		"the file's end":      {leaf, func(data []byte) { data[cell] = 0xff }},
		"a header":            {leaf, func(data []byte) { data[cell+3] = 0xff }},
		"a type":              {leaf, func(data []byte) { data[cell+4] = 10 }},
		"an overflow":         {leaf, func(data []byte) { data[cell+3+local] = 0xff }},
		"an overflow's next":  {first, func(data []byte) { data[int(first-1)*512] = 0xff }},
		"an overflow's end":   {first, func(data []byte) { clear(data[int(first-1)*512:][:4]) }},
		"an overflow's round": {first, func(data []byte) { binary.BigEndian.PutUint32(data[int(first-1)*512:], first) }},
	} {
		t.Run(name, func(t *testing.T) {
			m, p, root := build()
			damage.do(m.data)
			err := read(p, root)
			var damaged *DamagedError
			require.ErrorAs(t, err, &damaged)
			require.Equal(t, damage.page, damaged.Page, damaged)
			require.Contains(t, err.Error(), fmt.Sprintf("page %d ", damage.page))
		})
	}
	m, p, root = build()
	m.data = m.data[:int(leaf-1)*512+100]
	var damaged *DamagedError
	require.ErrorAs(t, read(p, root), &damaged)
	require.Equal(t, leaf, damaged.Page)
}
