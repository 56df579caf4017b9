package sqlite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"slices"

	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// header is what the first hundred bytes of a database say.
// https://www.sqlite.org/fileformat.html#the_database_header
type header struct {
	pageSize      int64
	pageCount     int64  // 0 if the header does not know
	changes       uint32 // counts the transactions that were made without a WAL
	wal           bool   // the file was left in WAL mode
	applicationID uint32
	userVersion   uint32
	encoding      uint32 // 0 before anything was written, 1 is UTF-8
}

const headerSize = 100

// found is a database as it lies there, before SQLite has touched it.
type found struct {
	header
	stamp    stamp
	stamped  bool // it has a stamp of its own
	readable bool // so is its identity
	content  walContent
	journal  journal
}

// verifyFile refuses a file that is not ours to write, having touched nothing:
// no lock is taken, no journal rolled back, no file made beside it. What only
// the WAL says is checked again later, within the opening transaction.
func verifyFile(path string) (f found, err error) {
	if err := ownership.CheckSidecars(path); err != nil {
		return f, err
	}
	size := ownership.Size(path)
	if size == 0 {
		if ownership.Size(path+ownership.WALSuffix) > 0 {
			// SQLite would take the database for a new one and drop the WAL.
			return f, fmt.Errorf("%s is empty, but there is a %s beside it: restore the database, or move both away: %w",
				path, ownership.WALSuffix, kv.TruncatedFileError)
		}
		return f, nil
	}
	j, err := readJournal(path)
	if err != nil {
		return f, fmt.Errorf("%s%s can't be read: %w", path, ownership.JournalSuffix, err)
	}
	if j.hot && j.pages == 0 && beginsAsNew(path) {
		return f, nil // it will be empty again
	}
	f.header, err = readHeader(path)
	// SQLite takes a file of one byte for an empty one.
	if code(err) == sqlite.ResultNotADB || err == nil && f.pageSize == 0 {
		return f, fmt.Errorf("%s is not an SQLite database: %w", path, kv.NotADatabaseError)
	}
	if errors.Is(err, kv.ForeignSchemaError) || errors.Is(err, kv.DamagedError) {
		return f, err
	}
	if err != nil {
		return f, fmt.Errorf("%s can't be read: %w", path, err)
	}
	if err := j.check(path, f.header); err != nil {
		return f, err
	}
	f.journal = j
	if j.first != nil {
		f.header = parseHeader(j.first) // what is in the file may be half of a transaction
	}
	if err := f.readBeside(path); err != nil {
		return f, err
	}
	if err := f.checkHeaders(path); err != nil {
		return f, err
	}
	if err := f.checkWAL(path); err != nil {
		return f, err
	}
	if err := f.checkSize(path, size); err != nil {
		return f, err
	}
	return f, f.checkSchema(path)
}

// readBeside reads the file's stamp and its WAL.
func (f *found) readBeside(path string) (err error) {
	var uuid string
	if f.applicationID == applicationID {
		if f.stamp, uuid, f.stamped, err = stampOfFile(path); err != nil {
			return fmt.Errorf("%s can't be read: %w", path, err)
		}
	}
	f.readable = uuid != ""
	if f.content, err = readWAL(path+ownership.WALSuffix, uuid); err != nil {
		return fmt.Errorf("%s%s can't be read: %w", path, ownership.WALSuffix, err)
	}
	return nil
}

// checkHeaders looks at the header in the file and at the one that is in its WAL.
func (f *found) checkHeaders(path string) error {
	headers := []header{f.header}
	if f.content.first != nil {
		headers = append(headers, parseHeader(f.content.first))
	}
	for _, h := range headers {
		if err := checkIdentity(path, h.applicationID, h.userVersion); err != nil {
			return err
		}
		if h.encoding > 1 {
			return fmt.Errorf("%s is encoded in UTF-16, which can't hold every string: %w", path, kv.EncodingError)
		}
	}
	return nil
}

// checkSize refuses a file that has lost its end. With a WAL it may rightly be
// shorter than its header says, but not than it was when the WAL began.
func (f *found) checkSize(path string, size int64) error {
	least, stamps := max(f.pageCount, 1), f.content.stamps
	if !f.readable {
		stamps = f.content.others // a checkpoint that was ended may leave a file that does not show whose it is
	}
	if f.content.committed() || ownership.Size(path+ownership.JournalSuffix) > 0 {
		least = 1
		for _, s := range append([]stamp{f.stamp}, stamps...) {
			if s.pages == 0 && s.state != stampClosed {
				least = 1 // it was being compacted
				break
			}
			least = max(least, int64(s.pages))
		}
	}
	if f.applicationID == applicationID && int(f.userVersion) >= stampedVersion && !f.readable && len(stamps) == 0 && ownership.Size(path+ownership.JournalSuffix) == 0 {
		least = max(f.pageCount, 1) // not even its identity is left
	}
	if size < least*f.pageSize {
		return fmt.Errorf("%s has %d bytes but its header says %d pages of %d bytes: restore a backup, "+
			"or see what 'gostore salvage' can read: %w", path, size, max(least, f.pageCount), f.pageSize, kv.TruncatedFileError)
	}
	return nil
}

// maxRestarts is how often a WAL may have begun anew since its database was last
// stamped, or since that stamp's transaction looked at it.
const maxRestarts = 2

// checkWAL refuses a WAL that is not the database's, and a database whose WAL is
// missing.
func (f *found) checkWAL(path string) error {
	w := &f.content
	stale := func(why string) error {
		return fmt.Errorf("%s%s does not belong to %s: %s. If the database was put here as it is, by restoring or moving it, "+
			"move that file away; else put the database back that it belongs to: %w", path, ownership.WALSuffix, path, why, kv.StaleWALError)
	}
	switch {
	case !f.wal && w.committed():
		return stale("the database was closed, and needs none")
	case !f.wal:
		return nil
	case len(w.stamps) > 0 && !f.torn() && !f.belongs():
		return stale("it was begun by a database with another history")
	case len(w.stamps) == 0 && len(w.others) > 0 && f.readable:
		return stale("it is of another store")
	case f.stamp.state == stampClosed || len(w.stamps) > 0:
		return nil
	case w.whole && (f.stamp.salt == 0 || w.salt-f.stamp.salt <= maxRestarts):
		return nil // it was about to begin anew, or another program wrote to it last
	case w.committed():
		return stale("it is of another series")
	case shows(path):
		return nil
	case w.size == 0:
		return missingWAL(path, "that is gone")
	default:
		return missingWAL(path, "that has lost its content")
	}
}

// torn reports whether the file is of a layout that has a stamp, and shows none: a
// checkpoint that a power cut has ended wrote over it, from the WAL.
func (f *found) torn() bool {
	return f.applicationID == applicationID && int(f.userVersion) >= stampedVersion && !f.stamped
}

// state is what the stamp says, or where it is torn what the WAL's do.
func (f *found) state() stampState {
	if stamps := slices.Concat(f.content.stamps, f.content.others); f.torn() && len(stamps) > 0 {
		return stamps[0].state
	}
	return f.stamp.state
}

// belongs reports whether the first stamp in the WAL replaced the database's, or a
// checkpoint has moved one of its stamps into the database.
func (f *found) belongs() bool {
	return f.content.stamps[0].previous == f.stamp.token ||
		slices.ContainsFunc(f.content.stamps, func(s stamp) bool { return s.token == f.stamp.token })
}

// shows reports whether the file itself shows everything that its last owner has
// acknowledged, as far as that is known: another program may have moved its WAL.
func shows(path string) bool {
	acknowledged, known := ownership.LastAcknowledged(path)
	if !known {
		return false
	}
	conn, err := openStill(path)
	if err != nil {
		return false
	}
	defer conn.Close()
	last, err := lastRevision(conn)
	return err == nil && last >= acknowledged
}

// checkAcknowledged refuses a database that does not show, with its WAL, what its
// last owner has acknowledged: then the WAL was cut, or is another one. acknowledged
// was read before the connection's transaction began.
//
// Where syncing was left to the system a power cut may have kept the note and lost the
// revisions, as was agreed to.
func (f *found) checkAcknowledged(path string, conn *sqlite.Conn, acknowledged uint64) error {
	if f.state() == stampBuffered {
		return nil
	}
	last, err := lastRevision(conn)
	if err != nil || last >= acknowledged {
		return nil // what can't be read is for others to tell
	}
	return missingWAL(path, fmt.Sprintf("revision %d was committed, but the files end with %d", acknowledged, last))
}

// lastRevision is the last one committed, as the connection sees it.
func lastRevision(conn *sqlite.Conn) (uint64, error) {
	last, err := queryInt(conn, "SELECT coalesce((SELECT last_revision FROM log ORDER BY last_revision DESC LIMIT 1), base_revision) FROM store_meta")
	return uint64(last), err
}

func missingWAL(path, why string) error {
	if info, err := disk.Stat(path); err == nil && ownership.LinksOf(info) > 1 {
		why += fmt.Sprintf(" (the file has %d names: open it by the one that the %s file is beside)", ownership.LinksOf(info), ownership.WALSuffix)
	}
	return fmt.Errorf("%s was in use when it was left or copied, and %s: commits are missing that were in its %s file. "+
		"Put the file back that was beside it, or restore a backup (gostore backup makes whole copies of a store in use), "+
		"or take with 'gostore salvage' what is there. (A copy that sqlite3's .backup has made is complete: "+
		"have sqlite3 execute PRAGMA journal_mode = DELETE on it.): %w", path, why, ownership.WALSuffix, kv.MissingWALError)
}

// checkSchema looks at the tables in the file itself. With commits in the WAL, or a
// transaction to roll back, the file may not show them as they are: they are looked at
// later, once SQLite has put that right.
func (f *found) checkSchema(path string) (err error) {
	first := f.content.first
	if first == nil {
		first = f.journal.first
	}
	if f.content.committed() || f.journal.first != nil {
		if first == nil || f.applicationID != 0 {
			return nil
		}
		return checkForeignNames(path, first)
	}
	conn, err := openStill(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := execute(conn, "PRAGMA writable_schema = ON"); err != nil { // a damaged schema is not refused for that
		return err
	}
	return identify(path, f.applicationID, conn)
}

// inUse reports whether the file may lack what was committed: it needs its WAL.
func (f *found) inUse() bool {
	return f.wal && (f.state() != stampClosed || len(f.content.stamps) > 0)
}

// identify says whose a database is, by its tables, and refuses one of ours in whose
// schema others have left what would run in statements of ours.
func identify(path string, id uint32, conn *sqlite.Conn) error {
	check := checkOurs
	if id != applicationID {
		check = checkLegacy
	}
	if err := check(path, conn); err != nil {
		return withoutEnd(path, err)
	}
	return checkOurSchema(path, conn)
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
func readHeader(path string) (h header, err error) {
	conn, err := openStill(path)
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// Without this a file that is shorter than its header says can't be read
	// at all. Nothing can be written through this connection.
	if err := execute(conn, "PRAGMA writable_schema = ON"); err != nil {
		return h, err
	}
	if err := checkNames(path, conn); err != nil {
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
	h.changes = binary.BigEndian.Uint32(page[24:])
	h.wal = page[18] == 2 || page[19] == 2
	h.encoding = binary.BigEndian.Uint32(page[56:])
	h.userVersion = binary.BigEndian.Uint32(page[60:])
	h.applicationID = binary.BigEndian.Uint32(page[68:])
	return h
}
