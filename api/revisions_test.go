package api_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// TestRevisionsSurviveRestarts: they go on where they were, and entries keep
// theirs.
func TestRevisionsSurviveRestarts(t *testing.T) {
	path, want := newPath(t), map[string]uint64{}
	for opening := range 4 {
		store := openStore(t, path)
		last := uint64(opening * 4)
		requireRevision(t, store, last)
		for key, revision := range want {
			entry, err := store.Entry("g", key)
			require.NoError(t, err)
			require.Equal(t, revision, entry.Revision)
		}
		for i := range uint64(3) {
			key := fmt.Sprint(opening, "-", i)
			require.NoError(t, store.Set("g", key, "v"))
			want[key] = last + i + 1
		}
		require.NoError(t, store.Delete("g", "nobody")) // none
		require.NoError(t, store.SetAll([]api.Item{{"h", "a", "v"}, {"h", "b", "v"}}))
		require.NoError(t, store.Close())
	}
	require.Len(t, historyFrom(t, openStore(t, path), 1, 16), 4*5-1, "all but the last of two events")
}

// TestReadOnlyRevisions: a reader beside an owner sees the owner's revisions.
func TestReadOnlyRevisions(t *testing.T) {
	path := newPath(t)
	owner := openStore(t, path)
	reader := openStore(t, path, api.WithReadOnly())
	for i := range uint64(3) {
		requireRevision(t, reader, i)
		require.NoError(t, owner.Set("g", "k", strconv.Itoa(int(i))))
		entry, err := reader.Entry("g", "k")
		require.NoError(t, err)
		require.Equal(t, i+1, entry.Revision)
	}
	_, err := reader.SetIfAbsent("g", "l", "v")
	require.ErrorIs(t, err, api.ReadOnlyError)
	_, err = reader.Batch(new(api.Batch).Set("g", "l", "v"))
	require.ErrorIs(t, err, api.ReadOnlyError)
}

// TestRevisionsOfMigratedFiles: what was there has the first one.
func TestRevisionsOfMigratedFiles(t *testing.T) {
	path := newPath(t)
	execute(t, path, layoutKV, `INSERT INTO kv VALUES ('g', 'a', 'v'), ('g', 'b', 'v')`)
	store := openStore(t, path)
	requireRevision(t, store, 1)
	second, err := store.CompareAndSet("g", "a", "changed", 1)
	require.NoError(t, err)
	require.Equal(t, uint64(2), second)
	require.NoError(t, store.CompareAndDelete("g", "b", 1))
	require.Empty(t, history(t, store, "g", "b")[1:], "the log begins behind what was there")
	require.NoError(t, store.Close())
	requireRevision(t, openStore(t, path), 3)
}

// TestKilledWhileWriting: of a store that is killed with many writes under way,
// the revisions that callers were told are those that the log has, there is no
// hole and none that was given twice, and the log is what happened.
func TestKilledWhileWriting(t *testing.T) {
	path, told := newPath(t), map[uint64]string{}
	random := rand.New(rand.NewPCG(3, 3))
	for range 3 {
		writer := startChild(t, taskRevisions, path)
		var lines []string
		for range 100 + random.IntN(200) {
			lines = append(lines, writer.line())
		}
		for _, line := range append(lines, writer.kill()...) {
			text, key, whole := strings.Cut(line, " ")
			revision, err := strconv.ParseUint(text, 10, 64)
			if err != nil || !whole || !strings.HasSuffix(key, ".") {
				continue // cut off by the kill
			}
			require.NotContains(t, told, revision, "given twice")
			told[revision] = key
		}
		requireRevisionsAs(t, path, told)
	}
	require.Greater(t, len(told), 300)
}

// requireRevisionsAs opens a file and compares its log with what callers were
// told, and with the entries.
func requireRevisionsAs(t *testing.T, path string, told map[uint64]string) {
	t.Helper()
	store := openStore(t, path, api.WithDurability(api.DurabilityBuffered))
	current, err := store.Revision()
	require.NoError(t, err)
	require.NoError(t, store.Set("after", "k", "v"))
	requireRevision(t, store, current+1)
	want, next := map[string]api.Entry{}, uint64(1)
	for _, event := range historyFrom(t, store, 1, current+1) {
		require.True(t, event.Revision == next || event.Revision == next-1 && next > 1, "%d comes after %d", event.Revision, next-1)
		next = event.Revision + 1
		if key, known := told[event.Revision]; known && event.Group == childGroup {
			require.Equal(t, key, event.Key)
		}
		if event.Type == api.EventDelete {
			delete(want, event.Group+"/"+event.Key)
		} else {
			want[event.Group+"/"+event.Key] = api.Entry{Value: event.Value, Revision: event.Revision}
		}
	}
	for revision := range told {
		require.LessOrEqual(t, revision, current, "what a caller was told is there")
	}
	found := map[string]api.Entry{}
	for _, group := range []string{childGroup, "batch", "after"} {
		all, err := store.GetAll(group)
		require.NoError(t, err)
		for key := range all {
			entry, err := store.Entry(group, key)
			require.NoError(t, err)
			found[group+"/"+key] = entry
		}
	}
	require.Equal(t, want, found)
	require.NoError(t, store.Close())
}

// childRevisions has many goroutines write without end; each prints the
// revisions that it was given, and a dot behind the key that shows that the line
// is whole.
func childRevisions(store *api.Store) error {
	var mu sync.Mutex
	return together(16, func(caller int) error {
		random := rand.New(rand.NewPCG(uint64(caller), uint64(time.Now().UnixNano())))
		for {
			key := fmt.Sprintf("%d-%d.", caller, random.IntN(5))
			revision, err := childChange(store, random, key)
			if err != nil {
				return err
			}
			mu.Lock()
			fmt.Println(revision, key)
			mu.Unlock()
		}
	})
}

func childChange(store *api.Store, random *rand.Rand, key string) (uint64, error) {
	batch := new(api.Batch)
	switch random.IntN(4) {
	case 0:
		entry, err := store.Entry(childGroup, key)
		if err == nil {
			batch.IfRevision(childGroup, key, entry.Revision)
			if random.IntN(2) == 0 {
				batch.Delete(childGroup, key)
				break
			}
		}
		batch.Set(childGroup, key, "compared")
	case 1:
		batch.Set("batch", key, strconv.Itoa(random.IntN(1000))).Set("batch", "shared", key).Set(childGroup, key, "batch")
	default:
		batch.Set(childGroup, key, strconv.Itoa(random.IntN(1000)))
	}
	return store.Batch(batch)
}
