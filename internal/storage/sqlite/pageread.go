package sqlite

import (
	"errors"

	"forge.lthn.ai/core/go-store/internal/storage/moment"

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
	return errUnread
}

// faulty is unread for a caller that must not go on, with an error or without.
func faulty(err error) error {
	if err == nil {
		return errUnread
	}
	return unread(err)
}
