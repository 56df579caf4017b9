package sqlite

import (
	"errors"
	"fmt"
	"io/fs"

	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"
)

// What may stand where a whole database is to go, by what brings it there.
func backupTerms() ownership.Terms { return ownership.Terms{Recognise: requireOurs, Wait: busyTimeout} } // of ours, in order and unowned, or nothing
func newTerms() ownership.Terms    { return ownership.Terms{Nothing: true, Wait: busyTimeout} }
func restoreTerms() ownership.Terms { // recognisably ours, however damaged, or nothing
	return ownership.Terms{Recognise: requireRecognisable, Replaces: true, Wait: busyTimeout}
}
func forcedTerms() ownership.Terms { return ownership.Terms{Replaces: true, Wait: busyTimeout} } // any regular file

// requireOurs refuses to replace anything but a database of ours, in order.
func requireOurs(path string, is fs.FileInfo) error {
	if is.Size() == 0 {
		return fmt.Errorf("%s is empty; remove it first: %w", path, kv.NotADatabaseError)
	}
	if _, err := verifyFile(path); err != nil {
		return fmt.Errorf("it is not replaced: %w", err)
	}
	h, err := readHeader(path)
	if err != nil {
		return fmt.Errorf("%s can't be read: %w", path, err)
	}
	if h.applicationID != applicationID {
		return fmt.Errorf("%s has no application_id of go-store's; remove it first: %w", path, kv.NotADatabaseError)
	}
	return nil
}

// requireRecognisable refuses to replace what may be another program's. What is
// empty holds nothing that could be.
func requireRecognisable(path string, is fs.FileInfo) error {
	if links := ownership.LinksOf(is); links > 1 {
		return fmt.Errorf("%s has %d names, of which the others would go on being the old file; "+
			"remove them, or force it: %w", path, links, kv.InvalidTargetError)
	}
	if is.Size() == 0 {
		return nil
	}
	h, err := readHeader(path)
	if err == nil && h.applicationID == applicationID {
		return nil
	}
	if err == nil && h.applicationID == 0 {
		if err = requireLegacy(path); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s can't be told to be a go-store database; look what it is, and force it if it is to be replaced: %w",
		path, errors.Join(kv.NotADatabaseError, err))
}

// requireLegacy accepts what the original wrote.
func requireLegacy(path string) error {
	if _, err := verifyFile(path); err != nil {
		return err
	}
	conn, err := openStill(path)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	found, err := findLegacy(conn)
	if err == nil && !found.kv && !containsAll(found.entriesColumns, "group_name", "entry_key", "entry_value") {
		err = errors.New("it has neither of the original's tables")
	}
	return err
}
