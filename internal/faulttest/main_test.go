package faulttest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/engine"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/stretchr/testify/require"
)

var background = context.Background()

// seed has a failure be repeated; the figures are for the long forms.
var (
	seedFlag = flag.Uint64("seed", 1, "of everything random")
	crashes  = flag.Int("crashes", 0, "power cuts at random moments of each scenario, beside one at every sync; 0: the short form")
	stride   = flag.Int("stride", 160, "one in so many calls of a reference run fails; 1: every call")
)

// many are more than are folded at once.
var many = func() (items []api.Item) {
	for i := range 300 {
		items = append(items, api.Item{Group: "many", Key: fmt.Sprint(i), Value: "v"})
	}
	return items
}()

// counting has a store tell of the steps of its fold.
func counting(folds *testkit.Folds) api.Option {
	return func(c *engine.Config) error { c.FoldStep = folds.Step; return nil }
}

func TestMain(m *testing.M) {
	flag.Parse()
	faultfs.Install()
	faultfs.SkipSyncs(true)
	testkit.Main(m)
}

// contents is what a store holds: its entries, by group and key, and what its log says has
// happened.
type contents struct {
	entries map[[2]string]string
	events  []api.Event
	last    uint64 // revision
}

// read reads a store, having written a last entry by which the end of the log shows.
func read(store *api.Store) (c contents, err error) {
	if c.last, err = store.Revision(); err != nil {
		return c, err
	}
	if c.entries, err = entries(store); err != nil {
		return c, err
	}
	if err = store.Set("the end", "k", "v"); err != nil {
		return c, err
	}
	var compacted *api.CompactedError
	if c.events, err = history(store, 1, c.last); errors.As(err, &compacted) {
		c.events, err = history(store, compacted.Oldest, c.last)
	}
	if err != nil {
		return c, err
	}
	return c, store.Delete("the end", "k")
}

// history is the events of the revisions from and to, and between them; there are later ones.
func history(store *api.Store, from, to uint64) (events []api.Event, err error) {
	for event, err := range store.Subscribe(background, api.SubscribeOptions{From: from}) {
		if err != nil {
			return nil, err
		}
		if event.Revision > to {
			break
		}
		events = append(events, event)
	}
	return events, nil
}

func entries(store *api.Store) (map[[2]string]string, error) {
	found := make(map[[2]string]string)
	for entry, err := range store.Scan(api.ScanOptions{}) {
		if err != nil {
			return nil, err
		}
		found[[2]string{entry.Group, entry.Key}] = entry.Value
	}
	return found, nil
}

// replay is what entries become by events.
func replay(entries map[[2]string]string, events []api.Event) {
	for _, e := range events {
		switch e.Type {
		case api.EventSet:
			entries[[2]string{e.Group, e.Key}] = e.Value
		case api.EventDelete, api.EventExpire:
			delete(entries, [2]string{e.Group, e.Key})
		case api.EventDeleteGroup:
			for place := range entries {
				if place[0] == e.Group {
					delete(entries, place)
				}
			}
		}
	}
}

// folderOf is a new folder, removed by done.
func folderOf(t testing.TB, parent string, n int) (path string, done func()) {
	t.Helper()
	path = filepath.Join(parent, fmt.Sprint(n))
	require.NoError(t, os.Mkdir(path, 0o700))
	return path, func() { require.NoError(t, os.RemoveAll(path)) }
}

// none is an overlay of which there is none: what is committed is in the table at once.
const none = -1

// overlaid has a store open with an overlay of so many bytes; 0: the default.
func overlaid(bytes int64) []api.Option {
	if bytes == 0 {
		return nil
	}
	return []api.Option{api.WithOverlay(max(bytes, 0))}
}
