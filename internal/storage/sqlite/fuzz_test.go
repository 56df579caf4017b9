package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// fuzzBound is how long anything may take with a small file of a stranger's.
const fuzzBound = 30 * time.Second

// exercise does with a file what a program does, and says nothing of the outcome: it
// ends in time, without a panic, and what a checksum covers is right or an error.
func exercise(t testing.TB, path string, wanted map[uint64]string) {
	within(t, fuzzBound, func() {
		for _, readOnly := range []bool{true, false} {
			d, err := Open(Config{Path: path, ReadOnly: readOnly, Durability: kv.DurabilityBuffered})
			if err != nil {
				continue
			}
			ctx, cancel := context.WithTimeout(background, 5*time.Second)
			for _, key := range []string{"k1", "k7", "none"} {
				_, _, _ = d.Reads().Get(ctx, "g", key)
			}
			n := 0
			for range d.Reads().Scan(ctx, storage.GroupQuery("g"), 5) {
				if n++; n > 10_000 {
					break
				}
			}
			last := ""
			for name, err := range d.Reads().Groups(ctx, everything, 5) {
				if n++; n > 20_000 {
					break
				}
				if err == nil && name <= last && last != "" {
					t.Errorf("group %q after %q", name, last)
					break
				}
				last = name
			}
			for range d.Reads().Scan(ctx, storage.Query{Groups: everything, Keys: kv.PrefixRange("k1")}, 5) {
				if n++; n > 30_000 {
					break
				}
			}
			_, _ = d.Reads().Count(ctx, everything, 5)
			_, _ = d.Reads().Page(ctx, "g", 2, 3, 5)
			_, _ = d.Reads().Usage(ctx, everything, 5)
			_, _ = d.Reads().LogExtent(ctx)
			rows, _ := d.Reads().Log(ctx, 1, 1<<20)
			for _, row := range rows {
				if events, err := decodeTest(row); err == nil && fmt.Sprint(events) != wanted[row.Last] && wanted[row.Last] != "" {
					t.Errorf("revision %d is %v, and was %v", row.Last, events, wanted[row.Last])
				}
			}
			_, _ = d.Check(ctx, func(row kv.LogRow) error { _, err := decodeTest(row); return err }, nil)
			if w := d.Writer(); w != nil {
				writeSome(d, w)
			}
			cancel()
			_ = d.Close()
		}
	})
}

// writeSome makes one commit, as far as that can be done.
func writeSome(d *Database, w storage.Writer) {
	extent, err := w.LogExtent()
	if err != nil || w.Begin() != nil {
		return
	}
	_, _ = w.Earliest()
	_, _, _ = w.Get("g", "k1")
	_ = w.Savepoint()
	_ = w.Upsert(kv.Row{Group: "g", Key: "new", Value: "value", Deadline: kv.NoDeadline, Revision: extent.Last + 1})
	_ = w.Release()
	_, _ = w.Expired(everything, 0, 1<<50, 10)
	_, _ = w.Delete("g", "k2")
	_, _ = w.DeleteGroup("h")
	_ = w.AppendLog(kv.LogRow{First: extent.Last + 1, Last: extent.Last + 1, At: 9, Record: []byte("record")}, extent.End+6)
	_, _ = w.OldestLog(5)
	_ = w.TrimLog(1)
	_ = w.Commit()
	_ = w.Rollback()
}

// fuzzed is a small store as it lies there, closed or killed, and what its log says.
func fuzzed(f *testing.F, killed bool) (files map[string][]byte, wanted map[uint64]string) {
	path := temporary(f)
	d := open(f, path)
	wanted = make(map[uint64]string)
	for i := range 12 {
		commitEvents(f, d, kv.Event{Type: kv.EventSet, Group: "g", Key: fmt.Sprintf("k%d", i), Value: strings.Repeat("v", i*40)},
			kv.Event{Type: kv.EventSet, Group: "h", Key: "k", Value: fmt.Sprint(i)})
	}
	rows, err := d.Reads().Log(background, 1, 1<<20)
	require.NoError(f, err)
	for _, row := range rows {
		events, err := decodeTest(row)
		require.NoError(f, err)
		wanted[row.Last] = fmt.Sprint(events)
	}
	files = make(map[string][]byte)
	suffixes := []string{"", ownership.LockSuffix}
	if killed {
		suffixes = append(suffixes, ownership.WALSuffix)
	} else {
		require.NoError(f, d.Close())
	}
	for _, suffix := range suffixes {
		files[suffix], err = os.ReadFile(path + suffix)
		require.NoError(f, err)
	}
	// Its owner is gone: no opener waits for it.
	copy(files[ownership.LockSuffix], strings.Repeat("0", min(lockNumber, len(files[ownership.LockSuffix]))))
	return files, wanted
}

// memoryFolder is a folder in memory where there is one: a sync costs nothing there.
func memoryFolder(t testing.TB) string {
	folder, err := os.MkdirTemp("/dev/shm", "store-fuzz-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

func layOut(t testing.TB, files map[string][]byte) string {
	path := filepath.Join(memoryFolder(t), "store.db")
	for suffix, content := range files {
		require.NoError(t, os.WriteFile(path+suffix, content, 0o600))
	}
	return path
}

func overwritten(content []byte, at uint32, with []byte) []byte {
	content = slices.Clone(content)
	if len(content) == 0 {
		return with
	}
	copy(content[int(at)%len(content):], with)
	return content
}

// FuzzHostileFile: no bytes of a database make a store hang, panic, or tell what a
// checksum denies.
func FuzzHostileFile(f *testing.F) {
	files, wanted := fuzzed(f, false)
	f.Add(uint32(100), []byte{5, 0, 0, 1, 44}, uint32(4096), []byte{13, 0, 0, 255, 255})
	f.Add(uint32(28), []byte{0, 0, 0, 1}, uint32(4200), []byte{0xff, 0xff, 0xff})
	f.Add(uint32(4096), []byte{5, 0, 0, 0, 2}, uint32(8192), []byte{2, 0, 0, 0, 2})
	f.Add(uint32(18), []byte{2, 2}, uint32(60), []byte{0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, at uint32, first []byte, other uint32, second []byte) {
		bad := overwritten(overwritten(files[""], at, first), other, second)
		exercise(t, layOut(t, map[string][]byte{"": bad}), wanted)
	})
}

// FuzzHostileSidecars: the same of the files beside one that was killed.
func FuzzHostileSidecars(f *testing.F) {
	files, wanted := fuzzed(f, true)
	f.Add(uint8(0), uint32(8), []byte{0, 0, 0x10, 0}, uint32(16), []byte{1, 2, 3, 4})
	f.Add(uint8(0), uint32(32), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, uint32(5000), []byte{0})
	f.Add(uint8(1), uint32(0), []byte("99999999999999999999\n99999999999999999999\n"), uint32(0), []byte{})
	f.Add(uint8(2), uint32(0), []byte{0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 2, 0, 0, 0, 0x10, 0}, uint32(0), []byte{0xd9})
	f.Add(uint8(3), uint32(0), []byte{0x18, 0xe2, 0x2d, 0}, uint32(40), []byte{1})
	f.Fuzz(func(t *testing.T, which uint8, at uint32, first []byte, other uint32, second []byte) {
		suffix := []string{ownership.WALSuffix, ownership.LockSuffix, ownership.JournalSuffix, ownership.SHMSuffix}[which%4]
		bad := map[string][]byte{}
		for name, content := range files {
			bad[name] = content
		}
		bad[suffix] = overwritten(overwritten(files[suffix], at, first), other, second)
		exercise(t, layOut(t, bad), wanted)
	})
}

// alter executes what can be executed of statements.
func alter(t testing.TB, path string, statements ...string) {
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithTimeout(background, time.Second)
	defer cancel()
	for _, statement := range statements {
		_, _ = db.ExecContext(ctx, statement)
	}
	require.NoError(t, db.Close())
}

var fuzzObjects = []string{"entries", "log", "store_meta", "entries_expires_at", "sqlite_autoindex_entries_1"}

// FuzzHostileSchema: no text in the schema does, in the place of one of ours or beside.
func FuzzHostileSchema(f *testing.F) {
	files, wanted := fuzzed(f, false)
	for i, hostile := range hostileSchemas {
		f.Add(uint8(i), "NOT NULL", "CHECK (1)", hostile.statements[len(hostile.statements)-1])
	}
	f.Fuzz(func(t *testing.T, which uint8, from, to, statement string) {
		if strings.Contains(strings.ToUpper(statement), "ATTACH") || strings.Contains(strings.ToUpper(statement), "INTO") {
			return // other files are no part of this
		}
		path := layOut(t, map[string][]byte{"": files[""]})
		quote := func(s string) string { return "CAST(x'" + fmt.Sprintf("%x", s) + "' AS TEXT)" }
		alter(t, path, statement, "PRAGMA writable_schema = ON",
			"UPDATE sqlite_schema SET sql = replace(sql, "+quote(from)+", "+quote(to)+") WHERE name = '"+fuzzObjects[int(which)%len(fuzzObjects)]+"'")
		exercise(t, path, wanted)
	})
}

// FuzzMigration: arbitrary files that the original might have written are carried over
// whole, or refused and left alone.
func FuzzMigration(f *testing.F) {
	path := temporary(f)
	tamper(f, path, "CREATE TABLE kv (grp TEXT, key TEXT, value TEXT, expires_at INTEGER)",
		"INSERT INTO kv VALUES ('g', 'k1', 'v', NULL), ('g', 'k7', 'w', 17), ('h', 'k', 'x', NULL)", seedSchema,
		"INSERT INTO entries VALUES ('g', 'k1', 'newer', NULL)")
	whole, err := os.ReadFile(path)
	require.NoError(f, err)
	f.Add(uint32(4096), []byte{13}, "UPDATE kv SET key = x'ff'")
	f.Add(uint32(0), []byte("SQLite"), "CREATE TABLE other (a)")
	f.Add(uint32(0), []byte("S"), "INSERT INTO kv VALUES (1, 2, 3, 'x')")
	f.Fuzz(func(t *testing.T, at uint32, bytes []byte, statement string) {
		if strings.Contains(strings.ToUpper(statement), "ATTACH") || strings.Contains(strings.ToUpper(statement), "INTO '") {
			return
		}
		path := layOut(t, map[string][]byte{"": whole})
		alter(t, path, statement)
		changed, err := os.ReadFile(path)
		require.NoError(t, err)
		changed = overwritten(changed, at, bytes)
		require.NoError(t, os.WriteFile(path, changed, 0o600))
		d, err := Open(Config{Path: path, Durability: kv.DurabilityBuffered})
		if err != nil {
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, changed, after, "it is left as it was")
			return
		}
		require.NoError(t, d.Close())
		exercise(t, path, nil)
	})
}

// FuzzOurTables: of what the grammar accepts for a table of ours, SQLite makes one that
// computes nothing, and refuses nothing that we write.
func FuzzOurTables(f *testing.F) {
	conn, err := sqlite.OpenConn(storage.MemoryPath, sqlite.OpenReadWrite|sqlite.OpenCreate)
	require.NoError(f, err)
	f.Cleanup(func() { _ = conn.Close() })
	f.Add(strings.ReplaceAll(seedSchema, "\n", " "))
	for _, migration := range migrations[:1] {
		f.Add(migration)
	}
	for _, hostile := range hostileSchemas {
		for _, statement := range hostile.statements {
			f.Add(statement)
		}
	}
	for _, part := range []string{"note TEXT DEFAULT 'x'", "n INTEGER NOT NULL DEFAULT -1.5", "[odd name] \"odd type\" (1, 2)", "x AS (1)", "x DEFAULT (1)", "x COLLATE NOCASE",
		"x TEXT GENERATED ALWAYS AS (1) STORED", "x /* c */ CHECK/**/(1)", "x DEFAULT CURRENT_TIMESTAMP", "CONSTRAINT a NOT NULL", "x INTEGER PRIMARY KEY"} {
		f.Add("CREATE TABLE entries (group_name TEXT, entry_key TEXT, entry_value TEXT, expires_at INTEGER, " + part + ", PRIMARY KEY (group_name, entry_key))")
	}
	f.Fuzz(func(t *testing.T, statement string) {
		e := entry{object: object{"table", "entries", "entries"}, sql: statement}
		if e.check() != nil || !(&cursor{tokens(statement)}).take("CREATE") {
			return
		}
		if strings.IndexByte(statement, 0) >= 0 {
			return // where SQLite stops
		}
		defer func() { _ = execute(conn, "DROP TABLE IF EXISTS entries") }()
		if execute(conn, statement) != nil {
			return
		}
		n, err := queryInt(conn, "SELECT count(*) FROM pragma_table_list WHERE name = 'entries' AND type = 'table'")
		require.NoError(t, err)
		if n == 0 {
			return // it is named otherwise
		}
		var odd []string
		require.NoError(t, sqlitex.ExecuteTransient(conn, `SELECT name FROM pragma_table_xinfo('entries') WHERE hidden <> 0 OR dflt_value LIKE '%(%' AND dflt_value NOT LIKE '''%' AND dflt_value NOT LIKE '"%'
			UNION ALL SELECT name FROM pragma_index_list('entries') AS i WHERE origin = 'u' AND
				(SELECT count(*) FROM pragma_index_info(i.name) WHERE name IN ('group_name', 'entry_key')) <> 2
			UNION ALL SELECT coll FROM pragma_index_list('entries') AS i, pragma_index_xinfo(i.name) AS x WHERE coll <> 'BINARY'
			UNION ALL SELECT "table" FROM pragma_foreign_key_list('entries')`,
			&sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
				odd = append(odd, stmt.ColumnText(0))
				return nil
			}}))
		require.Empty(t, odd, statement)
	})
}

// FuzzPages: what is read of pages, records and stamps without SQLite takes any bytes.
func FuzzPages(f *testing.F) {
	files, _ := fuzzed(f, true)
	content := files[""]
	for at := 0; at+filePageSize <= len(content); at += filePageSize {
		f.Add(content[at:at+filePageSize], "uuid")
	}
	f.Add(stamp{state: stampOpen, token: 7}.encode(), "")
	f.Fuzz(func(t *testing.T, page []byte, uuid string) {
		_ = parseHeader(page)
		for _, o := range schemaInPage(page) {
			_ = o.internal()
		}
		if len(page) >= 512 {
			_, _, _ = stampInPage(page, uuid)
		}
		_, _, _ = stampInRecord(page, uuid)
		_, _ = leafRecord(page)
		_ = leadingTexts(page, 3)
		if s, ok := decodeStamp(page); ok {
			again, ok := decodeStamp(s.encode())
			require.True(t, ok)
			require.Equal(t, s, again)
		}
		for _, suffix := range ownership.Sidecars {
			_ = ownership.ProvesToBe(suffix, page[:min(len(page), 32)])
		}
	})
}

// BenchmarkExercise: what one execution of the tests above costs.
func BenchmarkExercise(b *testing.B) {
	path := temporary(b)
	require.NoError(b, open(b, path).Close())
	content, err := os.ReadFile(path)
	require.NoError(b, err)
	for b.Loop() {
		exercise(b, layOut(b, map[string][]byte{"": content}), nil)
	}
}
