package api_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// makeLog makes a file whose log has a row for each of the revisions 1 to rows:
// each sets the key of its own number.
func makeLog(t *testing.T, rows int) (path string) {
	t.Helper()
	path = newPath(t)
	store := openStore(t, path, api.WithDurability(api.DurabilityBuffered))
	for i := 1; i <= rows; i++ {
		require.NoError(t, store.Set("g", strconv.Itoa(i), "v"))
	}
	require.NoError(t, store.Close())
	require.Equal(t, rows, query[int](t, path, `SELECT count(*) FROM log`))
	return path
}

// damage changes the record of one row as bytes on a disk may change.
func damage(t *testing.T, path string, revision int, change func(record []byte) []byte) {
	t.Helper()
	record := query[[]byte](t, path, `SELECT record FROM log WHERE last_revision = ?`, revision)
	execute(t, path, fmt.Sprintf(`UPDATE log SET record = x'%x' WHERE last_revision = %d`, change(record), revision))
}

func flip(at int) func([]byte) []byte {
	return func(record []byte) []byte {
		record[(at+len(record))%len(record)] ^= 0x10
		return record
	}
}

// TestDamagedLog: a log whose end can't be trusted keeps the store from opening.
// The error says which revisions are concerned and what to do, nothing is
// changed by it, and the way out that it names is one.
func TestDamagedLog(t *testing.T) {
	const rows = 6
	for name, c := range map[string]struct {
		damage      func(t *testing.T, path string)
		first, last uint64
		reason      string
	}{
		"a flipped bit in the newest row": {func(t *testing.T, path string) { damage(t, path, 6, flip(40)) }, 6, 6, "checksum mismatch"},
		"a flipped bit in an older row":   {func(t *testing.T, path string) { damage(t, path, 2, flip(33)) }, 2, 2, "checksum mismatch"},
		"a flipped bit in a checksum":     {func(t *testing.T, path string) { damage(t, path, 4, flip(-1)) }, 4, 4, "checksum mismatch"},
		"a flipped bit in a header":       {func(t *testing.T, path string) { damage(t, path, 4, flip(16)) }, 4, 4, "checksum mismatch"},
		"an unknown version": {func(t *testing.T, path string) {
			damage(t, path, 5, func(record []byte) []byte { record[0] = 2; return record })
		}, 5, 5, "unknown format version 2, this go-store knows 1"},
		"a record cut short": {func(t *testing.T, path string) {
			damage(t, path, 5, func(record []byte) []byte { return record[:20] })
		}, 5, 5, "only 20 bytes long"},
		"an empty record": {func(t *testing.T, path string) {
			damage(t, path, 5, func([]byte) []byte { return nil })
		}, 5, 5, "only 0 bytes long"},
		"a row that is missing": {func(t *testing.T, path string) {
			execute(t, path, `DELETE FROM log WHERE last_revision = 3`)
		}, 3, 3, "it is missing"},
		"rows that are missing": {func(t *testing.T, path string) {
			execute(t, path, `DELETE FROM log WHERE last_revision IN (3, 4)`)
		}, 3, 4, "it is missing"},
		"two rows that have changed places": {func(t *testing.T, path string) {
			execute(t, path, `CREATE TEMP TABLE other AS SELECT last_revision, record FROM log WHERE last_revision IN (3, 4)`,
				`UPDATE log SET record = (SELECT record FROM other WHERE other.last_revision = 7 - log.last_revision) WHERE last_revision IN (3, 4)`)
		}, 4, 4, "it says that it holds the revisions 3 to 3"},
		"a row that stands elsewhere": {func(t *testing.T, path string) {
			execute(t, path, `UPDATE log SET last_revision = 9, first_revision = 9 WHERE last_revision = 6`)
		}, 9, 9, "it says that it holds the revisions 6 to 6"},
	} {
		t.Run(name, func(t *testing.T) {
			path := makeLog(t, rows)
			c.damage(t, path)
			err := requireRefused(t, filepath.Dir(path), path)
			var corrupt *api.CorruptLogError
			require.ErrorAs(t, err, &corrupt)
			require.Equal(t, [2]uint64{c.first, c.last}, [2]uint64{corrupt.First, corrupt.Last})
			require.Contains(t, corrupt.Reason, c.reason)
			for _, text := range []string{
				fmt.Sprintf("store.New: the log's row of revisions %d to %d: ", c.first, c.last), c.reason,
				"no entry is lost", "restore a backup", "WithDiscardedLog",
			} {
				require.ErrorContains(t, err, text)
			}
			last := query[uint64](t, path, `SELECT max(last_revision) FROM log`)
			requireWayOut(t, path, rows, last)
		})
	}
}

// requireWayOut opens a store without its log and asks that nothing but the log
// is gone.
func requireWayOut(t *testing.T, path string, rows int, last uint64) {
	t.Helper()
	store := openStore(t, path, api.WithDiscardedLog())
	requireCount(t, store, "", rows)
	for i := 1; i <= rows; i++ {
		entry, err := store.Entry("g", strconv.Itoa(i))
		require.NoError(t, err)
		require.Equal(t, api.Entry{Value: "v", Revision: uint64(i)}, entry)
	}
	requireRevision(t, store, last)
	for _, from := range []uint64{1, last} {
		var compacted *api.CompactedError
		require.ErrorAs(t, feedError(t, store, from), &compacted)
		require.Equal(t, api.CompactedError{Requested: from, Oldest: last + 1}, *compacted)
	}
	require.Empty(t, history(t, store, "g", "1"))
	require.NoError(t, store.Set("g", "after", "v"))
	requireRevision(t, store, last+1)
	require.Len(t, history(t, store, "g", "after"), 1)
	require.NoError(t, store.Close())

	store = openStore(t, path) // the log is whole again
	requireRevision(t, store, last+1)
	require.Len(t, history(t, store, "g", "after"), 1)
	require.NoError(t, store.Close())
}

// feedError is what a subscription from a revision ends with at once.
func feedError(t *testing.T, store *api.Store, from uint64) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, err := range store.Subscribe(ctx, api.SubscribeOptions{From: from}) {
		return err
	}
	return nil
}

// TestDamageFarBack: what lies further back than opening looks is found when it
// is read, and what comes before it is there still.
func TestDamageFarBack(t *testing.T) {
	path := makeLog(t, 3)
	store := openStore(t, path)
	require.NoError(t, store.Set("large", "k", strings.Repeat("x", 9<<20)))
	require.NoError(t, store.Set("g", "3", "again"))
	require.NoError(t, store.Close())
	damage(t, path, 2, flip(40))

	for name, options := range map[string][]api.Option{"owner": nil, "reader": {api.WithReadOnly()}} {
		t.Run(name, func(t *testing.T) {
			store := openStore(t, path, options...)
			requireValue(t, store, "g", "2", "v")
			for event, err := range store.History("g", "1") {
				if err == nil {
					require.Equal(t, uint64(1), event.Revision)
					continue
				}
				requireCorrupt(t, err, 2)
				require.ErrorContains(t, err, "store.History: ")
			}
			requireCorrupt(t, feedError(t, store, 2), 2)
			require.Len(t, historyFrom(t, store, 3, 5), 3)
			require.NoError(t, store.Close())
		})
	}
	// A read-only store looks at no more than it is asked for.
	damage(t, path, 5, flip(40))
	reader := openStore(t, path, api.WithReadOnly())
	requireValue(t, reader, "g", "3", "again")
	requireCorrupt(t, feedError(t, reader, 5), 5)
}

func requireCorrupt(t *testing.T, err error, revision uint64) {
	t.Helper()
	var corrupt *api.CorruptLogError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, [2]uint64{revision, revision}, [2]uint64{corrupt.First, corrupt.Last})
}

// historyFrom is the events of a store from one revision to another.
func historyFrom(t *testing.T, store *api.Store, from, to uint64) (events []api.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for event, err := range store.Subscribe(ctx, api.SubscribeOptions{From: from}) {
		require.NoError(t, err)
		if events = append(events, event); event.Revision >= to {
			break
		}
	}
	return events
}

// history is all that the log holds of a key.
func history(t *testing.T, store *api.Store, group, key string) (events []api.Event) {
	t.Helper()
	for event, err := range store.History(group, key) {
		require.NoError(t, err)
		events = append(events, event)
	}
	return events
}

// revised is what has revisions.
type revised interface{ Revision() (uint64, error) }

func requireRevision(t testing.TB, store revised, want uint64) {
	t.Helper()
	revision, err := store.Revision()
	require.NoError(t, err)
	require.Equal(t, want, revision)
}

// TestDamagedLogOfAKilledStore: the refusal leaves the WAL beside the file as it
// was, too.
func TestDamagedLogOfAKilledStore(t *testing.T) {
	path := makeLog(t, 3)
	damage(t, path, 2, flip(40))
	killed := copyOfLive(t, path)
	before := fingerprint(t, filepath.Dir(killed))
	for range 2 {
		_, err := api.New(killed)
		requireCorrupt(t, err, 2)
		after := fingerprint(t, filepath.Dir(killed))
		delete(after, killed+"-shm") // what a killed process leaves too: it says nothing
		require.Equal(t, before, after)
	}
	require.Equal(t, "v", query[string](t, killed, `SELECT entry_value FROM entries WHERE group_name = 'wal'`))
}

// copyOfLive is a copy of a file and of the WAL that another program, which is
// still there, has begun.
func copyOfLive(t *testing.T, path string) (copied string) {
	t.Helper()
	database := openRaw(t, path)
	for _, statement := range []string{`PRAGMA journal_mode = WAL`,
		`INSERT INTO entries (group_name, entry_key, entry_value) VALUES ('wal', 'k', 'v')`} {
		_, err := database.Exec(statement)
		require.NoError(t, err)
	}
	copied = newPath(t)
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(copied+suffix, content, 0o600))
	}
	require.NoError(t, database.Close())
	return copied
}

// TestDiscardedLogOfAWholeStore: the option works where there is nothing to
// mend, in memory too, and as often as it is given.
func TestDiscardedLogOfAWholeStore(t *testing.T) {
	path := makeLog(t, 3)
	requireWayOut(t, path, 3, 3)
	for range 2 {
		store := openStore(t, path, api.WithDiscardedLog())
		requireRevision(t, store, 4)
		require.NoError(t, store.Close())
	}
	store := openStore(t, ":memory:", api.WithDiscardedLog())
	require.NoError(t, store.Set("g", "k", "v"))
	requireRevision(t, store, 1)
	requireRevision(t, openStore(t, newPath(t), api.WithDiscardedLog()), 0)
}

// TestOptionsOfTheLog that can't be are refused, and nothing is made for them.
func TestOptionsOfTheLog(t *testing.T) {
	for text, options := range map[string][]api.Option{
		"history revisions -1":                    {api.WithHistory(api.Retention{Revisions: -1})},
		"history bytes -1":                        {api.WithHistory(api.Retention{Bytes: -1})},
		"history age -1":                          {api.WithHistory(api.Retention{Age: -1})},
		"a read-only store can't discard its log": {api.WithReadOnly(), api.WithDiscardedLog()},
	} {
		t.Run(text, func(t *testing.T) {
			path := makeLog(t, 1)
			err := requireRefused(t, filepath.Dir(path), path, options...)
			require.ErrorIs(t, err, api.InvalidOptionError)
			require.ErrorContains(t, err, text)
			missing := newPath(t)
			require.ErrorIs(t, requireRefused(t, filepath.Dir(missing), missing, options...), api.InvalidOptionError)
		})
	}
	// The largest ones there are: nothing overflows.
	store := openStore(t, newPath(t), api.WithHistory(api.Retention{Revisions: 1_000_000_000, Bytes: 1<<63 - 1, Age: 1<<63 - 1}))
	for i := range 20 {
		require.NoError(t, store.Set("g", strconv.Itoa(i), "v"))
	}
	require.Len(t, historyFrom(t, store, 1, 20), 20)
}
