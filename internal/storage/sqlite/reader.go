package sqlite

import (
	"errors"
	"math"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/internal/storage/sequence"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// reader is a connection that can't write, with its statements and the read transaction
// that is open on it. The caller that took it from its pool owns it.
type reader struct {
	conn     *sqlite.Conn
	effort   *effort
	sequence *sequence.Sequence
	database *Database

	state *overlay.State // that belongs to the transaction, if there is an overlay
	tail  *tail          // of a store that does not own its file; nil: it does

	open     bool   // a transaction is
	began    uint64 // the sequence before it began
	pinned   bool   // revision is the transaction's
	revision uint64
	broken   bool // the connection is to be closed

	get, isLive, count, few  *sqlite.Stmt
	page, pageFrom           *sqlite.Stmt
	anyDead, manyDead, keyAt *sqlite.Stmt
	groups                   *sqlite.Stmt
	usage, expired, physical *sqlite.Stmt
	latest, log, logExtent   *sqlite.Stmt
	logBytes                 *sqlite.Stmt
	countDead, stored, live  *sqlite.Stmt
	unnamed                  *sqlite.Stmt // of groups that no call can name
	begin, end               *sqlite.Stmt
	scans                    [scanVariants]*sqlite.Stmt // prepared on first use
}

// fewRows is how many steps along an index a read may take while others wait for it to
// end. A read that needs more goes on aside.
const fewRows = 1024

func openReader(d *Database, settings []string) (*reader, error) {
	conn, err := d.openToRead(settings, d.done)
	if err != nil {
		return nil, err
	}
	// What lies at the name may be another file by now.
	if err := d.guard.Check(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	r := &reader{conn: conn, sequence: &d.changes, database: d}
	if r.effort, err = boundEffort(conn, d.path); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	err = prepareAll(conn, []statement{
		{&r.begin, "BEGIN"},
		{&r.end, "COMMIT"},
		{&r.get, sqlGet},
		{&r.isLive, sqlGroupIsLive},
		{&r.count, sqlCount},
		{&r.few, sqlCountFew},
		{&r.page, sqlPage},
		{&r.anyDead, sqlAnyDead},
		{&r.manyDead, sqlManyDead},
		{&r.keyAt, sqlKeyAt},
		{&r.pageFrom, sqlPageFrom},
		{&r.groups, sqlGroups},
		{&r.usage, sqlUsage},
		{&r.expired, sqlExpired},
		{&r.physical, sqlPhysicalUsage},
		{&r.latest, sqlRevision},
		{&r.unnamed, sqlUnnamed},
		{&r.countDead, sqlCountDead},
		{&r.stored, sqlCountStored},
		{&r.live, sqlCountLive},
		{&r.log, sqlReadLog},
		{&r.logExtent, sqlLogExtent},
		{&r.logBytes, sqlLogBytes},
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if d.follower != nil {
		if r.tail, err = newTail(conn, d.events); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return r, nil
}

// start begins a transaction. It shows what is committed at its first read, not at BEGIN:
// so the sequence is older than what is seen, never newer.
func (r *reader) start() error {
	switch {
	case r.database.over != nil:
		return r.startOver()
	case r.tail != nil:
		return r.startFollowing()
	}
	return r.startSQL()
}

func (r *reader) startSQL() error {
	r.effort.begin()
	r.began = r.sequence.Now()
	if err := run(r.begin); err != nil {
		return err
	}
	r.open, r.pinned = true, false
	return nil
}

// pin makes sure that all further statements see what is committed now, and nothing
// later, and reads its revision.
func (r *reader) pin() (err error) {
	if !r.open {
		if err := r.start(); err != nil {
			return err
		}
	}
	if r.pinned {
		return nil
	}
	r.revision, err = readRevision(r.latest)
	r.pinned = err == nil
	return err
}

// finish ends the transaction, if there is one.
func (r *reader) finish() {
	if !r.open {
		return
	}
	r.open = false
	r.letGo()
	if err := run(r.end); err != nil && !r.conn.AutocommitEnabled() {
		r.broken = execute(r.conn, "ROLLBACK") != nil
	}
}

// getRow looks one row up.
func (r *reader) getRow(group, key string) (row kv.Row, found bool, err error) {
	if r.state != nil {
		if row, verdict := r.state.Get(group, key); verdict != overlay.Below {
			return named(row, verdict, group, key), verdict == overlay.Present, nil
		}
	}
	return getRow(r.get, group, key)
}

func (r *reader) groupExists(group string, now int64) (bool, error) {
	if r.touches(kv.GroupRange(group)) {
		return r.groupExistsOver(group, now)
	}
	bindGroup(r.isLive, group, now)
	return exists(r.isLive)
}

func (r *reader) countLive(rng kv.Range, now int64) (n int, err error) {
	if r.touches(rng) {
		usage, err := r.usageOver(rng, now)
		return int(usage.Keys), err
	}
	n, err = r.countNamed(rng, now)
	if err != nil || !isEverything(rng) {
		return n, err
	}
	unnamed, err := r.unnamedRows(now)
	return n + unnamed, err
}

// countNamed goes by what is dead anywhere, which is little as a rule, or by the
// rows of the range, whichever is less: a small group is counted at once, however
// much others have left to expire.
func (r *reader) countNamed(rng kv.Range, now int64) (n int, err error) {
	read := func(stmt *sqlite.Stmt) { n = stmt.ColumnInt(0) }
	dead := func(limit int) (found int, err error) {
		bindAfter(r.countDead, 1, math.MinInt64)
		r.countDead.BindInt64(2, now)
		r.countDead.BindInt64(3, int64(limit))
		_, err = one(r.countDead, func(stmt *sqlite.Stmt) error {
			found = stmt.ColumnInt(0)
			return nil
		})
		return found, err
	}
	few, err := dead(littleDead)
	if err != nil {
		return 0, err
	}
	if few == littleDead {
		if err := numbers(r.stored, rng, nil, read); err != nil || n == 0 {
			return 0, err
		}
		many, err := dead(n)
		if err != nil {
			return 0, err
		}
		if many == n {
			err = numbers(r.live, rng, &now, read)
			return n, err
		}
	}
	err = numbers(r.count, rng, &now, read)
	return n, err
}

// countFew is countLive of a group that has no more than fewRows, while no more are
// dead; otherwise it says so.
func (r *reader) countFew(group kv.Range, now int64) (n int, few bool, err error) {
	if r.touches(group) {
		return 0, false, nil
	}
	r.few.BindInt64(4, fewRows)
	err = numbers(r.few, group, &now, func(stmt *sqlite.Stmt) {
		n, few = stmt.ColumnInt(0), !stmt.ColumnIsNull(0)
	})
	return n, few, err
}

// fewDead reports whether no more than fewRows are dead.
func (r *reader) fewDead(now int64) (bool, error) {
	r.manyDead.BindInt64(1, now)
	r.manyDead.BindInt64(2, fewRows)
	many, err := exists(r.manyDead)
	return err == nil && !many, err
}

// littleDead is how many dead rows are not worth asking which way is the shorter.
const littleDead = 64

// readPage reads limit rows behind the first offset, all in one transaction. It
// asks check now and then whether to go on.
func (r *reader) readPage(group string, offset, limit int, now int64, check func() error) (page []kv.KeyValue, err error) {
	if r.touches(kv.GroupRange(group)) {
		return r.pageOver(group, offset, limit, now)
	}
	page, _, err = r.readPart(group, offset, limit, now, func(rows, _ int) (bool, error) {
		if rows%firstChunkRows != 0 {
			return false, nil
		}
		return false, check()
	})
	return page, err
}

// readShortPage is readPage if that takes no longer than the first chunk of a scan;
// otherwise it says so.
func (r *reader) readShortPage(group string, offset, limit int, now int64) (page []kv.KeyValue, short bool, err error) {
	if r.touches(kv.GroupRange(group)) {
		return nil, false, nil
	}
	passes := offset > fewRows
	if !passes {
		// What is dead is passed over, however much of it there is.
		r.anyDead.BindInt64(1, now)
		if passes, err = exists(r.anyDead); err != nil {
			return nil, false, rowsIterationError(err)
		}
	}
	if passes { // no more than the group has
		r.keyAt.BindText(1, group)
		r.keyAt.BindInt64(2, fewRows)
		switch many, err := exists(r.keyAt); {
		case err != nil:
			return nil, false, rowsIterationError(err)
		case many:
			return nil, false, nil
		}
	}
	return r.readPart(group, offset, limit, now, func(rows, bytes int) (bool, error) {
		return rows >= firstChunkRows && rows < limit || bytes > firstChunkBytes, nil
	})
}

// readPart reads a page until enough says so of the rows, and their bytes, that
// were read; then the page is not whole.
func (r *reader) readPart(group string, offset, limit int, now int64, enough func(rows, bytes int) (bool, error)) (page []kv.KeyValue, whole bool, err error) {
	stmt, found, err := r.beginPage(group, offset, now)
	if err != nil || !found {
		return nil, err == nil, err
	}
	stmt.BindInt64(3, int64(max(limit, 0))) // negative would mean all
	defer func() { _ = stmt.Reset() }()     // repeats the error of the step
	for bytes := 0; ; {
		if stop, err := enough(len(page), bytes); err != nil || stop {
			return nil, false, err
		}
		found, err := stmt.Step()
		if err != nil {
			return nil, false, rowsIterationError(err)
		}
		if !found {
			return page, true, nil
		}
		row, err := readRow(stmt)
		if err != nil {
			return nil, false, scanRowError(err)
		}
		page = append(page, kv.KeyValue{Key: row.Key, Value: row.Value})
		bytes += len(row.Key) + len(row.Value)
	}
}

// beginPage is the statement that begins behind the first offset rows, if there
// are so many. Where something is dead each of them is looked at.
func (r *reader) beginPage(group string, offset int, now int64) (stmt *sqlite.Stmt, found bool, err error) {
	everyRow := offset == 0
	if !everyRow {
		r.anyDead.BindInt64(1, now)
		if everyRow, err = exists(r.anyDead); err != nil {
			return nil, false, rowsIterationError(err)
		}
	}
	if everyRow {
		bindGroup(r.page, group, now)
		r.page.BindInt64(4, int64(offset))
		return r.page, true, nil
	}
	r.keyAt.BindText(1, group)
	r.keyAt.BindInt64(2, int64(offset))
	var first string
	found, err = one(r.keyAt, func(stmt *sqlite.Stmt) (err error) {
		if first, err = name(stmt, 0); err != nil {
			err = scanRowError(err)
		}
		return err
	})
	if err != nil && !storage.IsDamagedRow(err) {
		err = rowsIterationError(err)
	}
	if err != nil {
		return nil, false, err
	}
	r.pageFrom.BindText(1, group)
	r.pageFrom.BindText(2, first)
	return r.pageFrom, found, nil
}

// numbers runs a statement that counts in a range, at now if it asks for it.
func numbers(stmt *sqlite.Stmt, r kv.Range, now *int64, read func(*sqlite.Stmt)) error {
	bindRange(stmt, r)
	if now != nil {
		stmt.BindInt64(3, *now)
	}
	_, err := one(stmt, func(stmt *sqlite.Stmt) error {
		read(stmt)
		return nil
	})
	return err
}

func usageInto(usage *kv.Usage) func(*sqlite.Stmt) {
	return func(stmt *sqlite.Stmt) {
		*usage = kv.Usage{Keys: stmt.ColumnInt64(0), Groups: stmt.ColumnInt64(1)}
	}
}

func bindGroup(stmt *sqlite.Stmt, group string, now int64) {
	stmt.BindText(1, group)
	stmt.BindInt64(2, now)
}
