package sqlite

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"math/rand/v2"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// A stamp ties a WAL to its database: SQLite itself replays a WAL over whatever
// lies at the database's name. It is a random token that stands in the database and
// is replaced whenever the WAL begins anew, within the first transaction that the
// new WAL holds. So that transaction's page names the token that the database had,
// and a WAL belongs to a database if the database's token is the one that the first
// stamp in the WAL replaced, or one of those in it (which a checkpoint has moved).
// See docs/adr/0040-a-wal-belongs-to-its-database.md.
type stamp struct {
	state    stampState
	salt     uint32 // of the WAL when this was written, or of the one before it; 0: unknown
	pages    uint32 // that the database file had at least, synced and without its WAL; 0: unknown
	token    uint64
	previous uint64 // the token that this one replaced
}

// stampState says what the database file is without a WAL.
type stampState uint8

const (
	stampClosed   stampState = iota // complete
	stampOpen                       // in use: its WAL is to be there
	stampBuffered                   // the same, by a store that leaves syncing to the system
)

// The format: version, state, two bytes that are zero, the salt, the pages, the
// token and the one before it, and a CRC-32C of all that; little-endian.
const (
	stampVersion = 1
	stampSize    = 32
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (s stamp) encode() []byte {
	b := make([]byte, 0, stampSize)
	b = append(b, stampVersion, byte(s.state), 0, 0)
	b = binary.LittleEndian.AppendUint32(b, s.salt)
	b = binary.LittleEndian.AppendUint32(b, s.pages)
	b = binary.LittleEndian.AppendUint64(b, s.token)
	b = binary.LittleEndian.AppendUint64(b, s.previous)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeStamp(b []byte) (s stamp, ok bool) {
	if len(b) != stampSize || b[0] != stampVersion ||
		binary.LittleEndian.Uint32(b[stampSize-4:]) != crc32.Checksum(b[:stampSize-4], castagnoli) {
		return s, false
	}
	return stamp{
		state: stampState(b[1]),
		salt:  binary.LittleEndian.Uint32(b[4:]), pages: binary.LittleEndian.Uint32(b[8:]),
		token: binary.LittleEndian.Uint64(b[12:]), previous: binary.LittleEndian.Uint64(b[20:]),
	}, true
}

// renew makes a stamp that replaces the one with the token: at least 1, so that it
// differs from none.
func (s stamp) renew(token uint64) stamp {
	s.token, s.previous = 1+rand.Uint64N(math.MaxUint64), token
	return s
}

// stampSQL asks for the stamp of a database that has one.
const (
	sqlStamp    = "SELECT stamp FROM store_meta WHERE id = 1"
	sqlSetStamp = "UPDATE store_meta SET stamp = ?1 WHERE id = 1"
)

// readStamp is the database's stamp as the connection sees it. A stamp that can't
// be read counts as none.
func readStamp(conn *sqlite.Conn) (s stamp, ok bool, err error) {
	err = sqlitex.ExecuteTransient(conn, sqlStamp, &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
		b := make([]byte, stmt.ColumnLen(0))
		stmt.ColumnBytes(0, b)
		s, ok = decodeStamp(b)
		return nil
	}})
	return s, ok, err
}

// replaceStamp gives the database a new stamp, in the open transaction.
func replaceStamp(conn *sqlite.Conn, s stamp) error {
	old, _, err := readStamp(conn)
	if err != nil {
		return err
	}
	return sqlitex.ExecuteTransient(conn, sqlSetStamp,
		&sqlitex.ExecOptions{Args: []any{s.renew(old.token).encode()}})
}

// freshStamp makes a closed database one that no WAL belongs to, such as a copy of
// another before it gets its name.
func freshStamp(conn *sqlite.Conn) error { return replaceStamp(conn, stamp{}) }

// stampOfFile is the stamp in the database file itself, whatever its WAL says. What
// can't be read, as a checkpoint that was interrupted may leave it, has none.
func stampOfFile(path string) (s stamp, uuid string, ok bool, err error) {
	conn, err := openStill(path)
	if err != nil {
		return s, "", false, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// A checkpoint that a power cut has ended may leave a file that is shorter than its
	// header says, in which this is to be read all the same.
	if err := execute(conn, "PRAGMA writable_schema = ON"); err != nil {
		return s, "", false, err
	}
	const identity = "SELECT uuid FROM store_meta WHERE id = 1"
	// Where a checkpoint has not come to that table's page, another table's may lie there,
	// with a row that has no such column, or a text in it.
	uuid, err = queryText(conn, identity+" AND typeof(stamp) = 'blob' AND length(stamp) = ?1", stampSize)
	if code(err) == sqlite.ResultError { // the layout has no stamps
		uuid, err = queryText(conn, identity)
	}
	if err != nil {
		return s, "", false, nil
	}
	s, ok, err = readStamp(conn)
	return s, uuid, ok && err == nil, nil
}

// openStill opens a database file by itself: no lock is taken, no WAL or journal
// looked at, nothing created. It must not be changed meanwhile.
func openStill(path string) (_ *sqlite.Conn, err error) {
	conn, err := openConnection(databaseURI(path, "immutable=1"), sqlite.OpenReadOnly|sqlite.OpenURI, nil, nil)
	if err != nil {
		return nil, err
	}
	conn.Limit(sqlite.LimitLength, stillLength)
	// Its schema may have to be read though it is damaged; nothing can be written here.
	if err := errors.Join(defensive(conn, false), boundSteps(conn, lookSteps)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
