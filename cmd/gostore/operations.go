package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/progress"
)

// What the commands that concern whole files share.

// named demands --db, of a file.
func (a *app) named() error {
	switch a.database {
	case "":
		return misuse("name the database with --db PATH")
	case ":memory:":
		return misuse("--db :memory: would be gone when the command ends; name a file")
	}
	return nil
}

// untouched opens the database for reading, beside an owner or alone, and runs
// work on it. Unlike the commands that print entries it never writes to the file,
// whatever it finds.
func (a *app) untouched(ctx context.Context, work func(*api.Store) error) (err error) {
	if err := a.named(); err != nil {
		return err
	}
	if _, err := os.Stat(a.database); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s does not exist", a.database)
	}
	store, err := api.New(a.database, api.WithReadOnly())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return interrupted(ctx, work(store))
}

// interrupted says so where a signal ended the work.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// drawing draws how much of the work is done, if there is a terminal to see it on.
func (a *app) drawing(description string) (_ api.OperationOption, end func()) {
	var bar *progress.Bar
	option := api.WithProgress(func(done, total int64) {
		if bar == nil {
			bar = progress.Bytes(a.stderr, description, total)
		}
		bar.Set(done)
	})
	return option, func() { bar.Close() }
}
