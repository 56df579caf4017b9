package sqlite

import (
	"context"
	"errors"
	"fmt"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
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
	on := restoreTerms()
	if force {
		on = forcedTerms()
	}
	t, err := ownership.Claim(to, source.path, on)
	if err != nil {
		return err
	}
	defer t.Discard()
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
	return t.Replace(mode)
}
