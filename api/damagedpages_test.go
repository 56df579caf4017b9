package api_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"

	"forge.lthn.ai/core/go-store/api"
)

const (
	entriesTable = "entries"
	entriesIndex = "sqlite_autoindex_entries_1"
)

// withDamage is the path of a store whose pages of that table or index are damaged: all
// leaves but the first few.
func withDamage(t *testing.T, name string, whole int) string {
	t.Helper()
	path := newPath(t)
	store := openStore(t, path)
	var items []api.Item
	for i := range 2000 {
		items = append(items, api.Item{Group: "g", Key: fmt.Sprintf("%05d", i), Value: strings.Repeat("v", 100)})
	}
	require.NoError(t, store.SetAll(items))
	require.NoError(t, store.Close())
	damageLeaves(t, path, name, whole)
	return path
}

func damageLeaves(t *testing.T, path, name string, whole int) {
	t.Helper()
	database := openRaw(t, path)
	rows, err := database.Query("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path", name)
	require.NoError(t, err)
	var pages []int64
	for rows.Next() {
		var page int64
		require.NoError(t, rows.Scan(&page))
		pages = append(pages, page)
	}
	require.NoError(t, rows.Err())
	require.NoError(t, rows.Close())
	require.NoError(t, database.Close())
	require.Greater(t, len(pages), whole+2)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	for _, page := range pages[whole:] {
		_, err = file.WriteAt(bytes.Repeat([]byte{0xDE}, 4096), (page-1)*4096)
		require.NoError(t, err)
	}
	require.NoError(t, file.Close())
}

// requireDamaged: the error says what to do, whichever call has found the page.
func requireDamaged(t *testing.T, err error, name string) {
	t.Helper()
	require.ErrorIs(t, err, api.DamagedError, name)
	require.ErrorContains(t, err, "check the store (Store.Check, gostore check), and salvage what it has", name)
	for _, line := range strings.Split(err.Error(), "\n") { // of errors that are joined
		require.LessOrEqual(t, strings.Count(line, "gostore check"), 1, "%s: %v", name, err)
	}
}

// requirePage: the error names a page, which is damaged.
func requirePage(t *testing.T, path string, err error, name string) {
	t.Helper()
	named := regexp.MustCompile(`page (\d+) is damaged: `).FindStringSubmatch(err.Error())
	require.NotNil(t, named, "%s: %v", name, err)
	number, err := strconv.ParseInt(named[1], 10, 64)
	require.NoError(t, err)
	file, err := os.Open(path)
	require.NoError(t, err)
	page := make([]byte, 4096)
	_, err = file.ReadAt(page, (number-1)*4096)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	require.Equal(t, bytes.Repeat([]byte{0xDE}, 4096), page, name)
}

// Every read and every write that meets a damaged page says so in the same words, and what to
// do, whether the page was read here or by SQLite, and wherever it lies.
func TestDamagedPagesSayWhatToDo(t *testing.T) {
	last := func(entries func(func(api.ScanEntry, error) bool)) (err error) {
		for _, err = range entries {
		}
		return err
	}
	const key = "01999"
	for _, name := range []string{entriesTable, entriesIndex} {
		for _, whole := range []int{0, 5} {
			path := withDamage(t, name, whole)
			for mode, options := range map[string][]api.Option{
				"owner": nil, "without an overlay": {api.WithOverlay(0)}, "read": {api.WithMmap(false)}, "read-only": {api.WithReadOnly()},
			} {
				t.Run(fmt.Sprint(name, whole, mode), func(t *testing.T) {
					store := openStore(t, path, options...)
					snapshot, err := store.Snapshot()
					require.NoError(t, err)
					defer snapshot.Close()
					for call, do := range map[string]func() error{
						"Get":         func() error { _, err := store.Get("g", key); return err },
						"Entry":       func() error { _, err := store.Entry("g", key); return err },
						"GetMany":     func() error { _, err := store.GetMany("g", "00000", key); return err },
						"GetAll":      func() error { _, err := store.GetAll("g"); return err },
						"GetPage":     func() error { _, err := store.GetPage("g", 0, 2000); return err },
						"later page":  func() error { _, err := store.GetPage("g", 1990, 10); return err },
						"Scan":        func() error { return last(store.Scan(api.ScanOptions{})) },
						"of a group":  func() error { return last(store.Scan(api.ScanOptions{Groups: api.Exactly("g")})) },
						"backwards":   func() error { return last(store.Scan(api.ScanOptions{Reverse: true})) },
						"Snapshot":    func() error { _, err := snapshot.Get("g", key); return err },
						"its GetMany": func() error { _, err := snapshot.GetMany("g", "00000", key); return err },
						"its GetAll":  func() error { _, err := snapshot.GetAll("g"); return err },
						"its GetPage": func() error { _, err := snapshot.GetPage("g", 0, 2000); return err },
						"its Scan":    func() error { return last(snapshot.Scan(api.ScanOptions{})) },
						"Transaction": func() error {
							return store.Transaction(func(tx *api.Transaction) error { _, err := tx.Get("g", key); return err })
						},
						"Count*":         func() error { _, err := store.Count("g"); return err },
						"CountAll*":      func() error { _, err := store.CountAll(""); return err },
						"its Count*":     func() error { _, err := snapshot.Count("g"); return err },
						"Groups*":        func() error { _, err := store.Groups(""); return err },
						"its Groups*":    func() error { _, err := snapshot.Groups(""); return err },
						"CompareAndSet+": func() error { _, err := store.CompareAndSet("g", key, "w", 1); return err },
						"Increment+":     func() error { _, err := store.Increment("g", key, 1); return err },
					} {
						if strings.HasSuffix(call, "*") && (name == entriesTable || whole > 0 && strings.Contains(call, "Groups")) ||
							strings.HasSuffix(call, "+") && mode == "read-only" {
							continue // it does not come to such a page
						}
						err := do()
						require.Error(t, err, call)
						requireDamaged(t, err, call)
						bySQLite := mode == "read-only" || strings.HasSuffix(call, "+") // without an overlay
						if !bySQLite {                                                  // which names no page
							requirePage(t, path, err, call)
						}
						if code := sqlite.ErrCode(err); code.ToPrimary() != sqlite.ResultCorrupt {
							require.ErrorContains(t, err, "a page can't be read as it is", call)
						}
					}
				})
			}
		}
	}
}

// New says so of what it has to read.
func TestDamagedPagesOfTheSchema(t *testing.T) {
	path := newPath(t)
	require.NoError(t, openStore(t, path).Close())
	execute(t, path, "PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = 'nonsense' WHERE name = 'entries'")
	for _, options := range [][]api.Option{nil, {api.WithReadOnly()}} {
		_, err := api.New(path, options...)
		require.ErrorContains(t, err, "store.New: "+path+" is damaged")
		requireDamaged(t, err, "New")
	}
}

// A fold that meets a damaged page says which fault that is, wherever it is told: it is not
// the disk's. What was committed stays readable, in the log.
func TestAFoldNamesADamagedPage(t *testing.T) {
	path := withDamage(t, entriesTable, 0)
	store, err := api.New(path, api.WithOverlay(32<<20))
	require.NoError(t, err)
	require.NoError(t, store.Set("g", "01999", "new"))
	err = store.Fold(t.Context())
	require.ErrorIs(t, err, api.UnfoldedError)
	requireDamaged(t, err, "Fold")
	health := store.Health()
	require.ErrorIs(t, health.Err, api.UnfoldedError)
	requireDamaged(t, health.Err, "Health")
	requireValue(t, store, "g", "01999", "new")
	err = store.Close()
	require.Error(t, err)
	requireDamaged(t, err, "Close")

	// An opening that has no overlay moves what the log has into the table first.
	_, err = api.New(path, api.WithOverlay(0))
	require.Error(t, err)
	requireDamaged(t, err, "New")
	store, err = api.New(path, api.WithOverlay(32<<20))
	require.NoError(t, err)
	requireValue(t, store, "g", "01999", "new")
	require.True(t, errors.Is(store.Close(), api.DamagedError))
}
