package metamorphic

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
)

// reopen closes the store and opens it again, with other settings. One in memory is
// empty then.
type reopen struct{ With settings }

func (o reopen) run(w *world) error {
	if err := w.close(); err != nil {
		return err
	}
	w.take(o.With)
	return w.opened()
}

// take takes settings over that may differ between two openings of one store.
func (w *world) take(s settings) {
	s.Memory, s.Faults = w.Memory, w.Faults
	if w.bounded || s.History != (api.Retention{}) {
		s.Reaper = false // what it does is learnt from the log
	}
	w.settings = s
}

// opened opens the store and looks at everything.
func (w *world) opened() error {
	if w.Memory {
		w.empty()
		w.bounded, w.fewest = false, 0
		clear(w.marks)
	}
	if err := w.open(); err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	return w.verify()
}

// kill ends the process at a quiet moment, as far as the files can tell: they are
// copied as they lie there, and what the store does with its own afterwards is of
// no concern.
type kill struct{ With settings }

func (o kill) run(w *world) error {
	if w.Memory {
		return nil
	}
	path := w.newPath("killed")
	if err := errors.Join(copyOfAMoment(w.path, path), w.close()); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Dir(w.path)); err != nil {
		return err
	}
	w.path = path
	w.take(o.With)
	return w.opened()
}

// copyOfAMoment copies a database with what lies beside it. What goes on in the background, the
// fold of a store at rest and its checkpoints, stands still meanwhile where it would change a
// file: else the copies were of several moments.
func copyOfAMoment(from, to string) error {
	copied := make(chan struct{})
	mend := faultfs.Inject(unattended{}, func(o faultfs.Operation) error {
		if o.Call == "write" || o.Call == "truncate" || o.Call == "delete" || strings.HasPrefix(o.Call, "disk.") {
			<-copied
		}
		return nil
	})
	defer close(copied)
	defer mend()
	for _, suffix := range []string{"-wal", "", "-lock"} {
		content, err := os.ReadFile(from + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(to+suffix, content, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// backup makes a backup and keeps it.
type backup struct{ Slot int }

type keptBackup struct {
	path    string
	model   *model
	first   uint64
	bounded bool
	fewest  int
}

func (o backup) run(w *world) error {
	k := &keptBackup{w.newPath("backup"), w.model.clone(), w.first, w.bounded, w.fewest}
	if old := w.backups[o.Slot]; old != nil {
		k.path = old.path // it is replaced
	}
	if err := w.store.Backup(background, k.path); err != nil {
		return err
	}
	w.backups[o.Slot] = k
	return nil
}

// restore puts a backup in the place of the store. A backup of a store in memory is
// opened beside it.
type restore struct{ Slot int }

func (o restore) run(w *world) error {
	k := w.backups[o.Slot]
	if k == nil {
		return nil
	}
	if w.Memory {
		return w.beside(k.path, *k, api.WithDurability(api.DurabilityBuffered))
	}
	if err := w.close(); err != nil {
		return err
	}
	if err := api.Restore(background, w.path, k.path); err != nil {
		return err
	}
	w.model, w.first, w.bounded, w.fewest = k.model.clone(), k.first, k.bounded, k.fewest
	return w.opened()
}

// beside opens another file, which holds what a model says.
func (w *world) beside(path string, k keptBackup, options ...api.Option) (err error) {
	clock := &ticking{Clock: w.clock.Clock}
	other := &world{settings: settings{Memory: true}, path: path, clock: clock, faults: w.faults,
		model: k.model.clone(), first: k.first, bounded: k.bounded, fewest: k.fewest}
	options = append(options, api.WithClock(clock), api.WithHistory(other.history()), api.WithPurgeInterval(noPurge))
	if other.store, err = api.New(path, options...); err != nil {
		return err
	}
	other.handles = []handle{{writer: other.store}}
	other.model.now = clock.latest.Load()
	err = other.verify()
	return errors.Join(err, other.store.Close())
}

// readOnly looks at the store from a second opening.
type readOnly struct{}

func (readOnly) run(w *world) error {
	if w.Memory {
		return nil
	}
	return w.beside(w.path, keptBackup{model: w.model, first: w.first, bounded: w.bounded, fewest: w.fewest}, api.WithReadOnly())
}

// compact is Compact.
type compact struct{}

func (compact) run(w *world) error {
	if _, err := w.store.Compact(background); err != nil {
		return err
	}
	return w.verify()
}

// fold writes more rows than are folded at once, and has them folded.
type fold struct{ Group string }

func (o fold) run(w *world) error {
	var all setAll
	for i := range 200 {
		all.Items = append(all.Items, api.Item{Group: o.Group, Key: fmt.Sprint("of many ", i)})
	}
	if err := all.run(w); err != nil {
		return err
	}
	if err := w.store.Fold(background); err != nil {
		return err
	}
	return w.verify()
}

// check is Check.
type check struct{}

func (check) run(w *world) error {
	report, err := w.store.Check(background)
	if err != nil {
		return err
	}
	if !report.Whole() || report.Revision != w.model.revision || report.Entries != int64(len(w.model.rows)) {
		return fmt.Errorf("the report is %+v, not of %d entries at revision %d", report, len(w.model.rows), w.model.revision)
	}
	return nil
}

// salvage goes on with what Salvage makes of the closed file, of which nothing is
// damaged.
type salvage struct{}

func (salvage) run(w *world) error {
	if w.Memory {
		return nil
	}
	if err := w.close(); err != nil {
		return err
	}
	out := w.newPath("salvaged")
	report, err := api.Salvage(background, w.path, out)
	if err != nil {
		return err
	}
	if len(report.Findings) > 0 || report.Entries != int64(len(w.model.rows)) {
		return fmt.Errorf("the report is %+v, not of %d entries", report, len(w.model.rows))
	}
	w.path = out
	clear(w.marks)
	return w.opened()
}

// verification compares everything.
type verification struct{}

func (verification) run(w *world) error { return w.verify() }

func (w *world) verify() error {
	if _, err := (scan{}).check(w.store, w.model.view(""), nil); err != nil {
		return fmt.Errorf("the whole store: %w", err)
	}
	oldest, err := w.oldest()
	if err != nil {
		return err
	}
	want := w.model.since(oldest)
	got, err := w.logged(background, oldest, len(want))
	if err != nil {
		return err
	}
	if err := sameEvents(got, want); err != nil {
		return fmt.Errorf("the log: %w", err)
	}
	for _, namespace := range []string{"a", "b", "c", "nobody"} {
		var usage api.Usage
		if err := w.retry(func() (err error) { usage, err = w.store.Usage(namespace); return err }); err != nil {
			return err
		}
		if want := w.model.usage(namespace); usage != want {
			return fmt.Errorf("the usage of %s is %+v, not %+v", namespace, usage, want)
		}
	}
	return nil
}

// usage is Usage.
type usage struct{ Namespace string }

func (o usage) run(w *world) error {
	var got api.Usage
	err := w.retry(func() (err error) { got, err = w.store.Usage(o.Namespace); return err })
	return same(got, w.model.usage(o.Namespace), err, nil)
}
