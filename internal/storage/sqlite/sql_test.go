package sqlite

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// plan is how SQLite goes about a statement.
func plan(t *testing.T, conn *sqlite.Conn, statement string) (steps []string) {
	stmt, _, err := conn.PrepareTransient("EXPLAIN QUERY PLAN " + statement)
	require.NoError(t, err, statement)
	defer func() { require.NoError(t, stmt.Finalize()) }()
	for {
		found, err := stmt.Step()
		require.NoError(t, err)
		if !found {
			return steps
		}
		steps = append(steps, stmt.GetText("detail"))
	}
}

func TestEveryStatementGoesByAnIndex(t *testing.T) {
	conn := fileOf(open(t, temporary(t))).conn
	const (
		key      = "sqlite_autoindex_entries_1"
		expiry   = "entries_expires_at"
		covering = "COVERING INDEX " + key
	)
	for statement, wants := range map[string][]string{
		sqlGet:           {"INDEX " + key + " (group_name=? AND entry_key=?)"},
		sqlUpdate:        {"INDEX " + key + " (group_name=? AND entry_key=?)"},
		sqlDelete:        {"INDEX " + key + " (group_name=? AND entry_key=?)"},
		sqlDeleteGroup:   {key + " (group_name=?)"},
		sqlHasGroup:      {covering + " (group_name=?)"},
		sqlGroupIsLive:   {key + " (group_name=?)"},
		sqlFirstGroup:    {covering + " (group_name>? AND group_name<?)"},
		sqlNextGroup:     {covering + " (group_name>? AND group_name<?)"},
		sqlExpiredRows:   {expiry + " (expires_at>? AND expires_at<?)"},
		sqlEarliest:      {expiry},
		sqlPage:          {key + " (group_name=?)"},
		sqlAnyDead:       {expiry + " (expires_at<?)"},
		sqlKeyAt:         {covering + " (group_name=?)"},
		sqlPageFrom:      {key + " (group_name=? AND entry_key>?)"},
		sqlCount:         {covering + " (group_name>? AND group_name<?)", expiry + " (expires_at<?)"},
		sqlGroups:        {covering + " (group_name>? AND group_name<?)", expiry + " (expires_at<?)", key + " (group_name=?)"},
		sqlUsage:         {covering + " (group_name>? AND group_name<?)", expiry + " (expires_at<?)", key + " (group_name=?)"},
		sqlExpired:       {expiry + " (expires_at<?)", key + " (group_name=?)"},
		sqlLogExtent:     {"SEARCH oldest USING INTEGER PRIMARY KEY", "SEARCH newest USING INTEGER PRIMARY KEY"},
		sqlPhysicalUsage: {covering + " (group_name>? AND group_name<?)"},
	} {
		steps := plan(t, conn, statement)
		all := strings.Join(steps, "\n")
		for _, want := range wants {
			assert.Contains(t, all, want, statement)
		}
		for _, step := range steps {
			assert.False(t, strings.HasPrefix(step, "SCAN entries") && !strings.Contains(step, "INDEX"), "%s\n%s", statement, all)
			if statement != sqlExpired { // the groups of the few dead rows
				assert.NotContains(t, step, "TEMP B-TREE", statement)
			}
		}
	}
}

// Whatever a scan's parts, it begins where it is to begin and sorts nothing.
func TestEveryScanGoesByTheKeys(t *testing.T) {
	conn := fileOf(open(t, temporary(t))).conn
	for v := range scanVariants {
		if v&scanSingle != 0 && v&scanAfter != 0 {
			continue // the keys' range says where it goes on
		}
		steps := plan(t, conn, scanSQL(v))
		require.Len(t, steps, 1, scanSQL(v))
		want := "SEARCH entries USING INDEX sqlite_autoindex_entries_1 ("
		switch {
		case v&scanAfter != 0 && v&scanReverse == 0:
			want += "(group_name,entry_key)>(?,?) AND group_name<?)"
		case v&scanAfter != 0:
			want += "group_name>? AND (group_name,entry_key)<(?,?))"
		case v&scanSingle == 0:
			want += "group_name>? AND group_name<?)"
		case v&scanFrom != 0 && v&scanTo != 0:
			want += "group_name=? AND entry_key>? AND entry_key<?)"
		case v&scanFrom != 0:
			want += "group_name=? AND entry_key>?)"
		case v&scanTo != 0:
			want += "group_name=? AND entry_key<?)"
		default:
			want += "group_name=?)"
		}
		assert.Equal(t, want, steps[0], scanSQL(v))
	}
}

func TestReadersCannotWrite(t *testing.T) {
	path := temporary(t)
	d := open(t, path)
	require.NoError(t, write(d, row("g", "k", "v")))
	err := d.reads.(*fileReads).pool.with(background, func(r *reader) error {
		return execute(r.conn, "DELETE FROM entries")
	})
	require.ErrorContains(t, err, "readonly")
	checkpointer := fileOf(d).checkpoints
	require.NoError(t, d.Close())
	require.NotNil(t, checkpointer)
	conn, err := openConnection(path, sqlite.OpenReadWrite, pragmas(checkpointing, 0, readerCacheKiB), nil)
	require.NoError(t, err)
	require.ErrorContains(t, execute(conn, "DELETE FROM entries"), "readonly")
	require.NoError(t, conn.Close())
}

func TestSettingsOfConnections(t *testing.T) {
	d := open(t, temporary(t))
	conn := fileOf(d).conn
	for pragma, want := range map[string]int64{
		"wal_autocheckpoint": 0, "synchronous": 2, "busy_timeout": 5000, "trusted_schema": 0,
		"cache_size": -writerCacheKiB, "journal_size_limit": walLimit, "query_only": 0, "cell_size_check": 1,
	} {
		got, err := queryInt(conn, "PRAGMA "+pragma)
		require.NoError(t, err)
		assert.Equal(t, want, got, pragma)
	}
	buffered := openWith(t, Config{Path: temporary(t), Durability: 1})
	got, err := queryInt(fileOf(buffered).conn, "PRAGMA synchronous")
	require.NoError(t, err)
	assert.Equal(t, int64(1), got)
	assert.Equal(t, 1, strings.Count(strings.Join(pragmas(writing, 0, writerCacheKiB), ";"), "synchronous = FULL"))
}
