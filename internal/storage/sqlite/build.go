package sqlite

import (
	"errors"
	"fmt"

	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// builder makes a database of the present schema from rows, in a file that is
// there, empty, and the builder's alone. All of it is one transaction.
type builder struct {
	conn                      *sqlite.Conn
	insert, newer, older, add *sqlite.Stmt
	rows                      int
}

const (
	// Of two rows of one key the one with the higher revision stays.
	sqlInsertNewer = sqlUpsert + ` WHERE excluded.revision > entries.revision`
	// What is there stays.
	sqlInsertOlder = sqlInsert + ` ON CONFLICT (group_name, entry_key) DO NOTHING`
	sqlInsertLog   = `INSERT OR IGNORE INTO log (last_revision, first_revision, committed_at, log_end, record)
		VALUES (?1, ?2, ?3, ?4, ?5)`
)

func buildDatabase(path, uuid string, done <-chan struct{}) (_ *builder, err error) {
	conn, err := openCopy(path, done)
	if err != nil {
		return nil, err
	}
	b := &builder{conn: conn}
	defer func() {
		if err != nil {
			err = errors.Join(err, conn.Close())
		}
	}()
	for _, statement := range []string{fmt.Sprintf("PRAGMA page_size = %d", filePageSize),
		fmt.Sprintf("PRAGMA cache_size = -%d", writerCacheKiB), "BEGIN IMMEDIATE"} {
		if err := execute(conn, statement); err != nil {
			return nil, err
		}
	}
	if err := ensureSchema(conn); err != nil {
		return nil, ensureSchemaError(err)
	}
	if uuid != "" {
		if err := sqlitex.ExecuteTransient(conn, "UPDATE store_meta SET uuid = ?1", &sqlitex.ExecOptions{Args: []any{uuid}}); err != nil {
			return nil, err
		}
	}
	return b, prepareAll(conn, []statement{
		{&b.insert, sqlInsert}, {&b.newer, sqlInsertNewer}, {&b.older, sqlInsertOlder}, {&b.add, sqlInsertLog}})
}

// put writes a row by one of the three statements.
func (b *builder) put(stmt *sqlite.Stmt, row kv.Row) error {
	bindRow(stmt, row)
	b.rows++
	return run(stmt)
}

// log adds a row of the log, unless its last revision is there already.
func (b *builder) log(row kv.LogRow, end int64) error {
	b.add.BindInt64(1, int64(row.Last))
	b.add.BindInt64(2, int64(row.First))
	b.add.BindInt64(3, row.At)
	b.add.BindInt64(4, end)
	b.add.BindBytes(5, row.Record)
	return run(b.add)
}

// commit completes the database; everything that is not in its log has the
// revision base at most.
func (b *builder) commit(base uint64) error {
	if err := sqlitex.ExecuteTransient(b.conn, "UPDATE store_meta SET base_revision = ?1",
		&sqlitex.ExecOptions{Args: []any{int64(base)}}); err != nil {
		return err
	}
	return execute(b.conn, "COMMIT")
}

func (b *builder) close() error { return b.conn.Close() }
