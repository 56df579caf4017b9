package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"forge.lthn.ai/core/go-store/api"
)

// access is how a command uses the database.
type access int

const (
	reading  access = iota // read-only, so that it works beside a program that has the database open
	changing               // the database must be there
	creating               // it is created if it isn't
)

// withStore opens the database, runs work on it and closes it.
func (a *app) withStore(how access, options []api.Option, work func(*api.Store) error) (err error) {
	switch a.database {
	case "":
		return misuse("name the database with --db PATH")
	case ":memory:":
		return misuse("--db :memory: would be gone when the command ends; name a file")
	}
	if how != creating {
		if _, err := os.Stat(a.database); errors.Is(err, fs.ErrNotExist) {
			if _, err := openReading(a.database); errors.Is(err, api.InvalidOptionError) {
				return err // the name can't be meant as it stands
			}
			return fmt.Errorf("%s does not exist; 'gostore import' and 'gostore set' create a database", a.database)
		}
	}
	open := api.New
	if how == reading {
		open = openReading
	}
	store, err := a.awaited(a.ctx, func() (*api.Store, error) {
		return open(a.database, append(options, a.openOptions()...)...)
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return work(store)
}

// openReading opens a database for reading: nothing is written or created.
func openReading(path string, options ...api.Option) (*api.Store, error) {
	return api.New(path, append(options, api.WithReadOnly())...)
}

// explain puts an error in the terms of the command line.
func (a *app) explain(err error) string {
	var locked *api.LockedError
	if errors.As(err, &locked) {
		owner := "another process"
		if locked.PID != 0 {
			owner = fmt.Sprintf("process %d", locked.PID)
		}
		return fmt.Sprintf("%s is in use by %s; wait until it closes the database, as --wait 30s does (the commands that only read, such as 'gostore get', 'watch' and 'export', work beside it)", a.database, owner)
	}
	if text, ok := explainRevision(err); ok {
		return text
	}
	return err.Error()
}
