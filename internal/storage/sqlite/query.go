package sqlite

import (
	"errors"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// rowScan yields the live rows of a query.
type rowScan struct {
	query  storage.Query
	group  string // the query's single group
	single bool
	now    int64
	left   int // rows that are still wanted

	// What can't be read of a row that others decide is of no concern; key is nil of a key
	// that is no text. nil: there is no overlay.
	decided func(group string, key *string) bool
}

func newRowScan(q storage.Query, now int64) *rowScan {
	s := &rowScan{query: q, now: now, left: q.Wanted()}
	s.group, s.single = q.Single()
	return s
}

func (s *rowScan) wide() bool { return s.query.Wide() }

func (s *rowScan) chunk(r *reader, into []kv.Row, rows, bytes int) (_ []kv.Row, more bool, err error) {
	stmt, err := s.bind(r)
	if err != nil {
		return into, false, err
	}
	for rows = min(rows, s.left); rows > 0 && bytes > 0; rows-- {
		found, err := stmt.Step()
		if err != nil {
			return into, false, rowsIterationError(err)
		}
		if !found {
			if err := stmt.Reset(); err != nil || !isEverything(s.query.Groups) {
				return into, false, err
			}
			return into, false, r.checkNamed(s.now)
		}
		var row kv.Row
		if err := s.read(stmt, &row); err != nil {
			if s.passes(stmt, err) {
				rows++
				continue
			}
			_ = stmt.Reset() // the row's error says more
			return into, false, scanRowError(err)
		}
		into = append(into, row)
		s.left--
		bytes -= len(row.Key) + len(row.Value)
	}
	if len(into) > 0 {
		last := &into[len(into)-1]
		here := kv.Key{Group: last.Group, Key: last.Key}
		if s.query.After != nil && !s.follows(here, *s.query.After) {
			_ = stmt.Reset()
			return into, false, rowsIterationError(errOrder) // or it might go round for ever
		}
		s.query.After = &here
	}
	return into, s.left > 0, stmt.Reset()
}

// follows says that one place comes behind another, in the order of the scan.
func (s *rowScan) follows(one, other kv.Key) bool {
	if s.query.Reverse {
		one, other = other, one
	}
	return one.Compare(other) > 0
}

// errOrder is what SQLite does not notice of a damaged index.
var errOrder = storage.DamagedPage(errors.New("the index of the rows is out of order"))

// passes reports whether a row that can't be read is one that others decide.
func (s *rowScan) passes(stmt *sqlite.Stmt, err error) bool {
	if s.decided == nil || !storage.IsDamagedRow(err) {
		return false
	}
	group := s.group
	if !s.single {
		if group, err = name(stmt, 0); err != nil {
			return false
		}
	}
	key, err := name(stmt, 1)
	if err != nil {
		return s.decided(group, nil)
	}
	return s.decided(group, &key)
}

func (s *rowScan) read(stmt *sqlite.Stmt, row *kv.Row) (err error) {
	if row.Group = s.group; !s.single {
		if row.Group, err = name(stmt, 0); err != nil {
			return err
		}
	}
	if row.Key, err = name(stmt, 1); err != nil {
		return err
	}
	if !s.query.KeysOnly {
		if row.Value, err = text(stmt, 2); err != nil {
			return err
		}
	}
	return readMeta(stmt, 3, row)
}

// A scan's statement is made of parts. A condition that excludes nothing is
// left out: a row whose key is NULL meets no condition on its key, and must be
// met, to be reported as damage.
const (
	scanReverse = 1 << iota
	scanKeysOnly
	scanSingle // one group
	scanFrom   // keys have a lower end
	scanTo     // keys have an upper end
	scanAfter  // more than one group: from a position on
	scanVariants
)

func (s *rowScan) variant() (v int, keys kv.Range) {
	q := &s.query
	keys = q.Keys
	if s.single {
		v |= scanSingle
	}
	switch {
	case q.After == nil:
	case !s.single:
		v |= scanAfter
	case q.Reverse && (keys.Unbounded || q.After.Key < keys.To):
		keys.To, keys.Unbounded = q.After.Key, false
	case !q.Reverse && q.After.Key >= keys.From:
		keys.From = q.After.Key + "\x00"
	}
	if q.Reverse {
		v |= scanReverse
	}
	if q.KeysOnly {
		v |= scanKeysOnly
	}
	if keys.From != "" {
		v |= scanFrom
	}
	if !keys.Unbounded {
		v |= scanTo
	}
	return v, keys
}

// bind prepares the statement, the first time, and says where it goes on.
func (s *rowScan) bind(r *reader) (*sqlite.Stmt, error) {
	v, keys := s.variant()
	stmt := r.scans[v]
	if stmt == nil {
		var err error
		if stmt, err = r.conn.Prepare(scanSQL(v)); err != nil {
			return nil, err
		}
		r.scans[v] = stmt
	}
	stmt.BindText(1, s.query.Groups.From)
	stmt.BindInt64(2, s.now)
	if v&scanFrom != 0 {
		stmt.BindText(3, keys.From)
	}
	if v&scanTo != 0 {
		stmt.BindText(4, keys.To)
	}
	if v&scanSingle == 0 {
		bindEnd(stmt, 5, s.query.Groups)
	}
	if v&scanAfter != 0 {
		stmt.BindText(6, s.query.After.Group)
		key := s.query.After.Key
		if !s.query.Reverse {
			key += "\x00" // its successor: no key lies between
		}
		stmt.BindText(7, key)
	}
	return stmt, nil
}
