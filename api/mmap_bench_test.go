package api_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/engine"
)

// readBySQLite has SQLite read everything.
func readBySQLite(c *engine.Config) error {
	c.NoPages = true
	return nil
}

// BenchmarkRatio_Mmap compares reads of a file's pages with those of SQLite, without a
// read cache: Gets of any of a million keys, and scans of 1 to 100 rows from one of them
// on. The smaller the better.
func BenchmarkRatio_Mmap(b *testing.B) {
	compareAccess(b, "pages", api.WithMmap(true), "sqlite", readBySQLite)
}

// BenchmarkRatio_Pread is the same with pages that are read with calls of the system,
// where files are not mapped into memory.
func BenchmarkRatio_Pread(b *testing.B) {
	compareAccess(b, "read", api.WithMmap(false), "sqlite", readBySQLite)
}

// BenchmarkRatio_MmapPread compares the two kinds of pages.
func BenchmarkRatio_MmapPread(b *testing.B) {
	compareAccess(b, "pages", api.WithMmap(true), "read", api.WithMmap(false))
}

func compareAccess(b *testing.B, name string, access api.Option, otherName string, otherAccess api.Option) {
	folder := b.TempDir()
	store := openMillion(b, filepath.Join(folder, "store.db"), api.WithReadCache(0), access)
	other := openMillion(b, filepath.Join(folder, "other.db"), api.WithReadCache(0), otherAccess)
	get := func(store *api.Store) func(caller *benchCaller) (int, error) {
		return func(caller *benchCaller) (int, error) {
			_, err := store.Get(anyOfMillion(caller.random))
			return 1, err
		}
	}
	scan := func(store *api.Store) func(caller *benchCaller) (int, error) {
		return func(caller *benchCaller) (int, error) {
			group, key := anyOfMillion(caller.random)
			for _, err := range store.Scan(api.ScanOptions{Groups: api.Exactly(group), From: key, Limit: 1 + caller.random.IntN(100)}) {
				if err != nil {
					return 0, err
				}
			}
			return 1, nil
		}
	}
	for _, work := range []struct {
		name string
		call func(store *api.Store) func(*benchCaller) (int, error)
	}{{"Get", get}, {"Scan", scan}} {
		for _, callers := range []int{1, benchCallers} {
			b.Run(fmt.Sprintf("%s/callers=%d", work.name, callers), func(b *testing.B) {
				ratio(b, "less than 1",
					side{name, func() measurement { return hammer(b, callers, work.call(store)) }},
					side{otherName, func() measurement { return hammer(b, callers, work.call(other)) }})
			})
		}
	}
}
