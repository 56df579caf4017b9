package sqlite

import (
	"errors"
	"fmt"
	"os"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// A read-only store must neither write nor create anything, but SQLite creates the
// shared memory of a WAL, and the WAL itself, even to read. So what lies there
// decides how it is opened:
//
//   - in rollback mode, or beside a process that is connected to its WAL: as it is;
//   - with a WAL, but no connection: the owner was killed. The index of the WAL
//     that it left is opened without being written to; without one the store has to
//     be opened for writing first;
//   - in WAL mode without a WAL: it was closed beside a reader, or copied then, and
//     is complete. It is read as a file that does not change, and kept from changing
//     by a lock (inode), which an owner waits for.
//
// An owner that opens or closes at this moment makes all of that change on the way.

// settleTime is how long a read-only store waits for an owner that does: it looks
// again until what it sees fits together. Where there is no owner it looks a few times
// more, since one may have just gone.
const (
	settleTime  = 5 * time.Second
	settleTries = 10
	settlePause = 2 * time.Millisecond
)

// openReadOnly opens a file without the lock, beside an owner or alone.
func (d *Database) openReadOnly(config Config) error {
	began := time.Now()
	for alone := 0; ; time.Sleep(settlePause) {
		err := d.tryReadOnly(config)
		if err == nil {
			break
		}
		if !ownership.HasLiveOwner(d.path) {
			alone++
		}
		if !transient(err) || alone > settleTries || time.Since(began) > settleTime {
			return err
		}
		d.reads, d.parameter = nil, ""
		if err := d.unwind(); err != nil {
			return err
		}
	}
	go d.guard.Run(d.done, d.reads.(*fileReads).pool.views.keepUp)
	d.onClose(d.guard.Stop)
	return nil
}

// transient reports whether an error may be due to an owner that opens or closes the
// database right now.
func transient(err error) bool {
	return errors.Is(err, kv.FileLostError) || errors.Is(err, kv.MissingWALError) || errors.Is(err, kv.StaleWALError) || errors.Is(err, kv.UnrecoveredError) ||
		errors.Is(err, kv.TruncatedFileError) || code(err) == sqlite.ResultCantOpen || code(err) == sqlite.ResultReadOnly ||
		code(err) == sqlite.ResultBusy
}

func (d *Database) tryReadOnly(config Config) error {
	exists, err := ownership.Inspect(d.path)
	if err != nil {
		return err
	}
	if !exists {
		return fmt.Errorf("%s does not exist, and a read-only store creates nothing: %w", d.path, os.ErrNotExist)
	}
	f, err := verifyFile(d.path)
	if err != nil {
		return err
	}
	if f.pageSize == 0 {
		return fmt.Errorf("%s is empty: open it once without read-only: %w", d.path, kv.UnrecoveredError)
	}
	connected := ownership.IsConnected(d.path)
	inode, err := ownership.Enlist(d.path)
	if err != nil {
		return err
	}
	d.onClose(inode.Leave)
	if err := d.choose(&f, inode, connected); err != nil {
		return err
	}
	d.guard = ownership.NewGuard(d.path, nil, nil, config.Logger, config.HealthChanged)
	d.guard.Shrinks() // when the owner compacts it
	if err := d.guard.Watch(""); err != nil {
		return err
	}
	if err := d.checkReadable(&f); err != nil {
		return err
	}
	d.changes.Unsettle() // odd for good: this process does not know what the owner commits
	d.follower = new(sqlFollower)
	d.follower.mu.follower = *newFollower(config)
	if err := d.openReaders(config); err != nil {
		return err
	}
	s, err := d.openViewsToRead(inode, &f, config)
	if s != nil {
		d.reads.(*fileReads).pool.views = s
	}
	return err
}

// choose decides how the file is opened.
func (d *Database) choose(f *found, inode *ownership.Inode, connected bool) error {
	hasIndex := ownership.Size(d.path+ownership.SHMSuffix) > 0
	switch {
	case journalIsHot(d.path) && !f.wal:
		return fmt.Errorf("%s has a %s that is to be rolled back: open it once without read-only: %w", d.path, ownership.JournalSuffix, kv.UnrecoveredError)
	case !f.wal || hasIndex && connected:
		return nil
	case f.content.size > 0 && hasIndex && ownership.CanProtect:
		if !inode.Freeze() {
			return fmt.Errorf("%s is being opened by this process: %w", d.path, kv.UnrecoveredError)
		}
		d.onClose(inode.Thaw)
		d.parameter = "readonly_shm=1"
		return nil
	case f.content.committed():
		return fmt.Errorf("%s has a %s that is to be recovered, which reading it would do: open it once without read-only: %w",
			d.path, ownership.WALSuffix, kv.UnrecoveredError)
	case !ownership.CanProtect:
		return fmt.Errorf("%s was left in WAL mode, and reading it would create files: open it once without read-only: %w",
			d.path, kv.UnrecoveredError)
	}
	if err := inode.Protect(d.path); err != nil {
		return fmt.Errorf("%s can't be kept from changing (%w): %w", d.path, err, kv.UnrecoveredError)
	}
	d.onClose(inode.Expose)
	if ownership.IsHeld(d.path) || ownership.Size(d.path+ownership.WALSuffix) > 0 {
		return fmt.Errorf("%s is being opened by another process: %w", d.path, kv.UnrecoveredError) // and looked at again
	}
	d.parameter = immutable
	return nil
}

// journalIsHot reports whether a rollback journal waits to be rolled back.
func journalIsHot(path string) bool {
	begin, err := ownership.ReadSidecar(path+ownership.JournalSuffix, len(ownership.JournalMagic))
	return err == nil && string(begin) == string(ownership.JournalMagic)
}

// openToRead opens a connection that can't write.
func (d *Database) openToRead(settings []string, done <-chan struct{}) (*sqlite.Conn, error) {
	// SQLite takes an empty file for a new database, and removes the WAL that it finds.
	if err := d.guard.Check(); err != nil {
		return nil, err
	}
	if d.parameter == "" {
		return openConnection(d.path, sqlite.OpenReadOnly, settings, done)
	}
	return openConnection(databaseURI(d.path, d.parameter), sqlite.OpenReadOnly|sqlite.OpenURI, settings, done)
}
