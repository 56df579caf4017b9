package sqlite

import (
	"errors"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWritesAreSeenFromCommitOn(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		w, r := d.Writer(), d.Reads()
		require.NoError(t, w.Begin())
		assert.True(t, w.InTransaction())
		require.NoError(t, w.Upsert(row("g", "k", "v")))
		_, found, err := r.Get(background, "g", "k")
		require.NoError(t, err)
		assert.False(t, found)
		_, found, err = w.Get("g", "k")
		require.NoError(t, err)
		assert.True(t, found, "the transaction sees its own writes")
		require.NoError(t, w.Commit())
		assert.False(t, w.InTransaction())
		_, found, err = r.Get(background, "g", "k")
		require.NoError(t, err)
		assert.True(t, found)
	})
}

func TestWritesSayWhatTheyChanged(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		w := d.Writer()
		require.NoError(t, w.Begin())
		changed, err := w.Update(row("g", "k", "v"))
		require.NoError(t, err)
		assert.False(t, changed)
		require.NoError(t, w.Insert(mortal("g", "k", 7)))
		changed, err = w.Update(mortal("g", "k", 8))
		require.NoError(t, err)
		assert.True(t, changed)
		require.NoError(t, w.Upsert(row("g", "k", "v")))
		got, _, err := w.Get("g", "k")
		require.NoError(t, err)
		assert.Equal(t, row("g", "k", "v"), got, "an upsert clears the deadline")
		changed, err = w.Delete("g", "none")
		require.NoError(t, err)
		assert.False(t, changed)
		changed, err = w.Delete("g", "k")
		require.NoError(t, err)
		assert.True(t, changed)
		for _, row := range numbered("g", 5) {
			require.NoError(t, w.Upsert(row))
		}
		require.NoError(t, w.Upsert(row("g\x00", "k", "a neighbour")))
		removed, err := w.DeleteGroup("g")
		require.NoError(t, err)
		assert.Equal(t, int64(5), removed)
		removed, err = w.DeleteGroup("g")
		require.NoError(t, err)
		assert.Zero(t, removed)
		require.NoError(t, w.Commit())
		groups, err := groupsOf(d, everything, 0)
		require.NoError(t, err)
		assert.Equal(t, []string{"g\x00"}, groups)
	})
}

func TestSavepointUndoesOneRequest(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		require.NoError(t, write(d, row("g", "old", "1"), mortal("g", "dying", 5), row("other", "k", "v")))
		w := d.Writer()
		require.NoError(t, w.Begin())
		require.NoError(t, w.Savepoint())
		require.NoError(t, w.Upsert(row("g", "first", "kept")))
		require.NoError(t, w.Release())

		require.NoError(t, w.Savepoint())
		require.NoError(t, w.Upsert(row("g", "old", "2")))
		require.NoError(t, w.Upsert(row("g", "old", "3")))
		require.NoError(t, w.Upsert(mortal("g", "new", 9)))
		_, err := w.Delete("g", "dying")
		require.NoError(t, err)
		_, err = w.DeleteGroup("other")
		require.NoError(t, err)
		_, err = w.DeleteGroup("g")
		require.NoError(t, err)
		require.NoError(t, w.RollbackTo())

		require.NoError(t, w.Savepoint())
		require.NoError(t, w.Upsert(row("g", "last", "kept")))
		require.NoError(t, w.Release())
		require.NoError(t, w.Commit())

		rows, err := rowsOf(d, "g", 0)
		require.NoError(t, err)
		assert.Equal(t, []kv.KeyValue{{Key: "dying", Value: "value of dying"}, {Key: "first", Value: "kept"},
			{Key: "last", Value: "kept"}, {Key: "old", Value: "1"}}, rows)
		usage, err := d.Reads().Expired(background, everything, 10)
		require.NoError(t, err)
		assert.Equal(t, kv.Usage{Keys: 1}, usage)
		_, found, err := d.Reads().Get(background, "other", "k")
		require.NoError(t, err)
		assert.True(t, found)
	})
}

func TestRollbackUndoesEverything(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		require.NoError(t, write(d, row("g", "k", "1")))
		w := d.Writer()
		require.NoError(t, w.Rollback(), "none is open")
		require.NoError(t, w.Begin())
		require.NoError(t, w.Upsert(row("g", "k", "2")))
		require.NoError(t, w.Savepoint())
		require.NoError(t, w.Upsert(row("g", "l", "2")))
		require.NoError(t, w.Rollback())
		require.NoError(t, w.Begin())
		got, _, err := w.Get("g", "k")
		require.NoError(t, err)
		assert.Equal(t, "1", got.Value)
		require.NoError(t, w.Upsert(row("g", "m", "3")))
		require.NoError(t, w.Commit())
		rows, err := rowsOf(d, "g", 0)
		require.NoError(t, err)
		assert.Equal(t, []kv.KeyValue{{Key: "k", Value: "1"}, {Key: "m", Value: "3"}}, rows)
	})
}

func TestNothingIsWrittenOutsideATransaction(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		w := d.Writer()
		_, err := w.Delete("g", "k")
		require.ErrorIs(t, err, storage.ErrRolledBack)
		_, err = w.DeleteGroup("g")
		require.ErrorIs(t, err, storage.ErrRolledBack)
		for _, err := range []error{w.Upsert(row("g", "k", "v")), w.Insert(row("g", "k", "v")), w.Savepoint(), w.Release(), w.RollbackTo()} {
			require.ErrorIs(t, err, storage.ErrRolledBack)
		}
		assert.False(t, w.InTransaction())
	})
}

// After its owner was stopped anywhere, a writer starts again from what is
// committed.
func TestResynchronise(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		require.NoError(t, write(d, row("g", "k", "1"), mortal("g", "l", 5)))
		w := d.Writer()
		require.NoError(t, w.Begin())
		require.NoError(t, w.Savepoint())
		require.NoError(t, w.Upsert(row("g", "k", "2")))
		if f, ok := w.(*fileWriter); ok { // a statement half-way
			f.get.BindText(1, "g")
			f.get.BindText(2, "k")
			_, err := f.get.Step()
			require.NoError(t, err)
		}
		require.NoError(t, w.Resynchronise())
		assert.False(t, w.InTransaction())
		require.NoError(t, write(d, row("g", "m", "3")))
		rows, err := rowsOf(d, "g", 10)
		require.NoError(t, err)
		assert.Equal(t, []kv.KeyValue{{Key: "k", Value: "1"}, {Key: "m", Value: "3"}}, rows)
	})
}

func TestInsertOfAKeyThatIsThere(t *testing.T) {
	d := open(t, temporary(t))
	require.NoError(t, write(d, row("g", "k", "1")))
	w := d.Writer()
	require.NoError(t, w.Begin())
	err := w.Insert(row("g", "k", "2"))
	require.Error(t, err)
	assert.False(t, isStorageFault(err))
	assert.True(t, w.InTransaction())
	require.NoError(t, w.Rollback())
}

func TestASnapshotStandsStill(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Database) {
		require.NoError(t, write(d, row("a:1", "k", "v"), row("a:2", "k", "v"), mortal("a:2", "dead", -1), row("b:1", "k", "v")))
		snapshot, err := d.Writer().Snapshot()
		require.NoError(t, err)
		require.NoError(t, write(d, row("a:3", "k", "v"), row("a:1", "l", "v")))
		done := make(chan error)
		go func() {
			usage, err := snapshot.Usage(kv.NamespaceRange("a"))
			if err == nil && usage != (kv.Usage{Keys: 3, Groups: 2}) {
				err = errors.New("counted what came later")
			}
			snapshot.Close()
			snapshot.Close()
			done <- err
		}()
		require.NoError(t, <-done)
		none, err := d.Writer().Snapshot()
		require.NoError(t, err)
		defer none.Close()
		usage, err := none.Usage(kv.NamespaceRange("none"))
		require.NoError(t, err)
		assert.Zero(t, usage)
	})
}
