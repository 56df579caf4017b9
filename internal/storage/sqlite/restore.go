package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/kv"
)

// Restore puts a verified copy of the database at from in the place of to, whose
// ownership it holds meanwhile. verify judges a row of the log by itself, decode reads it. Until
// the copy takes its name to is as it was; then what belonged to the old file is
// removed. Force has it replace a file that can't be recognised.
//
// Errors: those of Backup for to, but that to may be damaged, and those of Open
// for from.
func Restore(ctx context.Context, to, from string, verify func(kv.LogRow) error,
	decode func(kv.LogRow) ([]kv.Event, error), force bool, progress storage.Progress) (err error) {
	if err := storage.ContextError(ctx); err != nil {
		return err
	}
	source, err := Open(Config{Path: from, ReadOnly: true, Events: decode})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	use := restoreTarget
	if force {
		use = forcedTarget
	}
	t, err := claimTarget(to, source.path, use)
	if err != nil {
		return err
	}
	defer t.discard()
	// Checking comes first, and is half of the work.
	report, err := source.Check(ctx, verify, func(done, total int64) { progress.Report(done/2, total) })
	if err != nil {
		return err
	}
	if !report.Whole() {
		return damaged(source.path, fmt.Errorf("%v; salvage it, or take another", report.Findings[0]))
	}
	err = source.copyTo(ctx, t, func(done, total int64) { progress.Report(total-total/2+done/2, total) })
	if err != nil {
		return operationError(ctx, err)
	}
	mode, err := source.mode()
	if err != nil {
		return err
	}
	if err := storage.ContextError(ctx); err != nil {
		return err
	}
	return t.replace(mode)
}

// replace publishes the copy in the place of a database that may have been left
// in any state.
//
// A WAL is removed after: it names the generation that it belongs to, so that
// until then it is refused and not replayed. A journal names nothing: whoever
// opened the copy would have the old pages put back into it. So it goes out of the
// way first. A crash in between leaves the old file without it, and this restore
// undone: it is to be made again.
func (t *target) replace(mode fs.FileMode) error {
	aside := t.temp + ".journal"
	err := disk.Rename(t.path+journalSuffix, aside)
	moved := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if moved {
		err = disk.SyncFolder(filepath.Dir(t.path))
	} else {
		err = nil
	}
	if err == nil {
		err = t.publish(mode)
	}
	if !t.done && moved {
		return errors.Join(err, disk.Rename(aside, t.path+journalSuffix))
	}
	if err != nil && !t.done {
		return err
	}
	if moved {
		err = errors.Join(err, disk.Remove(aside))
	}
	for _, suffix := range []string{walSuffix, shmSuffix} {
		if removing := disk.Remove(t.path + suffix); removing != nil && !errors.Is(removing, fs.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("the database is restored, but %s is still there: %w", t.path+suffix, removing))
		}
	}
	return errors.Join(err, disk.SyncFolder(filepath.Dir(t.path)))
}
