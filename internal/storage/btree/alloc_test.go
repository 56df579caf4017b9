package btree

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is read from one page costs the collector nothing.
func TestReadsAllocateNothing(t *testing.T) {
	d := create(t, 4096, 0, schema)
	d.run("BEGIN")
	for i := range 5000 {
		d.insert("INSERT INTO entries VALUES (?, ?, ?, ?)", "group", fmt.Sprintf("%05d", i*7%5000), "value", i)
	}
	d.run("COMMIT")
	_, p := d.image()
	index, table := Index{p, d.root("sqlite_autoindex_entries_1")}, Table{p, d.root("entries")}
	var record Record
	var reader TableReader
	var c IndexCursor
	var rows TableCursor
	reader.Reset(&table)
	c.Reset(&index)
	rows.Reset(&table)
	n := 0
	some := make([]int64, 100)
	for i := range some {
		some[i] = int64(1 + i*37%5000)
	}
	key := func() string { n++; return keys[n%len(keys)] }
	for name, f := range map[string]func() (bool, error){
		"get": func() (bool, error) {
			rowid, found, err := index.Find("group", key())
			if err != nil || !found {
				return found, err
			}
			if found, err = table.Get(rowid, &record); err != nil || !found {
				return found, err
			}
			v, err := record.Column(2)
			if err != nil {
				return false, err
			}
			_, err = record.Column(3)
			return string(v.Bytes) == "value", err
		},
		"seek": func() (bool, error) { return c.SeekGE(Text("group"), Text(key())) },
		"scan": func() (bool, error) {
			if ok, err := c.Next(); !ok || err != nil {
				return c.First()
			}
			_, _, rowid, err := c.Pair()
			if err != nil {
				return false, err
			}
			return reader.Get(rowid, &record)
		},
		"each": func() (bool, error) {
			n := 0
			err := reader.Each(some, &record, func(int) error { n++; return nil })
			return n == len(some), err
		},
		"back": func() (bool, error) {
			if ok, err := c.Prev(); !ok || err != nil {
				return c.Last()
			}
			_, err := c.Entry()
			return true, err
		},
		"rows": func() (bool, error) {
			if ok, err := rows.Next(); !ok || err != nil {
				return rows.First()
			}
			row, err := rows.Row()
			if err != nil {
				return false, err
			}
			_, err = row.Column(2)
			return true, err
		},
		"skip": func() (bool, error) {
			if _, err := c.First(); err != nil {
				return false, err
			}
			return c.Skip(3000)
		},
		"count": func() (bool, error) { n, err := index.Count([]Value{Text("group")}, nil, nil); return n == 5000, err },
	} {
		require.Zero(t, testing.AllocsPerRun(2000, func() {
			if ok, err := f(); !ok || err != nil {
				t.Fatal(name, ok, err)
			}
		}), name)
	}
}

var keys = func() (keys []string) {
	for i := range 500 {
		keys = append(keys, fmt.Sprintf("%05d", i*9))
	}
	return keys
}()
