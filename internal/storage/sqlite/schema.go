package sqlite

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// applicationID stamps our databases: "GoSt" in ASCII.
const applicationID = 0x476F5374

// Migrations are append-only: file n brings user_version n-1 to n. None of
// them ever rebuilds entries.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

var migrations = loadMigrations(migrationFiles)

// schemaVersion is the user_version of a database that is up to date.
var schemaVersion = len(migrations)

func loadMigrations(files fs.FS) (scripts []string) {
	names, _ := fs.Glob(files, "migrations/*.sql") // sorted by name
	slices.Sort(names)
	for _, name := range names {
		script, err := fs.ReadFile(files, name)
		if err != nil {
			panic(err) // embedded: the build is broken
		}
		scripts = append(scripts, string(script))
	}
	return scripts
}

// outdated reports whether the schema is too old to be read as it is.
func outdated(conn *sqlite.Conn) (bool, error) {
	version, err := queryInt(conn, "PRAGMA user_version")
	if err != nil || version < logVersion {
		return true, err
	}
	legacy, err := findLegacy(conn)
	return legacy.kv || legacy.unrevised(), err
}

// ensureSchema brings the database to the present schema, whatever version of
// the original or of this store wrote it. It works within the caller's
// transaction: all of it happens or nothing.
func ensureSchema(conn *sqlite.Conn) error {
	legacy, err := findLegacy(conn)
	if err != nil {
		return err
	}
	version, err := queryInt(conn, "PRAGMA user_version")
	if err != nil {
		return err
	}
	if version == 0 {
		if err := adoptEntries(conn, legacy); err != nil {
			return err
		}
	}
	for _, script := range migrations[version:] {
		if err := sqlitex.ExecuteScript(conn, script, nil); err != nil {
			return err
		}
	}
	if version >= logVersion && legacy.unrevised() {
		if err := execute(conn, sqlAddRevision); err != nil {
			return err
		}
	}
	if legacy.kv {
		if err := carryOver(conn, legacy); err != nil {
			return err
		}
	}
	if version != int64(schemaVersion) {
		if err := markOurs(conn); err != nil {
			return err
		}
	}
	return nil
}

// adoptRows gives rows that nothing in the log accounts for a revision before it:
// those of older versions, or what another program has put into a file that was new.
func adoptRows(conn *sqlite.Conn) error {
	return execute(conn, "UPDATE store_meta SET base_revision = 1 WHERE base_revision = 0"+
		" AND NOT EXISTS (SELECT 1 FROM log) AND EXISTS (SELECT 1 FROM entries)")
}

// logVersion is the first schema with revisions. The rows that are there when a
// database reaches it count as written by the first one.
const logVersion = 2

// stampedVersion is the first schema with a stamp. A file that has it was made, or
// brought up to it, without a WAL: all of its tables are in the file itself.
const stampedVersion = 3

// sqlAddRevision is the migration's, for a table that another program has put
// in the place of ours.
const sqlAddRevision = "ALTER TABLE entries ADD COLUMN revision INTEGER NOT NULL DEFAULT 1"

// markOurs gives the database our mark and, if it has none, an identity.
func markOurs(conn *sqlite.Conn) error {
	id, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	return errors.Join(
		sqlitex.ExecuteTransient(conn, "INSERT INTO store_meta (id, uuid) VALUES (1, ?1) ON CONFLICT DO NOTHING",
			&sqlitex.ExecOptions{Args: []any{id.String()}}),
		execute(conn, fmt.Sprintf("PRAGMA application_id = %d", applicationID)),
		execute(conn, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)),
	)
}

func queryInt(conn *sqlite.Conn, sql string, args ...any) (n int64, err error) {
	err = sqlitex.ExecuteTransient(conn, sql, &sqlitex.ExecOptions{
		Args: args,
		ResultFunc: func(stmt *sqlite.Stmt) error {
			n = stmt.ColumnInt64(0)
			return nil
		},
	})
	return n, err
}

func queryText(conn *sqlite.Conn, sql string, args ...any) (text string, err error) {
	err = sqlitex.ExecuteTransient(conn, sql, &sqlitex.ExecOptions{
		Args: args,
		ResultFunc: func(stmt *sqlite.Stmt) error {
			text = stmt.ColumnText(0)
			return nil
		},
	})
	return text, err
}
