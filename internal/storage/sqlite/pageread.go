package sqlite

import (
	"errors"
	"fmt"

	"forge.lthn.ai/core/go-store/internal/storage/btree"
	"forge.lthn.ai/core/go-store/internal/storage/moment"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// pageFault is an error of the system's where a page was to be read, in SQLite's terms.
type pageFault struct{ *moment.FaultError }

func (e pageFault) Unwrap() []error { return []error{sqlite.ResultIOErrRead.ToError(), e.FaultError} }

// explainFault is what is to be said of an error of the system's, nil if it is none: SQLite
// need not be asked.
func (p *pool) explainFault(err error) error {
	if fault := (*moment.FaultError)(nil); errors.As(err, &fault) {
		return p.explain(pageFault{fault})
	}
	return nil
}

// unread is errUnread for every error, as SQLite says what is wrong, but for those of the
// system.
func unread(err error) error {
	if err == nil {
		return nil
	}
	if fault := (*moment.FaultError)(nil); errors.As(err, &fault) {
		return fault
	}
	return leftToSQLite(err)
}

// faulty is unread for a caller that must not go on, with an error or without.
func faulty(err error) error {
	if err == nil {
		return errUnread
	}
	return unread(err)
}

// unreadPage is errUnread of a page that is damaged.
type unreadPage struct{ damage *btree.DamagedError }

func (e *unreadPage) Error() string { return e.damage.Error() }

func (e *unreadPage) Unwrap() error { return errUnread }

// leftToSQLite is errUnread, which knows the page if err says that one is damaged.
func leftToSQLite(err error) error {
	var damage *btree.DamagedError
	if errors.As(err, &damage) {
		return &unreadPage{damage}
	}
	return errUnread
}

// orSQLite is what the pages have said, or, where they are left to SQLite, what it says.
func orSQLite[T any](said T, err error, sqlite func() (T, error)) (T, error) {
	if !errors.Is(err, errUnread) {
		return said, err
	}
	said, again := sqlite()
	return said, naming(err, again)
}

// naming has an error of SQLite's, which says that some page is damaged, say which one: unread
// is why SQLite was asked.
func naming(unread, err error) error {
	var page *unreadPage
	if (isDamaged(err) || errors.Is(err, kv.DamagedError)) && errors.As(unread, &page) {
		return fmt.Errorf("%w (%w)", err, page.damage)
	}
	return err
}
