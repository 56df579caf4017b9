package sqlite

import (
	"database/sql"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/internal/testkit/report"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// requireAlone checks that a closed database is one file which has all rows.
func requireAlone(t *testing.T, path string, rows int) {
	t.Helper()
	for _, suffix := range []string{ownership.WALSuffix, ownership.SHMSuffix, ownership.JournalSuffix} {
		_, err := os.Stat(path + suffix)
		require.ErrorIs(t, err, os.ErrNotExist, suffix)
	}
	alone := path + ".alone"
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(alone, content, 0o600))
	db, err := sql.Open("sqlite", alone)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var n int
	require.NoError(t, db.QueryRow("SELECT count(*) FROM entries").Scan(&n))
	require.Equal(t, rows, n, "the file alone has what was committed")
}

// Close beside reads of every kind that begin leaves one plain file: the
// connections that they open are gone before the WAL is.
func TestCloseBesideReadsThatBegin(t *testing.T) {
	const rows = longGroup
	for round := range report.Rounds(20, 60, 60) {
		path := temporary(t)
		d := open(t, path)
		require.NoError(t, write(d, numbered("g", rows)...))
		var all sync.WaitGroup
		began := make(chan struct{}, 64)
		for i := range 8 {
			all.Go(func() {
				for {
					var err error
					switch i % 4 {
					case 0:
						var s storage.Snapshot
						if s, err = d.Snapshot(background); err == nil {
							_, _, err = s.Get(background, "g", "000001")
							s.Close()
						}
					case 1:
						_, err = d.Reads().Count(background, everything, 0)
					case 2:
						_, err = d.Reads().Usage(background, everything, 0)
					case 3:
						_, err = rowsOf(d, "g", 0)
					}
					select {
					case began <- struct{}{}:
					default:
					}
					if err != nil {
						assert.ErrorIs(t, err, kv.ClosedError)
						return
					}
				}
			})
		}
		for range round % 20 {
			<-began
		}
		require.NoError(t, d.Close())
		requireAlone(t, path, rows)
		all.Wait()
	}
}

// Wherever a connection is on its way when Close comes (about to be opened, just
// opened, about to be closed), Close is not over before it is gone.
func TestCloseWaitsForConnectionsUnderWay(t *testing.T) {
	snapshot := func(d *Database) error {
		s, err := d.Snapshot(background)
		if err == nil {
			s.Close()
		}
		return err
	}
	calls := map[string]func(d *Database) error{
		"Snapshot": snapshot,
		"Writer.Snapshot": func(d *Database) error {
			s, err := d.Writer().Snapshot()
			if err == nil {
				s.Close()
			}
			return err
		},
		"many snapshots": func(d *Database) error { // more than are kept
			var all []storage.Snapshot
			for range maxIdle + 1 {
				s, err := d.Snapshot(background)
				if err != nil {
					return err
				}
				all = append(all, s)
			}
			for _, s := range all {
				s.Close()
			}
			return nil
		},
		"a snapshot that expires": func(d *Database) error {
			var all []storage.Snapshot
			for range maxIdle + 1 {
				s, err := d.Snapshot(background)
				if err != nil {
					return err
				}
				all = append(all, s)
			}
			d.reads.(*fileReads).pool.expire(-1)
			_, _, err := all[0].Get(background, "g", "k")
			return err
		},
		"a broken one": func(d *Database) error {
			return d.reads.(*fileReads).pool.with(background, func(r *reader) error {
				r.broken = true
				return nil
			})
		},
		"Get":   func(d *Database) error { _, _, err := d.Reads().Get(background, "g", "000001"); return err },
		"Count": func(d *Database) error { _, err := d.Reads().Count(background, everything, 0); return err },
		"loops": func(d *Database) error {
			for _, err := range d.Reads().Scan(background, storage.GroupQuery("g"), 0) {
				if err != nil {
					return err
				}
				if _, err := rowsOf(d, "g", 0); err != nil {
					return err
				}
			}
			return nil
		},
		"a loop that begins again": func(d *Database) error {
			d.reads.(*fileReads).pool.gate.close()
			_, err := rowsOf(d, "g", 0)
			return err
		},
	}
	met := map[string]int{}
	for name, call := range calls {
		for _, step := range []string{"pool.open", "pool.opened", "pool.close"} {
			t.Run(name+"/"+step, func(t *testing.T) {
				if parkAndClose(t, step, call) {
					met[step]++
				}
			})
		}
	}
	require.Equal(t, map[string]int{"pool.open": len(calls), "pool.opened": len(calls), "pool.close": 3}, met)
}

// parkAndClose has a call stand still at a step, if it takes it, while Close runs.
func parkAndClose(t *testing.T, step string, call func(d *Database) error) (met bool) {
	path := temporary(t)
	synctest.Test(t, func(t *testing.T) {
		d, err := Open(Config{Path: path, Readers: 1, NoPages: true})
		require.NoError(t, err)
		require.NoError(t, write(d, numbered("g", longGroup)...))
		parked, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		var once atomic.Bool // others go past the goroutine that is parked
		loseIdle(d.reads.(*fileReads).pool)
		d.reads.(*fileReads).pool.steps = func(s string) {
			if s == step && once.CompareAndSwap(false, true) {
				close(parked)
				<-goOn
			}
		}
		go func() { ended <- call(d) }()
		select {
		case <-parked:
			met = true
		case <-ended:
			once.Store(true)
			require.NoError(t, d.Close())
			return
		}
		closed := make(chan error, 1)
		go func() { closed <- d.Close() }()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("Close was over before the connection was gone")
		default:
		}
		close(goOn)
		require.NoError(t, <-closed)
		if err := <-ended; err != nil {
			require.ErrorIs(t, err, kv.ClosedError)
		}
	})
	requireAlone(t, path, longGroup)
	return met
}
