package btree

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/pages"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// image is a database in memory, with what is committed in its WAL.
type image struct {
	data, wal []byte
	size      int
	frames    map[uint32]int64 // where in the WAL a page lies
}

func (m *image) Page(n uint32) ([]byte, error) {
	if at, ok := m.frames[n]; ok {
		return m.wal[at:][:m.size:m.size], nil
	}
	at := int64(n-1) * int64(m.size)
	if at+int64(m.size) > int64(len(m.data)) {
		return nil, nil
	}
	return m.data[at:][:m.size:m.size], nil
}

// newImage is what the files hold. ok is false where that is no database.
func newImage(data, wal []byte) (m *image, p Pages, ok bool) {
	h := pages.ParseHeader(data)
	if !h.Valid {
		return nil, p, false
	}
	m = &image{data: data, wal: wal, size: h.Size, frames: make(map[uint32]int64)}
	p = Pages{Source: m, Size: h.Size, Usable: h.Size - h.Reserved, Count: uint32(len(data) / h.Size)}
	w, whole := pages.NewWAL(wal)
	if !whole || w.Size != h.Size {
		return m, p, true
	}
	pending := make(map[uint32]int64)
	for at := w.Offset(1); at <= int64(len(wal)); at = w.Offset(w.Frames + 1) {
		page, commit, ok := w.Next(wal[at:])
		if !ok {
			break
		}
		pending[page] = at + pages.FrameHeaderSize
		if commit == 0 {
			continue
		}
		for page, at := range pending {
			m.frames[page] = at
		}
		clear(pending)
		p.Count = commit
	}
	return m, p, true
}

// database is one that SQLite has open.
type database struct {
	t    testing.TB
	path string
	conn *sqlite.Conn
}

// create makes an empty database with pages of that size, of which so many bytes are
// reserved, and runs statements.
func create(t testing.TB, size, reserved int, statements ...string) *database {
	d := &database{t: t, path: filepath.Join(t.TempDir(), "test.db")}
	d.open()
	t.Cleanup(func() { require.NoError(t, d.conn.Close()) })
	d.run(fmt.Sprintf("PRAGMA page_size=%d", size), "VACUUM", "CREATE TABLE t (x)", "DROP TABLE t", "VACUUM")
	if reserved > 0 {
		require.NoError(t, d.conn.Close())
		data, err := os.ReadFile(d.path)
		require.NoError(t, err)
		require.Len(t, data, size, "one page")
		data[20] = byte(reserved)
		usable := size - reserved
		data[105], data[106] = byte(usable>>8), byte(usable)
		require.NoError(t, os.WriteFile(d.path, data, 0o600))
		d.open()
	}
	d.run(statements...)
	return d
}

func (d *database) open() {
	conn, err := sqlite.OpenConn(d.path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	require.NoError(d.t, err)
	d.conn = conn
}

func (d *database) run(statements ...string) {
	d.t.Helper()
	for _, s := range statements {
		require.NoError(d.t, sqlitex.ExecuteTransient(d.conn, s, nil), s)
	}
}

func (d *database) insert(sql string, args ...any) {
	d.t.Helper()
	require.NoError(d.t, sqlitex.Execute(d.conn, sql, &sqlitex.ExecOptions{Args: args}))
}

// rows are what a query yields.
func (d *database) rows(sql string, args ...any) (rows [][]Value) {
	d.t.Helper()
	require.NoError(d.t, sqlitex.Execute(d.conn, sql, &sqlitex.ExecOptions{Args: args, ResultFunc: func(stmt *sqlite.Stmt) error {
		row := make([]Value, stmt.ColumnCount())
		for i := range row {
			row[i] = column(stmt, i)
		}
		rows = append(rows, row)
		return nil
	}}))
	return rows
}

func column(stmt *sqlite.Stmt, i int) Value {
	bytes := func() []byte {
		b := make([]byte, stmt.ColumnLen(i))
		stmt.ColumnBytes(i, b)
		return b
	}
	switch stmt.ColumnType(i) {
	case sqlite.TypeInteger:
		return Value{Kind: pages.Integer, Int: stmt.ColumnInt64(i)}
	case sqlite.TypeFloat:
		return Value{Kind: pages.Float, Float: stmt.ColumnFloat(i)}
	case sqlite.TypeText:
		return Value{Kind: pages.Text, Bytes: bytes()}
	case sqlite.TypeBlob:
		return Value{Kind: pages.Blob, Bytes: bytes()}
	}
	return Value{}
}

func (d *database) number(sql string, args ...any) int64 {
	d.t.Helper()
	rows := d.rows(sql, args...)
	require.Len(d.t, rows, 1, sql)
	return rows[0][0].Int
}

func (d *database) root(name string) uint32 {
	return uint32(d.number("SELECT rootpage FROM sqlite_schema WHERE name = ?", name))
}

// image is what the database is now.
func (d *database) image() (*image, Pages) {
	d.t.Helper()
	data, err := os.ReadFile(d.path)
	require.NoError(d.t, err)
	wal, err := os.ReadFile(d.path + "-wal")
	if err != nil {
		require.ErrorIs(d.t, err, os.ErrNotExist)
	}
	m, p, ok := newImage(data, wal)
	require.True(d.t, ok)
	require.EqualValues(d.t, d.number("PRAGMA page_count"), p.Count)
	return m, p
}

// text is a random one that is often like another.
func text(r *rand.Rand, most int) string {
	n := r.IntN(6)
	if r.IntN(4) == 0 {
		n = r.IntN(most)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = "ab\x00\xff\x80"[r.IntN(5)]
	}
	return string(b)
}
