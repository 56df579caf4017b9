package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const content = "SELECT hex(group_name), hex(entry_key), hex(entry_value), expires_at, typeof(entry_key) FROM entries ORDER BY 1, 2"

// layouts are the tables that each phase of the original wrote, and what they
// hold once opened.
var layouts = []struct {
	name   string
	make   []string
	expect []kv.Row
}{
	{"kv", []string{
		"CREATE TABLE kv (grp TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (grp, key))",
		"INSERT INTO kv VALUES ('g', 'k', 'v'), ('', '', '')",
	}, []kv.Row{row("", "", ""), row("g", "k", "v")}},
	{"kv with expiry", []string{
		"CREATE TABLE kv (grp TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, expires_at INTEGER, PRIMARY KEY (grp, key))",
		"INSERT INTO kv VALUES ('g', 'k', 'v', NULL), ('g', 'l', 'value of l', 1234567890123)",
	}, []kv.Row{row("g", "k", "v"), mortal("g", "l", 1234567890123)}},
	{"kv with names in capitals", []string{
		"CREATE TABLE KV (GRP TEXT, KEY TEXT, VALUE TEXT)",
		"INSERT INTO KV VALUES ('g', 'k', 'v')",
	}, []kv.Row{row("g", "k", "v")}},
	{"kv with odd types", []string{
		"CREATE TABLE kv (grp, key, value)",
		"INSERT INTO kv VALUES (1, x'00FF', 2.5)",
	}, []kv.Row{row("1", "\x00\xff", "2.5")}},
	{"empty kv", []string{
		"CREATE TABLE kv (grp TEXT, key TEXT, value TEXT)",
	}, nil},
	{"entries without expiry", []string{
		"CREATE TABLE entries (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, entry_value TEXT NOT NULL, PRIMARY KEY (group_name, entry_key))",
		"INSERT INTO entries VALUES ('g', 'k', 'v')",
	}, []kv.Row{row("g", "k", "v")}},
	{"entries with expiry", []string{
		seedSchema,
		"INSERT INTO entries VALUES ('g', 'k', 'v', NULL), ('g', 'l', 'value of l', 42)",
	}, []kv.Row{row("g", "k", "v"), mortal("g", "l", 42)}},
	{"entries with BLOB keys", []string{
		seedSchema,
		"INSERT INTO entries VALUES (x'67', x'6B00FF', 'v', NULL), ('g', x'6C', 'w', NULL)",
	}, []kv.Row{row("g", "k\x00\xff", "v"), row("g", "l", "w")}},
	{"both", []string{
		seedSchema,
		"INSERT INTO entries VALUES ('g', 'both', 'newer', NULL)",
		"CREATE TABLE kv (grp TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, expires_at INTEGER, PRIMARY KEY (grp, key))",
		"INSERT INTO kv VALUES ('g', 'both', 'older', 7), ('g', 'only', 'value of only', 8)",
	}, []kv.Row{row("g", "both", "newer"), mortal("g", "only", 8)}},
	{"both, kv without expiry", []string{
		"CREATE TABLE entries (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, entry_value TEXT NOT NULL, PRIMARY KEY (group_name, entry_key))",
		"INSERT INTO entries VALUES ('g', 'both', 'newer')",
		"CREATE TABLE kv (grp TEXT, key TEXT, value TEXT)",
		"INSERT INTO kv VALUES ('g', 'both', 'older'), ('g', 'only', 'v')",
	}, []kv.Row{row("g", "both", "newer"), row("g", "only", "v")}},
}

func TestLegacyLayoutsKeepTheirData(t *testing.T) {
	for _, layout := range layouts {
		for _, mode := range []string{"DELETE", "WAL"} {
			t.Run(layout.name+" "+mode, func(t *testing.T) {
				path := temporary(t)
				program(t, path, append([]string{"PRAGMA journal_mode = " + mode}, layout.make...)...)
				d := open(t, path)
				usage, err := d.Reads().Usage(background, everything, -1)
				require.NoError(t, err)
				assert.Equal(t, int64(len(layout.expect)), usage.Keys)
				for _, want := range layout.expect {
					got, found, err := d.Reads().Get(background, want.Group, want.Key)
					require.NoError(t, err)
					require.True(t, found, want)
					want.Revision = 1 // it was there before everything in the log
					assert.Equal(t, want, got)
				}
				revision, err := d.Reads().Revision(background)
				require.NoError(t, err)
				assert.Equal(t, uint64(min(len(layout.expect), 1)), revision)
				require.NoError(t, write(d, row("written", "after", "migration")))
				require.NoError(t, d.Close())
				if layout.name == "somebody else's kv" {
					assert.Equal(t, []string{"1"}, query(t, path, "SELECT count(*) FROM kv"))
				} else {
					assert.Empty(t, query(t, path, "SELECT 1 FROM sqlite_schema WHERE lower(name) = 'kv'"))
				}
				assert.Equal(t, []string{"ok"}, query(t, path, "PRAGMA integrity_check"))
				openWith(t, Config{Path: path, ReadOnly: true})
			})
		}
	}
}

// An older program that meets a newer file makes its own table in it.
func TestKvThatCameBack(t *testing.T) {
	path := temporary(t)
	d := open(t, path)
	uuid := d.UUID()
	require.NoError(t, write(d, row("g", "both", "newer")))
	require.NoError(t, d.Close())
	program(t, path, "CREATE TABLE kv (grp TEXT, key TEXT, value TEXT)",
		"INSERT INTO kv VALUES ('g', 'both', 'older'), ('g', 'only', 'v')")
	_, err := Open(Config{Path: path, ReadOnly: true})
	require.ErrorContains(t, err, "is of an older layout")
	d = open(t, path)
	rows, err := rowsOf(d, "g", 0)
	require.NoError(t, err)
	assert.Equal(t, []kv.KeyValue{{Key: "both", Value: "newer"}, {Key: "only", Value: "v"}}, rows)
	assert.Equal(t, uuid, d.UUID())
}

func TestManyLegacyRows(t *testing.T) {
	path := temporary(t)
	program(t, path, "CREATE TABLE kv (grp TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (grp, key))",
		`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
			INSERT INTO kv SELECT 'g' || i % 7, 'key' || i, 'value' || i FROM n`)
	before := query(t, path, "SELECT grp, key, value FROM kv ORDER BY 1, 2")
	require.NoError(t, open(t, path).Close())
	assert.Equal(t, before, query(t, path, "SELECT group_name, entry_key, entry_value FROM entries ORDER BY 1, 2"))
}

// A program that knows the original's schema works on a store that was closed,
// and the store on what it leaves.
func TestAProgramThatKnowsTheOriginalsSchema(t *testing.T) {
	path := temporary(t)
	d := open(t, path)
	require.NoError(t, write(d, row("g", "kept", "1"), row("g", "changed", "1"), row("g", "deleted", "1"), mortal("g", "dead", 5)))
	require.NoError(t, d.Close())
	assert.Equal(t, []string{"g|changed|1|NULL", "g|dead|value of dead|5", "g|deleted|1|NULL", "g|kept|1|NULL"},
		query(t, path, "SELECT group_name, entry_key, entry_value, expires_at FROM entries ORDER BY entry_key"))
	program(t, path,
		"PRAGMA journal_mode = WAL", "PRAGMA busy_timeout = 5000", // as the original begins
		"CREATE TABLE IF NOT EXISTS entries (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, entry_value TEXT NOT NULL, expires_at INTEGER, PRIMARY KEY (group_name, entry_key))",
		`INSERT INTO entries (group_name, entry_key, entry_value, expires_at) VALUES ('g', 'changed', '2', NULL)
			ON CONFLICT (group_name, entry_key) DO UPDATE SET entry_value = excluded.entry_value, expires_at = NULL`,
		"INSERT INTO entries (group_name, entry_key, entry_value, expires_at) VALUES ('h', 'new', '3', 99)",
		"DELETE FROM entries WHERE group_name = 'g' AND entry_key = 'deleted'",
		"DELETE FROM entries WHERE expires_at IS NOT NULL AND expires_at <= 10",
	)
	before := folder(t, filepath.Dir(path))
	if ownership.CanProtect {
		d, err := Open(Config{Path: path, ReadOnly: true})
		require.NoError(t, err, "it is in WAL mode, without a WAL: complete, and read as it is")
		_, found, err := d.Reads().Get(background, "h", "new")
		require.NoError(t, err)
		assert.True(t, found)
		require.NoError(t, d.Close())
	}
	assert.Equal(t, before, folder(t, filepath.Dir(path)))
	d = open(t, path)
	rows, err := rowsOf(d, "g", 0)
	require.NoError(t, err)
	assert.Equal(t, []kv.KeyValue{{Key: "changed", Value: "2"}, {Key: "kept", Value: "1"}}, rows)
	got, _, err := d.Reads().Get(background, "h", "new")
	require.NoError(t, err)
	assert.Equal(t, int64(99), got.Deadline)
}

func TestMigrationsAreAppendOnly(t *testing.T) {
	require.Len(t, migrations, 4, "a new one is a new file; add it here")
	assert.Contains(t, migrations[0], "CREATE TABLE IF NOT EXISTS entries")
	assert.Contains(t, migrations[1], sqlAddRevision)
	broken := os.DirFS(t.TempDir())
	assert.Empty(t, loadMigrations(broken))
}

func TestBytesSurviveMigration(t *testing.T) {
	path := temporary(t)
	program(t, path, "CREATE TABLE kv (grp TEXT, key TEXT, value TEXT)",
		"INSERT INTO kv VALUES (CAST(x'670068' AS TEXT), CAST(x'FFFE' AS TEXT), CAST(x'00C328' AS TEXT))")
	d := open(t, path)
	got, found, err := d.Reads().Get(background, "g\x00h", "\xff\xfe")
	require.NoError(t, err)
	require.True(t, found)
	assert.Equal(t, "\x00\xc3\x28", got.Value)
	require.NoError(t, d.Close())
	assert.Equal(t, []string{fmt.Sprintf("%X|%X|%X|NULL|text", "g\x00h", "\xff\xfe", "\x00\xc3\x28")}, query(t, path, content))
}
