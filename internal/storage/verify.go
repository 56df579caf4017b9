package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// header is what the first hundred bytes of a database say.
// https://www.sqlite.org/fileformat.html#the_database_header
type header struct {
	pageSize      int64
	pageCount     int64 // 0 if the header does not know
	wal           bool  // the file was left in WAL mode
	applicationID uint32
	userVersion   uint32
	encoding      uint32 // 0 before anything was written, 1 is UTF-8
}

const headerSize = 100

// verifyFile refuses a file that is not ours to write, having touched nothing:
// no lock is taken, no journal rolled back, no file made beside it. What only
// the WAL says is checked again later, within the opening transaction.
func verifyFile(path string) (header, error) {
	size := fileSize(path)
	if size == 0 {
		if fileSize(path+walSuffix) > 0 {
			// SQLite would take the database for a new one and drop the WAL.
			return header{}, fmt.Errorf("%s is empty, but there is a %s beside it: %w",
				path, walSuffix, kv.TruncatedFileError)
		}
		return header{}, nil
	}
	h, err := readHeader(path)
	// SQLite takes a file of one byte for an empty one.
	if code(err) == sqlite.ResultNotADB || err == nil && h.pageSize == 0 {
		return header{}, fmt.Errorf("%s is not an SQLite database: %w", path, kv.NotADatabaseError)
	}
	if err != nil {
		return header{}, fmt.Errorf("%s can't be read: %w", path, err)
	}
	if err := checkIdentity(path, h.applicationID, h.userVersion); err != nil {
		return header{}, err
	}
	if h.encoding > 1 {
		return header{}, fmt.Errorf("%s is encoded in UTF-16, which can't hold every string: %w", path, kv.EncodingError)
	}
	// With a WAL or journal beside it the file may rightly be shorter.
	if size < max(h.pageCount, 1)*h.pageSize && fileSize(path+walSuffix) == 0 && fileSize(path+journalSuffix) == 0 {
		return header{}, fmt.Errorf("%s has %d bytes but its header says %d pages of %d bytes: %w",
			path, size, h.pageCount, h.pageSize, kv.TruncatedFileError)
	}
	return h, nil
}

// checkIdentity refuses databases of other programs and of our own future.
func checkIdentity(path string, id, version uint32) error {
	switch {
	case id == applicationID && int(version) > schemaVersion:
		return fmt.Errorf("%s has schema version %d, this program knows %d; use a newer one: %w",
			path, version, schemaVersion, kv.NewerSchemaError)
	case id == applicationID:
		return nil
	case id != 0:
		return fmt.Errorf("%s belongs to another program (its application_id is %#x, go-store's %#x): %w",
			path, id, applicationID, kv.NotADatabaseError)
	case version != 0:
		return fmt.Errorf("%s belongs to another program (it has user_version %d and no application_id; "+
			"the original wrote neither): %w", path, version, kv.NotADatabaseError)
	}
	return nil
}

// readHeader reads the first page through SQLite, never by itself: closing a
// file would drop the locks that other connections of this process hold on it.
// "immutable" keeps SQLite from locking, recovering or creating anything.
func readHeader(path string) (h header, err error) {
	conn, err := sqlite.OpenConn(databaseURI(path, "immutable=1"), sqlite.OpenReadOnly|sqlite.OpenURI)
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// Without this a file that is shorter than its header says can't be read
	// at all. Nothing can be written through this connection.
	if err := execute(conn, "PRAGMA writable_schema = ON"); err != nil {
		return h, err
	}
	var page []byte
	err = sqlitex.ExecuteTransient(conn, "SELECT data FROM sqlite_dbpage WHERE pgno = 1", &sqlitex.ExecOptions{
		ResultFunc: func(stmt *sqlite.Stmt) error {
			page = make([]byte, stmt.ColumnLen(0))
			stmt.ColumnBytes(0, page)
			return nil
		},
	})
	if err != nil {
		return h, err
	}
	return parseHeader(page), nil
}

func parseHeader(page []byte) (h header) {
	if len(page) < headerSize {
		return h
	}
	h.pageSize = int64(binary.BigEndian.Uint16(page[16:]))
	if h.pageSize == 1 {
		h.pageSize = 65536
	}
	// The count is void if a program that does not maintain it wrote last.
	if bytes.Equal(page[24:28], page[92:96]) {
		h.pageCount = int64(binary.BigEndian.Uint32(page[28:]))
	}
	h.wal = page[18] == 2 || page[19] == 2
	h.encoding = binary.BigEndian.Uint32(page[56:])
	h.userVersion = binary.BigEndian.Uint32(page[60:])
	h.applicationID = binary.BigEndian.Uint32(page[68:])
	return h
}
