package sqlite

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests' records are events in JSON with a sum of their bytes.
func decodeTest(row kv.LogRow) (events []kv.Event, err error) {
	if len(row.Record) < 4 {
		return nil, errors.New("too short")
	}
	body := row.Record[4:]
	if binary.BigEndian.Uint32(row.Record) != sumOf(body) {
		return nil, errors.New("its sum is another")
	}
	err = json.Unmarshal(body, &events)
	if err == nil && (len(events) == 0 || events[0].Revision != row.First || events[len(events)-1].Revision != row.Last) {
		err = errors.New("other revisions")
	}
	return events, err
}

func sumOf(body []byte) (sum uint32) {
	for _, b := range body {
		sum = sum*31 + uint32(b)
	}
	return sum
}

// commitEvents does what the events say, and logs them as one revision.
func commitEvents(t testing.TB, d *Database, events ...kv.Event) {
	t.Helper()
	w := d.Writer()
	extent, err := w.LogExtent()
	require.NoError(t, err)
	require.NoError(t, w.Begin())
	for i := range events {
		e := &events[i]
		e.Revision = extent.Last + 1
		switch e.Type {
		case kv.EventSet:
			err = w.Upsert(kv.Row{Group: e.Group, Key: e.Key, Value: e.Value, Deadline: kv.NoDeadline, Revision: e.Revision})
		case kv.EventDelete:
			_, err = w.Delete(e.Group, e.Key)
		case kv.EventDeleteGroup:
			_, err = w.DeleteGroup(e.Group)
		}
		require.NoError(t, err)
	}
	body, err := json.Marshal(events)
	require.NoError(t, err)
	record := append(binary.BigEndian.AppendUint32(nil, sumOf(body)), body...)
	require.NoError(t, w.AppendLog(kv.LogRow{First: extent.Last + 1, Last: extent.Last + 1, At: 7, Record: record}, extent.End+int64(len(record))))
	require.NoError(t, w.Commit())
}

func set(group, key, value string) kv.Event {
	return kv.Event{Type: kv.EventSet, Group: group, Key: key, Value: value}
}

// lively is a closed store with rows of all sizes, pages that are free, and
// deleted rows that must not come back.
func lively(t testing.TB, trimmed uint64) (path string, want []string) {
	t.Helper()
	d := open(t, temporary(t))
	for i := range 24 {
		var events []kv.Event
		for j := range 10 {
			events = append(events, set(fmt.Sprintf("g%d", i%7), fmt.Sprintf("key-%03d-%d", i, j), strings.Repeat("v", 30*(i%9)+j)))
		}
		events = append(events, set("gone", fmt.Sprintf("%03d", i), strings.Repeat("gone", 200)))
		commitEvents(t, d, events...)
	}
	commitEvents(t, d, set("large", "k", strings.Repeat("large ", 5000)), set("n\x00é", "k", ""))
	commitEvents(t, d, set("g1", "key-001-1", "changed"))
	commitEvents(t, d, kv.Event{Type: kv.EventDelete, Group: "g1", Key: "key-001-2"})
	commitEvents(t, d, kv.Event{Type: kv.EventDeleteGroup, Group: "gone"})
	if trimmed > 0 {
		w := d.Writer()
		require.NoError(t, w.Begin())
		require.NoError(t, w.TrimLog(trimmed))
		require.NoError(t, w.Commit())
	}
	require.NoError(t, d.Close())
	return d.Path(), query(t, d.Path(), allRows)
}

func salvaged(t testing.TB, path string) (out string, report kv.SalvageReport) {
	t.Helper()
	out = filepath.Join(t.TempDir(), "out.db")
	report, err := Salvage(background, path, out, decodeTest, false, nil)
	require.NoError(t, err)
	return out, report
}

func requireWhole(t testing.TB, path string) {
	t.Helper()
	d := openWith(t, Config{Path: path})
	report, err := d.Check(background, func(row kv.LogRow) error { _, err := decodeTest(row); return err }, nil)
	require.NoError(t, err)
	require.Empty(t, report.Findings)
	extent := extentOf(t, d)
	commitEvents(t, d, set("after", "k", "v"))
	require.Equal(t, extent.Last+1, extentOf(t, d).Last)
	require.NoError(t, d.Close())
}

func TestSalvageOfAWholeStore(t *testing.T) {
	path, want := lively(t, 0)
	before := folder(t, filepath.Dir(path))
	out, report := salvaged(t, path)
	assert.Equal(t, before, folder(t, filepath.Dir(path)), "nothing was written, or made beside it")
	assert.Equal(t, want, query(t, out, allRows))
	const log = "SELECT last_revision, first_revision, committed_at, hex(record) FROM log ORDER BY 1"
	assert.Equal(t, query(t, path, log), query(t, out, log))
	assert.Equal(t, kv.SalvageReport{Entries: int64(len(want)), LogRecords: 28, Revision: 28}, report)
	assert.Equal(t, query(t, path, "SELECT uuid, base_revision FROM store_meta"), query(t, out, "SELECT uuid, base_revision FROM store_meta"))
	requireWhole(t, out)
}

// TestSalvageWithAnyPageDamaged: with all of the log nothing at all is lost but
// by its own damage; and whatever is missing, nothing is wrong.
func TestSalvageWithAnyPageDamaged(t *testing.T) {
	for _, trimmed := range []uint64{0, 25} {
		path, want := lively(t, trimmed)
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		lost := 0
		for page := range len(whole) / filePageSize {
			bad := slices.Clone(whole)
			copy(bad[page*filePageSize:], strings.Repeat("\xDE", filePageSize))
			require.NoError(t, os.WriteFile(path, bad, 0o600))
			out, report := salvaged(t, path)
			got := query(t, out, allRows)
			for _, row := range got {
				require.Contains(t, want, row, "page %d", page+1)
			}
			require.Equal(t, int64(len(got)), report.Entries)
			if len(got) < len(want) || !slices.Equal(got, want) {
				require.NotEmpty(t, report.Findings)
				lost++
			}
			if page == 0 {
				require.Len(t, got, len(want), "all but the schema is there")
			}
			if page%8 == 0 { // it takes its time
				requireWhole(t, out)
			}
		}
		if trimmed == 0 {
			assert.LessOrEqual(t, lost, 1)
		} else {
			assert.Greater(t, lost, 2)
			assert.Less(t, lost, len(whole)/filePageSize/2)
		}
	}
}

func TestSalvageOfPartsOfAFile(t *testing.T) {
	path, want := lively(t, 0)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for name, bad := range map[string][]byte{
		"half":         whole[:len(whole)/2/filePageSize*filePageSize],
		"cut off":      whole[:len(whole)-1000],
		"holes":        append(append(slices.Clone(whole[:8192]), make([]byte, 8192)...), whole[16384:]...),
		"only the end": append(make([]byte, len(whole)/2), whole[len(whole)/2:]...),
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(path, bad, 0o600))
			out, report := salvaged(t, path)
			got := query(t, out, allRows)
			assert.NotEmpty(t, got)
			for _, row := range got {
				assert.Contains(t, want, row)
			}
			if len(got) < len(want) {
				assert.NotEmpty(t, report.Findings)
			}
			requireWhole(t, out)
		})
	}
}

// What a killed owner has committed is in the WAL alone.
func TestSalvageReadsTheWAL(t *testing.T) {
	path := temporary(t)
	require.NoError(t, open(t, path).Close())
	_, kill := otherProcess(t, path)
	kill()
	wal, err := os.ReadFile(path + ownership.WALSuffix)
	require.NoError(t, err)
	before := folder(t, filepath.Dir(path))
	out, report := salvaged(t, path)
	assert.Equal(t, []string{"other|process"}, query(t, out, "SELECT group_name, entry_key FROM entries"))
	assert.Empty(t, report.Findings)
	assert.Equal(t, before, folder(t, filepath.Dir(path)))

	// A frame that is damaged ends it: what comes after is not what was committed.
	wal[len(wal)-100] ^= 1
	require.NoError(t, os.WriteFile(path+ownership.WALSuffix, wal, 0o600))
	out, _ = salvaged(t, path)
	assert.Empty(t, query(t, out, "SELECT group_name, entry_key FROM entries"))
}

// A WAL beside a database that was closed is another one's.
func TestSalvageIgnoresAStaleWAL(t *testing.T) {
	path := temporary(t)
	require.NoError(t, open(t, path).Close())
	plain, err := os.ReadFile(path)
	require.NoError(t, err)
	_, kill := otherProcess(t, path)
	kill()
	require.NoError(t, os.WriteFile(path, plain, 0o600))
	out, report := salvaged(t, path)
	assert.Empty(t, query(t, out, "SELECT group_name, entry_key FROM entries"))
	assert.Contains(t, fmt.Sprint(report.Findings), "has nothing that is committed and belongs to the database")
}

func TestSalvageOfLegacyLayouts(t *testing.T) {
	for _, layout := range append(layouts, layouts[0]) {
		for _, size := range []int{512, 4096, 65536} {
			t.Run(fmt.Sprint(layout.name, size), func(t *testing.T) {
				if layout.name == "kv with odd types" || layout.name == "somebody else's kv" || layout.expect == nil {
					return
				}
				path := temporary(t)
				program(t, path, append([]string{fmt.Sprintf("PRAGMA page_size = %d", size)}, layout.make...)...)
				out, report := salvaged(t, path)
				assert.Equal(t, int64(len(layout.expect)), report.Entries)
				d := open(t, out)
				for _, want := range layout.expect {
					got, found, err := d.Reads().Get(background, want.Group, want.Key)
					require.NoError(t, err)
					require.True(t, found, want)
					want.Revision = 1
					assert.Equal(t, want, got)
				}
			})
		}
	}
	t.Run("without rowids", func(t *testing.T) {
		path := temporary(t)
		program(t, path, "CREATE TABLE entries (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, "+
			"entry_value TEXT NOT NULL, expires_at INTEGER, PRIMARY KEY (group_name, entry_key)) WITHOUT ROWID")
		d := open(t, path)
		require.NoError(t, write(d, numbered("g", 3000)...))
		require.NoError(t, d.Close())
		_, report := salvaged(t, path)
		assert.Equal(t, int64(3000), report.Entries)
	})
}

// What another program has changed while the store was closed is in no log, and
// stays changed.
func TestSalvageBelievesRowsMoreThanTheLog(t *testing.T) {
	path, _ := lively(t, 0)
	program(t, path, "DELETE FROM entries WHERE group_name = 'g2'", "UPDATE entries SET entry_value = 'theirs' WHERE group_name = 'g3'")
	want := query(t, path, allRows)
	out, _ := salvaged(t, path)
	assert.Equal(t, want, query(t, out, allRows))
}

// A log with a gap keeps what comes after it; one whose end is gone begins anew.
func TestSalvageOfALogWithGaps(t *testing.T) {
	path, want := lively(t, 0)
	program(t, path, "UPDATE log SET record = x'00' WHERE last_revision = 10")
	out, report := salvaged(t, path)
	assert.Equal(t, want, query(t, out, allRows))
	assert.Equal(t, []int64{18, 9, 1}, []int64{report.LogRecords, report.OlderRecords, report.LostRecords})
	assert.Equal(t, []string{"11|28|10"}, query(t, out, "SELECT min(first_revision), max(last_revision), (SELECT base_revision FROM store_meta) FROM log"))
	requireWhole(t, out)

	program(t, path, "DELETE FROM log WHERE last_revision > 20")
	out, report = salvaged(t, path)
	assert.Equal(t, want, query(t, out, allRows))
	assert.Equal(t, int64(0), report.LogRecords)
	assert.Equal(t, uint64(26), report.Revision, "that of the newest entry")
	requireWhole(t, out)
}

func TestSalvageRefuses(t *testing.T) {
	path, _ := lively(t, 0)
	folder0 := t.TempDir()
	in := func(name string) string { return filepath.Join(folder0, name) }
	try := func(path, out string) error {
		_, err := Salvage(background, path, out, decodeTest, false, nil)
		return err
	}
	require.NoError(t, os.WriteFile(in("text"), []byte(strings.Repeat("precious ", 10_000)), 0o600))
	require.NoError(t, os.WriteFile(in("empty"), nil, 0o600))
	program(t, in("foreign.db"), "CREATE TABLE auth_user (id, name, mail)", "INSERT INTO auth_user VALUES ('a', 'b', 'c')")
	program(t, in("numbered.db"), "CREATE TABLE t (id)", "PRAGMA application_id = 77")
	for path, want := range map[string]error{
		in("text"): kv.NotADatabaseError, in("empty"): kv.NotADatabaseError, in("foreign.db"): kv.NotADatabaseError,
		in("numbered.db"): kv.NotADatabaseError, in("missing"): fs.ErrNotExist,
	} {
		require.ErrorIs(t, try(path, in("out.db")), want, path)
	}
	for out, want := range map[string]error{
		in("text"): fs.ErrExist, path: kv.InvalidTargetError, path + ownership.WALSuffix: kv.InvalidTargetError, folder0: kv.InvalidTargetError,
	} {
		require.ErrorIs(t, try(path, out), want, out)
	}
	d := open(t, path)
	var locked *kv.LockedError
	require.ErrorAs(t, try(path, in("out.db")), &locked)
	require.NoError(t, d.Close())
	ctx, cancel := context.WithCancel(background)
	_, err := Salvage(ctx, path, in("out.db"), func(row kv.LogRow) ([]kv.Event, error) { cancel(); return decodeTest(row) }, false, nil)
	require.ErrorIs(t, err, context.Canceled)
	assert.ElementsMatch(t, []string{"text", "empty", "foreign.db", "numbered.db"}, names(t, folder0))
}

// FuzzSalvage: no bytes make it fail in another way than by an error, run for
// ever, or make a store that is not whole.
func FuzzSalvage(f *testing.F) {
	path, _ := lively(f, 24)
	whole, err := os.ReadFile(path)
	require.NoError(f, err)
	f.Add(uint32(0), []byte("SQLite"), uint32(5000), []byte{13, 0, 0, 255, 255})
	f.Add(uint32(4096), []byte{5, 0, 0, 0, 9}, uint32(100), []byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, at uint32, first []byte, other uint32, second []byte) {
		bad := slices.Clone(whole)
		copy(bad[int(at)%len(bad):], first)
		copy(bad[int(other)%len(bad):], second)
		folder := t.TempDir()
		path, out := filepath.Join(folder, "bad.db"), filepath.Join(folder, "out.db")
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		if _, err := Salvage(background, path, out, decodeTest, false, nil); err != nil {
			require.NoFileExists(t, out)
			return
		}
		requireWhole(t, out)
	})
}

// What others keep in the file is not ours, and no damage.
func TestSalvageLeavesOthersTables(t *testing.T) {
	path, want := lively(t, 0)
	program(t, path, "CREATE TABLE notes (a TEXT, b TEXT, c TEXT, d INTEGER, e INTEGER, PRIMARY KEY (a))",
		fmt.Sprintf("INSERT INTO notes VALUES ('%s', 'b', 'c', 4, 5)", strings.Repeat("a", 20_000)))
	out, report := salvaged(t, path)
	assert.Equal(t, want, query(t, out, allRows))
	assert.Empty(t, report.Findings)
}

// A header that is damaged where it says whose the file is.
func TestSalvageForced(t *testing.T) {
	path, want := lively(t, 0)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for at, refusal := range map[int]error{60: kv.NewerSchemaError, 68: kv.NotADatabaseError, 56: kv.EncodingError} {
		bad := slices.Clone(whole)
		bad[at] ^= 0x40
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		out := filepath.Join(t.TempDir(), "out.db")
		_, err := Salvage(background, path, out, decodeTest, false, nil)
		require.ErrorIs(t, err, refusal)
		require.NoFileExists(t, out)
		_, err = Salvage(background, path, out, decodeTest, true, nil)
		require.NoError(t, err)
		assert.Equal(t, want, query(t, out, allRows))
	}
}
