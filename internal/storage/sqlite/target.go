package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/kv"
)

// target is a place to which a whole database is to go. It is written under a
// temporary name beside it and takes its own when it is complete, so that nobody
// ever sees half of it there. Its ownership lock is held meanwhile.
type target struct {
	path   string      // links resolved
	temp   string      // of mode 0600, and this process's alone
	before os.FileInfo // what stands at path; nil: nothing
	lock   *lockFile
	inode  *inode // of what stands there; nil: nothing
	done   bool   // temp has become path
}

// use is what a target is for.
type use int

const (
	backupTarget  use = iota // of ours, in order and unowned, or nothing
	restoreTarget            // recognisably ours, however damaged, or nothing
	forcedTarget             // any regular file
	newTarget                // nothing
)

// claimTarget takes a place for a copy of the database at source, which is
// storage.MemoryPath or resolved. Nothing at the place is touched. Call discard in any
// case.
func claimTarget(path, source string, u use) (_ *target, err error) {
	if path == storage.MemoryPath {
		return nil, fmt.Errorf("%s is no file: %w", path, kv.InvalidTargetError)
	}
	t := &target{}
	if t.path, err = resolvePath(path); err != nil {
		return nil, fmt.Errorf("%w: %w", kv.InvalidTargetError, err)
	}
	if err := t.refuseFilesOf(source); err != nil {
		return nil, err
	}
	exists, err := inspectPath(t.path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", kv.InvalidTargetError, err)
	}
	if exists && u == newTarget {
		return nil, t.errExists()
	}
	if t.lock, err = acquireLock(t.path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			t.discard()
		}
	}()
	if err := t.own(exists); err != nil {
		return nil, err
	}
	if err := t.inspect(u); err != nil {
		return nil, err
	}
	removeLeftovers(t.path, "partial")
	file, err := disk.CreateTemp(filepath.Dir(t.path), "."+shortBase(t.path)+"-*.partial") // of mode 0600, with O_EXCL
	if err != nil {
		return nil, err
	}
	t.temp = file.Name()
	return t, file.Close()
}

// removeLeftovers removes what operations that were killed have left under temporary
// names. Whoever calls it holds the lock that they held.
func removeLeftovers(path, suffix string) {
	left, _ := filepath.Glob(filepath.Join(escapeGlob(filepath.Dir(path)), "."+escapeGlob(shortBase(path))+"-*."+suffix)) // the pattern is well-formed
	for _, name := range left {
		_ = disk.RemoveAll(name)
	}
}

// escapeGlob has every character stand for itself.
func escapeGlob(name string) string {
	return strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`).Replace(name)
}

// own makes sure that nobody owns what stands there by another name.
func (t *target) own(exists bool) (err error) {
	if !exists {
		return nil
	}
	if t.inode, err = enlist(t.path); err != nil {
		return err
	}
	if err = t.inode.own(t.path); err != nil {
		err = errors.Join(err, t.inode.leave())
		t.inode = nil
	}
	return err
}

// refuseFilesOf refuses the source itself, by whatever name, and what belongs to
// it or to another database.
func (t *target) refuseFilesOf(source string) error {
	if source != storage.MemoryPath {
		for _, suffix := range append([]string{""}, sidecars...) {
			if sameFile(t.path, source+suffix) {
				return fmt.Errorf("%s is a file of the database %s itself: %w", t.path, source, kv.InvalidTargetError)
			}
		}
	}
	for _, suffix := range sidecars {
		database, found := strings.CutSuffix(t.path, suffix)
		if _, err := disk.Lstat(database); found && err == nil {
			return fmt.Errorf("%s belongs to %s: %w", t.path, database, kv.InvalidTargetError)
		}
	}
	return nil
}

// sameFile reports whether two paths are, or would be, the same file.
func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	infoA, errA := disk.Stat(a)
	infoB, errB := disk.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// inspect judges what stands at the place and beside it.
func (t *target) inspect(u use) error {
	exists, err := inspectPath(t.path)
	if err != nil {
		return err
	}
	if exists {
		if t.before, err = disk.Stat(t.path); err != nil {
			return err
		}
	}
	if exists && u == newTarget {
		return t.errExists()
	}
	if err := t.inspectSidecars(u); err != nil || !exists {
		return err
	}
	switch u {
	case backupTarget:
		return t.requireOurs()
	case restoreTarget:
		return t.requireRecognisable()
	}
	return nil
}

func (t *target) errExists() error {
	return fmt.Errorf("%s is there already; name a new file: %w", t.path, fs.ErrExist)
}

// inspectSidecars refuses what SQLite would take for a part of the copy, unless
// the copy's purpose is to take its place.
func (t *target) inspectSidecars(u use) error {
	for _, suffix := range []string{walSuffix, journalSuffix, shmSuffix} {
		info, err := disk.Lstat(t.path + suffix)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is no regular file (%v), and would be taken for a part of the database: %w",
				t.path+suffix, info.Mode().Type(), kv.InvalidTargetError)
		case u != restoreTarget && u != forcedTarget && info.Size() > 0 && suffix != shmSuffix:
			return fmt.Errorf("%s holds changes of another database, and would be taken for a part of the copy; "+
				"move it away, or name another file: %w", t.path+suffix, kv.InvalidTargetError)
		}
	}
	return nil
}

// requireOurs refuses to replace anything but a database of ours, in order.
func (t *target) requireOurs() error {
	if t.before.Size() == 0 {
		return fmt.Errorf("%s is empty; remove it first: %w", t.path, kv.NotADatabaseError)
	}
	if _, err := verifyFile(t.path); err != nil {
		return fmt.Errorf("it is not replaced: %w", err)
	}
	h, err := readHeader(t.path)
	if err != nil {
		return fmt.Errorf("%s can't be read: %w", t.path, err)
	}
	if h.applicationID != applicationID {
		return fmt.Errorf("%s has no application_id of go-store's; remove it first: %w", t.path, kv.NotADatabaseError)
	}
	return nil
}

// requireRecognisable refuses to replace what may be somebody else's. What is
// empty holds nothing that could be.
func (t *target) requireRecognisable() error {
	if links := linksOf(t.before); links > 1 {
		return fmt.Errorf("%s has %d names, of which the others would go on being the old file; "+
			"remove them, or force it: %w", t.path, links, kv.InvalidTargetError)
	}
	if t.before.Size() == 0 {
		return nil
	}
	h, err := readHeader(t.path)
	if err == nil && h.applicationID == applicationID {
		return nil
	}
	if err == nil && h.applicationID == 0 {
		if err = t.requireLegacy(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s can't be told to be a go-store database; look what it is, and force it if it is to be replaced: %w",
		t.path, errors.Join(kv.NotADatabaseError, err))
}

// requireLegacy accepts what the original wrote.
func (t *target) requireLegacy() error {
	if _, err := verifyFile(t.path); err != nil {
		return err
	}
	conn, err := openStill(t.path)
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

// publish gives the complete file its name: with the mode and owner of what
// stands there, or with mode if nothing does.
func (t *target) publish(mode fs.FileMode) error {
	if t.before != nil {
		mode = t.before.Mode().Perm()
		if err := keepOwner(t.temp, t.before); err != nil {
			return err
		}
	}
	if err := disk.Chmod(t.temp, mode); err != nil {
		return err
	}
	if err := syncFile(t.temp); err != nil {
		return err
	}
	if err := t.unchanged(); err != nil {
		return err
	}
	if err := disk.Rename(t.temp, t.path); err != nil {
		return fmt.Errorf("%w (a file that is mounted by itself can't be replaced)", err)
	}
	t.done = true
	return disk.SyncFolder(filepath.Dir(t.path))
}

// publishNew is publish where nothing may stand: it never replaces anything.
func (t *target) publishNew(mode fs.FileMode) error {
	if err := disk.Chmod(t.temp, mode); err != nil {
		return err
	}
	if err := syncFile(t.temp); err != nil {
		return err
	}
	err := disk.Link(t.temp, t.path) // which fails if there is something, as a rename would not
	if err == nil {
		return errors.Join(disk.Remove(t.temp), disk.SyncFolder(filepath.Dir(t.path)))
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	return t.publish(mode) // a file system without hard links
}

// unchanged refuses to replace something else than what was looked at.
func (t *target) unchanged() error {
	now, err := disk.Lstat(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && t.before == nil:
		return nil
	case err == nil && t.before != nil && os.SameFile(now, t.before):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return fmt.Errorf("%s was replaced or removed meanwhile; look at it and begin again: %w", t.path, kv.InvalidTargetError)
}

// discard removes what was written, unless it was published, and gives the lock
// up. A lock file that is of this call goes too.
func (t *target) discard() {
	if t.temp != "" && !t.done {
		_ = disk.Remove(t.temp)
		_ = disk.Remove(t.temp + journalSuffix)
	}
	if t.inode != nil {
		_ = errors.Join(t.inode.disown(), t.inode.leave()) // of what is gone, or as it was
	}
	if t.lock != nil {
		if t.done {
			t.lock.known = false // what was acknowledged was the old file's
		}
		t.lock.abandon()
	}
}

// keepOwner gives a file the owner and group of another. Who may not do so may
// still replace a file of his group's, as long as the group can do with it what
// the owner could.
func keepOwner(path string, like os.FileInfo) error {
	uid, gid, ok := ownerIDs(like)
	if !ok {
		return nil
	}
	if disk.Chown(path, uid, gid) == nil {
		return nil
	}
	err := disk.Chown(path, -1, gid)
	if mode := like.Mode().Perm(); err == nil && mode>>6&6 == mode>>3&6 {
		return nil
	}
	return fmt.Errorf("the owner of %s can't be kept (user %d, group %d); run this as its owner: %w",
		like.Name(), uid, gid, fs.ErrPermission)
}

func syncFile(path string) error {
	file, err := disk.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(disk.Sync(file), file.Close())
}
