package cache

import (
	"context"
	"path/filepath"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/sqlite"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var background = context.Background()

// bench is a cached database whose reads and commits can be held at the points
// where races are.
type bench struct {
	t        *testing.T
	database storage.Database
	cache    *Cache
	writer   *Writer

	read      func()       // called once, when a read has its row and is about to fill the cache
	before    func()       // called by the next COMMIT, once its changes are marked
	after     func() error // called when it has been made, before its changes are settled; its error is COMMIT's
	late      bool         // read is called later, when the row was found good
	reads     int          // that went to the database
	abandoned bool         // the next COMMIT does not happen
}

// eachKind runs a test on both kinds of database.
func eachKind(t *testing.T, test func(t *testing.T, b *bench)) {
	for name, path := range map[string]string{"memory": storage.MemoryPath, "file": ""} {
		t.Run(name, func(t *testing.T) {
			if path == "" {
				path = filepath.Join(t.TempDir(), "store.db")
			}
			test(t, newBench(t, path))
		})
	}
}

func newBench(t *testing.T, path string) *bench {
	d, err := sqlite.Open(sqlite.Config{Path: path, Durability: kv.DurabilityBuffered})
	require.NoError(t, err)
	b := &bench{t: t, database: d}
	b.cache = New(1<<20, source{b}, nil)
	b.cache.filling = func() {
		if b.late {
			b.reading()
		}
	}
	b.writer = b.cache.Writer(&inner{d.Writer(), b})
	t.Cleanup(func() {
		b.cache.Close()
		require.NoError(t, d.Close())
	})
	return b
}

type source struct{ *bench }

func (s source) Current(v storage.Version, group, key string) bool {
	return s.database.Current(v, group, key)
}

func (s source) GetAt(ctx context.Context, group, key string) (kv.Row, bool, storage.Version, error) {
	s.reads++
	row, found, version, err := s.database.GetAt(ctx, group, key)
	if !s.late {
		s.reading()
	}
	return row, found, version, err
}

func (b *bench) reading() {
	if f := b.read; f != nil {
		b.read = nil
		f()
	}
}

type inner struct {
	storage.Writer
	bench *bench
}

func (w *inner) Commit() error {
	before, after := w.bench.before, w.bench.after
	w.bench.before, w.bench.after = nil, nil
	if before != nil {
		before()
	}
	if w.bench.abandoned {
		w.bench.abandoned = false
		return after()
	}
	err := w.Writer.Commit()
	if err == nil && after != nil {
		err = after()
	}
	return err
}

// get is what the cache answers: "" for nothing.
func (b *bench) get(group, key string) string {
	row, found, err := b.cache.Get(background, group, key)
	require.NoError(b.t, err)
	if !found {
		return ""
	}
	require.Equal(b.t, group, row.Group)
	require.Equal(b.t, key, row.Key)
	return row.Value
}

// stored is what the database holds.
func (b *bench) stored(group, key string) string {
	row, _, err := b.database.Reads().Get(background, group, key)
	require.NoError(b.t, err)
	return row.Value
}

// commit does changes in one transaction.
func (b *bench) commit(changes ...func(*Writer) error) error {
	require.NoError(b.t, b.writer.Begin())
	for _, change := range changes {
		require.NoError(b.t, change(b.writer))
	}
	err := b.writer.Commit()
	if err != nil {
		require.NoError(b.t, b.writer.Rollback())
	}
	return err
}

func put(group, key, value string) func(*Writer) error {
	return func(w *Writer) error {
		return w.Upsert(kv.Row{Group: group, Key: key, Value: value, Deadline: kv.NoDeadline, Revision: 7})
	}
}

func take(group, key string) func(*Writer) error {
	return func(w *Writer) error { _, err := w.Delete(group, key); return err }
}

func takeGroup(group string) func(*Writer) error {
	return func(w *Writer) error { _, err := w.DeleteGroup(group); return err }
}

func undone(changes ...func(*Writer) error) func(*Writer) error {
	return func(w *Writer) error {
		if err := w.Savepoint(); err != nil {
			return err
		}
		for _, change := range changes {
			if err := change(w); err != nil {
				return err
			}
		}
		return w.RollbackTo()
	}
}
