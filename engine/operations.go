package engine

import (
	"context"
	"errors"
	"time"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/sqlite"
	"forge.lthn.ai/core/go-store/kv"
)

// Operation says how something is to be done that concerns a whole file.
type Operation struct {
	Progress func(done, total int64) // bytes; may be nil
	Force    bool                    // Restore: replace what can't be recognised; Salvage: read it
}

// Backup copies what is committed now to a file, while everything goes on.
func (e *Engine) Backup(ctx context.Context, path string, operation Operation) error {
	if err := e.usable(); err != nil {
		return err
	}
	return operation.run(ctx, func(ctx context.Context, progress storage.Progress) error {
		return e.database.Backup(ctx, path, progress)
	})
}

// Check looks at everything that the store holds, at one moment.
func (e *Engine) Check(ctx context.Context, operation Operation) (report kv.CheckReport, err error) {
	if err := e.usable(); err != nil {
		return kv.CheckReport{}, err
	}
	var made kv.CheckReport // the work's, until it has ended
	err = operation.run(ctx, func(ctx context.Context, progress storage.Progress) (err error) {
		made, err = e.database.Check(ctx, checkRecord, progress)
		return err
	})
	return made, err
}

// checkRecord judges a row of the log by its bytes alone.
func checkRecord(row kv.LogRow) error { return commitlog.Check(row) }

// decodeRecord is what a row of the log did.
func decodeRecord(row kv.LogRow) ([]kv.Event, error) { return commitlog.Decode(nil, row) }

// Compact gives the space of what was removed back. The writer does it between
// two batches.
func (e *Engine) Compact(ctx context.Context, operation Operation) (kv.Compaction, error) {
	if err := e.usable(); err != nil {
		return kv.Compaction{}, err
	}
	if e.actors == nil {
		return kv.Compaction{}, kv.ReadOnlyError
	}
	var sizes kv.Compaction // the work's, until it has ended
	err := operation.run(ctx, func(ctx context.Context, progress storage.Progress) error {
		// The writer asks one of our own: the caller's may be of any kind.
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		return e.actors.writer.Between(ctx, func() (err error) {
			sizes, err = e.database.Compact(ctx, progress)
			return err
		})
	})
	if err != nil {
		return kv.Compaction{}, err
	}
	if operation.Progress != nil && sizes.Before > 0 {
		operation.Progress(sizes.Before, sizes.Before)
	}
	return sizes, nil
}

// Fold returns once all that was committed before it is in the table of entries too. The
// writer does it in parts, between batches.
func (e *Engine) Fold(ctx context.Context) error {
	if err := e.usable(); err != nil {
		return err
	}
	if e.actors == nil {
		return kv.ReadOnlyError
	}
	revision, err := e.reads.Revision(ctx)
	if err != nil {
		return err
	}
	writer := e.database.Writer()
	for {
		again, folded := time.Duration(0), false
		if err := e.actors.writer.Between(ctx, func() error {
			again = writer.Fold(true)
			folded = writer.Folded() >= revision
			return nil
		}); err != nil || folded {
			return err
		}
		if again <= 0 {
			again = storage.RestTime
		}
		if err := e.awaitFold(ctx, again); err != nil {
			return err
		}
	}
}

// awaitFold waits for the next part, or says why there is none.
func (e *Engine) awaitFold(ctx context.Context, again time.Duration) error {
	if _, err := e.database.Health(); errors.Is(err, kv.FileLostError) || errors.Is(err, kv.UnfoldedError) {
		return err // a checkpoint that fails is in no fold's way
	}
	timer := time.NewTimer(again)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return storage.ContextError(ctx)
	case <-e.ended:
		return kv.ClosedError
	}
}

// run does work in a goroutine of its own and tells its progress in the caller's: the
// work waits for no user's code, and that may call anything, Close included. A progress
// function that is slow misses steps; one that panics ends the work.
func (o Operation) run(ctx context.Context, work func(context.Context, storage.Progress) error) error {
	if o.Progress == nil {
		return work(ctx, nil)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type step struct{ done, total int64 }
	var last step // the work's, until it has ended
	steps, ended := make(chan step, 1), make(chan error, 1)
	go func() {
		ended <- work(ctx, func(done, total int64) {
			last = step{done, total}
			select {
			case steps <- last:
			default: // the caller is at the one before
			}
		})
	}()
	told := step{}
	for {
		select {
		case told = <-steps:
			o.Progress(told.done, told.total)
		case err := <-ended:
			if err == nil && last != told {
				o.Progress(last.done, last.total)
			}
			return err
		}
	}
}

// Restore puts a verified copy of the database from in the place of to.
func Restore(ctx context.Context, to, from string, operation Operation) error {
	return sqlite.Restore(ctx, to, from, checkRecord, decodeRecord, operation.Force, operation.Progress)
}

// Salvage makes a new store of what can be read of a damaged file.
func Salvage(ctx context.Context, damaged, out string, operation Operation) (kv.SalvageReport, error) {
	return sqlite.Salvage(ctx, damaged, out, decodeRecord, operation.Force, operation.Progress)
}
