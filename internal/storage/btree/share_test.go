package btree

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A table and an index are for all goroutines at once; cursors, readers and records are not.
func TestManyReadOneTree(t *testing.T) {
	d := create(t, 512, 0, schema, "BEGIN")
	for i := range 500 {
		d.insert("INSERT INTO entries VALUES ('g', ?, ?, NULL)", fmt.Sprintf("%03d", i), fmt.Sprintf("%0*d", i*3, i))
	}
	d.run("COMMIT")
	_, p := d.image()
	index, table := Index{p, d.root("sqlite_autoindex_entries_1")}, Table{p, d.root("entries")}
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			var c IndexCursor
			var reader TableReader
			var record Record
			c.Reset(&index)
			reader.Reset(&table)
			n := 0
			ok, err := c.SeekGE(Text("g"), Text(fmt.Sprintf("%03d", g*100)))
			for ; ok && err == nil; ok, err = c.Next() {
				_, key, rowid, err := c.Pair()
				assert.NoError(t, err)
				found, err := reader.Get(rowid, &record)
				assert.True(t, found && err == nil)
				v, err := record.Column(1)
				assert.NoError(t, err)
				assert.Equal(t, string(key), string(v.Bytes))
				other, found, err := index.Find("g", string(v.Bytes))
				assert.True(t, found && err == nil)
				assert.Equal(t, rowid, other)
				n++
			}
			assert.NoError(t, err)
			assert.Equal(t, 500-g*100, n)
		})
	}
	all.Wait()
}
