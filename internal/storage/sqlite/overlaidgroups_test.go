package sqlite

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// threefold is a store whose groups lie in the table, in the frozen run and in the active
// one, and what it has.
type threefold struct {
	t   *testing.T
	d   *Database
	w   *fileWriter
	has map[string]map[string]string
}

func (s *threefold) write(value string, groups ...string) {
	var rows []kv.Row
	for _, group := range groups {
		for _, key := range []string{"every", "in " + value} {
			rows = append(rows, row(group, key, value))
			if s.has[group] == nil {
				s.has[group] = map[string]string{}
			}
			s.has[group][key] = value
		}
	}
	require.NoError(s.t, write(s.d, rows...))
}

func (s *threefold) deleteGroup(group string) {
	require.Equal(s.t, int64(len(s.has[group])), deleteGroup(s.t, s.d, group), group)
	delete(s.has, group)
}

// newThreefold is one whose names say where the groups' rows are: t, f and a for the table and the
// runs, and - before that for a group that was deleted there, with what it had below.
func newThreefold(t *testing.T) *threefold {
	d := overlaidStore(t)
	s := &threefold{t: t, d: d, w: fileOf(d), has: map[string]map[string]string{}}
	s.write("t", "t", "tf", "ta", "tfa", "t-f", "t-fa", "t-a", "tf-a", "t-fa-a")
	require.NoError(t, s.w.foldOver())
	for _, group := range []string{"t-f", "t-fa", "t-fa-a"} {
		s.deleteGroup(group)
	}
	s.write("f", "f", "fa", "tf", "tfa", "t-fa", "f-a", "tf-a", "t-fa-a")
	s.w.freeze()
	for _, group := range []string{"t-a", "tf-a", "f-a", "t-fa-a"} {
		s.deleteGroup(group)
	}
	s.write("a", "a", "fa", "ta", "tfa", "t-fa", "t-fa-a")
	return s
}

// step folds some of the frozen run. more: there is more of it.
func (s *threefold) step() (more bool) {
	ready, err := s.w.arrange(whatever)
	require.NoError(s.t, err)
	require.True(s.t, ready)
	a, err := s.w.foldBy()
	require.NoError(s.t, err)
	require.NoError(s.t, s.w.foldSlice(a, 1, foldBytes))
	return s.w.over.Frozen()
}

// check reads the store by pages, by SQLite and as its writer does.
func (s *threefold) check() {
	s.t.Helper()
	groups := slices.Sorted(maps.Keys(s.has))
	for how, reads := range map[string]storage.Reads{"pages": s.d.Reads(), "SQLite": s.d.reads.(*fileReads).sqlReads} {
		var found []string
		for group, err := range reads.Groups(background, everything, 0) {
			require.NoError(s.t, err, how)
			found = append(found, group)
		}
		require.Equal(s.t, groups, found, how)
		total := 0
		for _, group := range groups {
			rows := map[string]string{}
			for row, err := range reads.Scan(background, storage.GroupQuery(group), 0) {
				require.NoError(s.t, err, how)
				rows[row.Key] = row.Value
			}
			require.Equal(s.t, s.has[group], rows, "%s: %s", how, group)
			n, err := reads.Count(background, kv.GroupRange(group), 0)
			require.NoError(s.t, err, how)
			require.Equal(s.t, len(rows), n, "%s: %s", how, group)
			total += n
		}
		n, err := reads.Count(background, everything, 0)
		require.NoError(s.t, err, how)
		require.Equal(s.t, total, n, how)
	}
	require.NoError(s.t, s.w.Begin())
	require.Equal(s.t, groups, s.next(everything))
	require.Equal(s.t, slices.DeleteFunc(slices.Clone(groups), func(group string) bool { return group < "t" || group >= "u" }),
		s.next(kv.Range{From: "t", To: "u"}))
	for _, group := range []string{"a", "f-a", "t-a", "t-f", "tfa", "t-fa-a"} {
		found, err := s.w.HasGroup(group)
		require.NoError(s.t, err)
		require.Equal(s.t, s.has[group] != nil, found, group)
	}
	require.NoError(s.t, s.w.Rollback())
}

// next goes from group to group as the deletion of a prefix does.
func (s *threefold) next(r kv.Range) (groups []string) {
	for group, found, err := s.w.NextGroup(r, "", false); ; group, found, err = s.w.NextGroup(r, group, true) {
		require.NoError(s.t, err)
		if !found {
			return groups
		}
		groups = append(groups, group)
	}
}

// Groups are found, counted and deleted wherever their rows lie, and however far the fold has
// come: in the table, in the run that is being folded, in the one behind it, or in several.
func TestGroupsOfEveryRunAtEveryStepOfTheFold(t *testing.T) {
	for steps, more := 0, true; more; steps++ {
		t.Run(fmt.Sprint(steps), func(t *testing.T) {
			s := newThreefold(t)
			s.check()
			for i := range steps {
				more = s.step()
				require.True(t, more || i == steps-1)
			}
			s.check()

			// What is deleted and given up is there again.
			require.NoError(t, s.w.Begin())
			for group, rows := range s.has {
				require.NoError(t, s.w.Savepoint())
				removed, err := s.w.DeleteGroup(group)
				require.NoError(t, err)
				require.Equal(t, int64(len(rows)), removed, group)
				require.NotContains(t, s.next(everything), group)
				require.NoError(t, s.w.RollbackTo())
			}
			require.NoError(t, s.w.Rollback())
			s.check()

			for _, group := range []string{"t", "f", "a", "tf", "tfa", "t-fa", "t-fa-a"} {
				s.deleteGroup(group)
				s.check()
			}
			s.write("again", "tfa", "t")
			s.check()
			require.NoError(t, s.w.foldOver())
			s.check()
			require.NoError(t, s.d.Close())
			var want []string
			for _, group := range slices.Sorted(maps.Keys(s.has)) {
				for _, key := range slices.Sorted(maps.Keys(s.has[group])) {
					want = append(want, group+"|"+key+"|"+s.has[group][key])
				}
			}
			require.Equal(t, want, query(t, s.d.Path(), "SELECT group_name, entry_key, entry_value FROM entries ORDER BY 1, 2"))
		})
		if t.Failed() {
			return
		}
	}
}
