package api_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// fill puts n keys "000", "001", … into a group, in one commit.
func fill(t testing.TB, store handle, group string, n int) {
	t.Helper()
	items := make([]api.Item, n)
	for i := range items {
		items[i] = api.Item{Group: group, Key: fmt.Sprintf("%03d", i), Value: strconv.Itoa(i)}
	}
	require.NoError(t, store.SetAll(items))
}

// Loops may be nested deeper than there are connections, with every other read
// and write inside.
func TestNestedScans(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		for _, group := range []string{"a", "b", "c"} {
			fill(t, store, group, 3)
		}
		innermost := 0
		for group, err := range store.GroupsSeq("") {
			require.NoError(t, err)
			for first, err := range store.All(group) {
				require.NoError(t, err)
				for second, err := range store.All(group) {
					require.NoError(t, err)
					for range store.GroupsSeq(group) {
						for third, err := range store.All(group) {
							require.NoError(t, err)
							innermost++
							requireValue(t, store, group, third.Key, third.Value)
							page, err := store.GetPage(group, 0, 1)
							require.NoError(t, err)
							require.Len(t, page, 1)
							count, err := store.Count(group)
							require.NoError(t, err)
							require.Equal(t, 3, count)
							require.NoError(t, store.Set("out", first.Key+second.Key+third.Key, "v"))
						}
					}
				}
			}
		}
		require.Equal(t, 3*3*3*3, innermost)
		count, err := store.Count("out")
		require.NoError(t, err)
		require.Equal(t, 3*3*3, count)
	}, api.WithReaders(1))
}

// A loop sees the moment at which it began, whatever its body writes, and the
// body sees what it has written.
func TestScanSeesItsSnapshot(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		const n = 600 // more than any chunk that a scan may be read in
		fill(t, store, "g", n)
		seen := 0
		for entry, err := range store.All("g") {
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("%03d", seen), entry.Key)
			require.Equal(t, strconv.Itoa(seen), entry.Value, "%s was changed under the loop", entry.Key)
			if seen%100 == 0 {
				require.NoError(t, store.Set("g", "001", "changed"))
				require.NoError(t, store.Set("g", "599", "changed"))
				require.NoError(t, store.Set("g", fmt.Sprintf("%03d+", seen), "new"))
				require.NoError(t, store.Delete("g", fmt.Sprintf("%03d", n-2-seen/100)))
				requireValue(t, store, "g", "001", "changed")
			}
			seen++
		}
		require.Equal(t, n, seen)
		count, err := store.Count("g")
		require.NoError(t, err)
		require.Equal(t, n, count, "six were added and six deleted")
	})
}

func TestGroupsSeqSeesItsSnapshot(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		for i := range 20 {
			require.NoError(t, store.Set(fmt.Sprintf("%02d", i), "k", "v"))
		}
		seen := 0
		for group, err := range store.GroupsSeq("") {
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("%02d", seen), group)
			require.NoError(t, store.Set(group+"+", "k", "v"))
			require.NoError(t, store.DeleteGroup("19"))
			seen++
		}
		require.Equal(t, 20, seen)
	})
}

// Leaving a loop early leaves nothing behind that the next one would miss.
func TestBreakFrees(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		fill(t, store, "g", 600)
		for range 30 {
			for _, err := range store.All("g") {
				require.NoError(t, err)
				break
			}
			for entry, err := range store.All("g") {
				require.NoError(t, err)
				if entry.Key == "400" {
					break
				}
			}
			for _, err := range store.GroupsSeq("") {
				require.NoError(t, err)
				break
			}
		}
		count, err := store.Count("g")
		require.NoError(t, err)
		require.Equal(t, 600, count)
		require.NoError(t, store.DeleteGroup("g"))
	}, api.WithReaders(1))
}

// A panic in a loop's body goes through it and frees what it held.
func TestPanicInLoop(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		fill(t, store, "g", 600)
		for range 20 {
			require.PanicsWithValue(t, "out", func() {
				for range store.All("g") {
					panic("out")
				}
			})
		}
		all, err := store.GetAll("g")
		require.NoError(t, err)
		require.Len(t, all, 600)
	}, api.WithReaders(1))
}

// Close does not wait for a loop that calls it. The loop is told.
func TestCloseInsideLoop(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		fill(t, store, "g", 600)
		var last error
		entries, yields := 0, 0
		for _, err := range store.All("g") {
			require.NoError(t, last, "an error comes last")
			yields++
			if last = err; err == nil {
				entries++
			}
			if entries == 100 {
				require.NoError(t, store.Close())
			}
		}
		require.ErrorIs(t, last, api.ClosedError)
		require.ErrorContains(t, last, "store.All: ")
		require.Equal(t, entries+1, yields)
		require.Less(t, entries, 600)
	})
}

// A context that ends ends the loop with its error.
func TestContextInsideLoop(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		fill(t, store, "g", 3000)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last error
		entries := 0
		for _, err := range store.WithContext(ctx).All("g") {
			if last = err; err == nil {
				entries++
			}
			cancel()
		}
		require.ErrorIs(t, last, context.Canceled)
		require.Less(t, entries, 3000)
	})
}

// Scans by many at a time, more than there are connections, while others write.
func TestConcurrentScans(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		fill(t, store, "pairs", 2)
		require.NoError(t, together(10, func(i int) error {
			for round := range 40 {
				if i < 3 {
					value := fmt.Sprint(i, "-", round)
					err := store.SetAll([]api.Item{
						{Group: "pairs", Key: "000", Value: value}, {Group: "pairs", Key: "001", Value: value},
						{Group: "more", Key: value, Value: value}})
					if err != nil {
						return err
					}
					continue
				}
				all, err := store.GetAll("pairs")
				if err != nil {
					return err
				}
				if all["000"] != all["001"] && all["000"] != "0" {
					return fmt.Errorf("half of a write is visible: %v", all)
				}
				for _, err := range store.All("more") {
					if err != nil {
						return err
					}
				}
			}
			return nil
		}))
		count, err := store.Count("more")
		require.NoError(t, err)
		require.Equal(t, 120, count)
	}, api.WithReaders(1))
}
