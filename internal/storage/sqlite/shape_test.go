package sqlite

import (
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

func TestPartialIndexesOfDeadlines(t *testing.T) {
	for sql, has := range map[string]bool{
		"CREATE INDEX i ON entries (expires_at) WHERE expires_at IS NOT NULL":              true,
		"create index i on entries(expires_at) where \"expires_at\" notnull;":              true,
		"CREATE INDEX i ON entries (expires_at) /* WHERE */ WHERE [expires_at] NOT NULL":   true,
		"CREATE INDEX i ON entries (expires_at) WHERE expires_at IS NOT NULL AND 1":        false,
		"CREATE INDEX i ON entries (expires_at) WHERE expires_at > 5":                      false,
		"CREATE INDEX i ON entries (expires_at) WHERE revision IS NOT NULL":                false,
		"CREATE INDEX i ON entries (expires_at)":                                           false,
		"CREATE INDEX i ON entries (expires_at) WHERE":                                     false,
		"CREATE INDEX \"where\" ON entries (expires_at) WHERE expires_at IS NOT NULL OR 1": false,
		"CREATE INDEX i ON entries (expires_at) WHERE NOT expires_at IS NOT NULL":          false,
	} {
		require.Equal(t, has, hasDeadlines(sql), sql)
	}
}

// Where the index of deadlines is lost, or is another one, rows are counted one by one.
func TestCountsWithoutTheIndexOfDeadlines(t *testing.T) {
	for name, statements := range map[string][]string{
		"none":           {"DROP INDEX entries_expires_at"},
		"of some":        {"DROP INDEX entries_expires_at", "CREATE INDEX entries_expires_at ON entries (expires_at) WHERE entry_value IS NOT NULL"},
		"of all":         {"DROP INDEX entries_expires_at", "CREATE INDEX entries_expires_at ON entries (expires_at)"},
		"descending":     {"DROP INDEX entries_expires_at", "CREATE INDEX entries_expires_at ON entries (expires_at DESC)"},
		"beside another": {"CREATE INDEX other ON entries (expires_at) WHERE entry_value IS NOT NULL"},
	} {
		t.Run(name, func(t *testing.T) {
			path := temporary(t)
			d := open(t, path)
			require.NoError(t, write(d, numbered("g", 10)...))
			require.NoError(t, write(d, mortal("g", "dead", 5), mortal("g", "dying", 8), mortal("all dead", "k", 5)))
			require.NoError(t, d.Close())
			program(t, path, statements...)
			d = open(t, path)
			has := viewsOf(t, d).current.Load().shape.deadlines != 0
			require.Equal(t, name == "of all" || name == "beside another", has)
			s, err := d.Snapshot(background)
			require.NoError(t, err)
			defer s.Close()
			require.IsType(t, pageMoment{}, s)
			for _, q := range []question{
				{group: "g", now: 5, groups: kv.GroupRange("all dead"), offset: 3, limit: 100, query: storage.GroupQuery("g"), keys: []string{"dead"}},
				{group: "all dead", now: 8, groups: kv.PrefixRange("g"), offset: 0, limit: 2, query: storage.GroupQuery("g")},
			} {
				requireSame(t, q, q.ask(d.reads.(*fileReads).sqlReads), q.ask(s))
				requireSame(t, q, q.askNow(d.reads.(*fileReads).sqlReads), q.askNow(d.Reads()))
			}
			n, err := s.Count(background, everything, 5)
			require.NoError(t, err)
			require.Equal(t, 11, n)
		})
	}
}

// Snapshots of a table with values that SQLite alone makes text of are SQLite's from the
// beginning.
func TestSnapshotsThatAreLeftToSQLite(t *testing.T) {
	for name, statements := range map[string][]string{
		"numbers": {
			"CREATE TABLE e2 (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, entry_value, expires_at INTEGER, revision INTEGER NOT NULL DEFAULT 1, PRIMARY KEY (group_name, entry_key))",
			"INSERT INTO e2 VALUES ('g', 'k', 1.5, NULL, 1)",
			"DROP TABLE entries", "ALTER TABLE e2 RENAME TO entries"},
	} {
		t.Run(name, func(t *testing.T) {
			path := temporary(t)
			require.NoError(t, open(t, path).Close())
			program(t, path, statements...)
			d := open(t, path)
			require.NotNil(t, viewsOf(t, d).current.Load(), "the table itself can be read")
			s, err := d.Snapshot(background)
			require.NoError(t, err)
			defer s.Close()
			require.IsType(t, sqlMoment{}, s)
			row, found, err := s.Get(background, "g", "k")
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, "1.5", row.Value)
			revision, err := d.Reads().Revision(background)
			require.NoError(t, err)
			require.Equal(t, s.Revision(), revision)
		})
	}
}
