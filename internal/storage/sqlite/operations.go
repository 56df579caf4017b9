package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// operations are the backups, checks and compactions under way: Close ends them
// and waits until they are gone.
type operations struct {
	mu struct {
		sync.Mutex
		ended   bool
		running map[*context.CancelCauseFunc]struct{}
	}
	wait sync.WaitGroup
}

// Operation begins something long that ends early, with kv.ClosedError, when the
// database is closed. Close waits for leave, which must be called.
func (d *Database) Operation(ctx context.Context) (_ context.Context, leave func(), err error) {
	if err := storage.ContextError(ctx); err != nil {
		return nil, nil, operationError(ctx, err)
	}
	o := &d.operations
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.ended {
		return nil, nil, kv.ClosedError
	}
	ctx, cancel := context.WithCancelCause(ctx)
	if o.mu.running == nil {
		o.mu.running = make(map[*context.CancelCauseFunc]struct{})
	}
	o.mu.running[&cancel] = struct{}{}
	o.wait.Add(1)
	return ctx, func() {
		o.mu.Lock()
		delete(o.mu.running, &cancel)
		o.mu.Unlock()
		cancel(nil)
		o.wait.Done()
	}, nil
}

// EndOperations has the operations under way end, and lets none begin. It waits
// for none of them.
func (d *Database) EndOperations() {
	o := &d.operations
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.ended = true
	for cancel := range o.mu.running {
		(*cancel)(kv.ClosedError)
	}
}

// operationError names the reason of what ended an operation early.
func operationError(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, kv.ClosedError):
		return kv.ClosedError
	case errors.Is(cause, context.DeadlineExceeded):
		return fmt.Errorf("gave up: %w", cause)
	}
	return storage.ContextError(ctx)
}

// openAside opens a connection for one long read, which ends with ctx, and says how to
// close it.
func (d *Database) openAside(ctx context.Context) (conn *sqlite.Conn, closing func() error, err error) {
	if conn, err = d.openToRead(pragmas(reading, kv.DurabilitySync, readerCacheKiB), ctx.Done()); err != nil {
		return nil, nil, operationError(ctx, d.explain(err))
	}
	effort, err := boundEffort(conn, d.path) // of all its statements together
	closing = func() error {
		defer runtime.KeepAlive(effort) // SQLite calls it, which the collector can't know
		return conn.Close()
	}
	if err := errors.Join(err, d.guard.Check()); err != nil { // what lies at the name may be another file by now
		return nil, nil, errors.Join(err, closing())
	}
	return conn, closing, nil
}

// readAside calls f with a connection of its own, all of whose reads are of one
// moment. The WAL can't start anew meanwhile; the writer is told not to wait
// for it.
func (d *Database) readAside(ctx context.Context, f func(*sqlite.Conn) error) (err error) {
	conn, closing, err := d.openAside(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closing()) }()
	if w, ok := d.writer.(*fileWriter); ok {
		w.checkpoints.pinned.Add(1)
		defer w.checkpoints.pinned.Add(-1)
	}
	if err := execute(conn, "BEGIN"); err != nil {
		return operationError(ctx, d.explain(err))
	}
	return f(conn) // closing the connection ends the transaction, even an interrupted one
}

// pageShape is how large a database is, as a connection sees it.
func pageShape(conn *sqlite.Conn) (size, count int64, err error) {
	if size, err = queryInt(conn, "PRAGMA page_size"); err != nil {
		return 0, 0, err
	}
	count, err = queryInt(conn, "PRAGMA page_count")
	return size, count, err
}

// damaged wraps an error that says that a database can't be read whole.
func damaged(path string, what error) error {
	return fmt.Errorf("%s: %w: %w", path, kv.DamagedError, what)
}
