package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRowsAndTheirLackAreKept(t *testing.T) {
	eachKind(t, func(t *testing.T, b *bench) {
		require.NoError(t, b.commit(put("g", "k", "v")))
		for range 3 {
			assert.Equal(t, "v", b.get("g", "k"))
			assert.Empty(t, b.get("g", "none"))
		}
		assert.Equal(t, 2, b.reads, "each was looked up once")
		row, found, err := b.cache.Get(background, "g", "k")
		require.NoError(t, err)
		require.True(t, found)
		assert.Equal(t, kv.Row{Group: "g", Key: "k", Value: "v", Deadline: kv.NoDeadline, Revision: 7}, row)
		require.NoError(t, b.commit(put("g", "none", "now there"), put("g", "k", "w")))
		assert.Equal(t, "now there", b.get("g", "none"))
		assert.Equal(t, "w", b.get("g", "k"))
		assert.Equal(t, 2, b.reads, "what was cached stays so")
	})
}

// changes are what a commit can do to what is cached: g/a, g/b and h/a are
// there, g/none is not.
var changes = map[string][]func(*Writer) error{
	"set":                        {put("g", "a", "new")},
	"set anew":                   {put("g", "none", "new")},
	"set twice":                  {put("g", "a", "first"), put("g", "a", "new")},
	"delete":                     {take("g", "a")},
	"delete and set":             {take("g", "a"), put("g", "a", "new")},
	"set and delete":             {put("g", "none", "new"), take("g", "none")},
	"delete group":               {takeGroup("g")},
	"delete group and set":       {takeGroup("g"), put("g", "a", "new"), put("g", "none", "new")},
	"set and delete group":       {put("g", "a", "new"), put("g", "none", "new"), takeGroup("g")},
	"set, delete group, set":     {put("g", "a", "first"), takeGroup("g"), put("g", "a", "new")},
	"delete group twice":         {takeGroup("g"), put("g", "b", "again"), takeGroup("g")},
	"undone":                     {put("g", "b", "kept"), undone(put("g", "a", "undone"), takeGroup("g"), take("h", "a"))},
	"undone, then another":       {undone(put("g", "a", "undone")), put("g", "a", "new")},
	"other":                      {put("h", "other", "new")},
	"nothing":                    {},
	"update, insert":             {update("g", "a"), insert("g", "none")},
	"more than is looked at":     tooMany(put("g", "a", "new"), take("g", "b")),
	"more, with a group deleted": tooMany(takeGroup("h"), put("g", "none", "new")),
}

func update(group, key string) func(*Writer) error {
	return func(w *Writer) error {
		_, err := w.Update(kv.Row{Group: group, Key: key, Value: "updated", Deadline: kv.NoDeadline})
		return err
	}
}

func insert(group, key string) func(*Writer) error {
	return func(w *Writer) error {
		return w.Insert(kv.Row{Group: group, Key: key, Value: "inserted", Deadline: kv.NoDeadline})
	}
}

func tooMany(some ...func(*Writer) error) []func(*Writer) error {
	return append(some, func(w *Writer) error {
		for i := range manyChanges {
			if err := w.Upsert(kv.Row{Group: "many", Key: fmt.Sprint(i % 10), Deadline: kv.NoDeadline}); err != nil {
				return err
			}
		}
		return nil
	})
}

var places = [][2]string{{"g", "a"}, {"g", "b"}, {"g", "none"}, {"h", "a"}}

// Wherever in a commit a read begins and ends, and whatever becomes of the
// commit: from its return on every read sees what it did, and while it is under
// way none sees an old value after a new one.
func TestEverySchedule(t *testing.T) {
	failed := errors.New("the disk is full")
	eachKind(t, func(t *testing.T, b *bench) {
		for name, change := range changes {
			if strings.HasPrefix(name, "more") && b.database.Path() != storage.MemoryPath {
				continue // which takes long, and is the same
			}
			for _, warm := range []warmth{cold, warm, favoured} {
				for _, outcome := range []error{nil, failed} {
					if strings.HasPrefix(name, "more") && warm != cold && outcome != nil {
						continue
					}
					for _, schedule := range []func(*bench, func() error) error{
						readBefore, readMarked, readVisible, fillAfter, fillWhileMarked, fillWhileVisible,
						checkedThen(fillAfter), checkedThen(fillWhileMarked), checkedThen(fillWhileVisible),
					} {
						b.prepare(warm)
						if outcome != nil {
							b.abandoned, b.after = true, func() error { return outcome }
						}
						err := schedule(b, func() error { return b.commit(change...) })
						require.Equal(t, outcome, err)
						b.after, b.before, b.read = nil, nil, nil
						for range 2 {
							for _, at := range places {
								require.Equal(t, b.stored(at[0], at[1]), b.get(at[0], at[1]), "%s %v", name, at)
							}
						}
						b.requireUnmarked()
					}
				}
			}
		}
	})
}

// warmth is how far rows are in the cache.
type warmth int

const (
	cold warmth = iota
	warm
	favoured
)

func (b *bench) prepare(how warmth) {
	b.abandoned, b.after, b.before, b.read = false, nil, nil, nil
	require.NoError(b.t, b.commit(takeGroup("g"), takeGroup("h"), put("g", "a", "old"), put("g", "b", "old"), put("h", "a", "old")))
	b.cache.Close()
	if how != cold {
		b.look()
	}
	if how == favoured {
		for _, at := range places {
			b.prefer(at[0], at[1])
		}
	}
}

// prefer has the lot fall on a key. What finds the shard's lock taken, as by a read that has just
// answered, goes on without.
func (b *bench) prefer(group, key string) {
	p := b.cache.place(group, key)
	testkit.Until(b.t, "the row to be ready", func() bool {
		b.get(group, key)
		b.cache.shard(p).prefer(p.key, group, key)
		return b.cache.shard(p).ready.look(p.key, group, key) != nil
	})
}

func (b *bench) look() (values []string) {
	for _, at := range places {
		values = append(values, b.get(at[0], at[1]))
	}
	return values
}

func (b *bench) requireUnmarked() {
	b.t.Helper()
	for i := range b.cache.marks {
		if marks, epoch := b.cache.marks[i].Load(), b.cache.epochs[i].Load(); marks != 0 || epoch%2 != 0 { // require costs more than all the rest
			require.Failf(b.t, "it is marked", "shard %d has %d marks in epoch %d", i, marks, epoch)
		}
	}
}

func readBefore(b *bench, commit func() error) error {
	b.look()
	return commit()
}

func readMarked(b *bench, commit func() error) error {
	b.before = func() { b.look(); b.look() }
	return commit()
}

func readVisible(b *bench, commit func() error) error {
	after := b.after
	b.before = func() { b.look() } // what this brings in must be gone
	b.after = func() error {
		for range 2 {
			for i, value := range b.look() {
				require.Equal(b.t, b.stored(places[i][0], places[i][1]), value, "visible, so every read sees it")
			}
		}
		if after != nil {
			return after()
		}
		return nil
	}
	return commit()
}

// fillAfter: the read has the old row before the commit, and it for the cache
// after it.
func fillAfter(b *bench, commit func() error) (err error) {
	b.read = func() { err = commit() }
	b.get("g", "a")
	if b.read != nil { // it was in the cache
		b.read = nil
		err = commit()
	}
	return err
}

// fillWhileMarked: and has it for the cache while the commit is under way.
func fillWhileMarked(b *bench, commit func() error) error {
	return fillDuring(b, commit, func(pause func()) { b.before = pause })
}

// fillWhileVisible: and when it has been made.
func fillWhileVisible(b *bench, commit func() error) error {
	after := b.after
	return fillDuring(b, commit, func(pause func()) {
		b.after = func() error {
			pause()
			if after != nil {
				return after()
			}
			return nil
		}
	})
}

func fillDuring(b *bench, commit func() error, at func(pause func())) error {
	paused, resume, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	at(func() { close(paused); <-resume })
	begun := false
	b.read = func() {
		begun = true
		go func() { done <- commit() }()
		<-paused
	}
	b.get("g", "a")
	if !begun {
		b.read()
	}
	close(resume)
	return <-done
}

// checkedThen has the schedule's commit come when the read was found good for
// the cache and is about to come into it.
func checkedThen(schedule func(*bench, func() error) error) func(*bench, func() error) error {
	return func(b *bench, commit func() error) error {
		b.late = true
		defer func() { b.late = false }()
		return schedule(b, commit)
	}
}

// A commit of unknown outcome makes everything stale, a panic in the middle of
// one leaves no mark behind.
func TestCommitsThatFail(t *testing.T) {
	eachKind(t, func(t *testing.T, b *bench) {
		b.prepare(favoured)
		b.after = func() error { panic("in COMMIT") }
		require.Panics(t, func() { _ = b.commit(put("g", "a", "new"), takeGroup("h")) })
		b.requireUnmarked()
		require.NoError(t, b.writer.Resynchronise())
		assert.Equal(t, []string{"new", "old", "", ""}, b.look())

		require.NoError(t, b.writer.Begin())
		require.NoError(t, put("g", "a", "never committed")(b.writer))
		b.writer.announce() // and a panic
		require.NoError(t, b.writer.Resynchronise())
		b.requireUnmarked()
		assert.Equal(t, []string{"new", "old", "", ""}, b.look())

		b.look()
		reads := b.reads
		b.cache.forget()
		assert.Equal(t, []string{"new", "old", "", ""}, b.look())
		assert.Equal(t, reads+len(places), b.reads)
		b.requireUnmarked()
	})
}

// Whatever is done, what the cache answers is what the database holds.
func TestCacheAgreesWithTheDatabase(t *testing.T) {
	eachKind(t, func(t *testing.T, b *bench) {
		random := rand.New(rand.NewPCG(3, 4))
		groups, keys := []string{"", "a", "b", "\xff"}, []string{"", "1", "2", "3", "4", "\x00"}
		pick := func(from []string) string { return from[random.IntN(len(from))] }
		for n := range 400 {
			require.NoError(t, b.writer.Begin())
			for range random.IntN(5) {
				change := put(pick(groups), pick(keys), fmt.Sprint(n))
				switch random.IntN(6) {
				case 0:
					change = take(pick(groups), pick(keys))
				case 1:
					change = takeGroup(pick(groups))
				case 2:
					change = update(pick(groups), pick(keys))
				}
				if random.IntN(4) == 0 {
					change = undone(change)
				}
				require.NoError(t, change(b.writer))
			}
			if random.IntN(6) == 0 {
				require.NoError(t, b.writer.Rollback())
			} else {
				require.NoError(t, b.writer.Commit())
			}
			for _, group := range groups {
				for _, key := range keys {
					if random.IntN(3) > 0 {
						require.Equal(t, b.stored(group, key), b.get(group, key))
					}
				}
			}
		}
	})
}

func TestLargeValuesAreNotKept(t *testing.T) {
	b := newBench(t, storage.MemoryPath)
	large := strings.Repeat("v", b.cache.shards[0].limit/largestShare)
	require.NoError(t, b.commit(put("g", "k", large), put("g", "small", "v")))
	assert.Equal(t, large, b.get("g", "k"))
	assert.Equal(t, large, b.get("g", "k"))
	assert.Equal(t, 2, b.reads)
	b.get("g", "small")
	require.NoError(t, b.commit(put("g", "small", large)))
	assert.Equal(t, large, b.get("g", "small"))
}

func TestTheCacheIsBounded(t *testing.T) {
	b := newBench(t, storage.MemoryPath)
	for i := range 20_000 {
		b.get("g", fmt.Sprint(i))
	}
	stats := b.cache.Stats()
	assert.LessOrEqual(t, stats.Bytes, 1<<20)
	assert.Greater(t, stats.Bytes, 1<<19)
	assert.Positive(t, stats.Rows)
}

func TestEndedContextsAreObeyedByHitsToo(t *testing.T) {
	b := newBench(t, storage.MemoryPath)
	b.get("g", "k")
	ctx, cancel := context.WithCancel(background)
	cancel()
	_, _, err := b.cache.Get(ctx, "g", "k")
	require.ErrorIs(t, err, context.Canceled)
}

// A method of the writer that changes rows must be noted by ours. This list is
// of those that don't, or that are: a new one has to be put in one.
func TestEveryMethodOfTheWriterIsAccountedFor(t *testing.T) {
	noted := strings.Fields("Begin Commit Rollback Savepoint RollbackTo Resynchronise Upsert Update Insert Delete DeleteGroup")
	changesNoRow := strings.Fields(`InTransaction Release Get Head HasGroup HasLiveRow NextGroup Expired DeadIn CountDead Earliest
		AppendLog ReadLog OldestLog TrimLog LogExtent Snapshot Probe IsWriteFault IsDamage Fold Folded`)
	port := reflect.TypeFor[storage.Writer]()
	for i := range port.NumMethod() {
		assert.Contains(t, append(noted, changesNoRow...), port.Method(i).Name)
	}
}
