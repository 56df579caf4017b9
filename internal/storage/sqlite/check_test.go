package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// anyRecord accepts every row of the log.
func anyRecord(kv.LogRow) error { return nil }

func check(t testing.TB, d *Database) kv.CheckReport {
	t.Helper()
	report, err := d.Check(background, anyRecord, nil)
	require.NoError(t, err)
	return report
}

func TestCheckOfAWholeStore(t *testing.T) {
	eachTableKind(t, func(t *testing.T, d *Database) {
		assert.True(t, new(check(t, d)).Whole(), "an empty one")
		logged(t, d, row("n:g", "k", "v"), mortal("g", "l", 42))
		logged(t, d, row("g", "m", strings.Repeat("v", 100_000)))
		report := check(t, d)
		assert.Empty(t, report.Findings)
		assert.Empty(t, report.Foreign)
		assert.Equal(t, int64(3), report.Entries)
		assert.Equal(t, int64(2), report.LogRecords)
		assert.Equal(t, uint64(2), report.Revision)

		w := d.Writer()
		require.NoError(t, w.Begin())
		require.NoError(t, w.TrimLog(1))
		require.NoError(t, w.Commit())
		report = check(t, d)
		assert.Empty(t, report.Findings, "a log that was trimmed")
		assert.Equal(t, int64(1), report.LogRecords)

		var seen kv.LogRow
		report, err := d.Check(background, func(row kv.LogRow) error { seen = row; return errors.New("bad record") }, nil)
		require.NoError(t, err)
		assert.Equal(t, []kv.Finding{{Kind: kv.FindingLog, Text: "bad record"}}, report.Findings)
		assert.Equal(t, "record of 2", string(seen.Record))
	})
}

func TestCheckOfMigratedStores(t *testing.T) {
	for _, layout := range layouts {
		t.Run(layout.name, func(t *testing.T) {
			path := temporary(t)
			program(t, path, layout.make...)
			d := open(t, path)
			report := check(t, d)
			if layout.name == "kv with names in capitals" || layout.name == "somebody else's kv" {
				return
			}
			assert.Empty(t, report.Findings)
			assert.Equal(t, int64(len(layout.expect)), report.Entries)
		})
	}
}

// TestCheckFinds: what another program or a bad disk did to a closed store.
func TestCheckFinds(t *testing.T) {
	for _, c := range []struct {
		name       string
		statements []string
		kind, text string
	}{
		{"a NULL", []string{"PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = replace(sql, 'entry_value TEXT NOT NULL', 'entry_value TEXT') WHERE name = 'entries'",
			"PRAGMA writable_schema = RESET", "UPDATE entries SET entry_value = NULL WHERE entry_key = 'k'"}, kv.FindingRow, "1 of 2 entries have a NULL"},
		{"a BLOB key", []string{"UPDATE entries SET entry_key = x'6B' WHERE entry_key = 'k'"}, kv.FindingRow, "group or key that is no text"},
		{"a deadline that is text", []string{"UPDATE entries SET expires_at = 'tomorrow' WHERE entry_key = 'k'"}, kv.FindingRow, "an expiry that is no integer: rowid 1"},
		{"a revision of none", []string{"UPDATE entries SET revision = 0 WHERE entry_key = 'k'"}, kv.FindingRow, "less than 1"},
		{"a revision to come", []string{"UPDATE entries SET revision = 99 WHERE entry_key = 'k'"}, kv.FindingRow, "not reached"},
		{"a gap in the log", []string{"DELETE FROM log WHERE last_revision = 2"}, kv.FindingLog, "revision 1 is followed by 3"},
		{"sizes that don't join", []string{"UPDATE log SET log_end = log_end + 1 WHERE last_revision = 2"}, kv.FindingLog, "log_end of revision 2"},
		{"a record that is text", []string{"UPDATE log SET record = CAST(record AS TEXT) WHERE last_revision = 2"}, kv.FindingLog, "other types"},
		{"a row upside down", []string{"UPDATE log SET first_revision = 7 WHERE last_revision = 2"}, kv.FindingLog, "revisions 7 to 2"},
		{"a base above the log", []string{"UPDATE store_meta SET base_revision = 2"}, kv.FindingLog, "the log begins with revision 1"},
		{"a trigger", []string{"CREATE TRIGGER veto BEFORE INSERT ON entries BEGIN SELECT RAISE(IGNORE); END"}, kv.FindingTrigger, "trigger veto on entries"},
		{"an index that is gone", []string{"DROP INDEX entries_expires_at"}, kv.FindingSchema, "index entries_expires_at of entries is missing"},
		{"an index that misses a row", []string{"PRAGMA writable_schema = ON",
			"UPDATE sqlite_schema SET sql = 'CREATE INDEX entries_expires_at ON entries (expires_at) WHERE expires_at > 50' WHERE name = 'entries_expires_at'",
			"PRAGMA writable_schema = RESET", "REINDEX entries_expires_at", "PRAGMA writable_schema = ON",
			"UPDATE sqlite_schema SET sql = 'CREATE INDEX entries_expires_at ON entries (expires_at) WHERE expires_at IS NOT NULL' WHERE name = 'entries_expires_at'"},
			kv.FindingCount, "entries that expire: 0 by the index, 1 in the table"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := temporary(t)
			d := open(t, path)
			logged(t, d, row("g", "k", "v"))
			logged(t, d, mortal("n:g", "l", 42))
			logged(t, d, row("g", "k", "w"))
			require.NoError(t, d.Close())
			program(t, path, c.statements...)
			before, err := os.ReadFile(path)
			require.NoError(t, err)
			d = openWith(t, Config{Path: path, ReadOnly: true})
			report := check(t, d)
			require.NoError(t, d.Close())
			found := fmt.Sprint(report.Findings)
			assert.Contains(t, found, c.kind+": ")
			assert.Contains(t, found, c.text)
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, before, after, "nothing was written")
		})
	}
}

func TestCheckListsWhatOthersKeepInTheFile(t *testing.T) {
	path := temporary(t)
	require.NoError(t, open(t, path).Close())
	program(t, path, "CREATE TABLE notes (text)", "CREATE VIEW everything AS SELECT * FROM entries")
	report := check(t, open(t, path))
	assert.Empty(t, report.Findings)
	assert.Equal(t, []string{"view everything", "table notes"}, report.Foreign)
}

func TestCheckOfDamagedPages(t *testing.T) {
	path := temporary(t)
	d := open(t, path)
	for i := range 50 {
		logged(t, d, numbered(fmt.Sprintf("n%d:g", i), 100)...)
	}
	require.NoError(t, d.Close())
	damage(t, path, 9)
	d = openWith(t, Config{Path: path, ReadOnly: true})
	report := check(t, d)
	assert.NotEmpty(t, report.Findings)
	assert.Equal(t, kv.FindingStructure, report.Findings[len(report.Findings)-1].Kind)
	assert.Less(t, len(report.Findings), 6*(mostFindings+2))
}

func TestCheckBesideAnOwnerAndEndedEarly(t *testing.T) {
	path := temporary(t)
	require.NoError(t, open(t, path).Close())
	otherProcess(t, path)
	d := openWith(t, Config{Path: path, ReadOnly: true})
	report := check(t, d)
	assert.Equal(t, int64(1), report.Entries)

	ctx, cancel := context.WithCancel(background)
	_, err := d.Check(ctx, anyRecord, func(int64, int64) { cancel() })
	require.ErrorIs(t, err, context.Canceled)
	closed := make(chan error, 1)
	began := false
	_, err = d.Check(background, anyRecord, func(int64, int64) {
		if !began {
			began = true
			go func() { closed <- d.Close() }()
			<-d.done
		}
	})
	require.ErrorIs(t, err, kv.ClosedError)
	require.NoError(t, <-closed)
}
