package sqlite

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/storage/frames"
	"forge.lthn.ai/core/go-store/internal/storage/moment"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// readViews is a store whose pages are read with calls of the system.
func readViews(t *testing.T) (*Database, *views) {
	t.Helper()
	d := openWith(t, Config{Path: temporary(t), NoMmap: true, Durability: kv.DurabilityBuffered})
	return d, viewsOf(t, d)
}

// requirePages compares every page of what is committed now, as views have it, with what
// SQLite reads.
func requirePages(t *testing.T, d *Database, s *views) {
	t.Helper()
	p, ok := s.look()
	require.True(t, ok)
	defer s.leave(p)
	conn, err := d.openToRead(nil, nil)
	require.NoError(t, err)
	defer conn.Close()
	stmt, err := conn.Prepare("SELECT pgno, data FROM sqlite_dbpage")
	require.NoError(t, err)
	for range 2 { // the second time they are kept
		n := uint32(0)
		for {
			found, err := stmt.Step()
			require.NoError(t, err)
			if !found {
				break
			}
			n++
			want := make([]byte, stmt.ColumnLen(1))
			stmt.ColumnBytes(1, want)
			got, err := p.view.Page(uint32(stmt.ColumnInt64(0)))
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, got), "page %d", n)
		}
		require.Equal(t, p.view.Count, n)
		require.NoError(t, stmt.Reset())
	}
}

// When the WAL begins anew its frames are counted from one again. What was kept of a page
// is not taken for what the frame of that number holds now.
func TestKeptPagesAreNamedByTheirGeneration(t *testing.T) {
	d, s := readViews(t)
	for n := range 6 {
		before := s.Generation
		require.NoError(t, write(d, row("g", "k", fmt.Sprint(n))))
		require.NoError(t, fileOf(d).Checkpoint())
		require.Greater(t, s.Generation, before, "the WAL begins anew")
		got, _, _, err := s.get("g", "k")
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(n), got.Value)
	}
}

// Whatever is written, moved or removed: what is kept of pages is what SQLite reads there.
func TestKeptPagesAreThoseOfTheFile(t *testing.T) {
	d, s := readViews(t)
	cache := s.Cache
	random := rand.New(rand.NewPCG(1, 2))
	var held []func()
	leave := func() {
		for _, leave := range held {
			leave()
		}
		held = nil
	}
	t.Cleanup(leave) // or Close would wait
	for n := range 60 {
		var rows []kv.Row
		for range 1 + random.IntN(40) {
			rows = append(rows, row("g", fmt.Sprint(random.IntN(400)), strings.Repeat(fmt.Sprint(n%10), random.IntN(2000))))
		}
		require.NoError(t, write(d, rows...))
		requirePages(t, d, s)
		switch random.IntN(5) {
		case 0:
			require.NoError(t, fileOf(d).Checkpoint())
		case 1:
			movePassively(t, d)
		case 2:
			p, ok := s.look()
			require.True(t, ok)
			held = append(held, sync.OnceFunc(func() { s.leave(p) }))
		case 3:
			leave()
		}
		requirePages(t, d, s)
	}
	require.Same(t, cache, s.Cache, "it outlives checkpoints")
}

// Views that are gone for a while have no reader keep the WAL from beginning anew twice:
// frames are missed. What was kept before is not looked at any more.
func TestNothingIsKeptWhileThereAreNoViews(t *testing.T) {
	d, s := readViews(t)
	require.NoError(t, write(d, row("g", "k", "before")))
	got, _, _, err := s.get("g", "k")
	require.NoError(t, err)
	require.Equal(t, "before", got.Value)
	s.mu.Lock()
	s.renewed(moment.BusyError) // as after any failure
	s.mu.Unlock()
	require.NoError(t, write(d, row("g", "k", "after")))
	wal, err := checkpoint(fileOf(d).conn, "TRUNCATE")
	require.NoError(t, err)
	require.False(t, wal.busy)
	s.keepUp()
	requirePages(t, d, s)
	got, _, _, err = s.get("g", "k")
	require.NoError(t, err)
	require.Equal(t, "after", got.Value)
}

// A view does not know any more what was written to a page in its generation before
// others were: it reads the page, and keeps nothing.
func TestPagesThatCannotBeNamedAreNotKept(t *testing.T) {
	d, s := readViews(t)
	require.NoError(t, write(d, numbered("g", 500)...))
	require.NoError(t, fileOf(d).Checkpoint())
	require.Zero(t, s.current.Load().Last)
	p, ok := s.look()
	require.True(t, ok)
	defer s.leave(p)
	require.NoError(t, write(d, row("g", "000007", "new")))
	require.NoError(t, write(d, row("g", "000007", "newer")))
	for range 2 {
		got, _, err := p.view.get("g", "000007")
		require.NoError(t, err)
		require.Equal(t, "7", got.Value)
		got, _, _, err = s.get("g", "000007")
		require.NoError(t, err)
		require.Equal(t, "newer", got.Value)
	}
}

// What the disk does not give is for SQLite to explain, and the next read works.
func TestFaultsOfPagesThatAreRead(t *testing.T) {
	d, s := readViews(t)
	require.NoError(t, write(d, numbered("g", 3000)...))
	require.NoError(t, fileOf(d).Checkpoint())
	heal := faultfs.Inject(t, faultfs.Failing("disk.read", "database", faultfs.Code(sqlite.ResultIOErrRead)))
	_, _, _, err := s.get("g", "002999")
	require.ErrorIs(t, err, errUnread)
	requireValue(t, d, "g", "002999", "2999")
	heal()
	_, found, _, err := s.get("g", "002999")
	require.NoError(t, err)
	require.True(t, found)
	heal = faultfs.Inject(t, func(o faultfs.Operation) error {
		if o.Call == "disk.read" && o.Kind == "database" || o.Call == "read" {
			return faultfs.Code(sqlite.ResultIOErrRead)
		}
		return nil
	})
	_, _, err = d.Reads().Get(background, "g", "001500")
	heal()
	require.Error(t, err)
	require.True(t, isStorageFault(err))
	requireValue(t, d, "g", "001500", "1500")
}

// A moment that SQLite can't show any more has no other words than the system's: what fails is
// the disk, and the store is not damaged.
func TestFaultsOfPagesThatAreHeld(t *testing.T) {
	d, _ := readViews(t)
	require.NoError(t, write(d, numbered("g", 3000)...))
	require.NoError(t, fileOf(d).Checkpoint())
	moving := &fileOf(d).checkpoints.moving
	moving.Lock() // no other goroutine reads pages meanwhile
	defer moving.Unlock()
	s, err := d.Snapshot(background)
	require.NoError(t, err)
	defer s.Close()
	published := &fileOf(d).views.mu // which looks at what is published now and then
	cold := func() {                 // nothing is kept of its pages
		published.Lock()
		defer published.Unlock()
		v := s.(pageMoment).hold.mu.pin.view
		v.Cache = frames.NewCache(v.shape.pageSize)
	}
	scan := func(q storage.Query) (err error) {
		_, err = atMost(t, 3000, s.Scan(background, q, 0))
		return err
	}
	for name, read := range map[string]func() error{
		"Get":         func() error { _, _, err := s.Get(background, "g", "002999"); return err },
		"GetMany":     func() error { _, err := s.GetMany(background, "g", []string{"000001"}); return err },
		"GroupExists": func() error { _, err := s.GroupExists(background, "g", 0); return err },
		"Count":       func() error { _, err := s.Count(background, everything, 0); return err },
		"Page":        func() error { _, err := s.Page(background, "g", 10, 10, 0); return err },
		"Scan":        func() error { return scan(storage.GroupQuery("g")) },
		"Reverse":     func() error { return scan(storage.Query{Groups: everything, Keys: kv.PrefixRange("0"), Reverse: true}) },
		"Groups":      func() error { _, err := atMost(t, 1, s.Groups(background, everything, 0)); return err },
		"Usage":       func() error { _, err := s.Usage(everything); return err },
	} {
		t.Run(name, func(t *testing.T) {
			for fails := range int32(12) { // the first read of a page, or a later one
				cold()
				var reads atomic.Int32
				heal := faultfs.Inject(t, func(o faultfs.Operation) error {
					if o.Call == "disk.read" && o.Kind == "database" && o.Size == filePageSize {
						if reads.Add(1) > fails {
							return faultfs.Code(sqlite.ResultIOErrRead)
						}
					}
					return nil
				})
				err := read()
				heal()
				if reads.Load() > fails {
					require.True(t, isStorageFault(err), "%v", err)
					require.NotErrorIs(t, err, kv.DamagedError)
					require.False(t, isWriteFault(err), "%v", err)
				}
				require.NoError(t, read())
			}
		})
	}
}

// Frames that can't be read leave the store to SQLite, and the next commit or look has
// them read.
func TestFaultsOfTheWALThatIsRead(t *testing.T) {
	d, s := readViews(t)
	heal := faultfs.Inject(t, faultfs.Failing("disk.read", "wal", faultfs.Code(sqlite.ResultIOErrRead)))
	require.NoError(t, write(d, row("g", "k", "v")))
	requireValue(t, d, "g", "k", "v")
	heal()
	s.keepUp()
	requirePages(t, d, s)
	got, _, _, err := s.get("g", "k")
	require.NoError(t, err)
	require.Equal(t, "v", got.Value)
}

// BenchmarkAccess is Gets of keys whose pages are kept where they are read: what is
// left is the cache, and the index of the WAL.
func BenchmarkAccess(b *testing.B) {
	for _, kind := range []struct {
		name   string
		access Config
	}{{"mapped", Config{}}, {"read", Config{NoMmap: true}}, {"all-read", Config{NoMmap: true, readIndex: true}}, {"sqlite", Config{NoPages: true}}} {
		b.Run(kind.name, func(b *testing.B) {
			d := openWith(b, kind.access.buffered().at(temporary(b)))
			require.NoError(b, write(d, numbered("g", 20_000)...))
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if _, _, err := d.reads.Get(background, "g", fmt.Sprintf("%06d", n*7919%20_000)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
