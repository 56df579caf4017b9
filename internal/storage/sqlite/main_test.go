package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // the original's driver: another program, as it were
)

var background = context.Background()

// everything is the range of all groups.
var everything = kv.PrefixRange("")

func TestMain(m *testing.M) {
	if path := os.Getenv("STORAGE_TEST_OWN"); path != "" {
		ownUntilStdinCloses(path)
		return
	}
	testkit.InMemory()
	faultfs.Install()
	goleak.VerifyTestMain(m)
}

// ownUntilStdinCloses is the other process of tests that need one. It leaves
// without closing: what it has committed must be found all the same.
func ownUntilStdinCloses(path string) {
	d, err := Open(Config{Path: path})
	if err == nil {
		err = write(d, kv.Row{Group: "other", Key: "process", Value: fmt.Sprint(os.Getpid()), Deadline: kv.NoDeadline})
	}
	fmt.Println("open:", err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// otherProcess opens path in another process, until the test ends or kill is
// called.
func otherProcess(t *testing.T, path string) (pid int, kill func()) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "STORAGE_TEST_OWN="+path)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	ended := false
	kill = func() {
		if !ended {
			ended = true
			_ = stdin.Close()
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(kill)
	line := make([]byte, 256)
	n, err := stdout.Read(line)
	require.NoError(t, err)
	require.Equal(t, "open: <nil>", strings.TrimSpace(string(line[:n])))
	return cmd.Process.Pid, kill
}

func temporary(t testing.TB) string { return filepath.Join(t.TempDir(), "store.db") }

func open(t testing.TB, path string) *Database {
	t.Helper()
	return openWith(t, Config{Path: path})
}

func openWith(t testing.TB, config Config) *Database {
	t.Helper()
	d, err := Open(overlaying(config))
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := d.Close(); err == nil && !config.ReadOnly { // a file that is only read is its owner's to compare
			requireReadAlike(t, config.Path)
		}
	})
	return d
}

// requireReadAlike has every file that a test leaves be read by its pages and by SQLite: both
// have the same rows, forward and backward, and the same errors or none. What neither opens, or
// what was not closed well, as a file that was damaged on purpose, is not compared.
func requireReadAlike(t testing.TB, path string) {
	if path == storage.MemoryPath || t.Failed() || t.Skipped() {
		return
	}
	read := func(config Config) (all []kv.Row, ok bool) {
		config.Path, config.ReadOnly, config.Events = path, true, decodeLog
		d, err := Open(config)
		if err != nil {
			return nil, false
		}
		defer func() { require.NoError(t, d.Close()) }()
		for _, reverse := range []bool{false, true} {
			for row, err := range d.Reads().Scan(background, storage.Query{Groups: everything, Keys: storage.AllKeys, Reverse: reverse}, math.MinInt64) {
				if err != nil {
					return nil, false
				}
				all = append(all, row)
			}
		}
		return all, true
	}
	pages, readable := read(Config{})
	if bySQLite, ok := read(Config{NoPages: true}); ok || readable {
		require.Equal(t, ok, readable, "one of the two can't read %s", path)
		require.True(t, slices.Equal(pages, bySQLite), "the pages of %s have other rows than SQLite", path)
	}
}

// overlaying is a configuration as the tests that run over an overlay have it.
func overlaying(config Config) Config {
	if overlayBytes > 0 && config.Overlay == 0 {
		config.Overlay, config.loose = overlayBytes, true
		if config.Events == nil {
			config.Events = decodeLog
		}
	}
	return config
}

// direct is Config.Overlay of the tests of what is in the table at once: other programs read it
// there, and the log is cut to any length. It is so whatever OVERLAY says.
const direct = -1

// overlayBytes is the bound of the overlay of every database that a test opens; 0: there is
// none.
var overlayBytes, _ = strconv.ParseInt(os.Getenv("OVERLAY"), 10, 64)

// impatient keeps a test from waiting for a foreign lock that stays.
func impatient(t testing.TB) {
	patience := busyTimeout
	busyTimeout = 10 * time.Millisecond
	t.Cleanup(func() { busyTimeout = patience })
}

// eachKind runs a test on both kinds of database.
func eachKind(t *testing.T, test func(t *testing.T, d *Database)) {
	eachTableKind(t, test)
	t.Run("file with an overlay", func(t *testing.T) {
		test(t, openWith(t, Config{Path: temporary(t), Overlay: 16 << 10, loose: true, Events: decodeLog}))
	})
}

// eachTableKind is eachKind for what the table has at once: of which the log is cut, and
// which other programs read.
func eachTableKind(t *testing.T, test func(t *testing.T, d *Database)) {
	t.Run("memory", func(t *testing.T) { test(t, open(t, storage.MemoryPath)) })
	t.Run("file", func(t *testing.T) { test(t, openWith(t, Config{Path: temporary(t), Overlay: direct})) })
	t.Run("file without mapping", func(t *testing.T) {
		test(t, openWith(t, Config{Path: temporary(t), NoMmap: true, Overlay: direct}))
	})
	t.Run("file by SQLite", func(t *testing.T) { test(t, openWith(t, Config{Path: temporary(t), NoPages: true})) })
}

// fileOf is the writer of a file.
func fileOf(d *Database) *fileWriter { return d.Writer().(*fileWriter) }

// write commits rows, each an upsert.
func write(d *Database, rows ...kv.Row) error {
	w := d.Writer()
	if err := w.Begin(); err != nil {
		return err
	}
	for _, row := range rows {
		if err := w.Upsert(row); err != nil {
			return err
		}
	}
	if err := keepLog(d, rows); err != nil {
		return err
	}
	return w.Commit()
}

// keepLog adds the row of the log that an overlay's transaction needs.
func keepLog(d *Database, rows []kv.Row) error {
	w, ok := d.Writer().(*fileWriter)
	if !ok || w.over == nil || len(rows) == 0 {
		return nil
	}
	last := w.over.Published().Revision() + 1
	record := recordOf(last, rows)
	extent, err := w.LogExtent()
	if err != nil {
		return err
	}
	return w.AppendLog(kv.LogRow{First: last, Last: last, At: 1, Record: record}, extent.End+int64(len(record)))
}

// recordOf is what the log has of rows that were written.
func recordOf(revision uint64, rows []kv.Row) []byte {
	var events []kv.Event
	for _, row := range rows {
		events = append(events, kv.Event{Type: kv.EventSet, Group: row.Group, Key: row.Key, Value: row.Value,
			ExpiresAt: kv.DeadlineTime(row.Deadline), Revision: revision})
	}
	return commitlog.Append(nil, time.UnixMilli(1), events)
}

// row is a row that never expires.
func row(group, key, value string) kv.Row {
	return kv.Row{Group: group, Key: key, Value: value, Deadline: kv.NoDeadline, Revision: 1}
}

// mortal is a row with a deadline.
func mortal(group, key string, deadline int64) kv.Row {
	return kv.Row{Group: group, Key: key, Value: "value of " + key, Deadline: deadline, Revision: 1}
}

func numbered(group string, n int) []kv.Row {
	rows := make([]kv.Row, n)
	for i := range rows {
		rows[i] = row(group, fmt.Sprintf("%06d", i), fmt.Sprint(i))
	}
	return rows
}

// rowsOf is everything that a scan yields.
func rowsOf(d *Database, group string, now int64) (rows []kv.KeyValue, err error) {
	for row, err := range d.Reads().Scan(background, storage.GroupQuery(group), now) {
		if err != nil {
			return rows, err
		}
		rows = append(rows, kv.KeyValue{Key: row.Key, Value: row.Value})
	}
	return rows, nil
}

func groupsOf(d *Database, r kv.Range, now int64) (groups []string, err error) {
	for group, err := range d.Reads().Groups(background, r, now) {
		if err != nil {
			return groups, err
		}
		groups = append(groups, group)
	}
	return groups, nil
}

// folder is what a folder holds: each file's name and checksum. Take it only
// while nothing in it is open.
func folder(t testing.TB, path string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(path)
	require.NoError(t, err)
	files := make(map[string]string)
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(path, entry.Name()))
		require.NoError(t, err)
		files[entry.Name()] = fmt.Sprintf("%x", sha256.Sum256(content))
	}
	return files
}

// program does something to a file as another program would: with the
// original's driver.
func program(t testing.TB, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	for _, statement := range statements {
		_, err := db.Exec(statement)
		require.NoError(t, err, statement)
	}
	require.NoError(t, db.Close())
}

// query is what another program reads, columns joined by |.
func query(t testing.TB, path, statement string) (lines []string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	rows, err := db.Query(statement)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(t, rows.Scan(into...))
		texts := make([]string, len(columns))
		for i, value := range values {
			texts[i] = value.String
			if !value.Valid {
				texts[i] = "NULL"
			}
		}
		lines = append(lines, strings.Join(texts, "|"))
	}
	require.NoError(t, rows.Err())
	return lines
}

// lockNumber is how many digits a number has in a lock.
const lockNumber = 20
