package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/dump"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// asOwner in the environment has the test binary own the database at that path, of which a
// part is in the log alone: see own.
const asOwner = "GOSTORE_TEST_AS_OWNER"

// own writes to a store with an overlay, prints "ready", and then sets g/last to each line
// that it is given, and answers "ok". Its clock stands still, so that the store never rests,
// and nothing is folded but what it asks for.
func own(path string) error {
	store, err := api.New(path, api.WithOverlay(8<<20), api.WithClock(testkit.NewClock()))
	if err != nil {
		return err
	}
	first := new(api.Batch).Set("gone", "a", "folded").Set("gone", "b", "folded").Set("kept", "k", "folded")
	for i := range 50 {
		first.Set("g", fmt.Sprintf("key %02d", i), "folded")
	}
	_, written := store.Batch(first)
	_, changed := store.Batch(new(api.Batch).Set("g", "key 00", "laid").Delete("g", "key 01").Set("g", "new", "laid"))
	if err := errors.Join(written, changed); err != nil {
		return err
	}
	if err := store.Fold(context.Background()); err != nil {
		return err
	}
	_, changed = store.Batch(new(api.Batch).Set("g", "key 02", "laid").Delete("g", "key 03").Set("g", "newer", "laid"))
	if err := errors.Join(changed, store.DeleteGroup("gone"), store.Set("gone", "back", "laid"), store.Set("h", "k", "laid")); err != nil {
		return err
	}
	if store.Health().Unfolded == 0 {
		return errors.New("the table has it all: this tests nothing")
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := store.Set("g", "last", lines.Text()); err != nil {
			return err
		}
		fmt.Println("ok")
	}
	return errors.Join(lines.Err(), store.Close())
}

// owned is what own has acknowledged, in the order of groups and keys.
func owned(last string) (rows [][3]string) {
	for i := range 50 {
		switch key := fmt.Sprintf("key %02d", i); i {
		case 1, 3:
		case 0, 2:
			rows = append(rows, [3]string{"g", key, "laid"})
		default:
			rows = append(rows, [3]string{"g", key, "folded"})
		}
	}
	return append(rows, [3]string{"g", "last", last}, [3]string{"g", "new", "laid"}, [3]string{"g", "newer", "laid"},
		[3]string{"gone", "back", "laid"}, [3]string{"h", "k", "laid"}, [3]string{"kept", "k", "folded"})
}

// Every command that reads shows what was acknowledged, beside an owner whose table lacks a
// part of it, and after that owner was killed: the log has it. None of them writes.
func TestCommandsBesideAnOverlay(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	program, err := os.Executable()
	require.NoError(t, err)
	owner := exec.Command(program)
	owner.Env, owner.Stderr = append(os.Environ(), asOwner+"="+db), os.Stderr
	stdin, err := owner.StdinPipe()
	require.NoError(t, err)
	stdout, err := owner.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, owner.Start())
	killed := false
	kill := func() {
		if !killed {
			killed = true
			_ = owner.Process.Kill()
			_ = owner.Wait()
		}
	}
	t.Cleanup(kill)
	lines := bufio.NewReader(stdout)
	said := func() string {
		line, err := lines.ReadString('\n')
		require.NoError(t, err, "the owner has ended")
		return strings.TrimSuffix(line, "\n")
	}
	require.Equal(t, "ready", said())

	for i := range 3 {
		last := fmt.Sprint("beside ", i)
		_, err := fmt.Fprintln(stdin, last)
		require.NoError(t, err)
		require.Equal(t, "ok", said())
		requireOwned(t, db, last)
	}
	kill()
	requireOwned(t, db, "beside 2")
	folded, has := tableOf(t, db)
	require.NotZero(t, folded, "it is not folded")
	require.NotContains(t, has, [3]string{"h", "k", "laid"})
	require.Contains(t, has, [3]string{"gone", "a", "folded"})
	requireOwned(t, db, "beside 2")

	// A store that opens it for writing has it all too, and leaves one plain file.
	require.Equal(t, printed(""), gostore("set", "--db", db, "g", "last", "after"))
	requireOwned(t, db, "after")
	_, has = tableOf(t, db)
	require.Equal(t, owned("after"), has)
}

// tableOf is what another program finds in the table of a database that no process has open, and
// the revision that it is of; 0: it is whole.
func tableOf(t *testing.T, db string) (folded uint64, has [][3]string) {
	t.Helper()
	database, err := sql.Open("sqlite", db)
	require.NoError(t, err)
	defer func() { require.NoError(t, database.Close()) }()
	require.NoError(t, database.QueryRow(`SELECT coalesce(folded_revision, 0) FROM store_meta`).Scan(&folded))
	rows, err := database.Query(`SELECT group_name, entry_key, entry_value FROM entries ORDER BY 1, 2`)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	for rows.Next() {
		var row [3]string
		require.NoError(t, rows.Scan(&row[0], &row[1], &row[2]))
		has = append(has, row)
	}
	require.NoError(t, rows.Err())
	return folded, has
}

// requireOwned asks everything that reads for what own has acknowledged.
func requireOwned(t *testing.T, db, last string) {
	t.Helper()
	want := owned(last)
	count := len(want) - 3 // of g
	listed := ""
	for _, row := range want[:count] {
		listed += row[1] + "\t" + row[2] + "\n"
	}
	require.Equal(t, printed(last+"\n"), gostore("get", "--db", db, "g", "last"))
	require.Equal(t, printed("laid\n"), gostore("get", "--db", db, "g", "key 02"))
	require.Equal(t, printed("folded\n"), gostore("get", "--db", db, "g", "key 04"))
	for _, gone := range [][]string{{"g", "key 03"}, {"gone", "a"}} {
		require.Equal(t, failed, gostore("get", "--db", db, gone[0], gone[1]).code, gone)
	}
	require.Equal(t, printed(listed), gostore("list", "--db", db, "g"))
	require.Equal(t, printed(fmt.Sprintln(count)), gostore("count", "--db", db, "g"))
	require.Equal(t, printed("1\n"), gostore("count", "--db", db, "gone"))
	require.Equal(t, printed("g\ngone\nh\nkept\n"), gostore("groups", "--db", db))
	require.Contains(t, gostore("history", "--db", db, "g", "last").stdout, last)
	require.Equal(t, want, exported(t, db))

	checked := gostore("check", "--db", db)
	require.Zero(t, checked.code, checked.stdout+checked.stderr)
	require.Contains(t, checked.stdout, fmt.Sprintf("whole: %d entries", len(want)))

	to := filepath.Join(t.TempDir(), "backup.db")
	backup := gostore("backup", "--db", db, to)
	require.Zero(t, backup.code, backup.stderr)
	folded, has := tableOf(t, to)
	require.Zero(t, folded, "a backup is a plain file")
	require.Equal(t, want, has)

	i := startInspect(t, "--db", db, "--no-token")
	_, value := i.ask(http.MethodGet, "/v1/g/last", "", "")
	require.Equal(t, last, value)
	status, _ := i.ask(http.MethodGet, "/v1/gone/a", "", "")
	require.Equal(t, http.StatusNotFound, status)
	_, whole := i.ask(http.MethodGet, "/v1/g?limit=1000", "", "")
	require.Equal(t, count, strings.Count(whole, `"key":`), whole)
	_, tree := i.ask(http.MethodGet, "/ui/tree", "", "")
	require.Contains(t, tree, `"gone"`)
	require.Equal(t, outcome{}, i.stop())

	requireReader(t, db, want)
}

// requireReader has a store that only reads show it, by each way to read.
func requireReader(t *testing.T, db string, want [][3]string) {
	t.Helper()
	reader, err := api.New(db, api.WithReadOnly())
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	n, err := reader.CountAll("")
	require.NoError(t, err)
	require.Equal(t, len(want), n)
	var scanned, snapshot [][3]string
	for entry, err := range reader.Scan(api.ScanOptions{}) {
		require.NoError(t, err)
		scanned = append(scanned, [3]string{entry.Group, entry.Key, entry.Value})
	}
	require.Equal(t, want, scanned)
	s, err := reader.Snapshot()
	require.NoError(t, err)
	defer func() { _ = s.Close() }()
	for entry, err := range s.Scan(api.ScanOptions{}) {
		require.NoError(t, err)
		snapshot = append(snapshot, [3]string{entry.Group, entry.Key, entry.Value})
	}
	require.Equal(t, want, snapshot)
	for event, err := range reader.Subscribe(t.Context(), api.SubscribeOptions{State: true}) {
		require.NoError(t, err)
		if event.Type == api.EventSynced {
			require.Empty(t, want)
			break
		}
		require.Equal(t, want[0], [3]string{event.Group, event.Key, event.Value})
		want = want[1:]
	}
}

// exported is what 'gostore export' writes.
func exported(t *testing.T, db string) (rows [][3]string) {
	t.Helper()
	got := gostore("export", "--db", db)
	require.Zero(t, got.code, got.stderr)
	reader := dump.NewReader(strings.NewReader(got.stdout))
	for {
		row, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return rows
		}
		require.NoError(t, err)
		rows = append(rows, [3]string{row.Group, row.Key, row.Value})
	}
}
