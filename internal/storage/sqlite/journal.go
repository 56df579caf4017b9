package sqlite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"
)

// journal is what a rollback journal holds, read without SQLite, which would roll it back.
// https://www.sqlite.org/fileformat.html#the_rollback_journal
type journal struct {
	hot   bool   // SQLite takes it for one
	pages uint32 // of the database before the transaction
	first []byte // the database's first page before that; nil: SQLite would not put one back
}

const (
	journalHeaderSize = 28
	// journalMost: the first page is among the first that a transaction changes.
	journalMost = 64 << 20
)

// readJournal reads any bytes without harm.
func readJournal(path string) (j journal, err error) {
	content, err := ownership.ReadSidecar(path+ownership.JournalSuffix, int(min(ownership.Size(path+ownership.JournalSuffix), journalMost)))
	if err != nil || len(content) < journalHeaderSize || !bytes.HasPrefix(content, ownership.JournalMagic) {
		return j, err
	}
	records, nonce := binary.BigEndian.Uint32(content[8:]), binary.BigEndian.Uint32(content[12:])
	sector, pageSize := int(binary.BigEndian.Uint32(content[20:])), int(binary.BigEndian.Uint32(content[24:]))
	if sector < journalHeaderSize || sector > 64<<10 || pageSize < 512 || pageSize > 65536 {
		return j, nil // SQLite does not take such a one for a journal
	}
	j.hot, j.pages = true, binary.BigEndian.Uint32(content[16:])
	whole := true
	for at, n := sector, uint32(0); at+4+pageSize <= len(content); at, n = at+8+pageSize, n+1 {
		page := content[at+4:][:pageSize]
		sum := content[at+4+pageSize:]
		whole = whole && n < records && len(sum) >= 4 && binary.BigEndian.Uint32(sum) == journalSum(nonce, page)
		if binary.BigEndian.Uint32(content[at:]) != 1 {
			continue
		}
		if whole {
			j.first = page
		}
		break
	}
	return j, nil
}

// journalSum is the checksum of a record: of few bytes, so that a page that was written in
// part does not show for sure.
func journalSum(nonce uint32, page []byte) uint32 {
	for i := len(page) - 200; i > 0; i -= 200 {
		nonce += uint32(page[i])
	}
	return nonce
}

// check refuses a rollback journal of another database: SQLite would roll its pages back
// into this one. A transaction counts the header's changes up, and its journal keeps the
// page that says how many there were. That of the first transaction keeps none: before it
// there was nothing.
func (j journal) check(path string, is header) error {
	before := parseHeader(j.first) // without a page: no changes
	if (j.first != nil || j.hot && j.pages == 0) && is.changes-before.changes > 1 {
		return fmt.Errorf("%s%s does not belong to %s: it was left by a database that lay here before. "+
			"Move that file away, or put the database back that it belongs to: %w", path, ownership.JournalSuffix, path, kv.StaleWALError)
	}
	return nil
}

// beginsAsNew reports whether a file begins as one does whose first transaction was being
// written: not at all yet, or as a database of ours.
func beginsAsNew(path string) bool {
	if ownership.InUseHere(path) {
		return false // closing it would drop locks
	}
	file, err := ownership.OpenNoFollow(path, os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	begin := make([]byte, 512) // a sector, which is there whole or not at all
	n, err := io.ReadFull(disk.Reader(file), begin)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false
	}
	h := parseHeader(begin[:n])
	return ownership.IsZero(begin[:n]) || h.applicationID == applicationID && h.changes <= 1
}
