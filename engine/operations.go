package engine

import (
	"context"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/internal/storage"
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
	return e.database.Backup(ctx, path, operation.Progress)
}

// Check looks at everything that the store holds, at one moment.
func (e *Engine) Check(ctx context.Context, operation Operation) (kv.CheckReport, error) {
	if err := e.usable(); err != nil {
		return kv.CheckReport{}, err
	}
	return e.database.Check(ctx, checkRecord, operation.Progress)
}

// checkRecord judges a row of the log by its bytes alone.
func checkRecord(row kv.LogRow) error {
	_, err := commitlog.Decode(nil, row)
	return err
}

// Compact gives the space of what was removed back. The writer does it between
// two batches; the progress is told by the caller's goroutine, since the writer
// runs nobody's code.
func (e *Engine) Compact(ctx context.Context, operation Operation) (kv.Compaction, error) {
	if err := e.usable(); err != nil {
		return kv.Compaction{}, err
	}
	if e.actors == nil {
		return kv.Compaction{}, kv.ReadOnlyError
	}
	ctx, cancel := context.WithCancel(ctx) // a progress function that panics ends the work too
	defer cancel()
	var sizes kv.Compaction // the writer's, until it has answered
	type step struct{ done, total int64 }
	steps, ended := make(chan step, 1), make(chan error, 1)
	go func() {
		ended <- e.actors.writer.Between(ctx, func() (err error) {
			sizes, err = e.database.Compact(ctx, func(done, total int64) {
				select {
				case steps <- step{done, total}:
				default: // the caller is at the one before
				}
			})
			return err
		})
	}()
	for {
		select {
		case s := <-steps:
			if operation.Progress != nil {
				operation.Progress(s.done, s.total)
			}
		case err := <-ended:
			if err != nil {
				return kv.Compaction{}, err
			}
			if operation.Progress != nil && sizes.Before > 0 {
				operation.Progress(sizes.Before, sizes.Before)
			}
			return sizes, nil
		}
	}
}

// Restore puts a verified copy of the database from in the place of to.
func Restore(ctx context.Context, to, from string, operation Operation) error {
	return storage.Restore(ctx, to, from, checkRecord, operation.Force, operation.Progress)
}

// Salvage makes a new store of what can be read of a damaged file.
func Salvage(ctx context.Context, damaged, out string, operation Operation) (kv.SalvageReport, error) {
	return storage.Salvage(ctx, damaged, out, func(row kv.LogRow) ([]kv.Event, error) {
		return commitlog.Decode(nil, row)
	}, operation.Force, operation.Progress)
}
