package api_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// snapshotReads is what each method of a snapshot answers.
func snapshotReads(s *api.Snapshot) (answers string, errs map[string]error) {
	errs = map[string]error{}
	add := func(name string, value any, err error) {
		answers += fmt.Sprintln(name, value)
		errs[name] = err
	}
	value, err := s.Get("g", "k")
	add("Get", value, err)
	entry, err := s.Entry("g", "k")
	add("Entry", entry, err)
	exists, err := s.Exists("g", "k")
	add("Exists", exists, err)
	found, err := s.GetMany("g", "k", "l", "m")
	add("GetMany", found, err)
	exists, err = s.GroupExists("h")
	add("GroupExists", exists, err)
	all, err := s.GetAll("g")
	add("All", all, err)
	page, err := s.GetPage("g", 0, 10)
	add("GetPage", page, err)
	n, err := s.Count("g")
	add("Count", n, err)
	n, err = s.CountAll("")
	add("CountAll", n, err)
	groups, err := s.Groups("")
	add("Groups", groups, err)
	for name, err := range s.GroupsSeq("") {
		add("GroupsSeq", name, err)
	}
	for entry, err := range s.Scan(api.ScanOptions{}) {
		add("Scan", []any{entry.Group, entry.Key, entry.Value}, err)
	}
	return answers, errs
}

func TestSnapshotsShowOneMoment(t *testing.T) {
	forEachTimedHandle(t, func(t *testing.T, store handle, clock *testkit.Clock) {
		require.NoError(t, store.Set("g", "k", "v"))
		require.NoError(t, store.SetWithTTL("g", "l", "expires later", 10*time.Second))
		require.NoError(t, store.SetWithTTL("g", "m", "has expired", time.Second))
		clock.Advance(2 * time.Second)
		s, err := store.Snapshot()
		require.NoError(t, err)
		want, errs := snapshotReads(s)
		for name, err := range errs {
			require.NoError(t, err, name)
		}
		assert.Contains(t, want, "Get v")
		assert.Contains(t, want, "Groups [g]")
		assert.Contains(t, want, "CountAll 2")
		revision := s.Revision()
		require.NoError(t, errors.Join(store.Set("g", "k", "w"), store.Set("h", "k", "new"), store.Delete("g", "l")))
		clock.Advance(20 * time.Second)
		again, _ := snapshotReads(s)
		assert.Equal(t, want, again)
		assert.Equal(t, revision, s.Revision())
		_, err = s.Get("g", "none")
		require.ErrorIs(t, err, api.NotFoundError)
		_, err = s.GetPage("g", -1, 1)
		require.ErrorIs(t, err, api.InvalidPageError)
		require.NoError(t, s.Close())
		require.NoError(t, s.Close())
		_, errs = snapshotReads(s)
		for name, err := range errs {
			require.ErrorIs(t, err, api.SnapshotClosedError, name)
			require.ErrorContains(t, err, "store."+name+": ")
		}
	})
}

func TestSnapshotsEndByThemselves(t *testing.T) {
	forEachTimedHandle(t, func(t *testing.T, store handle, clock *testkit.Clock) {
		require.NoError(t, store.Set("g", "k", "v"))
		s, err := store.Snapshot()
		require.NoError(t, err)
		clock.Advance(59 * time.Second)
		_, err = s.Get("g", "k")
		require.NoError(t, err)
		clock.Advance(2 * time.Second)
		_, errs := snapshotReads(s)
		for name, err := range errs {
			require.ErrorIs(t, err, api.SnapshotExpiredError, name)
		}
		require.NoError(t, s.Close())
	})
}

func TestSnapshotsAreBounded(t *testing.T) {
	store := openStore(t, ":memory:")
	var open []*api.Snapshot
	for range 256 {
		s, err := store.Snapshot()
		require.NoError(t, err)
		open = append(open, s)
	}
	_, err := store.Snapshot()
	require.ErrorIs(t, err, api.TooManySnapshotsError)
	for _, s := range open {
		require.NoError(t, s.Close())
	}
	s, err := store.Snapshot()
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

func TestSnapshotsOfAClosedStore(t *testing.T) {
	forEachPath(t, func(t *testing.T, path string) {
		store, err := api.New(path)
		require.NoError(t, err)
		s, err := store.Snapshot()
		require.NoError(t, err)
		require.NoError(t, store.Close())
		_, errs := snapshotReads(s)
		for name, err := range errs {
			require.ErrorIs(t, err, api.ClosedError, name)
		}
		require.NoError(t, s.Close())
		_, err = store.Snapshot()
		require.ErrorIs(t, err, api.ClosedError)
	})
}

// A loop that no goroutine goes on with, and that keeps the log from starting anew,
// is ended when it has reached its age; one that is in no writer's way is not.
func TestForgottenLoopsEnd(t *testing.T) {
	store := openStore(t, newPath(t), api.WithSnapshotAge(time.Nanosecond), api.WithDurability(api.DurabilityBuffered))
	fill(t, store, "g", 900)
	seen, last := 0, error(nil)
	for _, err := range store.All("g") {
		if last = err; err != nil {
			break
		}
		if seen++; seen == 1 {
			value := make([]byte, 1<<20)
			for i := range 40 {
				value[0] = byte(i)
				require.NoError(t, store.Set("large", fmt.Sprint(i%4), string(value)))
			}
		}
	}
	require.ErrorIs(t, last, api.SnapshotExpiredError)
	require.Less(t, seen, 900)
	seen = 0
	for _, err := range store.All("g") {
		require.NoError(t, err)
		seen++
	}
	require.Equal(t, 900, seen)
}
