package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/dump"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/rows"
)

// held is what a store holds of one key, its revision excepted.
type held struct {
	group, key, value string
	expires           int64 // Unix milliseconds; 0: never
}

// contents is every entry of a database that no process has open.
func contents(t *testing.T, db string) (all []held) {
	t.Helper()
	store, err := api.New(db, api.WithReadOnly())
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	for entry, err := range entries(context.Background(), store, api.Filter{}) {
		require.NoError(t, err)
		if entry.Type == api.EventSet {
			found := held{entry.Group, entry.Key, entry.Value, 0}
			if !entry.ExpiresAt.IsZero() {
				found.expires = entry.ExpiresAt.UnixMilli()
			}
			all = append(all, found)
		}
	}
	return all
}

// filled makes a database of what write writes.
func filled(t *testing.T, write func(batch *api.Batch)) (db string) {
	t.Helper()
	db = filepath.Join(t.TempDir(), "s.db")
	store, err := api.New(db)
	require.NoError(t, err)
	var batch api.Batch
	write(&batch)
	_, err = store.Batch(&batch)
	require.NoError(t, err)
	require.NoError(t, store.Close())
	return db
}

// folder is the names of the files beside a database.
func folder(t *testing.T, db string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Dir(db))
	require.NoError(t, err)
	for _, file := range files {
		names = append(names, file.Name())
	}
	return names
}

func randomBytes(r *rand.Rand) string {
	pieces := []string{"\x00", "\xff", "\r\n", "\n", "\t", `"`, `\`, "🙂", "\ufffd", "\u2028", "\ufeff", ",", "a", "ä", "\xed\xa0\x80"}
	var text strings.Builder
	for range r.IntN(5) {
		if r.IntN(4) == 0 {
			text.WriteByte(byte(r.Uint32()))
		} else {
			text.WriteString(pieces[r.IntN(len(pieces))])
		}
	}
	return text.String()
}

// Whatever bytes a store holds come back, and when they expire.
func TestExport_RoundTripOfAnyBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	soon := time.Now().Add(time.Hour)
	db := filled(t, func(batch *api.Batch) {
		for range 3_000 {
			group, key, value := randomBytes(r), randomBytes(r), randomBytes(r)
			if r.IntN(2) == 0 {
				batch.Set(group, key, value)
				continue
			}
			batch.SetUntil(group, key, value, soon.Add(time.Duration(r.Int64N(1e15))))
		}
		batch.SetUntil("", "", "", latest) // the last that is taken
		batch.Set("long", "nul", strings.Repeat("\x00", 1<<20))
	})
	want := contents(t, db)
	require.Greater(t, len(want), 2_000)

	piped := filepath.Join(t.TempDir(), "piped.db")
	exported := gostore("export", "--db", db)
	require.Zero(t, exported.code, exported.stderr)
	got := gostoreReading(context.Background(), strings.NewReader(exported.stdout), "import", "--db", piped)
	assert.Equal(t, printed(fmt.Sprintf("imported %d rows\n", len(want))), got)
	require.Equal(t, want, contents(t, piped))

	byFile := filepath.Join(t.TempDir(), "file.db")
	file := filepath.Join(t.TempDir(), "file.jsonl")
	assert.Equal(t, printed(fmt.Sprintf("exported %d entries to %s\n", len(want), file)), gostore("export", "--db", db, "-o", file))
	assert.Equal(t, printed(fmt.Sprintf("imported %d rows\n", len(want))), gostore("import", "--db", byFile, file))
	require.Equal(t, want, contents(t, byFile))
}

func TestExport_TablesRoundTrip(t *testing.T) {
	until := time.UnixMilli(time.Now().Add(time.Hour).UnixMilli())
	db := filled(t, func(batch *api.Batch) {
		batch.Set("", "", "").Set("g", `"k"`, "ä,🙂").SetUntil("g", `\n`, "v", until)
	})
	columns := []string{"--group-column", "1", "--key-column", "2", "--value-column", "3", "--expires-column", "4"}
	for _, name := range []string{"x.csv", "x.TSV"} {
		file, copied := filepath.Join(t.TempDir(), name), filepath.Join(t.TempDir(), "c.db")
		require.Zero(t, gostore("export", "--db", db, "--output", file).code)
		assert.Equal(t, printed("imported 3 rows\n"), gostore(append([]string{"import", "--db", copied, file}, columns...)...))
		assert.Equal(t, contents(t, db), contents(t, copied), name)
	}
	assert.Equal(t, printed(fmt.Sprintf(",,,\ng,\"\"\"k\"\"\",\"ä,🙂\",\ng,\\n,v,%d\n", until.UnixMilli())), gostore("export", "--db", db, "--format", "csv"))
}

func TestExport_TablesRefuseWhatTheyCannotCarry(t *testing.T) {
	for value, why := range map[string]string{"\xff": "bytes that are not UTF-8", "\x00": "a NUL byte", "\r\n": "a carriage return"} {
		db := filled(t, func(batch *api.Batch) { batch.Set("g", "k", "v").Set("g", "l\n", value) })
		file := filepath.Join(filepath.Dir(db), "x.csv")
		require.NoError(t, os.WriteFile(file, []byte("as it was"), 0o600))
		before := folder(t, db)
		got := gostore("export", "--db", db, "-o", file)
		assert.Equal(t, outcome{failed, "", `gostore: key "l\n" in group "g": the value has ` + why + ": use --format jsonl\n"}, got)
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, "as it was", string(text))
		assert.Equal(t, before, folder(t, db), "nothing is left")
	}
	db := filled(t, func(batch *api.Batch) { batch.Set("g", "a\tb", "v") })
	assert.Equal(t, outcome{failed, "", `gostore: key "a\tb" in group "g": the key has a tab: use --format jsonl` + "\n"},
		gostore("export", "--db", db, "--format", "tsv"))
}

func TestExport_PartOfTheStore(t *testing.T) {
	db := filled(t, func(batch *api.Batch) { batch.Set("a:x", "k", "1").Set("a:y", "k", "2").Set("b", "k", "3") })
	for name, test := range map[string]struct {
		flags []string
		want  string
	}{
		"a group":     {[]string{"--group", "a:x"}, "a:x,k,1,\n"},
		"a prefix":    {[]string{"--prefix", "a:"}, "a:x,k,1,\na:y,k,2,\n"},
		"everything":  {nil, "a:x,k,1,\na:y,k,2,\nb,k,3,\n"},
		"no group":    {[]string{"--group", ""}, ""},
		"any prefix":  {[]string{"--prefix", ""}, "a:x,k,1,\na:y,k,2,\nb,k,3,\n"},
		"nothing has": {[]string{"--prefix", "c"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, printed(test.want), gostore(append([]string{"export", "--db", db, "--format", "csv"}, test.flags...)...))
		})
	}
	assert.Contains(t, gostore("export", "--db", db, "--prefix", "a:").stdout, `"only_prefix":"a:"`)
}

// All of an export is of one moment, that of the revision at its end.
func TestExport_BesideAnOwner(t *testing.T) {
	db := filled(t, func(batch *api.Batch) { batch.Set("g", "a", "0").Set("g", "z", "0") })
	owner, err := api.New(db)
	require.NoError(t, err)
	defer func() { require.NoError(t, owner.Close()) }()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		for i := 1; ctx.Err() == nil; i++ {
			n := fmt.Sprint(i)
			if _, err := owner.Batch(new(api.Batch).Set("g", "a", n).Set("g", "z", n)); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for range 20 {
		exported := gostore("export", "--db", db)
		require.Zero(t, exported.code, exported.stderr)
		reader := dump.NewReader(strings.NewReader(exported.stdout))
		first, err := reader.Next()
		require.NoError(t, err)
		second, err := reader.Next()
		require.NoError(t, err)
		assert.Equal(t, first.Value, second.Value)
		_, err = reader.Next()
		require.ErrorIs(t, err, io.EOF)
		var wrote uint64
		_, err = fmt.Sscan(first.Value, &wrote)
		require.NoError(t, err)
		assert.Equal(t, wrote+1, reader.End().Revision)
	}
	stop()
	require.NoError(t, <-ended)

	for _, command := range [][]string{{"list", "g"}, {"groups"}, {"render", "{{ .a }}", "g"}, {"stats"}, {"get", "--json", "g", "a"}} {
		got := gostore(append(command, "--db", db)...)
		assert.Zero(t, got.code, got.stderr)
		assert.NotEmpty(t, got.stdout)
	}
}

// interruptingWriter interrupts after some bytes.
type interruptingWriter struct {
	interrupt func()
	after     int
}

func (w *interruptingWriter) Write(p []byte) (int, error) {
	if w.after -= len(p); w.after <= 0 {
		w.interrupt()
	}
	return len(p), nil
}

func TestExport_InterruptedLeavesNothing(t *testing.T) {
	db := filled(t, func(batch *api.Batch) {
		for i := range 5_000 {
			batch.Set("g", fmt.Sprint(i), strings.Repeat("v", 100))
		}
	})
	before := folder(t, db)
	file := filepath.Join(filepath.Dir(db), "x.jsonl")
	ctx, interrupt := context.WithCancel(context.Background())
	interrupt()
	var stderr bytes.Buffer
	assert.Equal(t, failed, run(ctx, []string{"export", "--db", db, "-o", file}, nil, io.Discard, &stderr))
	assert.Equal(t, "gostore: interrupted\n", stderr.String())
	assert.Equal(t, before, folder(t, db))

	ctx, interrupt = context.WithCancel(context.Background())
	stderr.Reset()
	assert.Equal(t, failed, run(ctx, []string{"export", "--db", db}, nil, &interruptingWriter{interrupt, 100_000}, &stderr))
	assert.Equal(t, "gostore: interrupted\n", stderr.String())
}

func TestExport_OutputsThatAreRefused(t *testing.T) {
	db := filled(t, func(batch *api.Batch) { batch.Set("g", "k", "v") })
	link := filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Symlink(db, link))
	for _, output := range []string{db, db + "-wal", db + "-lock", link} {
		for _, database := range []string{db, link} {
			got := gostore("export", "--db", database, "-o", output)
			assert.Equal(t, outcome{misused, "", "gostore: --output " + output + " is a file of the database: name another; see 'gostore export --help'\n"}, got)
		}
	}
	got := gostore("export", "--db", db, "-o", filepath.Dir(db))
	assert.Equal(t, failed, got.code)
	assert.Contains(t, got.stderr, "is no regular file: name another")
	assert.Equal(t, printed("v\n"), gostore("get", "--db", db, "g", "k"))
}

// goneWriter is a pipe whose reader has seen enough.
type goneWriter struct{}

func (goneWriter) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
}

func TestRun_AReaderThatHasSeenEnough(t *testing.T) {
	db := filled(t, func(batch *api.Batch) {
		for i := range 5_000 {
			batch.Set("g", fmt.Sprint(i), "v").Set(fmt.Sprint(i), "k", "v")
		}
	})
	for _, command := range [][]string{{"list", "g"}, {"groups"}, {"render", "text", "g"}, {"stats"}, {"stats", "--json"}, {"get", "g", "1"}} {
		var stderr bytes.Buffer
		assert.Equal(t, succeeded, run(context.Background(), append(command, "--db", db), nil, goneWriter{}, &stderr), command[0])
		assert.Empty(t, stderr.String(), command[0])
	}
	var stderr bytes.Buffer
	assert.Equal(t, failed, run(context.Background(), []string{"export", "--db", db}, nil, goneWriter{}, &stderr))
	assert.Equal(t, "gostore: whoever read the export has gone before its end\n", stderr.String())
}

func TestImport_AnExportThatIsBad(t *testing.T) {
	db := filled(t, func(batch *api.Batch) {
		for i := range 2_500 {
			batch.Set("g", fmt.Sprintf("%04d", i), "v")
		}
	})
	text := gostore("export", "--db", db).stdout
	lines := strings.SplitAfter(text, "\n")
	damaged := strings.Replace(text, `"key":"2200"`, `"key":"2201"`, 1)
	for name, test := range map[string]struct{ text, want, committed string }{
		"cut off at a line": {strings.Join(lines[:2_200], ""),
			"line 2201: the export is cut off here: its end is missing; 2000 rows are committed, up to line 2001", "2000\n"},
		"cut off within one": {text[:len(strings.Join(lines[:1_500], ""))+10],
			"line 1501: the export is damaged or cut off here; 1000 rows are committed, up to line 1001", "1000\n"},
		"damaged": {damaged,
			"line 2202: the export is damaged or cut off here, or a line before this one is missing; 2000 rows are committed, up to line 2001", "2000\n"},
		"a table":       {"g\tk\tv\n", "line 1: not an export of gostore; of a table say --key-column and the rest of its layout; 0 rows are committed", "0\n"},
		"another world": {`{"gostore":"export","version":7}`, "line 1: the export is of version 7, this gostore reads version 1: use the one that wrote it, or a newer one; 0 rows are committed", "0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			db := filepath.Join(t.TempDir(), "s.db")
			file := table(t, "x.jsonl", test.text)
			assert.Equal(t, outcome{failed, "", "gostore: " + file + ": " + test.want + "\n"}, gostore("import", "--db", db, file))
			assert.Equal(t, printed(test.committed), gostore("count", "--db", db, "g"))
		})
	}
}

// exportOf is an export of the rows.
func exportOf(t *testing.T, all ...rows.Row) string {
	t.Helper()
	var out bytes.Buffer
	to, err := dump.NewWriter(&out, dump.Header{})
	require.NoError(t, err)
	for _, row := range all {
		require.NoError(t, to.Write(row))
	}
	require.NoError(t, to.End(1))
	return out.String()
}

func TestImport_SkipsAndCountsWhatHasExpired(t *testing.T) {
	past, later := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	file := table(t, "x.jsonl", exportOf(t, rows.Row{Group: "g", Key: "a", Expires: past}, rows.Row{Group: "g", Key: "b", Value: "v", Expires: later},
		rows.Row{Group: "g", Key: "c", Expires: past}))
	db := filepath.Join(t.TempDir(), "s.db")
	require.Zero(t, gostore("set", "--db", db, "g", "a", "stays").code)
	assert.Equal(t, printed("imported 1 row, skipped 2 expired rows\n"), gostore("import", "--db", db, file))
	assert.Equal(t, []held{{"g", "a", "stays", 0}, {"g", "b", "v", later.UnixMilli()}}, contents(t, db))
}

// The limits of the store that was exported may have been any.
func TestImport_AnExportOfAStoreWithLargerLimits(t *testing.T) {
	key := strings.Repeat("k", sizeLimits.Key+1)
	db := filepath.Join(t.TempDir(), "s.db")
	got := gostoreReading(context.Background(), strings.NewReader(exportOf(t, rows.Row{Group: "g", Key: key})), "import", "--db", db)
	require.Equal(t, printed("imported 1 row\n"), got)
	assert.Equal(t, printed(key+"\t\n"), gostore("list", "--db", db, "g"))
}

func TestLoad_NowIsAskedPerRow(t *testing.T) {
	now := time.UnixMilli(1_000)
	l := &load{
		reader: dump.NewReader(strings.NewReader(exportOf(t, rows.Row{Key: "a", Expires: now}, rows.Row{Key: "b", Expires: now.Add(time.Millisecond)}))),
		commit: func(batch *api.Batch) (uint64, error) {
			if batch.Len() != 1 {
				return 0, errors.New("a key that expires now has expired")
			}
			return 1, nil
		},
		now:    func() time.Time { return now },
		limits: exportLimits,
	}
	require.NoError(t, l.run(context.Background()))
	assert.Equal(t, [2]int{1, 1}, [2]int{l.committed, l.expired})
}

func TestExport_ADashIsStandardOutput(t *testing.T) {
	db := filled(t, func(batch *api.Batch) { batch.Set("g", "k", "v") })
	t.Chdir(t.TempDir())
	assert.Equal(t, printed("g,k,v,\n"), gostore("export", "--db", db, "--format", "csv", "--output", "-"))
	assert.NoFileExists(t, "-")
	assert.Equal(t, printed("exported 1 entry to ./-\n"), gostore("export", "--db", db, "-o", "./-"))
	assert.FileExists(t, "-")
}

func TestExport_KeepsTheModeOfTheFileThatItReplaces(t *testing.T) {
	db := filled(t, func(batch *api.Batch) { batch.Set("g", "k", "v") })
	file := filepath.Join(t.TempDir(), "x.csv")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.Chmod(file, 0o644))
	require.Zero(t, gostore("export", "--db", db, "-o", file).code)
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o644), info.Mode().Perm())
}
