package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Salvage makes a new store at out of what can be read of a damaged one: its
// pages, one by one, and what is committed in its WAL. decode reads a row of the
// log, or says that it is damaged. The damaged file is neither written nor locked,
// and nothing is made beside it. It must not be open in this process: see the
// package's rules. With force the header is not asked whose it is: that may be
// what is damaged.
//
// Errors: *kv.LockedError while the file has an owner, kv.NotADatabaseError if
// it is another program's or nothing of ours is in it, kv.EncodingError, and those
// of a target that must be new.
func Salvage(ctx context.Context, path, out string, decode func(kv.LogRow) ([]kv.Event, error), force bool, progress storage.Progress) (report kv.SalvageReport, err error) {
	if err := storage.ContextError(ctx); err != nil {
		return report, err
	}
	if path, err = ownership.Resolve(path); err != nil {
		return report, err
	}
	if exists, err := ownership.Inspect(path); err != nil || !exists {
		return report, errors.Join(err, missing(path, exists))
	}
	if err := ownership.RefuseOwned(path, busyTimeout); err != nil {
		return report, err
	}
	t, err := ownership.Claim(out, path, newTerms())
	if err != nil {
		return report, err
	}
	defer t.Discard()
	doubt := doubtWAL(path)
	file, closing, err := openRaw(path, doubt == "")
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, closing()) }()
	if err := checkRaw(path, file); err != nil && !force {
		return report, fmt.Errorf("%w; if it is damage that says so, force it", err)
	}
	s := &salvage{ctx: ctx, path: path, file: file, scan: pages.NewScan(file), report: &report, decode: decode, progress: progress}
	if err := s.into(t.Temp); err != nil {
		return report, operationError(ctx, err)
	}
	if doubt != "" {
		report.Findings = append(report.Findings, kv.Finding{Kind: kv.FindingLog, Text: doubt})
	}
	if err := finishCopy(ctx, t.Temp, decode); err != nil {
		return report, operationError(ctx, err)
	}
	return report, t.PublishNew(0o600)
}

func missing(path string, exists bool) error {
	if exists {
		return nil
	}
	return fmt.Errorf("%s does not exist: %w", path, fs.ErrNotExist)
}

// doubtWAL says why the WAL beside a database is left out, or what its absence means;
// empty: it is read. What can't be told is no reason.
func doubtWAL(path string) string {
	s, uuid, stamped, err := stampOfFile(path)
	if err != nil || !stamped {
		return ""
	}
	w, err := readWAL(path+ownership.WALSuffix, uuid)
	f := found{stamp: s, stamped: true, content: w}
	switch {
	case err != nil:
		return ""
	case len(w.stamps) > 0 && !f.belongs(), len(w.stamps) == 0 && len(w.others) > 0:
		return fmt.Sprintf("%s%s was left by another database, or by an earlier state of this one: it is not read", path, ownership.WALSuffix)
	case s.state != stampClosed && !w.committed() && !shows(path):
		return fmt.Sprintf("the database was in use, and %s%s is gone: commits that were in it are missing", path, ownership.WALSuffix)
	}
	return ""
}

// openRaw opens a database, and its WAL if that is wanted, as plain files.
func openRaw(path string, withWAL bool) (_ *pages.File, closing func() error, err error) {
	database, err := disk.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, nil, err
	}
	closing = database.Close
	var wal io.ReaderAt
	walSize := int64(0)
	if info, lookErr := disk.Lstat(path + ownership.WALSuffix); withWAL && lookErr == nil && info.Mode().IsRegular() && info.Size() > 0 {
		if file, openErr := disk.OpenFile(path+ownership.WALSuffix, os.O_RDONLY, 0); openErr == nil {
			wal, walSize = file, info.Size()
			closing = func() error { return errors.Join(database.Close(), file.Close()) }
		}
	}
	info, err := database.Stat()
	if err == nil {
		var file *pages.File
		if file, err = pages.New(database, info.Size(), wal, walSize); err == nil {
			return file, closing, nil
		}
	}
	return nil, nil, errors.Join(err, closing())
}

// checkRaw refuses another program's file, as far as it still says whose it is.
func checkRaw(path string, file *pages.File) error {
	h := file.Header
	if !h.Valid {
		return nil
	}
	if h.Encoding > 1 {
		return fmt.Errorf("%s is encoded in UTF-16: %w", path, kv.EncodingError)
	}
	return checkIdentity(path, h.ApplicationID, h.UserVersion)
}

// salvage is one under way.
type salvage struct {
	ctx      context.Context
	path     string
	file     *pages.File
	scan     *pages.Scan
	report   *kv.SalvageReport
	decode   func(kv.LogRow) ([]kv.Event, error)
	progress storage.Progress
	read     int64 // pages
	b        *builder

	entries, log, kv, keys *pages.Tree // nil: there is none, or its place is not known
	others                 []*pages.Tree
	uuid                   string
	base                   uint64 // what store_meta says of it
	told                   bool   // store_meta could be read
	unfolded               bool   // the log may have what entries have not
	folded                 uint64 // up to here they have it
	freeKnown              bool
	part                   string // what is being read
	lost                   map[string]int64
	newest                 uint64 // revision of an entry or record

	expect, stray, restore, unstray, ungroup, unrestore, unrestoreGroup *sqlite.Stmt
}

// Tables that live as long as the salvage.
const sqlSalvage = `
	CREATE TEMP TABLE expected (g TEXT, k TEXT, PRIMARY KEY (g, k)) WITHOUT ROWID;
	CREATE TEMP TABLE strays (g TEXT, k TEXT, v TEXT, e INTEGER, r INTEGER, PRIMARY KEY (g, k));
	CREATE TEMP TABLE restored (g TEXT, k TEXT, v TEXT, e INTEGER, r INTEGER, PRIMARY KEY (g, k));
`

const (
	partSchema  = "the schema"
	partEntries = "the entries"
	partLog     = "the log"
	partKeys    = "the index of keys"
	partStrays  = "pages that nothing leads to"
)

func (s *salvage) into(path string) (err error) {
	s.lost = make(map[string]int64)
	s.scan.Lost = func(uint32, error) { s.lost[s.part]++ }
	s.scan.Step = s.step
	if err := s.outline(); err != nil {
		return err
	}
	if s.uuid == "" {
		s.uuid = uuid.NewString()
	}
	if s.b, err = buildDatabase(path, s.uuid, s.ctx.Done()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.b.close()) }()
	if err := sqlitex.ExecuteScript(s.b.conn, sqlSalvage, nil); err != nil {
		return err
	}
	if err := prepareAll(s.b.conn, []statement{
		{&s.expect, "INSERT OR IGNORE INTO expected VALUES (?1, ?2)"},
		{&s.stray, strayUpsert("strays")},
		{&s.restore, strayUpsert("restored")},
		{&s.unstray, "DELETE FROM strays WHERE g = ?1 AND k = ?2 AND r < ?3"},
		{&s.ungroup, "DELETE FROM strays WHERE g = ?1 AND r < ?2"},
		{&s.unrestore, "DELETE FROM restored WHERE g = ?1 AND k = ?2"},
		{&s.unrestoreGroup, "DELETE FROM restored WHERE g = ?1"},
	}); err != nil {
		return err
	}
	if err := s.readAll(); err != nil {
		return err
	}
	tail, err := s.tail()
	if err != nil {
		return err
	}
	base, err := s.joinLog()
	if err != nil {
		return err
	}
	if err := s.merge(); err != nil {
		return err
	}
	if err := s.fold(tail); err != nil {
		return err
	}
	if base, err = s.count(base); err != nil {
		return err
	}
	ours := s.file.Header.ApplicationID == applicationID
	if !ours && s.report.Entries == 0 && s.report.LogRecords == 0 {
		return fmt.Errorf("nothing of a go-store database could be found in %s: %w", s.path, kv.NotADatabaseError)
	}
	s.describe()
	return s.b.commit(base)
}

func strayUpsert(table string) string {
	return `INSERT INTO ` + table + ` VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (g, k)
		DO UPDATE SET v = excluded.v, e = excluded.e, r = excluded.r WHERE excluded.r >= ` + table + `.r`
}

// step is called for each page that is read for its rows.
func (s *salvage) step() error {
	if s.read++; s.read%64 == 0 {
		total := int64(s.file.Count) * int64(s.file.Size)
		s.progress.Report(min(s.read*int64(s.file.Size), total), total)
	}
	return storage.ContextError(s.ctx)
}

// outline finds the trees, by the schema as far as it can be read, and what is
// free.
func (s *salvage) outline() error {
	s.part = partSchema
	type place struct {
		kind, name, table, sql string
		root                   uint32
	}
	var places []place
	if s.file.Header.Valid {
		err := s.scan.Rows(s.scan.Tree(1), func(r pages.Row) error {
			if v := r.Values; len(v) == 5 && v[3].Kind == pages.Integer && v[3].Int > 1 && v[3].Int <= int64(s.file.Count) {
				places = append(places, place{strings.ToLower(string(v[0].Bytes)), strings.ToLower(string(v[1].Bytes)),
					strings.ToLower(string(v[2].Bytes)), strings.ToLower(string(v[4].Bytes)), uint32(v[3].Int)})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	// Tables first: a pointer that leads astray must not take a page from them.
	slices.SortStableFunc(places, func(a, b place) int { return strings.Compare(b.kind, a.kind) })
	var meta *pages.Tree
	for _, p := range places {
		s.part = partOther
		var into **pages.Tree
		switch {
		case p.kind == "table" && p.name == "entries":
			s.part, into = partEntries, &s.entries
		case p.kind == "table" && p.name == "kv" && strings.Contains(p.sql, "grp"):
			s.part, into = partEntries, &s.kv
		case p.kind == "table" && p.name == "log":
			s.part, into = partLog, &s.log
		case p.kind == "table" && p.name == "store_meta":
			s.part, into = partSchema, &meta
		case p.kind == "index" && p.name == "sqlite_autoindex_entries_1":
			s.part, into = partKeys, &s.keys
		}
		tree := s.scan.Tree(p.root)
		if into != nil && *into == nil {
			*into = tree
		} else {
			s.others = append(s.others, tree)
		}
	}
	s.part = partSchema
	s.freeKnown = s.scan.Free()
	if meta == nil {
		return nil
	}
	return s.scan.Rows(meta, func(r pages.Row) error {
		if v := r.Values; len(v) >= 2 && v[1].Kind == pages.Text {
			s.told = true
			if len(v) >= 5 && v[4].Kind != pages.Null {
				s.unfolded = true
				if v[4].Kind == pages.Integer && v[4].Int > 0 && v[4].Int <= mostRevision {
					s.folded = uint64(v[4].Int)
				}
			}
			if id, err := uuid.ParseBytes(v[1].Bytes); err == nil {
				s.uuid = id.String()
			}
			if len(v) >= 3 && v[2].Kind == pages.Integer && v[2].Int > 0 && v[2].Int < math.MaxInt64/2 {
				s.base = uint64(v[2].Int)
			}
		}
		return nil
	})
}

const partOther = "what others keep in the file"

// readAll reads every row that can be read.
func (s *salvage) readAll() error {
	strays := false
	read := func(part string, tree *pages.Tree, row func(pages.Row) error) error {
		if s.part = part; tree == nil {
			return nil
		}
		return s.scan.Rows(tree, row)
	}
	return firstError(
		func() error { return read(partEntries, s.entries, s.entry(func() *sqlite.Stmt { return s.b.newer })) },
		// What both tables have is newer in entries.
		func() error { return read(partEntries, s.kv, s.entry(func() *sqlite.Stmt { return s.b.older })) },
		func() error { return read(partLog, s.log, s.record) },
		func() error {
			s.part = partStrays
			return s.scan.Strays(func(r pages.Row) error {
				if r.Values != nil && r.Values[0].Kind == pages.Null {
					return s.record(r)
				}
				if s.entries != nil && len(r.Values) == 3 {
					return nil // too like anything
				}
				strays = true
				return s.entry(func() *sqlite.Stmt { return s.stray })(r)
			})
		},
		func() error {
			wanted := strays || s.damagedEntries() // all keys are much to gather for nothing
			return read(partKeys, s.keys, func(r pages.Row) error {
				if v := r.Values; wanted && len(v) == 3 && v[0].Kind == pages.Text && v[1].Kind == pages.Text {
					return bindAndRun(s.expect, string(v[0].Bytes), string(v[1].Bytes))
				}
				return nil
			})
		},
		func() error { // only to know which pages are theirs
			for _, tree := range s.others {
				if err := read(partOther, tree, func(pages.Row) error { return nil }); err != nil {
					return err
				}
			}
			return nil
		},
	)
}

// damagedEntries reports whether entries are missing that no stray page may have.
func (s *salvage) damagedEntries() bool {
	return s.lost[partEntries] > 0 || s.entries == nil || !s.entries.Whole
}

func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// mostRevision is beyond what a store can have come to.
const mostRevision = 1 << 62

// entry puts a row of ours, of whatever version, where stmt says.
func (s *salvage) entry(stmt func() *sqlite.Stmt) func(pages.Row) error {
	return func(r pages.Row) error {
		row, ok := entryOf(r.Values)
		if !ok {
			if s.part != partStrays {
				s.lost[s.part]++
			}
			return nil
		}
		if stmt() != s.stray {
			s.newest = max(s.newest, row.Revision)
		}
		return s.b.put(stmt(), row)
	}
}

func entryOf(v []pages.Value) (row kv.Row, ok bool) {
	if len(v) < 3 || len(v) > 5 {
		return row, false
	}
	for _, text := range v[:3] {
		if text.Kind != pages.Text && text.Kind != pages.Blob {
			return row, false
		}
	}
	row = kv.Row{Group: string(v[0].Bytes), Key: string(v[1].Bytes), Value: string(v[2].Bytes), Deadline: kv.NoDeadline, Revision: 1}
	if len(v) > 3 && v[3].Kind == pages.Integer {
		row.Deadline = v[3].Int
	} else if len(v) > 3 && v[3].Kind != pages.Null {
		return row, false
	}
	if len(v) > 4 {
		if v[4].Kind != pages.Integer || v[4].Int < 0 || v[4].Int > mostRevision {
			return row, false
		}
		row.Revision = max(1, uint64(v[4].Int))
	}
	return row, true
}

// record puts a row of the log that is whole.
func (s *salvage) record(r pages.Row) error {
	v := r.Values
	if len(v) != 5 || v[0].Kind != pages.Null || v[1].Kind != pages.Integer || v[2].Kind != pages.Integer ||
		v[3].Kind != pages.Integer || v[4].Kind != pages.Blob || r.Rowid <= 0 || r.Rowid > mostRevision {
		if s.part == partLog {
			s.lost[partLog]++
		}
		return nil
	}
	row := kv.LogRow{First: uint64(v[1].Int), Last: uint64(r.Rowid), At: v[2].Int, Record: v[4].Bytes}
	if _, err := s.decode(row); err != nil {
		s.lost[partLog]++
		return nil
	}
	return s.b.log(row, v[3].Int)
}

// joinLog leaves of the log what its end is dense with, or nothing if entries are
// newer: a log can't have gaps. It returns the revision of everything before.
func (s *salvage) joinLog() (base uint64, err error) {
	var first, last uint64
	kept := int64(0)
	all, err := queryInt(s.b.conn, "SELECT count(*) FROM log")
	if err != nil {
		return 0, err
	}
	errGap := errors.New("gap")
	err = sqlitex.ExecuteTransient(s.b.conn, "SELECT last_revision, first_revision FROM log ORDER BY last_revision DESC",
		&sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
			to, from := uint64(stmt.ColumnInt64(0)), uint64(stmt.ColumnInt64(1))
			if kept > 0 && to != first-1 || from == 0 || from > to {
				return errGap
			}
			if kept == 0 {
				last = to
			}
			kept++
			first = from
			return nil
		}})
	if err != nil && !errors.Is(err, errGap) {
		return 0, err
	}
	base = max(s.base, s.newest, last)
	if kept > 0 && last >= s.newest && last >= s.base {
		base = first - 1
	} else {
		first, kept = math.MaxInt64, 0
	}
	s.report.OlderRecords, s.report.LogRecords, s.report.Revision = all-kept, kept, last
	if err := sqlitex.ExecuteTransient(s.b.conn, "DELETE FROM log WHERE last_revision < ?1",
		&sqlitex.ExecOptions{Args: []any{int64(first)}}); err != nil {
		return 0, err
	}
	// Sizes are those of what is left.
	return base, execute(s.b.conn, `UPDATE log SET log_end = e FROM
		(SELECT last_revision AS r, sum(octet_length(record)) OVER (ORDER BY last_revision) AS e FROM log) WHERE r = last_revision`)
}

// merge brings the strays in, and what the log alone still has of entries that
// were lost.
func (s *salvage) merge() error {
	indexed := s.keys != nil && s.keys.Whole && s.lost[partKeys] == 0
	strays, err := queryInt(s.b.conn, "SELECT count(*) FROM strays")
	if err != nil {
		return err
	}
	if strays == 0 && !s.damagedEntries() {
		return nil // nothing is missing: what isn't there was removed, by whomever
	}
	if err := s.replay(); err != nil {
		return err
	}
	// The index knows which keys there are.
	known := ""
	if indexed {
		known = " AND EXISTS (SELECT 1 FROM expected WHERE expected.g = s.g AND expected.k = s.k)"
	}
	bring := func(table string) (int64, error) {
		before, err := queryInt(s.b.conn, "SELECT count(*) FROM entries")
		if err != nil {
			return 0, err
		}
		if err := execute(s.b.conn, `INSERT INTO entries (group_name, entry_key, entry_value, expires_at, revision)
			SELECT g, k, v, e, r FROM `+table+` AS s WHERE true`+known+` ON CONFLICT (group_name, entry_key) DO UPDATE SET
			entry_value = excluded.entry_value, expires_at = excluded.expires_at, revision = excluded.revision
			WHERE excluded.revision > entries.revision`); err != nil {
			return 0, err
		}
		after, err := queryInt(s.b.conn, "SELECT count(*) FROM entries")
		return after - before, err
	}
	if s.report.Strays, err = bring("strays"); err != nil {
		return err
	}
	if s.report.Replayed, err = bring("restored"); err != nil {
		return err
	}
	s.report.LostEntries, err = queryInt(s.b.conn, `SELECT count(*) FROM expected WHERE NOT EXISTS
		(SELECT 1 FROM entries WHERE group_name = g AND entry_key = k)`)
	return err
}

// tail is what the log says that entries may not have, as far as it can be read, nil if they
// have all of it: as does a file that no process was at when it was left.
func (s *salvage) tail() (*overlay.Overlay, error) {
	if !s.unfolded && (s.told || s.file.Header.Valid && !s.file.Header.WAL) {
		return nil, nil
	}
	o := overlay.New(s.folded)
	err := s.eachRecord(s.folded, func(row kv.LogRow, events []kv.Event) error {
		applyEvents(o, row.Last, events)
		return nil
	})
	return o, err
}

// fold brings into entries what the tail says. Where a part of that is lost they may be ahead
// of what is left of it: what is newer stays.
func (s *salvage) fold(tail *overlay.Overlay) (err error) {
	if tail == nil || tail.Empty() {
		return nil
	}
	var put, remove, group *sqlite.Stmt
	if err := prepareAll(s.b.conn, []statement{{&put, sqlUpsert + ` WHERE excluded.revision >= entries.revision`},
		{&remove, sqlDelete + ` AND revision <= ?3`}, {&group, sqlDeleteGroup + ` AND revision <= ?2`}}); err != nil {
		return err
	}
	before, err := queryInt(s.b.conn, "SELECT count(*) FROM entries")
	if err != nil {
		return err
	}
	says := tail.Published()
	for name, revision, found := says.NextMark("", false); found; name, revision, found = says.NextMark(name, true) {
		if err := bindAndRun(group, name, revision); err != nil {
			return err
		}
	}
	walk := says.Iterate(overlay.Bounds{Unbounded: true}, false)
	for e, ok := walk.Next(); ok; e, ok = walk.Next() {
		if e.Gone {
			err = bindAndRun(remove, e.Row.Group, e.Row.Key, e.Row.Revision)
		} else {
			err = s.b.put(put, e.Row)
		}
		if err == nil {
			err = storage.ContextError(s.ctx)
		}
		if err != nil {
			return err
		}
	}
	after, err := queryInt(s.b.conn, "SELECT count(*) FROM entries")
	s.report.Replayed += max(after-before, 0)
	return err
}

// replay goes through what is left of the log: what it removed is no stray, and
// what it wrote last is what an entry was.
func (s *salvage) replay() error {
	return s.eachRecord(0, func(_ kv.LogRow, events []kv.Event) error {
		for i := range events {
			if err := s.replayEvent(&events[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachRecord calls do with what each record did that was read, behind a revision.
func (s *salvage) eachRecord(behind uint64, do func(row kv.LogRow, events []kv.Event) error) error {
	return sqlitex.ExecuteTransient(s.b.conn, "SELECT last_revision, first_revision, committed_at, record FROM log WHERE last_revision > ?1 ORDER BY last_revision",
		&sqlitex.ExecOptions{Args: []any{int64(behind)}, ResultFunc: func(stmt *sqlite.Stmt) error {
			row := kv.LogRow{Last: uint64(stmt.ColumnInt64(0)), First: uint64(stmt.ColumnInt64(1)), At: stmt.ColumnInt64(2),
				Record: make([]byte, stmt.ColumnLen(3))}
			stmt.ColumnBytes(3, row.Record)
			events, err := s.decode(row)
			if err != nil {
				return err // it was whole when it came in
			}
			if err := do(row, events); err != nil {
				return err
			}
			return storage.ContextError(s.ctx)
		}})
}

func (s *salvage) replayEvent(e *kv.Event) error {
	switch e.Type {
	case kv.EventSet:
		row := kv.Row{Group: e.Group, Key: e.Key, Value: e.Value, Deadline: kv.NoDeadline, Revision: e.Revision}
		if !e.ExpiresAt.IsZero() {
			row.Deadline = e.ExpiresAt.UnixMilli()
		}
		bindRow(s.restore, row)
		return errors.Join(run(s.restore), bindAndRun(s.unstray, e.Group, e.Key, e.Revision))
	case kv.EventDelete, kv.EventExpire:
		return errors.Join(bindAndRun(s.unrestore, e.Group, e.Key), bindAndRun(s.unstray, e.Group, e.Key, e.Revision))
	case kv.EventDeleteGroup:
		return errors.Join(bindAndRun(s.unrestoreGroup, e.Group), bindAndRun(s.ungroup, e.Group, e.Revision))
	}
	return nil
}

// bindAndRun binds texts as such, and numbers.
func bindAndRun(stmt *sqlite.Stmt, arguments ...any) error {
	for i, argument := range arguments {
		switch argument := argument.(type) {
		case string:
			stmt.BindText(i+1, argument)
		case uint64:
			stmt.BindInt64(i+1, int64(argument))
		}
	}
	return run(stmt)
}

// count says what the new store holds. A stray may be newer than all else: then
// the log has lost its end, and can't be kept.
func (s *salvage) count(base uint64) (_ uint64, err error) {
	if s.report.Entries, err = queryInt(s.b.conn, "SELECT count(*) FROM entries"); err != nil {
		return 0, err
	}
	newest, err := queryInt(s.b.conn, "SELECT coalesce(max(revision), 0) FROM entries")
	if err != nil {
		return 0, err
	}
	if s.report.LogRecords > 0 && uint64(newest) > s.report.Revision {
		s.report.OlderRecords, s.report.LogRecords = s.report.OlderRecords+s.report.LogRecords, 0
		if err := execute(s.b.conn, "DELETE FROM log"); err != nil {
			return 0, err
		}
		base = max(base, s.report.Revision)
	}
	if s.report.LogRecords == 0 {
		base = max(base, uint64(newest))
		s.report.Revision = base
	}
	s.report.LostRecords = s.lost[partLog]
	for _, n := range s.scan.Unreadable() {
		if last := len(s.report.Unreadable) - 1; last >= 0 && s.report.Unreadable[last].Last == n-1 {
			s.report.Unreadable[last].Last = n
		} else {
			s.report.Unreadable = append(s.report.Unreadable, kv.PageRun{First: n, Last: n})
		}
	}
	return base, nil
}

// describe says in words what is not as it was.
func (s *salvage) describe() {
	say := func(kind, format string, arguments ...any) {
		s.report.Findings = append(s.report.Findings, kv.Finding{Kind: kind, Text: fmt.Sprintf(format, arguments...)})
	}
	if !s.file.Header.Valid {
		say(kv.FindingStructure, "the first page is not a database's: pages of %d bytes were taken for its own by what they look like", s.file.Size)
	}
	for _, part := range []string{partSchema, partEntries, partLog, partKeys, partStrays, partOther} {
		if n := s.lost[part]; n > 0 {
			say(kv.FindingStructure, "%s: %d rows or pages could not be read", part, n)
		}
	}
	if s.unfolded && s.lost[partLog] > 0 {
		say(kv.FindingLog, "the table had not got what the log has behind revision %d: what the records did that could not be read is lost, "+
			"if they lay there", s.folded)
	}
	for _, run := range s.report.Unreadable {
		if run.First == run.Last {
			say(kv.FindingStructure, "page %d is damaged, or nothing leads to it", run.First)
		} else {
			say(kv.FindingStructure, "pages %d to %d are damaged, or nothing leads to them", run.First, run.Last)
		}
	}
	if s.report.LostEntries > 0 {
		say(kv.FindingRow, "%d keys are in the index, and their entries are lost", s.report.LostEntries)
	}
	if s.report.Strays > 0 && !s.freeKnown {
		say(kv.FindingRow, "the list of free pages is damaged: of %d entries that nothing leads to, some may have been removed before", s.report.Strays)
	}
	if s.report.OlderRecords > 0 {
		say(kv.FindingLog, "%d records of the log lie before a gap, or before entries that are newer, and are not kept", s.report.OlderRecords)
	}
	if ownership.Size(s.path+ownership.JournalSuffix) > 0 {
		say(kv.FindingStructure, "%s was not looked at: pages may be of a change that was never completed", s.path+ownership.JournalSuffix)
	}
	if size := ownership.Size(s.path + ownership.WALSuffix); size > 0 && s.file.Frames == 0 {
		say(kv.FindingStructure, "%s has nothing that is committed and belongs to the database", s.path+ownership.WALSuffix)
	}
}
