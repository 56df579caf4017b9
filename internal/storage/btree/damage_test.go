package btree

import (
	"math/rand/v2"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/pages"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Of a damaged database SQLite may read what is not read here, but what both read is
// the same.
func TestWhatIsReadOfDamageIsWhatSQLiteReads(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	d := create(t, 512, 0, schema)
	fill(d, r, 100)
	m, _ := d.image()
	conn, err := sqlite.OpenConn(":memory:", sqlite.OpenReadWrite)
	require.NoError(t, err)
	defer conn.Close()
	root, index := d.root("entries"), d.root("sqlite_autoindex_entries_1")
	both, differ := 0, 0
	for range 1500 {
		data := damage(r, m.data, m.size)
		_, p, ok := newImage(data, nil)
		require.True(t, ok)
		require.NoError(t, conn.Deserialize("main", data))
		table := Table{p, root}
		got, err := tableRows(&table)
		want, err2 := queryRows(conn, "SELECT rowid, group_name, entry_key, entry_value, expires_at FROM entries NOT INDEXED ORDER BY rowid")
		if err == nil && err2 == nil {
			equal(t, want, got)
			both++
		}
		if (err == nil) != (err2 == nil) {
			differ++
		}
		got, err = indexRows(&Index{p, index})
		want, err2 = queryRows(conn, "SELECT rowid, group_name, entry_key FROM entries INDEXED BY sqlite_autoindex_entries_1 ORDER BY group_name, entry_key")
		if err == nil && err2 == nil {
			equal(t, want, got)
			both++
		}
		if (err == nil) != (err2 == nil) {
			differ++
		}
	}
	t.Logf("both read %d, one alone %d", both, differ)
	require.Greater(t, both, 500)
}

func equal(t *testing.T, want, got [][]Value) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, want[i], got[i], "row %d", i)
	}
}

// plain has what no later row overwrites, as SQLite's query yields it.
func plain(v Value) Value {
	if v.Kind == pages.Missing {
		v = Value{}
	}
	v.Bytes = append([]byte(nil), v.Bytes...)
	return v
}

func tableRows(table *Table) (rows [][]Value, err error) {
	var c TableCursor
	c.Reset(table)
	ok, err := c.First()
	for ; ok && err == nil; ok, err = c.Next() {
		record, err := c.Row()
		if err != nil {
			return nil, err
		}
		row := []Value{Integer(record.Rowid)}
		for i := range 4 {
			v, err := record.Column(i)
			if err != nil {
				return nil, err
			}
			row = append(row, plain(v))
		}
		rows = append(rows, row)
	}
	return rows, err
}

func indexRows(index *Index) (rows [][]Value, err error) {
	var c IndexCursor
	c.Reset(index)
	ok, err := c.First()
	for ; ok && err == nil; ok, err = c.Next() {
		entry, err := c.Entry()
		if err != nil {
			return nil, err
		}
		var row []Value
		for _, i := range []int{2, 0, 1} {
			v, err := entry.Column(i)
			if err != nil {
				return nil, err
			}
			row = append(row, plain(v))
		}
		rows = append(rows, row)
	}
	return rows, err
}

func queryRows(conn *sqlite.Conn, sql string) (rows [][]Value, err error) {
	err = sqlitex.ExecuteTransient(conn, sql, &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
		row := make([]Value, stmt.ColumnCount())
		for i := range row {
			row[i] = plain(column(stmt, i))
		}
		rows = append(rows, row)
		return nil
	}})
	return rows, err
}
