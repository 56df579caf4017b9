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
// read cache: Gets of any of a million keys, scans of 1 to 100 rows from one of them on,
// counts of a group and of everything, pages of 20 rows behind any number of others, all
// rows of a group of 1,000, names of all groups, and Gets of a snapshot and of a transaction
// that are begun for four of them. The smaller the better.
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
	// of makes calls of what is done with any of the keys.
	of := func(read func(store *api.Store, caller *benchCaller, group, key string) error) func(*api.Store) func(*benchCaller) (int, error) {
		return func(store *api.Store) func(*benchCaller) (int, error) {
			return func(caller *benchCaller) (int, error) {
				group, key := anyOfMillion(caller.random)
				return 1, read(store, caller, group, key)
			}
		}
	}
	const small = "small"
	for _, s := range []*api.Store{store, other} {
		if err := s.SetAll(smallGroup(small)); err != nil {
			b.Fatal(err)
		}
	}
	const gets = 4
	for _, work := range []struct {
		name string
		call func(store *api.Store) func(*benchCaller) (int, error)
	}{
		{"Get", of(func(store *api.Store, _ *benchCaller, group, key string) error {
			_, err := store.Get(group, key)
			return err
		})},
		{"Scan", of(func(store *api.Store, caller *benchCaller, group, key string) error {
			for _, err := range store.Scan(api.ScanOptions{Groups: api.Exactly(group), From: key, Limit: 1 + caller.random.IntN(100)}) {
				if err != nil {
					return err
				}
			}
			return nil
		})},
		{"Count", of(func(store *api.Store, _ *benchCaller, group, _ string) error {
			_, err := store.Count(group)
			return err
		})},
		{"CountAll", of(func(store *api.Store, _ *benchCaller, _, _ string) error {
			_, err := store.CountAll("")
			return err
		})},
		{"Groups", of(func(store *api.Store, _ *benchCaller, _, _ string) error {
			_, err := store.Groups("")
			return err
		})},
		{"Page", of(func(store *api.Store, caller *benchCaller, group, _ string) error {
			_, err := store.GetPage(group, caller.random.IntN(max(scaled(million)/readGroups, 1)), 20)
			return err
		})},
		{"GetAll", of(func(store *api.Store, _ *benchCaller, _, _ string) error {
			_, err := store.GetAll(small)
			return err
		})},
		{"Snapshot", of(func(store *api.Store, caller *benchCaller, _, _ string) error {
			snapshot, err := store.Snapshot()
			if err != nil {
				return err
			}
			defer snapshot.Close()
			for range gets {
				if _, err := snapshot.Get(anyOfMillion(caller.random)); err != nil {
					return err
				}
			}
			return nil
		})},
		{"Transaction", of(func(store *api.Store, caller *benchCaller, _, _ string) error {
			return store.Transaction(func(tx *api.Transaction) error {
				for range gets {
					if _, err := tx.Get(anyOfMillion(caller.random)); err != nil {
						return err
					}
				}
				return nil
			})
		})},
	} {
		for _, callers := range []int{1, benchCallers} {
			if work.name == "CountAll" && callers > 1 {
				continue // a call of SQLite's takes a third of a second
			}
			b.Run(fmt.Sprintf("%s/callers=%d", work.name, callers), func(b *testing.B) {
				ratio(b, "less than 1",
					side{name, func() measurement { return hammer(b, callers, work.call(store)) }},
					side{otherName, func() measurement { return hammer(b, callers, work.call(other)) }})
			})
		}
	}
}

// smallGroup is a group of 1,000 keys.
func smallGroup(name string) []api.Item {
	random := newBenchRandom(3)
	items := make([]api.Item, scaled(1000))
	for i := range items {
		items[i] = api.Item{Group: name, Key: millionKey(i), Value: benchValue(random)}
	}
	return items
}
