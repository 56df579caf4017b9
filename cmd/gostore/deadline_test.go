package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/rows"
)

const microseconds = 1_900_000_000_000_000 // of 2030, taken for milliseconds: the year 62178

// withForeignDeadlines is a database into which another program has put keys
// that expire beyond the year 9999.
func withForeignDeadlines(t *testing.T) (db string) {
	t.Helper()
	db = filled(t, func(batch *api.Batch) { batch.Set("g", "a", "v").Set("g", "b", "v").Set("g", "c", "v") })
	other, err := sql.Open("sqlite", db)
	require.NoError(t, err)
	for key, deadline := range map[string]int64{"b": microseconds, "c": 1 << 62} {
		_, err = other.Exec(`UPDATE entries SET expires_at = ? WHERE entry_key = ?`, deadline, key)
		require.NoError(t, err)
	}
	require.NoError(t, other.Close())
	return db
}

// Whatever another program has put into the file, no output fails for it, and
// each tells the moment.
func TestDeadlines_BeyondTheYear9999AreShown(t *testing.T) {
	db := withForeignDeadlines(t)
	watch := startProgram(t, "watch", "--db", db, "--state", "--json", "g")
	watch.line()
	for _, want := range []string{`"expires_ms":1900000000000000}`, `"expires_ms":4611686018427387904}`} {
		line := watch.line()
		assert.True(t, json.Valid([]byte(line)), line)
		assert.True(t, strings.HasSuffix(line, want), line)
		assert.NotContains(t, line, "expires_at")
	}
	assert.Contains(t, watch.line(), `"synced"`)
	watch.interrupt()

	watch = startProgram(t, "watch", "--db", db, "--state", "g")
	watch.line()
	assert.Contains(t, watch.line(), ` until 1900000000000000 ms`)
	watch.interrupt()

	assert.Equal(t, printed(`{"key":"b","value":"v","revision":1,"expires_ms":1900000000000000}`+"\n"), gostore("get", "--db", db, "--json", "g", "b"))
	assert.Contains(t, gostore("list", "--db", db, "--json", "g").stdout, `"expires_ms":4611686018427387904}`)
	assert.Zero(t, gostore("stats", "--db", db, "--json").code)
}

// TestChanges_TimesThatJSONHasNoFormFor: an event's own time too.
func TestChanges_TimesThatJSONHasNoFormFor(t *testing.T) {
	late, early := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC)
	last := time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)
	for _, test := range []struct {
		event      api.Event
		text, json string
	}{
		{api.Event{Type: api.EventSet, Revision: 7, Timestamp: late, ExpiresAt: late},
			`       7  253402300800000 ms       set           "" "" = "" until 253402300800000 ms`,
			`{"revision":7,"type":"set","time_ms":253402300800000,"group":"","key":"","value":"","expires_ms":253402300800000}`},
		{api.Event{Type: api.EventSet, Revision: 7, Timestamp: early, ExpiresAt: last},
			`       7  -62135683200000 ms       set           "" "" = "" until 9999-12-31 23:59:59.999`,
			`{"revision":7,"type":"set","time_ms":-62135683200000,"group":"","key":"","value":"","expires_at":"9999-12-31T23:59:59.999Z"}`},
		// A zone in which it is the year 10000 already.
		{api.Event{Type: api.EventExpire, Revision: 7, Timestamp: last.In(time.FixedZone("", 3600))},
			`       7  253402300799999 ms       expire        "" "" = ""`,
			`{"revision":7,"type":"expire","time":"9999-12-31T23:59:59.999Z","group":"","key":"","value":""}`},
	} {
		var text, asJSON bytes.Buffer
		require.NoError(t, newChangePrinter(&text, false).print(test.event))
		require.NoError(t, newChangePrinter(&asJSON, true).print(test.event))
		assert.Equal(t, test.text+"\n", text.String())
		assert.Equal(t, test.json+"\n", asJSON.String())
	}
}

func TestStats_ALogThatBeginsBeyondTheYear9999(t *testing.T) {
	s := statistics{Namespaces: []namespaceLine{}}
	s.logBegins(api.Stats{OldestRevision: 3, LogBegins: time.UnixMilli(microseconds)})
	encoded, err := json.Marshal(s)
	require.NoError(t, err)
	assert.Contains(t, string(encoded), `"oldest_revision":3,"log_begins":null,"log_begins_ms":1900000000000000`)
	var text bytes.Buffer
	require.NoError(t, (&app{stdout: &text}).printStatistics(s))
	assert.Contains(t, text.String(), "3, of 1900000000000000 ms\n")
}

func TestImport_RefusesDeadlinesOutsideTheYears1To9999(t *testing.T) {
	columns := []string{"--group-column", "1", "--key-column", "2", "--value-column", "3", "--expires-column", "4"}
	const beyond = ": the years 1 to 9999 are taken, in milliseconds since 1970"
	const clamp = "; --clamp-expiries takes the nearest moment within; 0 rows are committed\n"
	for deadline, want := range map[string]string{
		"1900000000000000":    "the row expires at 1900000000000000" + beyond + ", and as microseconds that would be 2030-03-17" + clamp,
		"253402300800000":     "the row expires at 253402300800000" + beyond + ", and as microseconds that would be 1978-01-11" + clamp,
		"1900000000000000000": "the row expires at 1900000000000000000" + beyond + ", and as nanoseconds that would be 2030-03-17" + clamp,
		"9223372036854775807": "the row expires at 9223372036854775807" + beyond + ", and as nanoseconds that would be 2262-04-11" + clamp,
		"-62135596800001":     "the row expires at -62135596800001" + beyond + clamp,
	} {
		db := filepath.Join(t.TempDir(), "s.db")
		in := strings.NewReader("g\tj\tv\t\ng\tk\tv\t" + deadline + "\n")
		got := gostoreReading(context.Background(), in, append([]string{"import", "--db", db}, columns...)...)
		assert.Equal(t, outcome{failed, "", "gostore: standard input: line 2: " + want}, got)
		assert.Equal(t, printed("0\n"), gostore("count", "--db", db, "g"))
	}

	// The bounds themselves are taken; what is past is skipped, as ever.
	db := filepath.Join(t.TempDir(), "s.db")
	in := strings.NewReader("g\tk\tv\t253402300799999\ng\tl\tv\t-62135596800000\ng\tm\tv\t0\n")
	got := gostoreReading(context.Background(), in, append([]string{"import", "--db", db}, columns...)...)
	assert.Equal(t, printed("imported 1 row, skipped 2 expired rows\n"), got)
	assert.Equal(t, []held{{"g", "k", "v", 253402300799999}}, contents(t, db))

	in = strings.NewReader("g\tl\tv\t9223372036854775807\ng\tm\tv\t-9223372036854775808\n")
	got = gostoreReading(context.Background(), in, append([]string{"import", "--db", db, "--clamp-expiries"}, columns...)...)
	assert.Equal(t, printed("imported 1 row, skipped 1 expired row\n"), got)
	assert.Equal(t, []held{{"g", "k", "v", 253402300799999}, {"g", "l", "v", 253402300799999}}, contents(t, db))
}

// An export has the moments as they are, says that they will be refused, and
// can be imported.
func TestExport_OfDeadlinesBeyondTheYear9999(t *testing.T) {
	db := withForeignDeadlines(t)
	const warning = "gostore: warning: 2 entries expire outside the years 1 to 9999, the first is key \"b\" in group \"g\" at 1900000000000000 ms since 1970: importing them needs --clamp-expiries\n"
	columns := []string{"--group-column", "1", "--key-column", "2", "--value-column", "3", "--expires-column", "4"}
	for format, flags := range map[string][]string{"jsonl": nil, "csv": columns} {
		file, copied := filepath.Join(t.TempDir(), "x."+format), filepath.Join(t.TempDir(), "c.db")
		assert.Equal(t, outcome{succeeded, fmt.Sprintf("exported 3 entries to %s\n", file), warning}, gostore("export", "--db", db, "-o", file))
		got := gostore(append([]string{"import", "--db", copied, file}, flags...)...)
		assert.Equal(t, failed, got.code)
		assert.Regexp(t, `: line \d: the row expires at 1900000000000000: .*--clamp-expiries`, got.stderr)
		got = gostore(append([]string{"import", "--db", copied, "--clamp-expiries", file}, flags...)...)
		assert.Equal(t, printed("imported 3 rows\n"), got)
		assert.Equal(t, []held{{"g", "a", "v", 0}, {"g", "b", "v", 253402300799999}, {"g", "c", "v", 253402300799999}}, contents(t, copied))
	}
	toStdout := gostore("export", "--db", db)
	assert.Zero(t, toStdout.code)
	assert.Equal(t, warning, toStdout.stderr)
}

func TestMoment_IsNeverTheZeroTime(t *testing.T) {
	for _, ms := range []int64{-1 << 63, -62135596800000, -1, 0, 1, 1<<63 - 1} {
		assert.False(t, rows.Moment(ms).IsZero(), ms)
	}
	assert.Equal(t, int64(-1<<63), rows.Moment(-1<<63).UnixMilli())
	assert.EqualValues(t, 0, rows.Moment(0).UnixMilli())
}
