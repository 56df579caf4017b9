package api_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// bareBatches is the least that a durable batch can cost on this SQLite: one
// connection, one goroutine, a held upsert between BEGIN IMMEDIATE and COMMIT,
// synced each time. No admission, no replies, no events, no expiry, no quota.
type bareBatches struct {
	connection            *sqlite.Conn
	begin, upsert, commit *sqlite.Stmt
}

// openBare opens a new file with the seed's schema and fills it with keys. Its
// page cache holds the whole database, so that it can't be said to be starved.
func openBare(b *testing.B, keys []string) *bareBatches {
	b.Helper()
	connection, err := sqlite.OpenConn(filepath.Join(b.TempDir(), "bare.db"), sqlite.OpenReadWrite, sqlite.OpenCreate)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := connection.Close(); err != nil {
			b.Error(err)
		}
	})
	for _, statement := range []string{
		"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA cache_size=-65536", seedSchema,
	} {
		if err := sqlitex.ExecuteTransient(connection, statement, nil); err != nil {
			b.Fatal(err)
		}
	}
	bare := &bareBatches{connection: connection}
	for _, each := range []struct {
		statement **sqlite.Stmt
		text      string
	}{{&bare.begin, "BEGIN IMMEDIATE"}, {&bare.upsert, seedUpsert}, {&bare.commit, "COMMIT"}} {
		if *each.statement, err = connection.Prepare(each.text); err != nil {
			b.Fatal(err)
		}
	}
	random := newBenchRandom(1)
	next := 0
	err = bare.write(len(keys), func() (string, string) {
		next++
		return keys[next-1], benchValue(random)
	})
	if err != nil {
		b.Fatal(err)
	}
	return bare
}

// write commits one batch of rows.
func (w *bareBatches) write(rows int, row func() (key, value string)) error {
	if err := stepBare(w.begin); err != nil {
		return err
	}
	for range rows {
		key, value := row()
		w.upsert.BindText(1, benchGroup)
		w.upsert.BindText(2, key)
		w.upsert.BindText(3, value)
		if err := stepBare(w.upsert); err != nil {
			return err
		}
	}
	return stepBare(w.commit)
}

func stepBare(statement *sqlite.Stmt) error {
	if _, err := statement.Step(); err != nil {
		return fmt.Errorf("bare: %w", err)
	}
	return statement.Reset()
}
