package sqlite

import (
	"fmt"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// stored is how many rows of a group the table has.
func stored(t *testing.T, w *fileWriter, group string) (n int) {
	t.Helper()
	p, ok := w.views.look()
	require.True(t, ok)
	defer w.views.leave(p)
	pace := boundless()
	n, err := p.view.countStored(kv.GroupRange(group), &pace)
	require.NoError(t, err)
	return n
}

// A group that is deleted leaves the table some rows at a time, a few behind each commit, and
// all of it stays hidden meanwhile; a table that is opened again in between has nothing of it.
func TestLargeGroupsAreRemovedByParts(t *testing.T) {
	d := overlaidStore(t)
	w := fileOf(d)
	const keys = 6*foldMarked + 10
	rows := make([]kv.Row, keys)
	for i := range rows {
		rows[i] = row("large", fmt.Sprintf("%06d", i), "v")
	}
	require.NoError(t, write(d, append(rows, row("other", "k", "1"))...))
	require.NoError(t, w.foldOver())
	require.EqualValues(t, keys, deleteGroup(t, d, "large"))
	require.NoError(t, write(d, row("large", "000003", "anew")))
	w.freeze()
	_, err := w.arrange(whatever)
	require.NoError(t, err)
	parts := 0
	for before := stored(t, w, "large"); w.over.LeftMarks() > 0; parts++ {
		require.NoError(t, write(d, row("other", "k", fmt.Sprint(parts)))) // a commit owes a part
		w.Fold(false)
		now := stored(t, w, "large")
		require.Less(t, now, before)
		require.LessOrEqual(t, before-now, foldMarked)
		before = now
		n, err := d.Reads().Count(background, kv.GroupRange("large"), 0)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		requireValue(t, d, "large", "000003", "anew")
		requireValue(t, d, "large", "000004", "")
	}
	require.Equal(t, 7, parts)
	require.NoError(t, w.foldOver())
	require.Equal(t, 1, stored(t, w, "large"))
	requireValue(t, d, "other", "k", fmt.Sprint(parts-1))
}

// Groups of few rows are removed together.
func TestSmallGroupsAreRemovedTogether(t *testing.T) {
	d := overlaidStore(t)
	w := fileOf(d)
	var rows []kv.Row
	for group := range 100 {
		for key := range 20 {
			rows = append(rows, row(fmt.Sprintf("g%03d", group), fmt.Sprint(key), "v"))
		}
	}
	require.NoError(t, write(d, rows...))
	require.NoError(t, w.foldOver())
	for group := range 100 {
		require.EqualValues(t, 20, deleteGroup(t, d, fmt.Sprintf("g%03d", group)))
	}
	w.freeze()
	_, err := w.arrange(whatever)
	require.NoError(t, err)
	a, err := w.foldBy()
	require.NoError(t, err)
	slices := 0
	for ; w.over.Frozen(); slices++ {
		require.NoError(t, w.foldSlice(a, foldRows, foldBytes))
	}
	require.Equal(t, 4, slices, "26 groups have as many rows as a slice removes")
	for _, err := range d.Reads().Scan(background, storage.Query{Groups: everything, Keys: storage.AllKeys}, 0) {
		require.NoError(t, err)
		t.Fatal("there is a row")
	}
}

// Rows that were fetched in vain have more be fetched at a time.
func TestScansOverManyHiddenRowsFetchMore(t *testing.T) {
	d := overlaidStore(t)
	w := fileOf(d)
	const keys = 3000
	var rows []kv.Row
	for i := range keys {
		rows = append(rows, row("g", fmt.Sprintf("%06d", i), "v"))
	}
	require.NoError(t, write(d, rows...))
	require.NoError(t, w.foldOver())
	require.NoError(t, w.Begin())
	for _, r := range rows[:keys-1] {
		_, err := w.Delete(r.Group, r.Key)
		require.NoError(t, err)
	}
	require.NoError(t, keepLog(d, rows[:1])) // whatever the log says of it
	require.NoError(t, w.Commit())
	p, ok := w.views.look()
	require.True(t, ok)
	defer w.views.leave(p)
	q := storage.GroupQuery("g")
	q.Limit = 1
	m, fetches := newMerger(q, 0), 0
	source := &countedSource{mergedPages: newScan(q, 0), view: p.view, fetches: &fetches}
	require.True(t, m.begin(p.view.over, source))
	require.NoError(t, source.restart(m.below()))
	var found []kv.Row
	for more := true; more && len(found) == 0; {
		var err error
		found, more, err = m.chunk(nil, 1, firstChunkBytes)
		require.NoError(t, err)
	}
	require.Len(t, found, 1)
	require.Equal(t, rows[keys-1].Key, found[0].Key)
	require.Less(t, fetches, keys/20)
}

// countedSource counts how often the table is asked.
type countedSource struct {
	*mergedPages
	view    *view
	fetches *int
}

func (s *countedSource) fetch(into []kv.Row, rows int) ([]kv.Row, bool, error) {
	*s.fetches++
	return s.pageScan.chunk(s.view, into, rows, firstChunkBytes)
}

func (s *countedSource) restart(q storage.Query) error {
	s.mergedPages.view = s.view
	return s.mergedPages.restart(q)
}

var _ rowSource = (*countedSource)(nil)
