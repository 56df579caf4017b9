package sqlite

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// refusals are files that can't be opened, made by prepare.
var refusals = []struct {
	name    string
	prepare func(t *testing.T, path string)
	is      error
	says    string
}{
	{"garbage", contents(strings.Repeat("no database ", 1000)), kv.NotADatabaseError, "is not an SQLite database"},
	{"short garbage", contents("x"), kv.NotADatabaseError, "is not an SQLite database"},
	{"another application", statements("PRAGMA application_id = 77", "CREATE TABLE t (a)"),
		kv.NotADatabaseError, "its application_id is 0x4d"},
	{"another application's version", statements("PRAGMA user_version = 3", "CREATE TABLE t (a)"),
		kv.NotADatabaseError, "it has user_version 3"},
	{"a newer version", statements("PRAGMA application_id = 1198478196", "PRAGMA user_version = 99", "CREATE TABLE t (a)"),
		kv.NewerSchemaError, "schema version 99"},
	{"UTF-16", statements("PRAGMA encoding = 'UTF-16le'", "CREATE TABLE entries (group_name, entry_key, entry_value)"),
		kv.EncodingError, "UTF-16"},
	{"truncated", truncatedTo(3 * 4096), kv.TruncatedFileError, "12288 bytes but its header says"},
	{"truncated within a page", truncatedTo(4096 + 77), kv.TruncatedFileError, "4173 bytes"},
	{"truncated within the header", truncatedTo(60), kv.TruncatedFileError, "60 bytes"},
	{"empty beside a WAL", func(t *testing.T, path string) {
		contents("")(t, path)
		contents("\x37\x7f\x06\x82frames")(t, path+ownership.WALSuffix)
	}, kv.TruncatedFileError, "there is a -wal beside it"},
	{"an index named entries", statements("CREATE TABLE dummy (id INTEGER)", "CREATE INDEX entries ON dummy (id)"),
		nil, "ensure schema: "},
	{"entries of another shape", statements("CREATE TABLE entries (id INTEGER, body TEXT)"),
		nil, "table entries is not go-store's: its columns are id, body"},
	{"a foreign table beside the original's", statements(seedSchema, "CREATE TABLE auth_user (id INTEGER)"),
		kv.NotADatabaseError, "it has the table auth_user"},
	{"a foreign program's tables", statements("CREATE TABLE auth_user (id INTEGER)"),
		kv.NotADatabaseError, "ensure schema: "},
	{"tables that were there", statements("CREATE TABLE t (a)", "DROP TABLE t"),
		kv.NotADatabaseError, "pages that were in use"},
	{"an index of somebody's on the original's table", statements(seedSchema, "CREATE INDEX mine ON entries (entry_value)"),
		kv.NotADatabaseError, "it has the index mine"},
	{"somebody else's kv", statements("CREATE TABLE kv (id INTEGER, body BLOB)"),
		kv.NotADatabaseError, "table kv is not go-store's"},
	{"our mark without our tables", statements("PRAGMA application_id = 1198478196", "PRAGMA user_version = 3", "CREATE TABLE t (a)"),
		kv.NotADatabaseError, "no table entries"},
	{"a view named entries", statements("CREATE VIEW entries AS SELECT 1 AS group_name"),
		nil, "ensure schema: "},
	{"NULLs in kv", statements("CREATE TABLE kv (grp TEXT, key TEXT, value TEXT)",
		"INSERT INTO kv VALUES ('g', 'k', 'v'), (NULL, 'k', 'v'), ('g', NULL, 'v'), ('g', 'k', NULL)"),
		nil, "ensure schema: 3 of 4 rows of table kv can't be carried over: the group, key or value of 3 is NULL"},
	{"expiries in kv that are none", statements("CREATE TABLE kv (grp TEXT, key TEXT, value TEXT, expires_at)",
		"INSERT INTO kv VALUES ('g', 'k', 'v', 'soon'), ('g', 'l', 'v', 12)"),
		nil, "ensure schema: 1 of 2 rows of table kv can't be carried over"},
	{"keys of kv that are equal as text", statements("CREATE TABLE kv (grp, key, value)",
		"INSERT INTO kv VALUES ('g', 'k', 'text'), ('g', x'6B', 'blob'), ('g', 1, 'a'), ('g', '1', 'b'), ('g', 'z', 'z')"),
		nil, "ensure schema: 2 of 5 rows of table kv can't be carried over"},
	{"keys of entries that are equal as text", statements(seedSchema,
		"INSERT INTO entries (group_name, entry_key, entry_value) VALUES ('g', 'k', 'text'), ('g', x'6B', 'blob'), (x'67', x'6B', 'blob')"),
		nil, "ensure schema: 2 rows of table entries can't be carried over"},
	{"columns of kv that would be lost", statements("CREATE TABLE kv (grp TEXT, key TEXT, value TEXT, owner TEXT)"),
		nil, "table kv has a column owner, which would be lost"},
	{"a table where an index of ours goes", statements("CREATE TABLE entries_expires_at (a)"),
		nil, "ensure schema: "},
}

const seedSchema = `CREATE TABLE entries (group_name TEXT NOT NULL, entry_key TEXT NOT NULL,
	entry_value TEXT NOT NULL, expires_at INTEGER, PRIMARY KEY (group_name, entry_key))`

func contents(content string) func(*testing.T, string) {
	return func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, []byte(content), 0o600)) }
}

func statements(sql ...string) func(*testing.T, string) {
	return func(t *testing.T, path string) { program(t, path, sql...) }
}

func truncatedTo(size int64) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		d := open(t, path)
		require.NoError(t, write(d, numbered("g", 2000)...))
		require.NoError(t, d.Close())
		require.NoError(t, os.Truncate(path, size))
	}
}

// What can't be opened is named, and neither changed nor littered.
func TestRefusedFilesAreLeftAlone(t *testing.T) {
	for _, refusal := range refusals {
		for _, mode := range []string{"plain", "in WAL mode"} {
			t.Run(refusal.name+" "+mode, func(t *testing.T) {
				path := temporary(t)
				refusal.prepare(t, path)
				if mode == "in WAL mode" {
					if h, err := readHeader(path); err != nil || ownership.Size(path) < 100 || h.pageCount*4096 > ownership.Size(path) {
						return // nothing that could be in WAL mode
					}
					program(t, path, "PRAGMA journal_mode = WAL")
				}
				for _, readOnly := range []bool{false, true} {
					before := folder(t, filepath.Dir(path))
					_, err := Open(Config{Path: path, ReadOnly: readOnly})
					require.Error(t, err)
					if refusal.is != nil {
						assert.ErrorIs(t, err, refusal.is)
					}
					if !readOnly {
						assert.ErrorContains(t, err, refusal.says)
					}
					assert.Equal(t, before, folder(t, filepath.Dir(path)))
				}
			})
		}
	}
}

func TestLockFileThatWasThereStays(t *testing.T) {
	path := temporary(t)
	require.NoError(t, open(t, path).Close())
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("x", 5000)), 0o600))
	before := folder(t, filepath.Dir(path))
	_, err := Open(Config{Path: path})
	require.ErrorIs(t, err, kv.NotADatabaseError)
	assert.Equal(t, before, folder(t, filepath.Dir(path)))
}

// A WAL that a crash left behind is not moved into a file that is then refused.
func TestRefusalKeepsTheWAL(t *testing.T) {
	path := temporary(t)
	program(t, path, "PRAGMA journal_mode = WAL", "CREATE TABLE kv (grp TEXT, key TEXT, value TEXT)")
	crash(t, path, "INSERT INTO kv VALUES (NULL, 'k', 'v')")
	before := folder(t, filepath.Dir(path))
	require.Contains(t, before, "store.db-wal")
	_, err := Open(Config{Path: path})
	require.ErrorContains(t, err, "1 of 1 rows of table kv can't be carried over")
	after := folder(t, filepath.Dir(path))
	delete(before, "store.db-shm") // an index of the WAL, made anew at will
	delete(after, "store.db-shm")
	assert.Equal(t, before, after)
}

// What the file does not say, the WAL may: the stamp of another program.
func TestIdentityIsReadThroughTheWAL(t *testing.T) {
	path := temporary(t)
	program(t, path, "PRAGMA journal_mode = WAL", "CREATE TABLE t (a)")
	crash(t, path, "PRAGMA user_version = 7")
	_, err := Open(Config{Path: path})
	require.ErrorIs(t, err, kv.NotADatabaseError)
	_, err = Open(Config{Path: path, ReadOnly: true})
	require.ErrorIs(t, err, kv.NotADatabaseError)
}

// crash leaves a file as a killed program would: with what it wrote in the WAL.
func crash(t *testing.T, path string, statements ...string) {
	copied := temporary(t)
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	_, err = db.Exec("PRAGMA wal_autocheckpoint = 0")
	require.NoError(t, err)
	for _, statement := range statements {
		_, err := db.Exec(statement)
		require.NoError(t, err)
	}
	for _, suffix := range []string{"", ownership.WALSuffix, ownership.SHMSuffix} {
		content, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(copied+suffix, content, 0o600))
	}
	require.NoError(t, db.Close())
	for _, suffix := range []string{"", ownership.WALSuffix, ownership.SHMSuffix} {
		require.NoError(t, os.Rename(copied+suffix, path+suffix))
	}
}
