package main

import (
	"context"

	"forge.lthn.ai/core/go-store/api"
)

// checkWait says what is wrong with --wait.
func (a *app) checkWait() error {
	if a.wait < 0 {
		return misuse("--wait %v: use 0 or more", a.wait)
	}
	return nil
}

// openOptions are those with which every command opens the database of --db.
func (a *app) openOptions() []api.Option {
	return []api.Option{api.WithLockTimeout(a.wait)}
}

// awaited opens a store, which may take as long as --wait says. When the command
// is interrupted meanwhile the command does not wait for it: it is closed once it is open.
func (a *app) awaited(ctx context.Context, open func() (*api.Store, error)) (*api.Store, error) {
	if a.wait == 0 {
		return open()
	}
	type result struct {
		store *api.Store
		err   error
	}
	opened := make(chan result)
	go func() {
		store, err := open()
		select {
		case opened <- result{store, err}:
		case <-ctx.Done():
			if err == nil {
				_ = store.Close() // nothing was done with it
			}
		}
	}()
	select {
	case got := <-opened:
		return got.store, got.err
	case <-ctx.Done():
		return nil, errInterrupted
	}
}
