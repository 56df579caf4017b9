package sqlite

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/internal/testkit/report"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

var (
	powerCuts = flag.Int("crashes", 1, "power cuts at each moment of a reference run")
	stride    = flag.Int("stride", 40, "one in so many calls of a reference run fails; 1: every call")
)

// skipSyncs leaves syncs to be written down, or to fail, without being made.
func skipSyncs(t *testing.T) {
	before := faultfs.SkipSyncs(true)
	t.Cleanup(func() { faultfs.SkipSyncs(before) })
}

// recordCommits writes down so many commits of one row each, of which each is marked by its
// number once it is acknowledged.
func recordCommits(t *testing.T, commits int) *faultfs.Recording {
	skipSyncs(t)
	path := temporary(t)
	r := faultfs.Record(t, filepath.Dir(path))
	d := open(t, path)
	for i := range commits {
		require.NoError(t, write(d, row("g", fmt.Sprintf("%06d", i), "v")))
		r.Mark(i)
	}
	r.Stop()
	return r
}

// With a sync at each commit nothing of a WAL waits for one when the commit is acknowledged.
func TestAcknowledgedCommitsAreSynced(t *testing.T) {
	r := recordCommits(t, 2500)
	player := r.Play()
	for acknowledged, moment := range r.Marks() {
		require.Zero(t, player.Unsynced(moment, ownership.WALSuffix), "after commit %d", acknowledged)
	}
}

// After a power cut at any moment everything is there that was acknowledged.
func TestPowerLossKeepsCommits(t *testing.T) {
	r := recordCommits(t, 150)
	player := r.Play()
	moments := r.Marks()
	for i := 0; i < len(moments); i += 7 {
		folder := t.TempDir()
		_, err := player.Crash(folder, moments[i], uint64(i))
		require.NoError(t, err)
		d, err := Open(Config{Path: filepath.Join(folder, "store.db")})
		require.NoError(t, err, "after commit %d", i)
		rows, err := rowsOf(d, "g", 0)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(rows), i+1)
		require.NoError(t, d.Close())
	}
}

// After a power cut at any moment of a store's making, closing and opening anew there is a
// store that opens, by itself, as it was before or after.
func TestPowerLossWhileOpeningAndClosing(t *testing.T) {
	seeds := max(1, *powerCuts)
	for name, durability := range map[string]kv.Durability{"synced": kv.DurabilitySync, "buffered": kv.DurabilityBuffered} {
		t.Run(name, func(t *testing.T) {
			skipSyncs(t)
			path := temporary(t)
			r := faultfs.Record(t, filepath.Dir(path))
			for i := range 2 {
				d, err := Open(Config{Path: path, Durability: durability})
				require.NoError(t, err)
				require.NoError(t, write(d, row("g", fmt.Sprint(i), "v")))
				r.Mark(i)
				require.NoError(t, d.Close())
			}
			r.Stop()
			player, parent, cuts := r.Play(), t.TempDir(), 0
			for moment := 0; moment <= r.Len(); moment += report.Rounds(4, 1, 1) {
				for seed := range seeds {
					folder := filepath.Join(parent, fmt.Sprint(moment, seed))
					require.NoError(t, os.Mkdir(folder, 0o700))
					told, err := player.Crash(folder, moment, uint64(seed))
					require.NoError(t, err)
					d, err := Open(Config{Path: filepath.Join(folder, "store.db"), Durability: durability, Readers: 1})
					require.NoError(t, err, "moment %d of %d, seed %d", moment, r.Len(), seed)
					rows, err := rowsOf(d, "g", 0)
					require.NoError(t, err, "moment %d of %d, seed %d", moment, r.Len(), seed)
					if durability == kv.DurabilitySync {
						require.GreaterOrEqual(t, len(rows), len(told), "moment %d of %d, seed %d", moment, r.Len(), seed)
					}
					require.NoError(t, d.Close())
					require.NoError(t, os.RemoveAll(folder))
					cuts++
				}
			}
			report.Logf(t, "%d power cuts at %d moments", cuts, r.Len()+1)
		})
	}
}

// A power cut has taken revisions from a buffered store, as may be, and left the note of
// them. The next opening gives them up; a power cut within that, or behind it, does not
// bring the note back beside a store that no longer says that it was buffered.
func TestPowerLossAfterALossThatWasAgreedTo(t *testing.T) {
	skipSyncs(t)
	d := openWith(t, Config{Path: temporary(t), Durability: kv.DurabilityBuffered})
	commit := func(revision uint64) {
		w := d.Writer()
		require.NoError(t, w.Begin())
		require.NoError(t, w.AppendLog(kv.LogRow{First: revision, Last: revision, At: 1, Record: []byte("record")}, 6*int64(revision)))
		require.NoError(t, w.Commit())
	}
	commit(1)
	require.NoError(t, fileOf(d).Checkpoint())
	wal, err := os.ReadFile(d.Path() + ownership.WALSuffix)
	require.NoError(t, err)
	for revision := range uint64(9) {
		commit(revision + 2)
	}
	left := killedCopy(t, d.Path())
	lock, err := os.ReadFile(left + ownership.LockSuffix)
	require.NoError(t, err)
	copy(lock, strings.Repeat("0", lockNumber))
	content, err := os.ReadFile(left)
	require.NoError(t, err)
	for name, durability := range map[string]kv.Durability{"synced": kv.DurabilitySync, "buffered": kv.DurabilityBuffered} {
		t.Run(name, func(t *testing.T) {
			path := temporary(t)
			for suffix, content := range map[string][]byte{"": content, ownership.WALSuffix: wal, ownership.LockSuffix: lock} {
				require.NoError(t, os.WriteFile(path+suffix, content, 0o600))
			}
			cutWhileRecovering(t, path, durability)
		})
	}
}

// cutWhileRecovering opens and closes what a power cut has left, and cuts the power again
// at each moment of that.
func cutWhileRecovering(t *testing.T, path string, durability kv.Durability) {
	t.Helper()
	r := faultfs.Record(t, filepath.Dir(path))
	d, err := Open(Config{Path: path, Durability: durability})
	require.NoError(t, err)
	require.NoError(t, write(d, row("g", "k", "v")))
	require.NoError(t, d.Close())
	r.Stop()
	player, parent := r.Play(), t.TempDir()
	for moment := 0; moment <= r.Len(); moment += report.Rounds(4, 1, 1) {
		for seed := range report.Rounds(2, 4, 4) {
			folder := filepath.Join(parent, fmt.Sprint(moment, seed))
			require.NoError(t, os.Mkdir(folder, 0o700))
			_, err := player.Crash(folder, moment, uint64(seed))
			require.NoError(t, err)
			d, err := Open(Config{Path: filepath.Join(folder, filepath.Base(path)), Durability: durability, Readers: 1})
			require.NoError(t, err, "moment %d of %d, seed %d", moment, r.Len(), seed)
			require.NoError(t, d.Close())
			require.NoError(t, os.RemoveAll(folder))
		}
	}
}

// A power cut has torn the WAL's header when it was about to begin anew: everything is in
// the file, as the note of what was acknowledged shows. A power cut within the next
// opening does not take the note.
func TestPowerLossBehindATornHeader(t *testing.T) {
	skipSyncs(t)
	for name, durability := range map[string]kv.Durability{"synced": kv.DurabilitySync, "buffered": kv.DurabilityBuffered} {
		t.Run(name, func(t *testing.T) {
			d := openWith(t, Config{Path: temporary(t), Durability: durability})
			w := d.Writer()
			require.NoError(t, w.Begin())
			require.NoError(t, w.AppendLog(kv.LogRow{First: 1, Last: 1, At: 1, Record: []byte("record")}, 6))
			require.NoError(t, w.Commit())
			require.NoError(t, fileOf(d).Checkpoint())
			path := killedCopy(t, d.Path())
			for suffix, text := range map[string]string{ownership.LockSuffix: strings.Repeat("0", lockNumber), ownership.WALSuffix: strings.Repeat("\x00", 512)} {
				file, err := os.OpenFile(path+suffix, os.O_RDWR, 0)
				require.NoError(t, err)
				_, err = file.WriteAt([]byte(text), 0)
				require.NoError(t, errors.Join(err, file.Close()))
			}
			cutWhileRecovering(t, path, durability)
		})
	}
}

// A checkpoint that a power cut ends may leave half of the stamp that it was writing. The
// WAL, which it was taken from, is the database's all the same.
func TestStampThatIsTorn(t *testing.T) {
	skipSyncs(t)
	for name, durability := range map[string]kv.Durability{"synced": kv.DurabilitySync, "buffered": kv.DurabilityBuffered} {
		t.Run(name, func(t *testing.T) {
			path, copied := temporary(t), temporary(t)
			d := openWith(t, Config{Path: path, Durability: durability})
			require.NoError(t, write(d, row("g", "k", "v")))
			for _, suffix := range []string{"", ownership.WALSuffix, ownership.LockSuffix} {
				content, err := os.ReadFile(path + suffix)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(copied+suffix, content, 0o600))
			}
			whole, _, ok, err := stampOfFile(copied)
			require.NoError(t, err)
			require.True(t, ok)
			content, err := os.ReadFile(copied)
			require.NoError(t, err)
			at := bytes.Index(content, whole.encode())
			require.Positive(t, at)
			copy(content[at+20:], make([]byte, 12))
			require.NoError(t, os.WriteFile(copied, content, 0o600))
			_, _, ok, err = stampOfFile(copied)
			require.NoError(t, err)
			require.False(t, ok)
			requireValue(t, open(t, copied), "g", "k", "v")
		})
	}
}
