package sqlite

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// scattered begins a transaction that changes many pages.
func scattered(t *testing.T, w storage.Writer, round int) {
	require.NoError(t, w.Begin())
	for i := range 300 {
		require.NoError(t, w.Upsert(row("g", fmt.Sprintf("%04d", i*10), fmt.Sprintf("%d %0900d", round, i))))
	}
}

// walCalls notes what is asked of WALs.
type walCalls struct {
	sync.Mutex
	list []faultfs.Operation
}

func (c *walCalls) note(o faultfs.Operation) error {
	if o.Kind == "wal" && (o.Call == "write" || o.Call == "sync") {
		c.Lock()
		defer c.Unlock()
		c.list = append(c.list, o)
	}
	return nil
}

// A commit of many pages is written in a few calls, all of them before its sync.
func TestFramesAreGathered(t *testing.T) {
	if planted.FsyncSkipped {
		return
	}
	for _, durability := range []kv.Durability{kv.DurabilitySync, kv.DurabilityBuffered} {
		t.Run(fmt.Sprint(durability), func(t *testing.T) {
			d, err := Open(Config{Path: temporary(t), Durability: durability})
			require.NoError(t, err)
			defer func() { require.NoError(t, d.Close()) }()
			w := d.Writer()
			scattered(t, w, 0)
			require.NoError(t, w.Commit())

			scattered(t, w, 1)
			var calls walCalls
			heal := faultfs.Inject(t, calls.note)
			require.NoError(t, w.Commit())
			heal()
			written, begun := int64(0), false
			for i, o := range calls.list {
				written += o.Size
				begun = begun || o.Size > 128 // a WAL that begins anew has its header synced first
				if o.Call == "sync" && begun {
					assert.Equal(t, len(calls.list)-1, i, "the last call")
				}
			}
			frames := int(written / (frameHeaderSize + filePageSize))
			require.Greater(t, frames, 60, "or nothing was tested")
			if durability == kv.DurabilitySync {
				assert.Less(t, len(calls.list), frames/10)
				assert.Equal(t, "sync", calls.list[len(calls.list)-1].Call)
			} else {
				assert.GreaterOrEqual(t, len(calls.list), frames, "without a sync nothing says when they have to be there")
			}
			// What others read, and what is there after a kill, is what was committed.
			rows, err := rowsOf(d, "g", 0)
			require.NoError(t, err)
			require.Len(t, rows, 300)
			copied := temporary(t)
			for _, suffix := range []string{"", ownership.WALSuffix} {
				content, err := os.ReadFile(d.Path() + suffix) // another program's look: the locks are gone with it
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(copied+suffix, content, 0o600))
			}
			require.Equal(t, []string{"ok"}, query(t, copied, "PRAGMA integrity_check"))
			require.Equal(t, []string{"300"}, query(t, copied, "SELECT count(*) FROM entries WHERE entry_value LIKE '1 %'"))
		})
	}
}

// A commit of which any write fails is as if every frame had been written by itself: it
// has not happened, or its outcome is unknown, and the next one is whole.
func TestGatheredWritesFail(t *testing.T) {
	for _, fault := range []sqlite.ResultCode{sqlite.ResultFull, sqlite.ResultIOErrWrite} {
		for nth := range 3 {
			for _, short := range []bool{false, true} {
				t.Run(fmt.Sprint(fault, nth, short), func(t *testing.T) {
					d := open(t, temporary(t))
					w := d.Writer()
					scattered(t, w, 0)
					require.NoError(t, w.Commit())
					scattered(t, w, 1)
					n := 0
					heal := faultfs.Inject(t, func(o faultfs.Operation) error {
						if o.Call != "write" || o.Kind != "wal" {
							return nil
						}
						if n++; n != nth+1 {
							return nil
						}
						if short {
							return faultfs.Short{Err: faultfs.Code(fault)}
						}
						return faultfs.Code(fault)
					})
					err := w.Commit()
					heal()
					require.Error(t, err)
					require.Equal(t, fault != sqlite.ResultFull, storage.IsIndeterminate(err), err)
					require.NoError(t, w.Rollback())
					rows, err := rowsOf(d, "g", 0)
					require.NoError(t, err)
					for _, r := range rows {
						require.Equal(t, byte('0'), r.Value[0])
					}
					scattered(t, w, 2)
					require.NoError(t, w.Commit())
					require.NoError(t, d.Close())
					require.Equal(t, []string{"300"}, query(t, d.Path(), "SELECT count(*) FROM entries WHERE entry_value LIKE '2 %'"))
					require.Equal(t, []string{"ok"}, query(t, d.Path(), "PRAGMA integrity_check"))
				})
			}
		}
	}
}
