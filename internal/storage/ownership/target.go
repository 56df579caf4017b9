package ownership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/kv"
)

// Target is a place to which a whole database is to go. It is written under a
// temporary name beside it and takes its own when it is complete, so that no program
// ever sees half of it there. Its ownership lock is held meanwhile.
type Target struct {
	path   string      // links resolved
	Temp   string      // of mode 0600, and this process's alone
	before os.FileInfo // what stands at path; nil: nothing
	lock   *Lock
	inode  *Inode // of what stands there; nil: nothing
	done   bool   // temp has become path
}

// Terms say what may stand at a place that a copy is to take.
type Terms struct {
	Nothing bool // may: the place must be free
	// recognise refuses what is not to be replaced; nil: any regular file may be.
	Recognise func(path string, is os.FileInfo) error
	Replaces  bool          // the copy also takes the place of what its WAL and journal hold
	Wait      time.Duration // for stores of this process that only read what stands there
}

// Claim takes a place for a copy of the database at source, which is
// storage.MemoryPath or resolved. Nothing at the place is touched. Call discard in any
// case.
func Claim(path, source string, on Terms) (_ *Target, err error) {
	if path == storage.MemoryPath {
		return nil, fmt.Errorf("%s is no file: %w", path, kv.InvalidTargetError)
	}
	t := &Target{}
	if t.path, err = Resolve(path); err != nil {
		return nil, fmt.Errorf("%w: %w", kv.InvalidTargetError, err)
	}
	if err := t.refuseFilesOf(source); err != nil {
		return nil, err
	}
	exists, err := Inspect(t.path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", kv.InvalidTargetError, err)
	}
	if exists && on.Nothing {
		return nil, t.errExists()
	}
	if t.lock, err = Acquire(t.path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			t.Discard()
		}
	}()
	if err := t.own(exists, on.Wait); err != nil {
		return nil, err
	}
	if err := t.inspect(on); err != nil {
		return nil, err
	}
	RemoveLeftovers(t.path, "partial")
	file, err := disk.CreateTemp(filepath.Dir(t.path), "."+ShortBase(t.path)+"-*.partial") // of mode 0600, with O_EXCL
	if err != nil {
		return nil, err
	}
	t.Temp = file.Name()
	return t, file.Close()
}

// RemoveLeftovers removes what operations that were killed have left under temporary
// names. The caller holds the lock that they held.
func RemoveLeftovers(path, suffix string) {
	left, _ := filepath.Glob(filepath.Join(escapeGlob(filepath.Dir(path)), "."+escapeGlob(ShortBase(path))+"-*."+suffix)) // the pattern is well-formed
	for _, name := range left {
		_ = disk.RemoveAll(name)
	}
}

// escapeGlob has every character stand for itself.
func escapeGlob(name string) string {
	return strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`).Replace(name)
}

// own makes sure that no process owns what stands there by another name.
func (t *Target) own(exists bool, wait time.Duration) (err error) {
	if !exists {
		return nil
	}
	if t.inode, err = Enlist(t.path); err != nil {
		return err
	}
	if err = t.inode.Own(t.path, wait); err != nil {
		err = errors.Join(err, t.inode.Leave())
		t.inode = nil
	}
	return err
}

// refuseFilesOf refuses the source itself, by whatever name, and what belongs to
// it or to another database.
func (t *Target) refuseFilesOf(source string) error {
	if source != storage.MemoryPath {
		for _, suffix := range append([]string{""}, Sidecars...) {
			if sameFile(t.path, source+suffix) {
				return fmt.Errorf("%s is a file of the database %s itself: %w", t.path, source, kv.InvalidTargetError)
			}
		}
	}
	for _, suffix := range Sidecars {
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
func (t *Target) inspect(on Terms) error {
	exists, err := Inspect(t.path)
	if err != nil {
		return err
	}
	if exists {
		if t.before, err = disk.Stat(t.path); err != nil {
			return err
		}
	}
	if exists && on.Nothing {
		return t.errExists()
	}
	if err := t.inspectSidecars(on); err != nil || !exists {
		return err
	}
	if on.Recognise == nil {
		return nil
	}
	return on.Recognise(t.path, t.before)
}

func (t *Target) errExists() error {
	return fmt.Errorf("%s is there already; name a new file: %w", t.path, fs.ErrExist)
}

// inspectSidecars refuses what SQLite would take for a part of the copy, unless
// the copy's purpose is to take its place.
func (t *Target) inspectSidecars(on Terms) error {
	for _, suffix := range []string{WALSuffix, JournalSuffix, SHMSuffix} {
		info, err := disk.Lstat(t.path + suffix)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is no regular file (%v), and would be taken for a part of the database: %w",
				t.path+suffix, info.Mode().Type(), kv.InvalidTargetError)
		case !on.Replaces && info.Size() > 0 && suffix != SHMSuffix:
			return fmt.Errorf("%s holds changes of another database, and would be taken for a part of the copy; "+
				"move it away, or name another file: %w", t.path+suffix, kv.InvalidTargetError)
		}
	}
	return nil
}

// Replace publishes the copy in the place of a database that may have been left
// in any state.
//
// A WAL is removed after: it names the generation that it belongs to, so that
// until then it is refused and not replayed. A journal names nothing: opening
// the copy would put the old pages back into it. So it goes out of the
// way first. A crash in between leaves the old file without it, and this restore
// undone: it is to be made again.
func (t *Target) Replace(mode fs.FileMode) error {
	aside := t.Temp + ".journal"
	err := disk.Rename(t.path+JournalSuffix, aside)
	moved := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if moved {
		err = disk.SyncFolder(filepath.Dir(t.path))
	} else {
		err = nil
	}
	if err == nil {
		err = t.Publish(mode)
	}
	if !t.done && moved {
		return errors.Join(err, disk.Rename(aside, t.path+JournalSuffix))
	}
	if err != nil && !t.done {
		return err
	}
	if moved {
		err = errors.Join(err, disk.Remove(aside))
	}
	for _, suffix := range []string{WALSuffix, SHMSuffix} {
		if removing := disk.Remove(t.path + suffix); removing != nil && !errors.Is(removing, fs.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("the database is restored, but %s is still there: %w", t.path+suffix, removing))
		}
	}
	return errors.Join(err, disk.SyncFolder(filepath.Dir(t.path)))
}

// Publish gives the complete file its name: with the mode and owner of what
// stands there, or with mode if nothing does.
func (t *Target) Publish(mode fs.FileMode) error {
	if t.before != nil {
		mode = t.before.Mode().Perm()
		if err := keepOwner(t.Temp, t.before); err != nil {
			return err
		}
	}
	if err := disk.Chmod(t.Temp, mode); err != nil {
		return err
	}
	if err := syncFile(t.Temp); err != nil {
		return err
	}
	if err := t.unchanged(); err != nil {
		return err
	}
	if err := disk.Rename(t.Temp, t.path); err != nil {
		return fmt.Errorf("%w (a file that is mounted by itself can't be replaced)", err)
	}
	t.done = true
	return disk.SyncFolder(filepath.Dir(t.path))
}

// PublishNew is publish where nothing may stand: it never replaces anything.
func (t *Target) PublishNew(mode fs.FileMode) error {
	if err := disk.Chmod(t.Temp, mode); err != nil {
		return err
	}
	if err := syncFile(t.Temp); err != nil {
		return err
	}
	err := disk.Link(t.Temp, t.path) // which fails if there is something, as a rename would not
	if err == nil {
		return errors.Join(disk.Remove(t.Temp), disk.SyncFolder(filepath.Dir(t.path)))
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	return t.Publish(mode) // a file system without hard links
}

// unchanged refuses to replace something else than what was looked at.
func (t *Target) unchanged() error {
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

// Discard removes what was written, unless it was published, and gives the lock
// up. A lock file that is of this call goes too.
func (t *Target) Discard() {
	if t.Temp != "" && !t.done {
		_ = disk.Remove(t.Temp)
		_ = disk.Remove(t.Temp + JournalSuffix)
	}
	if t.inode != nil {
		_ = errors.Join(t.inode.Disown(), t.inode.Leave()) // of what is gone, or as it was
	}
	if t.lock != nil {
		if t.done {
			t.lock.known = false // what was acknowledged was the old file's
		}
		t.lock.Abandon()
	}
}

// keepOwner gives a file the owner and group of another. A process that may not do
// so may still replace a file of its group's, as long as the group can do with it
// what the owner could.
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
