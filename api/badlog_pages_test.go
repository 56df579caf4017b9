package api_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// logPages are the numbers of a file's pages that hold the log.
func logPages(t *testing.T, path string) (pages []int) {
	t.Helper()
	database := openRaw(t, path)
	defer func() { require.NoError(t, database.Close()) }()
	rows, err := database.Query(`SELECT pageno FROM dbstat WHERE name = 'log'`)
	require.NoError(t, err)
	for rows.Next() {
		var page int
		require.NoError(t, rows.Scan(&page))
		pages = append(pages, page)
	}
	require.NoError(t, rows.Err())
	require.NoError(t, rows.Close())
	return pages
}

// damagePage overwrites a page of a closed file.
func damagePage(t *testing.T, path string, page int, with byte) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte(strings.Repeat(string(with), 4096)), int64(page-1)*4096)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

// TestDamagedPagesOfTheLog never lock the rows out, whichever page it is.
func TestDamagedPagesOfTheLog(t *testing.T) {
	const sets = 1_000
	path := newPath(t)
	store := openStore(t, path, api.WithDurability(api.DurabilityBuffered))
	for i := range sets {
		require.NoError(t, store.Set("g", strconv.Itoa(i), "v"))
	}
	require.NoError(t, store.Close())
	pages := logPages(t, path)
	require.Greater(t, len(pages), 10)
	for i, page := range pages {
		damaged := newPath(t)
		copyFile(t, path, damaged)
		damagePage(t, damaged, page, []byte{0, 0x7f}[i%2])

		reader := openStore(t, damaged, api.WithReadOnly())
		requireCount(t, reader, "", sets)
		require.NoError(t, reader.Close())

		// Damage in the middle shows when it is met: writes must go on all the same.
		store, err := api.New(damaged)
		if err == nil {
			require.NoError(t, store.Set("g", "new", "v"), "page %d", page)
			requireCount(t, store, "", sets+1)
			require.NoError(t, store.Close())
		} else {
			var corrupt *api.CorruptLogError
			require.ErrorAs(t, err, &corrupt, "page %d", page)
			require.ErrorContains(t, err, "WithDiscardedLog")
		}
		store, err = api.New(damaged, api.WithDiscardedLog())
		require.NoError(t, err, "page %d", page)
		all, err := store.GetAll("g")
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(all), sets)
		require.NoError(t, store.Set("g", "later", "v"))
		revision, err := store.Revision()
		require.NoError(t, err)
		require.Greater(t, revision, uint64(sets), "no revision is given twice")
		_, err = store.Compact(t.Context())
		require.NoError(t, err)
		report, err := store.Check(t.Context())
		require.NoError(t, err)
		require.True(t, report.Whole(), "page %d: %v", page, report.Findings)
		require.NoError(t, store.Close())
	}
	require.NoFileExists(t, filepath.Join(filepath.Dir(path), "core"))
}

// TestTrimOfADamagedLog: what is to be removed can't be read, and writes go on.
func TestTrimOfADamagedLog(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path, api.WithDurability(api.DurabilityBuffered))
	for i := range 1_000 {
		require.NoError(t, store.Set("g", strconv.Itoa(i), "v"))
	}
	require.NoError(t, store.Close())
	pages := logPages(t, path)
	for _, page := range []int{pages[1], pages[len(pages)/2]} {
		damaged := newPath(t)
		copyFile(t, path, damaged)
		damagePage(t, damaged, page, 0x7f)
		store, err := api.New(damaged, api.WithHistory(api.Retention{Revisions: 10}))
		if err != nil {
			var corrupt *api.CorruptLogError
			require.ErrorAs(t, err, &corrupt)
			continue
		}
		for i := range 300 {
			require.NoError(t, store.Set("h", strconv.Itoa(i), "v"), "page %d, set %d", page, i)
		}
		require.NoError(t, store.Close())
	}
}
