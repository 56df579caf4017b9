package sqlite

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/internal/storage/memory"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
)

// Open opens a database, creating it if there is none, and brings it to the
// present schema. What it refuses it leaves as it was, with nothing beside it.
//
// Errors: kv.InvalidOptionError, *kv.LockedError, kv.NotADatabaseError,
// kv.NewerSchemaError, kv.EncodingError, kv.TruncatedFileError,
// kv.ForeignFileError, kv.ForeignSchemaError, kv.MissingWALError,
// kv.StaleWALError, kv.UnrecoveredError, *kv.CorruptLogError, and others
// that say in words what is wrong. It waits as long as config.LockWait says for
// another owner, and at most five seconds for a foreign program that has the
// file locked.
func Open(config Config) (_ *Database, err error) {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Readers <= 0 {
		config.Readers = max(2, runtime.GOMAXPROCS(0))
	}
	if config.ScanAge <= 0 {
		config.ScanAge = time.Minute
	}
	d := &Database{path: config.Path, events: config.Events, done: make(chan struct{})}
	defer func() {
		if err != nil {
			close(d.done)
			err = errors.Join(err, d.unwind())
		}
	}()
	if config.Path == storage.MemoryPath {
		err = d.openMemory(config)
		return d, err
	}
	if d.path, err = ownership.Resolve(config.Path); err != nil {
		return nil, err
	}
	if config.ReadOnly {
		err = d.openReadOnly(config)
	} else {
		err = d.openOwned(config)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// openMemory makes a database in process memory.
func (d *Database) openMemory(config Config) error {
	if config.ReadOnly {
		return fmt.Errorf("a store in memory can't be read-only: it would be empty for ever: %w", kv.InvalidOptionError)
	}
	d.uuid = uuid.NewString()
	d.reads, d.writer = memory.New(d.done, &d.changes)
	return nil
}

// opening is a database that is about to be owned.
type opening struct {
	config Config
	lock   *ownership.Lock
	inode  *ownership.Inode
	exists bool
	found  found            // what lay there, if anything did
	tail   *overlay.Overlay // what its log has and entries have not; nil: nothing
	opened bool
}

// openOwned takes the file's locks, verifies before it writes, migrates, and
// only then switches to WAL: a failed migration leaves the file as it was.
func (d *Database) openOwned(config Config) error {
	o, err := d.own(config)
	if err != nil {
		return err
	}
	// Whatever the durability, until the file is in WAL mode: a journal that is synced once
	// only may be played back torn, as its checksums are of few bytes.
	settings := pragmas(writing, kv.DurabilitySync, writerCacheKiB)
	if !o.exists {
		settings = append(settings, fmt.Sprintf("PRAGMA page_size = %d", filePageSize))
	}
	guard, err := guardWAL(d.path)
	if err != nil {
		return d.explain(err)
	}
	d.onClose(guard)
	conn, err := openConnection(d.path, sqlite.OpenReadWrite, settings, nil)
	if err != nil {
		return d.explain(err)
	}
	d.changes.Track()
	effort, err := boundEffort(conn, d.path)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	writer := &fileWriter{conn: conn, effort: effort, logger: config.Logger, file: d.path, changes: &d.changes, inode: o.inode, lock: o.lock,
		guard: ownership.NewGuard(d.path, o.lock, o.inode, config.Logger, config.HealthChanged), synced: &synced{path: d.path}, durability: config.Durability, stampedAt: never,
		left: func() { d.left = true }}
	d.guard = writer.guard
	d.onClose(d.guard.Release)
	d.onClose(writer.close)
	if err := d.prepareSchema(conn, o); err != nil {
		return err
	}
	writer.tail = o.tail
	writer.synced.bytes.Store(o.synced(d.path))
	if err := d.enterWAL(conn); err != nil {
		return err
	}
	for _, setting := range syncing(config.Durability) {
		if err := execute(conn, setting); err != nil {
			return d.explain(err)
		}
	}
	if err := writer.enter(); err != nil {
		return d.explain(err)
	}
	writer.gather()
	if writer.wal != nil && config.Metrics != nil {
		writer.wal.Synced = config.Metrics.Sync.Took
	}
	if err := writer.prepare(); err != nil {
		return err
	}
	if err := d.openReaders(config); err != nil {
		return err
	}
	d.onClose(writer.closeIfLost)
	writer.pool = d.reads.(*fileReads).pool
	if writer.views, err = d.openViews(writer, config); err != nil {
		return d.explain(err)
	}
	writer.pool.views = writer.views
	checkpoints, err := startCheckpoints(d.path, config, writer.guard, writer.synced, writer.pool, d.done)
	if err != nil {
		return err
	}
	d.onClose(checkpoints.stop)
	checkpoints.unsynced.Store(writer.unsynced)
	writer.checkpoints = checkpoints
	d.writer = writer
	if err := d.overlay(writer, config); err != nil {
		return d.explain(err)
	}
	o.opened = true
	go d.guard.Run(d.done, writer.views.keepUp)
	d.onClose(d.guard.Stop)
	return guard()
}

// synced is how many bytes of a database a power cut leaves for sure, once its schema is
// prepared: that syncs a file without a WAL, and for another one its stamps say it.
func (o *opening) synced(path string) int64 {
	if !o.found.inUse() {
		return ownership.Size(path)
	}
	least := int64(o.found.stamp.pages)
	for _, s := range slices.Concat(o.found.content.stamps, o.found.content.others) {
		if s.pages == 0 {
			return 0
		}
		least = max(least, int64(s.pages))
	}
	return least * o.found.pageSize
}

// own takes the locks of a database that proves to be one of ours, or makes a new
// one.
func (d *Database) own(config Config) (o *opening, err error) {
	deadline := time.Now().Add(config.LockWait)
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		o, err = d.tryOwn(config)
		var locked *kv.LockedError
		left := time.Until(deadline)
		if !errors.As(err, &locked) || left <= 0 {
			return o, err
		}
		if err := d.unwind(); err != nil {
			return nil, err
		}
		time.Sleep(min(pause, left))
	}
}

// Waiting for another owner: the lock is asked for this often.
const (
	firstPause = 2 * time.Millisecond
	maxPause   = 50 * time.Millisecond
)

func (d *Database) tryOwn(config Config) (*opening, error) {
	if _, err := ownership.Inspect(d.path); err != nil {
		return nil, err
	}
	o, err := &opening{config: config}, error(nil)
	if o.lock, err = ownership.Acquire(d.path); err != nil {
		return nil, err
	}
	d.onClose(func() error {
		switch {
		case !o.opened:
			o.lock.Abandon()
			return nil
		case d.left:
			return o.lock.Release()
		default:
			return o.lock.Keep()
		}
	})
	if o.exists, err = ownership.Inspect(d.path); err != nil {
		return nil, err
	}
	if o.exists {
		if ownership.Size(d.path) == 0 && o.lock.WasUsed() {
			return nil, fmt.Errorf("%s is empty, but a store was there: restore it, or remove the file for a new one: %w",
				d.path, kv.TruncatedFileError)
		}
		if o.found, err = verifyFile(d.path); err != nil {
			if errors.Is(err, kv.MissingWALError) || errors.Is(err, kv.StaleWALError) {
				// It may be in use by another name, which has the WAL.
				if owned := d.ownInode(o); owned != nil {
					return nil, owned
				}
			}
			return nil, err
		}
	} else if err := d.create(o); err != nil {
		return nil, err
	}
	connected := ownership.IsConnected(d.path)
	if err := d.ownInode(o); err != nil {
		return nil, err
	}
	if o.found.wal && !connected {
		return o, o.inode.AwaitUnread(d.path, busyTimeout)
	}
	return o, nil
}

// ownInode makes sure that no process owns the file by another name.
func (d *Database) ownInode(o *opening) (err error) {
	if o.inode, err = ownership.Enlist(d.path); err != nil {
		return err
	}
	d.onClose(o.inode.Leave)
	if err := o.inode.Own(d.path, busyTimeout); err != nil {
		return err
	}
	d.onClose(o.inode.Disown)
	return nil
}

// create makes an empty file where there is none.
func (d *Database) create(o *opening) error {
	if err := ownership.CheckSidecars(d.path); err != nil {
		return err
	}
	for _, suffix := range []string{ownership.WALSuffix, ownership.JournalSuffix} {
		if ownership.Size(d.path+suffix) > 0 {
			return fmt.Errorf("there is no %s, but a %s%s: put the database back that it belongs to, or move that file away: %w",
				d.path, d.path, suffix, kv.StaleWALError)
		}
	}
	if err := ownership.Create(d.path); err != nil {
		return err
	}
	d.onClose(func() error {
		if !o.opened {
			removeDatabase(d.path)
		}
		return nil
	})
	return nil
}

// checkReadable refuses what a read-only store can't read as it is.
func (d *Database) checkReadable(f *found) (err error) {
	acknowledged, known := ownership.LastAcknowledged(d.path)
	conn, err := d.openToRead(nil, nil)
	if err != nil {
		return d.explain(err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := boundSteps(conn, lookSteps); err != nil {
		return err
	}
	if err := d.checkOpened(conn); err != nil {
		return err
	}
	outdated, err := outdated(conn)
	if err != nil {
		return d.explain(err)
	}
	if outdated {
		return fmt.Errorf("%s is of an older layout, which a read-only store can't bring up to date: "+
			"open it once without read-only (gostore compact does): %w", d.path, kv.OlderSchemaError)
	}
	if known && f.inUse() {
		if err := f.checkAcknowledged(d.path, conn, acknowledged); err != nil {
			return err
		}
	}
	if d.uuid, err = queryText(conn, "SELECT uuid FROM store_meta"); err != nil {
		return d.explain(err)
	}
	return nil
}

// prepareSchema verifies what only an open database shows (the WAL may say
// something else than the file), then migrates, all in one transaction.
func (d *Database) prepareSchema(conn *sqlite.Conn, o *opening) (err error) {
	var log survey
	if o.config.DiscardLog {
		if err := d.checkOpened(conn); err != nil {
			return err
		}
		if log, err = d.surveyLog(conn); err != nil {
			return fmt.Errorf("discard the log: %w", d.explain(err))
		}
	}
	if err := execute(conn, "BEGIN IMMEDIATE"); err != nil {
		return d.explain(err)
	}
	defer func() {
		if err != nil && !conn.AutocommitEnabled() {
			err = errors.Join(err, execute(conn, "ROLLBACK"))
		}
	}()
	if err := d.checkOpened(conn); err != nil {
		return err
	}
	if err := checkTriggers(d.path, conn); err != nil {
		return err
	}
	if err := ensureSchema(conn); err != nil {
		return ensureSchemaError(err)
	}
	if last, known := o.lock.Unclosed(); known && o.found.inUse() {
		if err := o.found.checkAcknowledged(d.path, conn, last); err != nil {
			return err
		}
	}
	if !o.found.inUse() {
		// From here on no WAL belongs to this file but those of this opening.
		if err := freshStamp(conn); err != nil {
			return ensureSchemaError(d.explain(err))
		}
	}
	if d.uuid, err = queryText(conn, "SELECT uuid FROM store_meta"); err != nil {
		return ensureSchemaError(err)
	}
	if o.config.DiscardLog {
		if err := d.discardLog(conn, log, o.config.Logger); err != nil {
			return fmt.Errorf("discard the log: %w", d.explain(err))
		}
	} else if err := d.checkLog(conn, o.config); err != nil {
		return err
	} else if o.tail, err = d.readTail(conn); err != nil {
		return err
	}
	if err := adoptRows(conn); err != nil {
		return ensureSchemaError(d.explain(err))
	}
	if err := execute(conn, "COMMIT"); err != nil {
		return ensureSchemaError(d.explain(err))
	}
	return nil
}

// checkOpened checks again through the WAL what verifyFile read from the file.
func (d *Database) checkOpened(conn *sqlite.Conn) error {
	id, err := queryInt(conn, "PRAGMA application_id")
	if err != nil {
		return d.explain(err)
	}
	version, err := queryInt(conn, "PRAGMA user_version")
	if err != nil {
		return d.explain(err)
	}
	if err := checkIdentity(d.path, uint32(id), uint32(version)); err != nil {
		return err
	}
	return identify(d.path, uint32(id), conn)
}

// enterWAL makes readers and the writer independent of each other.
func (d *Database) enterWAL(conn *sqlite.Conn) error {
	mode, err := queryText(conn, "PRAGMA journal_mode = WAL")
	if err != nil {
		return d.explain(err)
	}
	if mode != "wal" {
		return fmt.Errorf("%s can't be put in WAL mode (it stays in %s mode): "+
			"its file system lacks shared memory or locks", d.path, mode)
	}
	// The connection is in WAL mode from its next transaction on. Without one
	// it would not know that it has a mode to leave when it closes.
	if _, err := queryInt(conn, "SELECT count(*) FROM sqlite_schema"); err != nil {
		return d.explain(err)
	}
	return nil
}

// guardWAL keeps a WAL that was found from being moved into the database by
// the mere failure to open it: SQLite does that when the last connection that
// can write closes, unless a reader is still there.
// The function that it returns lets go; it may be called twice.
func guardWAL(path string) (release func() error, err error) {
	if ownership.Size(path+ownership.WALSuffix) == 0 {
		return func() error { return nil }, nil
	}
	conn, err := openConnection(path, sqlite.OpenReadOnly, nil, nil)
	if err != nil {
		return nil, err
	}
	_, err = queryInt(conn, "SELECT count(*) FROM sqlite_schema")
	if code(err) == sqlite.ResultReadOnly && ownership.Size(path+ownership.JournalSuffix) > 0 {
		// A power cut ended the transaction by which a store left WAL mode before all of
		// it, the removal of the WAL too, had come to the disk.
		if err = rollBack(path); err == nil {
			_, err = queryInt(conn, "SELECT count(*) FROM sqlite_schema")
		}
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return sync.OnceValue(conn.Close), nil
}

// rollBack has SQLite roll a journal back. The connection of guardWAL, which stays open,
// keeps the WAL from being moved.
func rollBack(path string) error {
	conn, err := openConnection(path, sqlite.OpenReadWrite, nil, nil)
	if err != nil {
		return err
	}
	_, err = queryInt(conn, "SELECT count(*) FROM sqlite_schema")
	return errors.Join(err, conn.Close())
}

// explain says in words what SQLite's code means to the opener of a file.
func (d *Database) explain(err error) error {
	switch code(err) {
	case sqlite.ResultBusy:
		return fmt.Errorf("%s is locked by another program that uses SQLite; close it there: %w", d.path, err)
	case sqlite.ResultReadOnly:
		return fmt.Errorf("%s can't be written to; check its permissions, or open it read-only: %w", d.path, err)
	case sqlite.ResultCantOpen:
		return fmt.Errorf("%s can't be opened; check the permissions of the file and its folder: %w", d.path, err)
	case sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return fmt.Errorf("%s is damaged: %w", d.path, explainDamage(err))
	}
	return fmt.Errorf("%s: %w", d.path, err)
}

// removeDatabase removes a file that this process made and could not open.
func removeDatabase(path string) {
	for _, suffix := range []string{ownership.JournalSuffix, ownership.WALSuffix, ownership.SHMSuffix, ""} {
		_ = disk.Remove(path + suffix)
	}
}
