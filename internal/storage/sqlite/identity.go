package sqlite

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// object is a row of a database's schema.
type object struct{ kind, name, table string }

func (o object) String() string { return o.kind + " " + o.name }

// internal reports whether SQLite made the object for itself.
func (o object) internal() bool { return strings.HasPrefix(strings.ToLower(o.name), "sqlite_") }

func readSchema(conn *sqlite.Conn) (objects []object, err error) {
	err = sqlitex.ExecuteTransient(conn, "SELECT type, name, tbl_name FROM sqlite_schema", &sqlitex.ExecOptions{
		ResultFunc: func(stmt *sqlite.Stmt) error {
			objects = append(objects, object{stmt.ColumnText(0), stmt.ColumnText(1), stmt.ColumnText(2)})
			return nil
		}})
	return objects, err
}

// The columns of the original's tables, in the order of each of its versions.
var legacyColumns = map[string][][]string{
	"kv":      {{"grp", "key", "value"}, {"grp", "key", "value", "expires_at"}},
	"entries": {{"group_name", "entry_key", "entry_value"}, {"group_name", "entry_key", "entry_value", "expires_at"}},
}

// checkLegacy refuses a database without our mark unless it is exactly what the
// original has made: its tables, with its columns, and nothing else. A database that holds
// nothing at all is what the original leaves if it dies while it begins.
func checkLegacy(path string, conn *sqlite.Conn) error {
	objects, err := readSchema(conn)
	if err != nil {
		return fmt.Errorf("%s can't be read: %w", path, err)
	}
	if len(objects) == 0 {
		pages, err := queryInt(conn, "PRAGMA page_count")
		if err == nil && pages > 1 {
			err = ensureSchemaError(fmt.Errorf("%s belongs to another program (it has no tables, and %d pages that were in use): %w",
				path, pages, kv.NotADatabaseError))
		}
		return err
	}
	for _, o := range objects {
		if o.internal() {
			continue
		}
		if err := checkLegacyObject(path, conn, o); err != nil {
			return ensureSchemaError(err)
		}
	}
	return nil
}

func checkLegacyObject(path string, conn *sqlite.Conn, o object) error {
	known := legacyColumns[strings.ToLower(o.name)]
	if known == nil || o.kind != "table" {
		return foreignObject(path, o)
	}
	have, err := columns(conn, strings.ToLower(o.name))
	if err != nil {
		return err
	}
	for _, want := range known {
		if slices.Equal(have, want) {
			return checkLegacyTypes(path, conn, o)
		}
	}
	if extra := slices.IndexFunc(have, func(c string) bool { return !slices.Contains(known[len(known)-1], c) }); extra >= 0 && containsAll(have, known[0]...) {
		return fmt.Errorf("%s: table %s has a column %s, which would be lost: %w", path, o.name, have[extra], kv.NotADatabaseError)
	}
	return fmt.Errorf("%s: table %s is not go-store's: its columns are %s: %w", path, o.name, strings.Join(have, ", "), kv.NotADatabaseError)
}

// checkLegacyTypes refuses a table that has the names of the original's columns for
// something else: its texts are declared as TEXT, its expiries as INTEGER, if at all.
func checkLegacyTypes(path string, conn *sqlite.Conn, o object) error {
	declared, err := queryText(conn, "SELECT coalesce(group_concat(lower(name) || ' ' || type, ', '), '') FROM pragma_table_info('"+strings.ToLower(o.name)+"')"+
		" WHERE type <> '' AND upper(type) <> CASE lower(name) WHEN 'expires_at' THEN 'INTEGER' ELSE 'TEXT' END")
	if err == nil && declared != "" {
		err = fmt.Errorf("%s: table %s is not go-store's: it declares %s: %w", path, o.name, declared, kv.NotADatabaseError)
	}
	return err
}

func foreignObject(path string, o object) error {
	return fmt.Errorf("%s belongs to another program (it has the %v, and not go-store's mark): %w", path, o, kv.NotADatabaseError)
}

// checkForeignNames is checkLegacy of a schema that fits into the database's first
// page, by the names alone.
func checkForeignNames(path string, page []byte) error {
	for _, o := range schemaInPage(page) {
		if !o.internal() && (o.kind != "table" || legacyColumns[strings.ToLower(o.name)] == nil) {
			return ensureSchemaError(foreignObject(path, o))
		}
	}
	return nil
}

// schemaInPage is the schema in a database's first page; what spills into other
// pages is left out.
func schemaInPage(page []byte) (objects []object) {
	if len(page) < headerSize+8 || page[headerSize] != 0x0d {
		return nil
	}
	cells := int(binary.BigEndian.Uint16(page[headerSize+3:]))
	for i := range cells {
		pointer := headerSize + 8 + 2*i
		if pointer+2 > len(page) {
			return objects
		}
		at := int(binary.BigEndian.Uint16(page[pointer:]))
		if at >= len(page) {
			return objects
		}
		if record, ok := leafRecord(page[at:]); ok {
			if texts := leadingTexts(record, 3); len(texts) == 3 {
				objects = append(objects, object{texts[0], texts[1], texts[2]})
			}
		}
	}
	return objects
}

// leadingTexts is the first n columns of a record, as far as they are text.
func leadingTexts(record []byte, n int) (texts []string) {
	header, k := varint(record)
	if k == 0 || header < uint64(k) || header > uint64(len(record)) {
		return nil
	}
	types, body := record[k:header], record[header:]
	for len(types) > 0 && len(texts) < n {
		kind, k := varint(types)
		size := columnSize(kind)
		if k == 0 || kind < 13 || kind%2 == 0 || size > uint64(len(body)) {
			return texts
		}
		texts = append(texts, string(body[:size]))
		types, body = types[k:], body[size:]
	}
	return texts
}

// checkOurs refuses a database that has our mark but not our tables.
func checkOurs(path string, conn *sqlite.Conn) error {
	objects, err := readSchema(conn)
	if err != nil {
		return nil // damage is for reads through the WAL to tell
	}
	version, err := queryInt(conn, "PRAGMA user_version")
	if err != nil {
		return err
	}
	want := []string{"entries", "store_meta", "log"}
	if version < logVersion {
		want = want[:2]
	}
	for _, name := range want {
		is := slices.IndexFunc(objects, func(o object) bool {
			return strings.EqualFold(o.name, name) && (o.kind == "table" || o.kind == "view")
		})
		switch {
		case is < 0:
			return fmt.Errorf("%s has go-store's mark, but no table %s: restore a backup, or see what 'gostore salvage' can read: %w",
				path, name, kv.NotADatabaseError)
		case objects[is].kind != "table":
			return fmt.Errorf("%s has a view in the place of the table %s: %w", path, name, kv.NotADatabaseError)
		}
	}
	return nil
}

// checkTriggers refuses to write where something that another program has put into
// the schema would change what is written, or keep it from being written: then
// it could not be said what an acknowledged write has done.
func checkTriggers(path string, conn *sqlite.Conn) error {
	objects, err := readSchema(conn)
	if err != nil {
		return err
	}
	for _, o := range objects {
		ours := slices.ContainsFunc([]string{"entries", "log", "store_meta", "kv"}, func(name string) bool {
			return strings.EqualFold(name, o.table)
		})
		if o.kind == "trigger" && ours {
			return fmt.Errorf("%s has a trigger %q on the table %s, which would change what is written: "+
				"take it out with DROP TRIGGER in another program, or open the store read-only: %w", path, o.name, o.table, kv.ForeignSchemaError)
		}
	}
	return nil
}
