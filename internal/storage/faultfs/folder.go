package faultfs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Folder is a folder in which every call can be made to fail, and whose power can be cut,
// whatever is done in others meanwhile: tests that run at the same time each have their
// own. Of what was written it keeps what a power cut may leave, no more, so that it may
// be in use for long. What is to be synced is counted as synced and is not.
type Folder struct {
	path      string
	recording atomic.Pointer[Recording]
	dead      atomic.Bool
	faults    struct {
		sync.Mutex // held to change it
		list       atomic.Pointer[[]*injection]
	}
}

// folders are those that are in use.
var folders struct {
	sync.Mutex // held to change it
	list       atomic.Pointer[[]*Folder]
}

// Take gives a folder to the caller, until Release. Nothing in it may be open,
// nor may it lie in another that is taken. It installs the file system: what the process
// had open before goes past it.
func Take(path string) (*Folder, error) {
	Install()
	recording, err := newLive(path)
	if err != nil {
		return nil, err
	}
	f := &Folder{path: recording.folder}
	f.recording.Store(recording)
	folders.Lock()
	defer folders.Unlock()
	list := folders.list.Load()
	if list == nil {
		list = &[]*Folder{}
	}
	for _, other := range *list {
		if within(f.path, other.path) || within(other.path, f.path) {
			return nil, fmt.Errorf("folder %s: %s is in use by another test", f.path, other.path)
		}
	}
	changed := append(slices.Clone(*list), f)
	folders.list.Store(&changed)
	return f, nil
}

// Release ends that. Nothing in the folder may be open.
func (f *Folder) Release() {
	folders.Lock()
	defer folders.Unlock()
	changed := slices.DeleteFunc(slices.Clone(*folders.list.Load()), func(other *Folder) bool { return other == f })
	folders.list.Store(&changed)
}

// Path is the folder's, without symbolic links: files in it are to be opened by it.
func (f *Folder) Path() string { return f.path }

func folderOf(path string) *Folder {
	if list := folders.list.Load(); list != nil {
		for _, f := range *list {
			if within(path, f.path) {
				return f
			}
		}
	}
	return nil
}

// Inject has calls in the folder fail until heal. Of several faults each is asked, in the
// order in which they were injected, until one has the call fail.
func (f *Folder) Inject(fault Fault) (heal func()) {
	i := &injection{fault: fault}
	f.change(func(list []*injection) []*injection { return append(list, i) })
	return func() {
		f.change(func(list []*injection) []*injection {
			return slices.DeleteFunc(list, func(other *injection) bool { return other == i })
		})
	}
}

// Heal ends all faults.
func (f *Folder) Heal() { f.change(func([]*injection) []*injection { return nil }) }

// Faulty reports whether there are any.
func (f *Folder) Faulty() bool {
	list := f.faults.list.Load()
	return list != nil && len(*list) > 0
}

func (f *Folder) change(how func([]*injection) []*injection) {
	f.faults.Lock()
	defer f.faults.Unlock()
	var list []*injection
	if before := f.faults.list.Load(); before != nil {
		list = slices.Clone(*before)
	}
	list = how(list)
	f.faults.list.Store(&list)
}

// Die is the moment at which the process is killed, or the power is cut: no call changes
// anything in the folder from here on, until Revive.
func (f *Folder) Die() { f.dead.Store(true) }

// Revive has calls be made again. Nothing that was open when Die was called may be open.
func (f *Folder) Revive() { f.dead.Store(false) }

// Dead reports whether Die was called, and Revive not yet.
func (f *Folder) Dead() bool { return f.dead.Load() }

// errDead is what a process that is dead would never hear.
const errDead = syscall.EIO

// harmless are the calls that change nothing.
var harmless = []string{"read", "filesize", "lock", "unlock", "shmmap", "shmlock", "access", "disk.read", "disk.stat", "disk.flock", "disk.map"}

func (f *Folder) verdict(o Operation) error {
	if f.dead.Load() && !slices.Contains(harmless, o.Call) {
		return errDead
	}
	if list := f.faults.list.Load(); list != nil {
		for _, i := range *list {
			if err := i.decide(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// newLive is a recording of which only the present state is kept.
func newLive(path string) (*Recording, error) {
	r, err := newRecording(path)
	if err != nil {
		return nil, err
	}
	r.live = r.Play()
	r.initial = replay{}
	return r, nil
}

// PowerLoss puts in the folder's place what a power cut at this moment may leave of it, as
// the seed chooses. Nothing in it may be open, and no call may change anything meanwhile:
// call Die, and close what is open, before.
func (f *Folder) PowerLoss(seed uint64) error {
	r := f.recording.Load()
	end := r.begin()
	defer end()
	left, err := os.MkdirTemp("", "power-loss-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(left)
	if _, err := r.live.Crash(left, 0, seed); err != nil {
		return err
	}
	if err := f.replace(slices.Collect(maps.Keys(r.live.now.names)), left); err != nil {
		return err
	}
	next, err := newLive(f.path)
	if err != nil {
		return err
	}
	f.recording.Store(next)
	return nil
}

// replace removes files that were there before the power cut, and moves what is left of
// them to their place.
func (f *Folder) replace(names []string, left string) error {
	for _, name := range names {
		for _, path := range []string{name, name + "-shm"} {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return filepath.WalkDir(left, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		to := f.path + strings.TrimPrefix(path, left)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		content, err := os.ReadFile(path) // the two may be on different disks
		if err != nil {
			return err
		}
		return os.WriteFile(to, content, 0o600)
	})
}
